//! Four-letter words: what a server says of itself, within a bounded time.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a connection is waited for. Words are asked between other things, so a server that
/// stands still must not hold them up for long.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// How long an answer is waited for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// The same of a server that is expected to be silent: one that starts accepts connections before
/// it answers.
const SHORT_TIMEOUT: Duration = Duration::from_millis(300);

/// Sends a four-letter word to a server and returns all of its answer.
pub(crate) fn query(server: SocketAddr, word: &str) -> io::Result<String> {
    exchange(server, word, ANSWER_TIMEOUT)
}

/// Sends a request and returns everything up to the end of the connection.
pub(crate) fn exchange(server: SocketAddr, request: &str, timeout: Duration) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&server, CONNECT_TIMEOUT)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

pub(crate) fn is_there(server: SocketAddr) -> bool {
    TcpStream::connect_timeout(&server, CONNECT_TIMEOUT).is_ok()
}

/// What the word `srvr` answers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct ServerStatus {
    pub version: Option<String>,
    /// `leader`, `follower`, `observer` or `standalone`; none while it does not serve.
    pub role: Option<String>,
}

impl ServerStatus {
    /// Asks a server; one that does not answer says nothing.
    pub(crate) fn of(server: SocketAddr) -> ServerStatus {
        ServerStatus::within(server, ANSWER_TIMEOUT)
    }

    /// The same, without waiting long for one that may not serve.
    pub(crate) fn with_short_timeout(server: SocketAddr) -> ServerStatus {
        ServerStatus::within(server, SHORT_TIMEOUT)
    }

    fn within(server: SocketAddr, timeout: Duration) -> ServerStatus {
        let answer = exchange(server, "srvr", timeout);
        answer.map(|answer| ServerStatus::parse(&answer)).unwrap_or_default()
    }

    fn parse(answer: &str) -> ServerStatus {
        let mode = answer.lines().find_map(|line| line.strip_prefix("Mode: "));
        let role = mode.map(|mode| mode.trim().to_string());
        ServerStatus { version: version(answer), role }
    }

    /// Whether it orders the writes.
    pub(crate) fn leads(&self) -> bool {
        matches!(self.role.as_deref(), Some("leader" | "standalone"))
    }
}

fn version(answer: &str) -> Option<String> {
    let (name, version) = answer.lines().next()?.split_once(": ")?;
    if !name.ends_with("version") {
        return None;
    }
    let version = version.split(',').next().unwrap_or(version).trim();
    // Apache's goes on with the commit, others' with who they are.
    let version = match version.split_once('-') {
        Some((number, rest)) if !rest.contains('/') => number,
        Some(_) | None => version,
    };
    (!version.is_empty()).then(|| version.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn srvr_answer_gives_version_and_role() {
        let apache = "Zookeeper version: 3.9.5-0123abc, built on 2025-01-01 00:00 UTC\n\
                      Connections: 1\nMode: follower\nNode count: 5\n";
        let said = ServerStatus::parse(apache);
        assert_eq!(said.version.as_deref(), Some("3.9.5"));
        assert!(said.role.as_deref() == Some("follower") && !said.leads());
        assert!(ServerStatus::parse("Zookeeper version: 1\nMode: standalone\n").leads());
        let idle = "This ZooKeeper instance is not currently serving requests\n";
        assert_eq!(ServerStatus::parse(idle), ServerStatus::default());
        let nobody = TcpStream::connect(("127.0.0.1", 0)).and_then(|stream| stream.peer_addr());
        assert!(nobody.is_err() && query(([127, 0, 0, 1], 0).into(), "srvr").is_err());
    }
}
