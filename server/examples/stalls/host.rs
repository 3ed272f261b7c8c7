//! The server: a process of its own, in a directory of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use ringkeeper_engine::client::{Client, Options};
use tempfile::TempDir;

/// A server, killed with this value.
pub(crate) struct Host {
    child: Child,
    home: TempDir,
    pub(crate) address: SocketAddr,
}

impl Host {
    /// Starts it on any free port, and waits until it is ready.
    pub(crate) fn start(
        server: Option<PathBuf>,
        dir: Option<PathBuf>,
        settings: &[String],
    ) -> Host {
        let home = TempDir::new_in(dir.unwrap_or_else(std::env::temp_dir)).expect("a directory");
        let server = server.unwrap_or_else(beside);
        let data = home.path().to_str().expect("a path in UTF-8");
        let mut child = Command::new(&server)
            .args(["start", "0", data, "-DclientPortAddress=127.0.0.1"])
            .args(settings.iter().map(|setting| format!("-D{setting}")))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{} does not start: {e}; build it", server.display()));
        let output = child.stdout.take().expect("it was just asked for");
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let address =
            lines.find_map(|line| line.trim().strip_prefix("clients")?.trim().parse().ok());
        let ready = lines.any(|line| line.starts_with("ready in "));
        let mut host = Host { child, home, address: ([127, 0, 0, 1], 0).into() };
        host.address = address.filter(|_| ready).expect("the server says why it does not start");
        host
    }

    pub(crate) fn connect(&self) -> Client {
        let options = Options { timeout_ms: 600_000, ..Options::default() };
        let mut client = Client::connect(self.address, options).expect("a server that is ready");
        client.set_patience(std::time::Duration::from_secs(60));
        client
    }

    /// Where it keeps its state.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Bytes of memory that it has to itself.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let text = fs::read_to_string(path).expect("the server runs");
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|line| line.split_whitespace().next()).expect("Linux says it");
        kib.parse::<u64>().expect("a number") << 10
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server that was built with this program.
fn beside() -> PathBuf {
    let this = std::env::current_exe().expect("this program has a path");
    let folder = this.parent().and_then(Path::parent).expect("it lies in `examples`");
    folder.join("ringkeeper")
}
