//! `ringkeeper status`: whether a server serves its clients, as one line and an exit code.
//!
//! It asks `srvr`, the one word that every ZooKeeper answers unless it is told not to, so that it
//! works for those as well.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::state::NOT_SERVING;
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

/// What was found out about a server.
struct Found {
    /// What it says of itself, or why that is nothing.
    status: Result<Status, String>,
    /// What it says of its place in an ensemble; only a Ringkeeper tells.
    member: Option<MemberLines>,
}

/// The answer of a member of an ensemble to `role`: names and values.
pub(super) struct MemberLines(Vec<(String, String)>);

impl MemberLines {
    /// A server on its own, and one that does not know the word, has none.
    pub(super) fn read(text: &str) -> Option<MemberLines> {
        let lines = text.lines().filter_map(|line| line.split_once('\t'));
        let lines = lines.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Some(MemberLines(lines.collect())).filter(|lines| lines.value("doing").is_some())
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    fn sentence(&self) -> &str {
        self.value("doing").unwrap_or_default()
    }

    /// Every line under its name, numbers as such.
    fn fields(&self) -> Value {
        let field = |value: &str| value.parse::<i64>().map_or_else(|_| json!(value), |n| json!(n));
        self.0.iter().map(|(name, value)| (name.clone(), field(value))).collect()
    }
}

/// Writes the line. Whether the server serves is the answer.
pub fn run(args: &StatusArgs, out: &mut dyn Write) -> io::Result<bool> {
    let server = &args.server;
    let found = look(server, Duration::from_millis(args.timeout_ms));
    if args.json {
        writeln!(out, "{}", found.fields(server))?;
    } else {
        writeln!(out, "{server} {}", found.text())?;
    }
    Ok(found.status.is_ok())
}

impl Found {
    /// Why it does not serve. A member says more than that.
    fn reason(&self, reason: &str) -> String {
        let Some(member) = &self.member else { return reason.to_owned() };
        let value = |name| member.value(name).unwrap_or("?");
        format!("{} {} is {}", value("role"), value("id"), member.sentence())
    }

    fn text(&self) -> String {
        let member = self.member.as_ref();
        match &self.status {
            Ok(status) => format!(
                "serves{}: {}, zxid {}, {} nodes, {} connections, {}{}{}",
                member
                    .filter(|m| m.value("clients") == Some("reads"))
                    .map_or("", |_| " reads only"),
                status.mode,
                status.zxid,
                status.nodes,
                status.connections,
                status.version,
                status.commits.as_ref().map(|commits| format!(", {commits}")).unwrap_or_default(),
                member.map(|member| format!("; {}", member.sentence())).unwrap_or_default(),
            ),
            Err(reason) => format!("does not serve: {}", self.reason(reason)),
        }
    }

    fn fields(&self, server: &str) -> Value {
        let mut fields = match &self.status {
            Ok(status) => {
                let number = |text: &str| text.parse::<u64>().ok();
                json!({
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
                })
            }
            Err(reason) => {
                let reason = self.reason(reason);
                json!({ "server": server, "serves": false, "reason": reason })
            }
        };
        if let Some(member) = &self.member {
            fields["member"] = member.fields();
        }
        fields
    }
}

/// What a server says, within this time altogether. A ZooKeeper would take our own words for the
/// beginning of a request, so it is not asked; only one that serves nobody may be, since it cannot
/// be told from a Ringkeeper. It closes the connection then.
fn look(server: &str, patience: Duration) -> Found {
    let since = Instant::now();
    let ask = |word| query(server, word, patience.saturating_sub(since.elapsed()));
    let answer = ask(b"srvr");
    let waits = answer.as_ref().is_ok_and(|text| text.starts_with(NOT_SERVING));
    let mut status = answer.and_then(|text| read(&text));
    let is_own = status.as_ref().is_ok_and(|status| status.version.contains("ringkeeper"));
    if let (Ok(status), true) = (&mut status, is_own) {
        status.commits = ask(b"pace").ok().and_then(|text| commits(&text));
    }
    let member = (is_own || waits).then(|| ask(b"role").ok()).flatten();
    Found { status, member: member.and_then(|text| MemberLines::read(&text)) }
}

/// The answer of the first address that takes a connection, within this time altogether.
pub(super) fn query(server: &str, word: &[u8; 4], patience: Duration) -> Result<String, String> {
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

    const SERVES: &str = "Zookeeper version: 3.9.5-ringkeeper/1, built on 2026\nMode: observer\n";

    fn found(srvr: &str, role: &str) -> Found {
        Found { status: read(srvr), member: MemberLines::read(role) }
    }

    #[test]
    fn status_of_a_member_says_what_it_is_doing() {
        let follows = "role\tobserver\nid\t4\nclients\tall\ndoing\tfollowing server 3 for 9 s\n";
        let text = "serves: observer, zxid ?, ? nodes, ? connections, 3.9.5-ringkeeper/1; following \
                    server 3 for 9 s";
        assert_eq!(found(SERVES, follows).text(), text);
        let reads = follows.replace("all", "reads");
        assert!(found(SERVES, &reads).text().starts_with("serves reads only: observer, "));
        let looks = follows.replace("all", "none").replace("following server 3", "looking");
        let waiting = found(NOT_SERVING, &looks);
        assert_eq!(waiting.text(), "does not serve: observer 4 is looking for 9 s");
        let fields = waiting.fields("a:1");
        assert_eq!((&fields["serves"], &fields["member"]["id"]), (&json!(false), &json!(4)));
        assert_eq!(fields["member"]["clients"], json!("none"));
        assert_eq!(fields["reason"], json!("observer 4 is looking for 9 s"));
    }

    #[test]
    fn status_of_a_server_on_its_own_has_nothing_of_an_ensemble() {
        for role in ["role\tstandalone\n", ""] {
            let found = found(SERVES, role);
            assert!(found.text().ends_with(", 3.9.5-ringkeeper/1"), "{}", found.text());
            assert!(found.fields("a:1").get("member").is_none());
        }
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
        let args = StatusArgs {
            server: gone.to_string(),
            json: false,
            timeout_ms: 5_000,
            would_stop: false,
        };
        let mut out = Vec::new();
        assert!(!run(&args, &mut out).unwrap());
        let said = String::from_utf8(out).unwrap();
        assert!(said.starts_with(&format!("{gone} does not serve: ")), "{said}");
    }
}
