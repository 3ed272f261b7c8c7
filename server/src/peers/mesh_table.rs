//! The connections for elections as all tasks see them.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use ringkeeper_engine::session::ServerId;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, watch};

use super::connector::Connector;
use super::logged_once::LoggedOnce;
use crate::config::Member;
use crate::node::waker::Waker;

/// What has happened on the connections, in order for each server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum MeshEvent {
    /// The connection to this server is open: what is sent to it arrives.
    Opened(ServerId),
    /// It is closed. What was sent last may not have arrived.
    Closed(ServerId),
    /// The server has sent this notification, its length in front.
    Note(ServerId, Vec<u8>),
}

/// A connection whose ends know each other.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    /// What has come already.
    pub(super) received: Vec<u8>,
}

/// What the other server has begun.
pub(super) enum Inbound {
    /// Its number is larger: its connection counts.
    Connected(Connection),
    /// Its number is smaller: it is dialled back here.
    DialBack(Vec<Box<str>>),
}

/// The connections as all tasks see them.
pub(super) struct Mesh {
    pub(super) own: Member,
    pub(super) voters: BTreeMap<ServerId, Member>,
    pub(super) connector: Connector,
    /// How long what is sent may stay unacknowledged.
    pub(super) silence: Duration,
    pub(super) events: mpsc::Sender<MeshEvent>,
    pub(super) waker: Arc<Waker>,
    pub(super) peers: Mutex<BTreeMap<ServerId, PeerPort>>,
    pub(super) unidentified: Arc<Semaphore>,
    pub(super) log: LoggedOnce,
}

/// The way to the task of one server.
pub(super) struct PeerPort {
    pub(super) inbound: mpsc::Sender<Inbound>,
    pub(super) outgoing: watch::Sender<Vec<u8>>,
}

impl Mesh {
    /// Whether the server votes.
    pub(super) fn votes(&self, id: ServerId) -> bool {
        self.voters.contains_key(&id)
    }

    /// Connects to a server, at what it has said of itself or else where it is configured.
    pub(super) async fn connect(&self, id: ServerId, said: &[Box<str>]) -> io::Result<TcpStream> {
        let said: Vec<(&str, u16)> = said.iter().filter_map(|it| host_and_port(it)).collect();
        let voter = self.voters.get(&id);
        if !said.is_empty() {
            match (self.connector.election_address(said).await, voter) {
                (Err(_), Some(_)) => {}
                (connected, _) => return connected,
            }
        }
        match voter {
            Some(voter) => self.connector.election_port(voter).await,
            None => Err(io::Error::other("it has said no address that it can be dialled at")),
        }
    }

    /// Hands an event to the node; waits while there are too many.
    pub(super) async fn report(&self, event: MeshEvent) {
        // Without a node the thread is about to end.
        let _ = self.events.send(event).await;
        self.waker.wake();
    }

    /// A server without a vote has gone. Nothing where it has connected again meanwhile.
    pub(super) fn leave(
        &self,
        id: ServerId,
        inbound: &mut mpsc::Receiver<Inbound>,
    ) -> Option<Inbound> {
        let mut peers = self.peers.lock();
        let next = inbound.try_recv().ok();
        if next.is_none() {
            peers.remove(&id);
        }
        next
    }
}

/// An address as a server says it of itself; nothing where no other host could use it.
fn host_and_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(host);
    let is_wildcard = host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_unspecified());
    let port = port.parse().ok().filter(|port| *port != 0)?;
    (!host.is_empty() && !is_wildcard).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_that_a_server_says_is_used_where_another_host_can_use_it() {
        assert_eq!(host_and_port("zoo1:3888"), Some(("zoo1", 3_888)));
        assert_eq!(host_and_port("[::1]:3888"), Some(("::1", 3_888)));
        for text in ["", "zoo1", ":3888", "zoo1:", "zoo1:0", "zoo1:70000", "0.0.0.0:1", "[::]:1"] {
            assert_eq!(host_and_port(text), None, "{text}");
        }
    }
}
