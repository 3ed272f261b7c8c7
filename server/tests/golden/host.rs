//! A fresh server for one script: its zoo.cfg, its process, its end.

use std::env;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::mode::Mode;
use crate::program::ringkeeper;
use crate::script::Side;

const START_TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);
const ATTEMPTS: usize = 3;
/// Our server takes a free port itself, so that no other process can take it in between.
const ANY_PORT: &str = "-DclientPort=0";

/// How servers are started, and which side of a deliberate difference they are on.
pub(crate) struct Target {
    /// Another server's command; ours without any.
    command: Option<Vec<String>>,
    pub(crate) side: Side,
    mode: Mode,
}

/// A running server; it ends with this value.
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    child: Child,
    home: TempDir,
}

impl Target {
    /// The server that the environment names, or ours in a mode.
    pub(crate) fn from_env(mode: Mode) -> Self {
        match env::var("RINGKEEPER_GOLDEN_COMMAND") {
            Ok(line) => {
                let command = Some(line.split_whitespace().map(String::from).collect());
                Self { command, side: Side::Apache, mode: Mode::Defaults }
            }
            Err(_) => Self { command: None, side: Side::Ringkeeper, mode },
        }
    }

    /// Another server may need its environment, such as where Java is.
    fn command(&self) -> Command {
        let Some(line) = &self.command else { return ringkeeper(&["start", ANY_PORT]) };
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).stdin(Stdio::null());
        command
    }

    /// Starts a server; once more if another process took the port of another server in between.
    pub(crate) fn start(&self, config: &[(String, String)]) -> Result<Host, String> {
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            match self.start_once(config) {
                Ok(host) => return Ok(host),
                Err(why) => last = why,
            }
        }
        Err(last)
    }

    fn start_once(&self, config: &[(String, String)]) -> Result<Host, String> {
        let home = TempDir::new().map_err(|e| e.to_string())?;
        let free = self.command.as_ref().map(|_| free_address()).transpose();
        let address = free.map_err(|e| e.to_string())?;
        let cfg = home.path().join("zoo.cfg");
        fs::write(&cfg, zoo_cfg(&home, address, self.mode, config)).map_err(|e| e.to_string())?;
        let log = File::create(home.path().join("log")).map_err(|e| e.to_string())?;
        let mut command = self.command();
        command.arg(&cfg).stdout(log.try_clone().map_err(|e| e.to_string())?).stderr(log);
        let child = self
            .mode
            .spawn(&mut command)
            .map_err(|e| format!("{:?} does not start: {e}", command.get_program()))?;
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut host = Host { address: address.unwrap_or(unknown), child, home };
        host.address = host.wait_until_serving(address)?;
        Ok(host)
    }
}

fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// The settings every script runs with; its own ones take their place.
fn zoo_cfg(
    home: &TempDir,
    address: Option<SocketAddr>,
    mode: Mode,
    config: &[(String, String)],
) -> String {
    let data = home.path().join("data").display().to_string();
    let port = address.map(|address| ("clientPort".to_owned(), address.port().to_string()));
    let base = [
        ("tickTime", "2000"),
        ("dataDir", &data),
        ("clientPortAddress", "127.0.0.1"),
        ("maxClientCnxns", "0"),
        ("admin.enableServer", "false"),
        ("4lw.commands.whitelist", "*"),
        ("extendedTypesEnabled", "true"),
    ];
    let kept = base.iter().filter(|(key, _)| config.iter().all(|(own, _)| own != key));
    let own = config.iter().chain(&port).map(|(key, value)| (key.as_str(), value.as_str()));
    let mode = mode.settings().iter().copied();
    kept.copied().chain(mode).chain(own).map(|(key, value)| format!("{key}={value}\n")).collect()
}

impl Host {
    /// Waits for the address: ours says it when it is ready. The port of a ZooKeeper is open before
    /// it serves, so the answer to its `srvr` is awaited.
    fn wait_until_serving(&mut self, known: Option<SocketAddr>) -> Result<SocketAddr, String> {
        let start = Instant::now();
        while start.elapsed() < START_TIMEOUT {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("the server ended with {status}: {}", self.log_tail()));
            }
            let serves =
                |address: &SocketAddr| probe(*address).is_ok_and(|said| said.contains("Mode:"));
            let address = match known {
                Some(_) => known.filter(serves),
                None => self.announced(),
            };
            if let Some(address) = address {
                return Ok(address);
            }
            thread::park_timeout(POLL);
        }
        Err(format!("the server does not serve: {}", self.log_tail()))
    }

    /// Where it serves, once it says that it is ready.
    fn announced(&self) -> Option<SocketAddr> {
        let log = self.log();
        log.lines().find(|line| line.trim_start().starts_with("ready in "))?;
        let mut clients = log.lines().filter_map(|line| line.trim_start().strip_prefix("clients "));
        clients.find_map(|address| address.trim().parse().ok())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    pub(crate) fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n    ")
    }
}

fn probe(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PROBE_TIMEOUT)?;
    stream.set_read_timeout(Some(PROBE_TIMEOUT))?;
    stream.write_all(b"srvr")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
