//! Servers that are killed under load, and started again.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;

use anyhow::{Context as _, Result, bail};
use ringkeeper_engine::client::four_letter_word;
use rustix::process::{Pid, Signal, kill_process};

use crate::clock::{Nanos, SECOND};
use crate::host;
use crate::load::{Load, Target};
use crate::outage::Outages;
use crate::report::seconds;
use crate::throw_away::ThrowAway;

/// How long a killed server is waited for.
const PATIENCE: Nanos = 60 * SECOND;

/// Who starts the servers of a target again.
#[derive(Clone, Debug, Default)]
pub(crate) enum Keeper {
    /// Nobody: they are not ours to kill.
    #[default]
    Nobody,
    /// This process, which has started its only server itself.
    Own(Rc<RefCell<ThrowAway>>),
    /// A command of the user's.
    Command(String),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Until the next kill.
    Serving,
    /// A server was killed; its port is still taken.
    Dying { server: SocketAddr, since: Nanos },
    /// It was started again; none has answered yet.
    Starting { since: Nanos },
}

/// Kills a server every so often.
pub(crate) struct Killer {
    keeper: Keeper,
    servers: Vec<SocketAddr>,
    every: Nanos,
    next: Nanos,
    state: State,
    /// Shells that run the user's command.
    children: Vec<Child>,
    /// What was done.
    pub outages: Outages,
}

impl Killer {
    /// A killer for a load that asks for one.
    pub(crate) fn new(target: &Target, load: &Load) -> Result<Option<Killer>> {
        let Some(every) = load.kill_every else { return Ok(None) };
        match &target.keeper {
            Keeper::Nobody => bail!(
                "--kill-leader-every kills servers that it can start again: leave out --server, or \
                 say how with --restart-cmd"
            ),
            Keeper::Own(_) => {}
            Keeper::Command(_) => {
                let missing = target.servers.iter().find(|server| pid_of(**server).is_none());
                if let Some(server) = missing {
                    bail!("the process behind {server} is not on this host, or not ours to kill");
                }
            }
        }
        Ok(Some(Killer {
            keeper: target.keeper.clone(),
            servers: target.servers.clone(),
            every,
            next: 0,
            state: State::Serving,
            children: Vec::new(),
            outages: Outages::default(),
        }))
    }

    /// The load has begun.
    pub(crate) fn begin(&mut self, now: Nanos) {
        self.next = now.saturating_add(self.every);
    }

    /// Whether a server is down.
    pub(crate) fn is_busy(&self) -> bool {
        self.state != State::Serving
    }

    /// Does what is due. True if a server has just come back.
    pub(crate) fn look(&mut self, now: Nanos, may_kill: bool) -> Result<bool> {
        self.children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        match self.state {
            State::Serving if may_kill && now >= self.next => self.kill(now)?,
            State::Serving => {}
            State::Dying { server, since } => {
                if pid_of(server).is_none() {
                    self.start(server)?;
                    self.state = State::Starting { since };
                }
            }
            State::Starting { since } => {
                if leader(&self.servers).is_some() {
                    self.outages.down_s.push(seconds(now.saturating_sub(since)));
                    self.state = State::Serving;
                    self.next = now.saturating_add(self.every);
                    return Ok(true);
                }
                if now.saturating_sub(since) > PATIENCE {
                    bail!("no server has come back for a minute after a kill");
                }
            }
        }
        Ok(false)
    }

    fn kill(&mut self, now: Nanos) -> Result<()> {
        // Between two leaders there is none to kill.
        let Some(server) = leader(&self.servers) else { return Ok(()) };
        match &self.keeper {
            Keeper::Nobody => unreachable!("there is no killer of these"),
            Keeper::Own(own) => own.borrow_mut().kill().context("cannot kill the server")?,
            Keeper::Command(_) => {
                let pid = pid_of(server).and_then(|pid| Pid::from_raw(pid.try_into().ok()?));
                let pid = pid.with_context(|| format!("no process listens on {server}"))?;
                kill_process(pid, Signal::KILL)
                    .with_context(|| format!("cannot kill the server on {server}"))?;
            }
        }
        self.outages.kills += 1;
        self.state = State::Dying { server, since: now };
        Ok(())
    }

    fn start(&mut self, server: SocketAddr) -> Result<()> {
        match &self.keeper {
            Keeper::Nobody => unreachable!("there is no killer of these"),
            Keeper::Own(own) => own.borrow_mut().restart(),
            Keeper::Command(command) => {
                let command = command.replace("{server}", &server.to_string());
                let mut shell = Command::new("/bin/sh");
                shell.arg("-c").arg(&command).process_group(0);
                shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                let child = shell.spawn().with_context(|| format!("cannot run {command:?}"))?;
                self.children.push(child);
                Ok(())
            }
        }
    }
}

/// The server that orders writes, as it says itself.
fn leader(servers: &[SocketAddr]) -> Option<SocketAddr> {
    servers.iter().copied().find(|server| {
        let said = four_letter_word(server, "srvr").unwrap_or_default();
        let mode = said.lines().find_map(|line| line.strip_prefix("Mode: "));
        matches!(mode.map(str::trim), Some("leader" | "standalone"))
    })
}

fn pid_of(server: SocketAddr) -> Option<u32> {
    host::listeners(&[server]).first().copied()
}
