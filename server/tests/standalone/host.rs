//! A server process in a directory of its own.

use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ringkeeper_engine::client::{Client, Options};
use rustix::process::{Pid, Signal, kill_process};

use crate::program::ringkeeper;

/// How long a start may take on a machine that is busy with other tests.
const START: Duration = Duration::from_secs(60);
/// How long something may take on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Segments that are quickly made: no test here writes much.
const SMALL_LOG: &str = "-DpreAllocSize=1024";

/// A server that has said that it is ready. It is killed with this value.
pub(crate) struct Host {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Where it listens for TLS, if it does.
    pub(crate) secure: Option<SocketAddr>,
    /// Where it answers over HTTP: commands first, then the metrics alone.
    pub(crate) http: Vec<SocketAddr>,
}

/// What a server says of itself before it is ready.
#[derive(Default)]
struct Banner {
    clients: Option<SocketAddr>,
    secure: Option<SocketAddr>,
    http: Vec<SocketAddr>,
}

/// Waits until the file has a line with these words; returns it.
pub(crate) fn line_with(file: &Path, words: &str) -> String {
    let since = Instant::now();
    loop {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if let Some(line) = text.lines().find(|line| line.contains(words)) {
            return line.to_owned();
        }
        assert!(since.elapsed() < PATIENCE, "no {words:?} in {text}");
        std::thread::yield_now();
    }
}

/// The end of a program that ends by itself.
pub(crate) fn finish(mut command: Command) -> Output {
    command.output().expect("the binary runs")
}

/// What a program said on standard error.
pub(crate) fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The end of a start that must not succeed.
pub(crate) fn refused(data: &Path) -> String {
    let output = finish(start(data, &[]));
    assert!(!output.status.success(), "{}", errors(&output));
    errors(&output)
}

/// A start on any free ports.
pub(crate) fn start(data: &Path, definitions: &[&str]) -> Command {
    let data = data.to_str().expect("a path in UTF-8");
    let mut command = ringkeeper(&["start", "0", data, "-DclientPortAddress=127.0.0.1", SMALL_LOG]);
    for (key, value) in [("admin.serverAddress", "127.0.0.1"), ("admin.serverPort", "0")] {
        if !definitions.iter().any(|definition| definition.starts_with(key)) {
            command.arg(format!("-D{key}={value}"));
        }
    }
    command.args(definitions.iter().map(|definition| format!("-D{definition}")));
    command
}

impl Host {
    pub(crate) fn start(data: &Path, definitions: &[&str]) -> Host {
        Host::run(start(data, definitions))
    }

    /// Runs a command that starts a server, and waits until it is ready.
    pub(crate) fn run(command: Command) -> Host {
        Host::run_with(command, Command::spawn)
    }

    /// As [`Host::run`], with a process that is started in a special way.
    pub(crate) fn run_with(
        mut command: Command,
        spawn: impl FnOnce(&mut Command) -> io::Result<Child>,
    ) -> Host {
        let mut child = spawn(command.stdout(Stdio::piped())).expect("the binary runs");
        let output = child.stdout.take().expect("it was just asked for");
        let (ready, said) = mpsc::channel();
        std::thread::spawn(move || {
            // Nobody waits any more where the test has given up.
            let _ = ready.send(Banner::read(output));
        });
        let banner = said.recv_timeout(START).ok().flatten().unwrap_or_default();
        let address = ([127, 0, 0, 1], 0).into();
        let mut host = Host { child, address, secure: banner.secure, http: banner.http };
        let clients = banner.clients;
        host.address = clients.unwrap_or_else(|| panic!("no server: {:?}", host.child.try_wait()));
        host
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address, Options::default()).expect("a server that accepts clients")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// The end that nobody is asked about.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is ours");
    }

    /// The end that comes by itself.
    pub(crate) fn ended(mut self) -> ExitStatus {
        self.child.wait().expect("it is ours")
    }

    /// The end that services are asked for; says how it went, and how long it took.
    pub(crate) fn terminate(mut self) -> (ExitStatus, Duration) {
        let since = Instant::now();
        self.signal(Signal::TERM);
        let status = self.child.wait().expect("it is ours");
        (status, since.elapsed())
    }

    /// Bytes of memory that it has to itself.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let text = std::fs::read_to_string(path).expect("it runs");
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|line| line.split_whitespace().next()).expect("Linux says it");
        kib.parse::<u64>().expect("a number") << 10
    }

    /// Seconds of processor time that it has used, all threads together.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let mut text = String::new();
        std::fs::File::open(format!("/proc/{}/stat", self.pid()))
            .and_then(|mut file| file.read_to_string(&mut text))
            .expect("it runs");
        // The name in parentheses may hold anything, so that fields are counted behind it.
        let behind = text.rsplit(')').next().expect("there is a rest");
        let fields: Vec<&str> = behind.split_whitespace().collect();
        let ticks: u64 = fields[11..13].iter().map(|f| f.parse::<u64>().expect("a number")).sum();
        // Linux tells user space hundredths of a second, whatever it counts in itself.
        ticks as f64 / 100.0
    }
}

impl Banner {
    /// Reads until the server is ready; nothing where it never is.
    fn read(output: impl Read) -> Option<Banner> {
        let mut banner = Banner::default();
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            match line.trim().split_once(char::is_whitespace) {
                Some(("clients", address)) => banner.clients = address.trim().parse().ok(),
                Some(("tls", address)) => banner.secure = address.trim().parse().ok(),
                Some(("http", urls)) => {
                    let addresses = urls.split_whitespace().filter_map(|url| url.split('/').nth(2));
                    banner.http = addresses.filter_map(|address| address.parse().ok()).collect();
                }
                Some(("ready", _)) => return Some(banner),
                _ => {}
            }
        }
        None
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
