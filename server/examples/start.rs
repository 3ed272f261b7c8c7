//! How long a start takes: from the execution of the program to the answer to a client's connect
//! request, and to `ruok`.
//!
//!     cargo build --release
//!     cargo run --release -p ringkeeper --example start -- target/release/ringkeeper [ROUNDS] [DIR]
//!
//! Four starts are measured, each in its own directory below DIR (the system's temporary directory
//! by default, which has to be on the disk in question): the very first one, one on an empty state,
//! one behind a clean stop and one behind SIGKILL, both with 10 MB of log. Figures are milliseconds,
//! the median of all rounds between the smallest and the largest.

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
/// Bytes of log behind which a server is started again.
const LOG_BYTES: usize = 10_000_000;
/// What a node holds, and about what its record takes in the log.
const DATA: [u8; 100] = [b'x'; 100];
const RECORD_BYTES: usize = 240;
const PIPELINE: usize = 500;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let binary = PathBuf::from(arguments.next().ok_or("usage: start BINARY [ROUNDS] [DIR]")?);
    let rounds: usize = arguments.next().map_or(Ok(15), |text| text.parse())?;
    let root = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let root = root.join(format!("ringkeeper-start-{}", std::process::id()));
    std::fs::create_dir_all(&root)?;
    let measured = measure(&binary, &root, rounds.max(1));
    std::fs::remove_dir_all(&root)?;
    measured
}

fn measure(binary: &Path, root: &Path, rounds: usize) -> Outcome<()> {
    println!("{:<24}{:>28}{:>28}", "milliseconds", "connected", "ruok");
    let first = |round: usize| {
        let server = Server::start(binary, &root.join(format!("first{round}")))?;
        let (times, _) = server.measured()?;
        std::fs::remove_dir_all(root.join(format!("first{round}")))?;
        Ok(times)
    };
    row("the very first", rounds, first)?;
    let empty = root.join("empty");
    Server::start(binary, &empty)?.measured()?.1.stop(Signal::TERM)?;
    row("empty", rounds, |_| again(binary, &empty, Signal::TERM))?;
    let clean = filled(binary, &root.join("clean"), Signal::TERM)?;
    row("10 MB, clean stop", rounds, |_| again(binary, &clean, Signal::TERM))?;
    let killed = filled(binary, &root.join("killed"), Signal::KILL)?;
    row("10 MB, SIGKILL", rounds, |_| again(binary, &killed, Signal::KILL))
}

/// One measured start on a directory that was used before, and the end of it.
fn again(binary: &Path, directory: &Path, end: Signal) -> Outcome<Times> {
    let (times, server) = Server::start(binary, directory)?.measured()?;
    server.stop(end)?;
    Ok(times)
}

/// A directory whose log has many transactions, ended this way.
fn filled(binary: &Path, directory: &Path, end: Signal) -> Outcome<PathBuf> {
    let (_, server) = Server::start(binary, directory)?.measured()?;
    let mut client = Client::connect(server.address, Options::default())?;
    let acl = &[Acl::open()];
    let mut number = 0;
    while number * RECORD_BYTES < LOG_BYTES {
        let paths: Vec<String> = (0..PIPELINE).map(|n| format!("/node{:06}", number + n)).collect();
        for path in &paths {
            let mode = CreateMode::Persistent;
            client.queue(&Request::Create(Create { path, data: Some(&DATA), acl, mode }));
        }
        for _ in &paths {
            client.receive()?.accepted()?;
        }
        number += PIPELINE;
    }
    server.stop(end)?;
    Ok(directory.to_owned())
}

/// Milliseconds of one start.
struct Times {
    connected: f64,
    ruok: f64,
}

/// Runs every round of a case and prints its figures.
fn row(name: &str, rounds: usize, mut run: impl FnMut(usize) -> Outcome<Times>) -> Outcome<()> {
    let (mut connected, mut ruok) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let times = run(round)?;
        connected.push(times.connected);
        ruok.push(times.ruok);
    }
    println!("{name:<24}{:>28}{:>28}", spread(connected), spread(ruok));
    Ok(())
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
    fn start(binary: &Path, directory: &Path) -> Outcome<Server> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(binary);
        command.args(["start", &address.port().to_string()]).arg(directory);
        command.args(["-DclientPortAddress=127.0.0.1", "-D4lw.commands.whitelist=ruok"]);
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
                Err(_) => std::thread::sleep(ATTEMPT),
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
