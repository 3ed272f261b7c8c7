//! How long a start takes: from the execution of the program to the answer to a client's connect
//! request, and to `ruok`.
//!
//!     cargo build --release
//!     cargo run --release -p ringkeeper --example start -- BINARY [ROUNDS] [DIR] [MB] [-D...]
//!
//! Five starts are measured, each in its own directory below DIR (the system's temporary directory
//! by default, which has to be on the disk in question): the very first, one on an empty state, one
//! behind a clean stop and one behind SIGKILL, both with 10 MB (or so many) of log that creates
//! nodes, and one behind SIGKILL with as much log that changes a thousand nodes. Figures are
//! milliseconds, the median of all rounds between the smallest and the largest. Settings go to the
//! server; without any, it takes no snapshot before it has a million transactions.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ringkeeper_engine::client::{Client, Create, CreateMode, Options, Request};
use ringkeeper_engine::wire::Acl;
use rustix::process::{Pid, Signal, kill_process};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How long a start may take before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two attempts to connect: short beside what is measured, and not a busy loop, which
/// would take a core from the server.
const ATTEMPT: Duration = Duration::from_micros(100);
/// Millions of bytes of log behind which a server is started again.
const LOG_MB: usize = 10;
/// What a node holds, and about what its record takes in the log.
const DATA: [u8; 100] = [b'x'; 100];
const RECORD_BYTES: usize = 240;
/// Nodes whose data is changed again and again, and what the record of a change takes.
const CHANGED: usize = 1_000;
const CHANGE_BYTES: usize = 184;
const PIPELINE: usize = 500;

/// What is measured.
struct Plan {
    binary: PathBuf,
    /// Where the directories of the servers are.
    root: PathBuf,
    rounds: usize,
    /// Bytes of log.
    bytes: usize,
    /// Settings of the server.
    definitions: Vec<String>,
}

/// What fills a log.
#[derive(Clone, Copy)]
enum Fill {
    Creates,
    Sets,
}

fn main() -> Outcome<()> {
    let (mut definitions, arguments): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("-D"));
    let mut arguments = arguments.into_iter();
    let usage = "usage: start BINARY [ROUNDS] [DIR] [MB] [-Dsetting=value ...]";
    let binary = PathBuf::from(arguments.next().ok_or(usage)?);
    let rounds: usize = arguments.next().map_or(Ok(15), |text| text.parse())?;
    let root = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let root = root.join(format!("ringkeeper-start-{}", std::process::id()));
    let mb: usize = arguments.next().map_or(Ok(LOG_MB), |text| text.parse())?;
    if definitions.is_empty() {
        definitions.push("-Dzookeeper.snapCount=1000000".to_owned());
    }
    std::fs::create_dir_all(&root)?;
    let bytes = mb * 1_000_000;
    let plan = Plan { binary, root, rounds: rounds.max(1), bytes, definitions };
    let measured = plan.measure();
    std::fs::remove_dir_all(&plan.root)?;
    measured
}

impl Plan {
    fn measure(&self) -> Outcome<()> {
        println!("{:<24}{:>28}{:>28}", "milliseconds", "connected", "ruok");
        let first = |round: usize| {
            let directory = self.root.join(format!("first{round}"));
            let (times, server) = Server::start(self, &directory)?.measured()?;
            drop(server);
            std::fs::remove_dir_all(directory)?;
            Ok(times)
        };
        self.row("the very first", first)?;
        let empty = self.root.join("empty");
        Server::start(self, &empty)?.measured()?.1.stop(Signal::TERM)?;
        self.row("empty", |_| self.again(&empty, Signal::TERM))?;
        let mb = self.bytes / 1_000_000;
        for (name, fill, end) in [
            (format!("{mb} MB, clean stop"), Fill::Creates, Signal::TERM),
            (format!("{mb} MB, SIGKILL"), Fill::Creates, Signal::KILL),
            (format!("{mb} MB of sets, SIGKILL"), Fill::Sets, Signal::KILL),
        ] {
            let directory = self.filled(fill, end)?;
            self.row(&name, |_| self.again(&directory, end))?;
            std::fs::remove_dir_all(directory)?;
        }
        Ok(())
    }

    /// Runs every round of a case and prints its figures.
    fn row(&self, name: &str, mut run: impl FnMut(usize) -> Outcome<Times>) -> Outcome<()> {
        let (mut connected, mut ruok) = (Vec::new(), Vec::new());
        for round in 0..self.rounds {
            let times = run(round)?;
            connected.push(times.connected);
            ruok.push(times.ruok);
        }
        println!("{name:<24}{:>28}{:>28}", spread(connected), spread(ruok));
        Ok(())
    }

    /// One measured start on a directory that was used before, and the end of it.
    fn again(&self, directory: &Path, end: Signal) -> Outcome<Times> {
        let (times, server) = Server::start(self, directory)?.measured()?;
        server.stop(end)?;
        Ok(times)
    }

    /// A directory whose log has many transactions, ended this way.
    fn filled(&self, fill: Fill, end: Signal) -> Outcome<PathBuf> {
        let directory = self.root.join("filled");
        let (_, server) = Server::start(self, &directory)?.measured()?;
        let mut client = Client::connect(server.address, Options::default())?;
        let (creates, sets) = match fill {
            Fill::Creates => (self.bytes / RECORD_BYTES, 0),
            Fill::Sets => (CHANGED, self.bytes / CHANGE_BYTES),
        };
        let path = |number: usize| format!("/node{number:06}");
        let acl = &[Acl::open()];
        pipelined(&mut client, creates, |client, number| {
            let (path, mode) = (&path(number), CreateMode::Persistent);
            client.queue(&Request::Create(Create { path, data: Some(&DATA), acl, mode }));
        })?;
        pipelined(&mut client, sets, |client, number| {
            let path = &path(number % CHANGED);
            client.queue(&Request::SetData { path, data: Some(&DATA), version: -1 });
        })?;
        server.stop(end)?;
        Ok(directory)
    }
}

/// Sends so many requests and more, some hundred at once, and takes the answers.
fn pipelined(
    client: &mut Client,
    requests: usize,
    queue: impl Fn(&mut Client, usize),
) -> Outcome<()> {
    for start in (0..requests).step_by(PIPELINE) {
        (start..start + PIPELINE).for_each(|number| queue(client, number));
        for _ in 0..PIPELINE {
            client.receive()?.accepted()?;
        }
    }
    Ok(())
}

/// Milliseconds of one start.
struct Times {
    connected: f64,
    ruok: f64,
}

fn spread(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let (least, most) = (values[0], values[values.len() - 1]);
    format!("{least:.1} / {:.1} / {most:.1}", values[values.len() / 2])
}

/// A server that was just executed.
struct Server {
    child: Child,
    address: SocketAddr,
    begun: Instant,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(plan: &Plan, directory: &Path) -> Outcome<Server> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(&plan.binary);
        command.args(["start", &address.port().to_string()]).arg(directory);
        command.args(["-DclientPortAddress=127.0.0.1", "-D4lw.commands.whitelist=ruok"]);
        command.args(&plan.definitions);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let begun = Instant::now();
        let child = command.spawn()?;
        Ok(Server { child, address, begun })
    }

    /// Waits for both answers.
    fn measured(mut self) -> Outcome<(Times, Server)> {
        let first = loop {
            match TcpStream::connect(self.address) {
                Ok(stream) => break stream,
                Err(_) if self.child.try_wait()?.is_some() => {
                    return Err("the server ended by itself".into());
                }
                Err(error) if self.begun.elapsed() > PATIENCE => return Err(error.into()),
                Err(_) => std::thread::park_timeout(ATTEMPT),
            }
        };
        let client = Client::connect(self.address, Options::default())?;
        let connected = self.begun.elapsed();
        ruok(first)?;
        let ruok = self.begun.elapsed();
        client.close()?;
        let ms = |elapsed: Duration| elapsed.as_secs_f64() * 1e3;
        Ok((Times { connected: ms(connected), ruok: ms(ruok) }, self))
    }

    fn stop(mut self, signal: Signal) -> Outcome<()> {
        kill_process(Pid::from_child(&self.child), signal)?;
        self.child.wait()?;
        Ok(())
    }
}

fn ruok(mut stream: TcpStream) -> Outcome<()> {
    stream.write_all(b"ruok")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer == "imok" { Ok(()) } else { Err(format!("ruok was answered with '{answer}'").into()) }
}
