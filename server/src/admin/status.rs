//! `ringkeeper status`: whether a server serves its clients, as one line and an exit code.
//!
//! It asks `srvr`, the one word that every ZooKeeper answers unless it is told not to, so that it
//! works for those as well.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::cli::StatusArgs;

/// Bytes of an answer that are read; a real one has a few hundred.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// What a server says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Status {
    version: String,
    mode: String,
    zxid: String,
    connections: String,
    nodes: String,
    /// How it commits; only a Ringkeeper tells.
    commits: Option<Commits>,
}

/// How groups are committed.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Commits {
    target: String,
    wait_us: u64,
    gain_percent: u64,
}

impl std::fmt::Display for Commits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "commits for {}", self.target)?;
        match self.wait_us {
            0 => Ok(()),
            us => write!(f, " (groups wait up to {us} us, {} % gained)", self.gain_percent),
        }
    }
}

/// Writes the line. Whether the server serves is the answer.
pub fn run(args: &StatusArgs, out: &mut dyn Write) -> io::Result<bool> {
    let server = &args.server;
    let found = look(server, Duration::from_millis(args.timeout_ms));
    match (&found, args.json) {
        (Ok(status), false) => writeln!(
            out,
            "{server} serves: {}, zxid {}, {} nodes, {} connections, {}{}",
            status.mode,
            status.zxid,
            status.nodes,
            status.connections,
            status.version,
            status.commits.as_ref().map(|commits| format!(", {commits}")).unwrap_or_default()
        )?,
        (Err(reason), false) => writeln!(out, "{server} does not serve: {reason}")?,
        (Ok(status), true) => {
            let number = |text: &str| text.parse::<u64>().ok();
            let fields = json!({
                "server": server,
                "serves": true,
                "mode": status.mode,
                "zxid": status.zxid,
                "nodes": number(&status.nodes),
                "connections": number(&status.connections),
                "version": status.version,
                "commits": status.commits.as_ref().map(|commits| json!({
                    "target": commits.target,
                    "wait_us": commits.wait_us,
                    "gain_percent": commits.gain_percent,
                })),
            });
            writeln!(out, "{fields}")?;
        }
        (Err(reason), true) => {
            let fields = json!({ "server": server, "serves": false, "reason": reason });
            writeln!(out, "{fields}")?;
        }
    }
    Ok(found.is_ok())
}

/// What a server says, within this time altogether. A ZooKeeper would take our own word for the
/// beginning of a request, so it is not asked.
fn look(server: &str, patience: Duration) -> Result<Status, String> {
    let since = Instant::now();
    let mut status = read(&query(server, b"srvr", patience)?)?;
    if status.version.contains("ringkeeper") {
        let left = patience.saturating_sub(since.elapsed());
        status.commits = query(server, b"pace", left).ok().and_then(|text| commits(&text));
    }
    Ok(status)
}

/// The answer of the first address that takes a connection, within this time altogether.
fn query(server: &str, word: &[u8; 4], patience: Duration) -> Result<String, String> {
    let since = Instant::now();
    let left = || patience.saturating_sub(since.elapsed()).max(Duration::from_millis(1));
    let addresses = server.to_socket_addrs().map_err(|error| error.to_string())?;
    let mut last = "the name has no address".to_owned();
    for address in addresses {
        let mut stream = match TcpStream::connect_timeout(&address, left()) {
            Ok(stream) => stream,
            Err(error) => {
                last = error.to_string();
                continue;
            }
        };
        let asked = stream
            .set_read_timeout(Some(left()))
            .and_then(|()| stream.set_write_timeout(Some(left())))
            .and_then(|()| stream.write_all(word));
        asked.map_err(|error| error.to_string())?;
        return hear(stream, left).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => "it does not answer in time".to_owned(),
            _ => error.to_string(),
        });
    }
    Err(last)
}

/// What comes until the server closes, however slowly it speaks.
fn hear(stream: TcpStream, left: impl Fn() -> Duration) -> io::Result<String> {
    let mut text = Vec::new();
    let mut piece = [0; 4_096];
    let mut from = stream.try_clone()?.take(ANSWER_BYTES_MAX);
    loop {
        stream.set_read_timeout(Some(left()))?;
        let got = from.read(&mut piece)?;
        if got == 0 {
            return Ok(String::from_utf8_lossy(&text).into_owned());
        }
        text.extend_from_slice(&piece[..got]);
    }
}

fn read(text: &str) -> Result<Status, String> {
    let field = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.map(str::to_owned)
    };
    let (Some(version), Some(mode)) = (field("Zookeeper version"), field("Mode")) else {
        let said: String = text.lines().next().unwrap_or_default().chars().take(80).collect();
        return Err(format!("it says \"{said}\""));
    };
    let unknown = || "?".to_owned();
    Ok(Status {
        version: version.split(',').next().unwrap_or_default().to_owned(),
        mode,
        zxid: field("Zxid").unwrap_or_else(unknown),
        connections: field("Connections").unwrap_or_else(unknown),
        nodes: field("Node count").unwrap_or_else(unknown),
        commits: None,
    })
}

/// The answer to `pace`; a release that does not know the word answers nothing.
fn commits(text: &str) -> Option<Commits> {
    let field =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('\t'));
    Some(Commits {
        target: field("commit_target")?.to_owned(),
        wait_us: field("commit_wait_us")?.parse().ok()?,
        gain_percent: field("commit_gain_percent")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_of_a_zookeeper_is_understood() {
        let text = "Zookeeper version: 3.9.5-293c, built on 2026-02-11 20:18 UTC\n\
                    Latency min/avg/max: 0/5.2/19\nReceived: 3\nSent: 3\nConnections: 4\n\
                    Outstanding: 0\nZxid: 0x133\nMode: leader\nNode count: 309\n";
        let status = read(text).unwrap();
        assert_eq!((&*status.version, &*status.mode), ("3.9.5-293c", "leader"));
        assert_eq!((&*status.zxid, &*status.nodes, &*status.connections), ("0x133", "309", "4"));
    }

    #[test]
    fn status_shows_the_commit_target_where_the_server_reports_it() {
        let said = |text: &str| commits(text).map(|commits| commits.to_string());
        let text = |wait: u32, gain: u32| {
            format!("commit_target\tp99<2ms\ncommit_wait_us\t{wait}\ncommit_gain_percent\t{gain}\n")
        };
        assert_eq!(said(&text(0, 0)).as_deref(), Some("commits for p99<2ms"));
        let waits = "commits for p99<2ms (groups wait up to 640 us, 45 % gained)";
        assert_eq!(said(&text(640, 45)).as_deref(), Some(waits));
        assert_eq!(said(""), None);
    }

    #[test]
    fn status_quotes_an_answer_that_it_does_not_understand() {
        let text = "This ZooKeeper instance is not currently serving requests\n";
        let reason = read(text).unwrap_err();
        assert!(reason.contains("not currently serving"), "{reason}");
        assert_eq!(read("").unwrap_err(), "it says \"\"");
    }

    #[test]
    fn status_of_an_unreachable_server_says_that_it_does_not_serve() {
        // A port that nobody can take.
        let gone = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let args = StatusArgs { server: gone.to_string(), json: false, timeout_ms: 5_000 };
        let mut out = Vec::new();
        assert!(!run(&args, &mut out).unwrap());
        let said = String::from_utf8(out).unwrap();
        assert!(said.starts_with(&format!("{gone} does not serve: ")), "{said}");
    }
}
