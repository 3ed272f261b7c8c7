//! What each server says of itself, asked again and again. One that stands still holds nobody up.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::Builder;
use std::time::Duration;

use parking_lot::Mutex;

/// Between two looks at a server.
const PERIOD: Duration = Duration::from_millis(100);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_millis(300);

/// One server as it shows itself.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct View {
    /// `leader` or `follower`; empty where it does not answer.
    pub(super) role: String,
    /// What Zab is doing there.
    pub(super) state: String,
    /// `all`, `reads` or `none`.
    pub(super) clients: String,
    /// The epoch of its leader.
    pub(super) epoch: Option<u32>,
    /// Its last transaction, as `srvr` says it.
    pub(super) zxid: String,
}

impl View {
    /// Whether clients may write through it.
    pub(super) fn serves(&self) -> bool {
        self.clients == "all"
    }

    /// Whether it leads, and serves.
    pub(super) fn leads(&self) -> bool {
        self.serves() && self.role == "leader"
    }

    fn parse(role: &str, srvr: &str) -> View {
        let value = |name: &str| {
            let lines = role.lines().filter_map(|line| line.split_once('\t'));
            lines.filter(|(known, _)| *known == name).map(|(_, value)| value.to_owned()).next()
        };
        let zxid = srvr.lines().find_map(|line| line.strip_prefix("Zxid: "));
        View {
            role: value("role").unwrap_or_default(),
            state: value("state").unwrap_or_default(),
            clients: value("clients").unwrap_or_default(),
            epoch: value("leader_epoch").and_then(|epoch| epoch.parse().ok()),
            zxid: zxid.unwrap_or_default().to_owned(),
        }
    }
}

/// All servers as they show themselves.
pub(super) struct Monitor {
    views: Arc<Vec<Mutex<View>>>,
}

impl Monitor {
    /// Looks at these servers, on threads that end with the process.
    pub(super) fn start(servers: &[SocketAddr]) -> std::io::Result<Monitor> {
        let views: Vec<Mutex<View>> = servers.iter().map(|_| Mutex::default()).collect();
        let views = Arc::new(views);
        for (index, server) in servers.iter().copied().enumerate() {
            let views = views.clone();
            Builder::new().name("demo-monitor".into()).spawn(move || {
                loop {
                    let role = word(server, "role").unwrap_or_default();
                    let srvr = if role.is_empty() { None } else { word(server, "srvr").ok() };
                    *views[index].lock() = View::parse(&role, &srvr.unwrap_or_default());
                    std::thread::sleep(PERIOD);
                }
            })?;
        }
        Ok(Monitor { views })
    }

    /// All of them, by their numbers from 1 on.
    pub(super) fn views(&self) -> Vec<View> {
        self.views.iter().map(|view| view.lock().clone()).collect()
    }
}

fn word(server: SocketAddr, word: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(word.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn view_is_what_the_words_say() {
        let role = "role\tleader\nid\t2\nstate\tbroadcast\nclients\tall\nleader_epoch\t7\n";
        let view = View::parse(role, "Zookeeper version: 3\nZxid: 0x700000001\nMode: leader\n");
        assert!(view.leads() && view.serves());
        assert_eq!((view.epoch, &*view.zxid), (Some(7), "0x700000001"));
        assert_eq!(View::parse("", ""), View::default());
        assert!(!View::default().serves());
    }
}
