//! `ringkeeper demo`: an ensemble in one terminal, whose servers can be killed, stopped, cut off and
//! restarted while a client writes.
//!
//! Each server is a process of this program with a zoo.cfg of its own, and ends with this one. What
//! passes between two servers passes a relay here, so that it can be cut.

mod args;
mod event;
mod monitor;
mod network;
mod process;
mod relay;
mod screen;
mod state;
mod writer;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

pub use self::args::{DemoArgs, Fault, Scheduled, Victim};
use self::event::DemoEvent;
use self::monitor::Monitor;
use self::network::Network;
use self::process::{ProcessState, Server};
use self::screen::Screen;
use self::state::{Frame, ServerFrame};
use self::writer::Writer;

/// Between two pictures of a terminal, and between two looks at processes.
const PICTURE: Duration = Duration::from_millis(100);
/// Between two lines that say what holds, and the time that a rate is of.
const SECOND: Duration = Duration::from_secs(1);

/// Whether an acknowledged write was lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// None was.
    Kept,
    /// Some were.
    Lost,
}

/// Runs until its time is over, `q` is pressed or a signal comes.
pub fn run(args: &DemoArgs) -> anyhow::Result<Verdict> {
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, ended.clone()).context("no handler for a signal")?;
    }
    check(args)?;
    let home = Home::open(args.dir.clone())?;
    let (events, happened) = channel();
    let network = Network::start(args.servers)?;
    let servers = (1..=args.servers).map(|id| {
        let home = home.path.join(format!("server{id}"));
        Server::start(id, home, |data| network.zoo_cfg(id, data), events.clone())
    });
    let servers: Vec<Server> = servers.collect::<anyhow::Result<_>>()?;
    let addresses: Vec<_> = (1..=args.servers).map(|id| network.client_address(id)).collect();
    let monitor = Arc::new(Monitor::start(&addresses)?);
    let writer = Writer::start(addresses, monitor.clone(), events.clone())?;
    let mut script = args.script.clone();
    script.sort_by_key(|scheduled| scheduled.at);
    let mut demo = Demo {
        began: Instant::now(),
        servers,
        network,
        monitor,
        writer,
        screen: Screen::open(args.json, &events)?,
        script: script.into(),
        chosen: 1,
        rate: Rate { at: Instant::now(), acknowledged: 0, per_s: 0 },
        shown: None,
    };
    demo.run(&happened, (args.duration, &ended))?;
    let (at, frame) = (demo.began.elapsed(), demo.frame());
    demo.screen.finish(at, &frame)?;
    // Order: the processes go before their directories.
    drop(demo.servers);
    drop(home);
    Ok(if frame.written.lost == 0 { Verdict::Kept } else { Verdict::Lost })
}

fn check(args: &DemoArgs) -> anyhow::Result<()> {
    for Scheduled { victim, .. } in &args.script {
        if let Victim::Server(id) = victim
            && !(1..=args.servers).contains(id)
        {
            bail!("there is no server {id}: they are 1 to {}", args.servers);
        }
    }
    Ok(())
}

/// Where the servers keep their state.
struct Home {
    path: PathBuf,
    is_temporary: bool,
}

impl Home {
    fn open(named: Option<PathBuf>) -> anyhow::Result<Home> {
        let is_temporary = named.is_none();
        let own = || std::env::temp_dir().join(format!("ringkeeper-demo-{}", std::process::id()));
        let path = named.unwrap_or_else(own);
        std::fs::create_dir_all(&path)
            .with_context(|| format!("cannot make a directory at {}", path.display()))?;
        Ok(Home { path: path.canonicalize().unwrap_or(path), is_temporary })
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.is_temporary {
            // What cannot be removed stays among the temporary files.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// A demonstration that runs.
struct Demo {
    began: Instant,
    servers: Vec<Server>,
    network: Network,
    monitor: Arc<Monitor>,
    writer: Writer,
    screen: Screen,
    /// What is to happen, the next first.
    script: VecDeque<Scheduled>,
    chosen: u8,
    rate: Rate,
    /// When what holds was shown last.
    shown: Option<Instant>,
}

/// Writes of the last second.
struct Rate {
    at: Instant,
    acknowledged: u64,
    per_s: u64,
}

impl Demo {
    fn run(
        &mut self,
        events: &Receiver<DemoEvent>,
        (duration, ended): (Option<Duration>, &AtomicBool),
    ) -> anyhow::Result<()> {
        let is_over = |began: Instant| duration.is_some_and(|most| began.elapsed() >= most);
        while !ended.load(Relaxed) && !is_over(self.began) {
            match events.recv_timeout(PICTURE) {
                Ok(DemoEvent::Happened(text)) => self.say(&text)?,
                Ok(DemoEvent::Key(b'q')) => return Ok(()),
                Ok(DemoEvent::Key(key)) => self.on_key(key)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            self.follow_script()?;
            self.servers.iter_mut().try_for_each(Server::look)?;
            self.show()?;
        }
        Ok(())
    }

    fn say(&mut self, text: &str) -> anyhow::Result<()> {
        Ok(self.screen.happened(self.began.elapsed(), text)?)
    }

    fn on_key(&mut self, key: u8) -> anyhow::Result<()> {
        let chosen = self.chosen;
        let fault = match key {
            b'1'..=b'9' => {
                let id = key - b'0';
                self.chosen = if usize::from(id) <= self.servers.len() { id } else { chosen };
                return Ok(());
            }
            b'k' => Fault::Kill,
            b's' if self.server(chosen).state() == ProcessState::Stopped => Fault::Continue,
            b's' => Fault::Stop,
            b'p' if self.network.cuts().has(chosen) => Fault::Heal,
            b'p' => Fault::Partition,
            b'r' => Fault::Restart,
            _ => return Ok(()),
        };
        self.apply(fault, chosen)
    }

    /// What is due. What needs a leader waits for one.
    fn follow_script(&mut self) -> anyhow::Result<()> {
        while let Some(next) = self.script.front().copied() {
            if self.began.elapsed() < next.at {
                break;
            }
            let Some(id) = self.find(next.victim) else { break };
            self.script.pop_front();
            self.apply(next.fault, id)?;
        }
        Ok(())
    }

    fn find(&self, victim: Victim) -> Option<u8> {
        let views = self.monitor.views();
        let position = match victim {
            Victim::Server(id) => return Some(id),
            Victim::Leader => views.iter().position(|view| view.leads()),
            Victim::Follower => {
                views.iter().position(|view| view.serves() && view.role == "follower")
            }
        };
        position.and_then(|index| u8::try_from(index + 1).ok())
    }

    /// A fault that cannot be is said, and nothing else.
    fn apply(&mut self, fault: Fault, id: u8) -> anyhow::Result<()> {
        let server = &mut self.servers[usize::from(id) - 1];
        let done = match fault {
            Fault::Kill => server.kill(),
            Fault::Stop => server.stop(),
            Fault::Continue => server.go_on(),
            Fault::Restart => server.restart(),
            Fault::Partition | Fault::Heal => {
                self.network.cuts().set(id, fault == Fault::Partition);
                Ok(())
            }
        };
        match done {
            Ok(()) => self.say(&format!("--- {fault} server {id}")),
            Err(error) => self.say(&format!("--- {fault} server {id}: {error:#}")),
        }
    }

    fn server(&self, id: u8) -> &Server {
        &self.servers[usize::from(id) - 1]
    }

    fn show(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        if now.duration_since(self.rate.at) >= SECOND {
            let acknowledged = self.writer.written().acknowledged;
            let per_s = (acknowledged - self.rate.acknowledged) as f64;
            let per_s = per_s / now.duration_since(self.rate.at).as_secs_f64();
            self.rate = Rate { at: now, acknowledged, per_s: per_s.round() as u64 };
        }
        let period = if self.screen.is_terminal() { PICTURE } else { SECOND };
        if self.shown.is_some_and(|shown| now.duration_since(shown) < period) {
            return Ok(());
        }
        self.shown = Some(now);
        let frame = self.frame();
        Ok(self.screen.show(self.began.elapsed(), &frame)?)
    }

    fn frame(&self) -> Frame {
        let views = self.monitor.views();
        let servers = self.servers.iter().zip(views).zip(1..).map(|((server, view), id)| {
            let is_cut = self.network.cuts().has(id);
            ServerFrame { id, process: server.state(), is_cut, view }
        });
        Frame {
            servers: servers.collect(),
            written: self.writer.written(),
            writes_per_s: self.rate.per_s,
            chosen: self.chosen,
            now: Instant::now(),
        }
    }
}
