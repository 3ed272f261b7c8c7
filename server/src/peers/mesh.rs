//! Connections for elections between the voters: one to each, open as long as both servers run.
//! Source: ZooKeeper's `QuorumCnxManager`.
//!
//! Of two servers the one with the larger number keeps the connection that it has dialled. The one
//! with the smaller number dials too, so that the other one learns that it is there: that connection
//! is closed, and it is dialled back at the address that it has sent.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use ringkeeper_engine::session::ServerId;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};

use super::connector::Connector;
use super::election_socket::{Identified, UNIDENTIFIED_MAX, accept, identify, refuse};
use super::logged_once::LoggedOnce;
use super::mesh_peer::{Connection, Inbound, MeshPeer};
use crate::config::{Ensemble, Member};
use crate::node::waker::Waker;

/// Events that wait for the node's thread. Then the bytes wait in the sockets.
const EVENTS_MAX: usize = 64;
/// Servers without a vote that are connected at a time.
const STRANGERS_MAX: usize = 64;

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

/// The node's end of the connections. Nothing here blocks.
pub(crate) struct ElectionMesh {
    mesh: Arc<Mesh>,
    events: mpsc::Receiver<MeshEvent>,
}

impl ElectionMesh {
    /// Sends a notification to a server that is connected. One that was not sent yet is replaced: a
    /// vote counts by its last word. Without a connection it is dropped, and the one that opens next
    /// begins with what is sent behind its [`MeshEvent::Opened`].
    pub(crate) fn send(&self, to: ServerId, bytes: Vec<u8>) {
        if let Some(peer) = self.mesh.peers.lock().get(&to) {
            peer.outgoing.send_replace(bytes);
        }
    }

    /// What has happened next; the waker is woken when there is something.
    pub(crate) fn poll(&mut self) -> Option<MeshEvent> {
        self.events.try_recv().ok()
    }

    /// Whether [`ElectionMesh::poll`] has something.
    pub(crate) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// All is well: what fails from now on is said again.
    pub(crate) fn forget_failures(&self) {
        self.mesh.log.forget();
    }
}

/// The connections as all tasks see them.
pub(super) struct Mesh {
    pub(super) own: Member,
    voters: BTreeMap<ServerId, Member>,
    pub(super) connector: Connector,
    /// How long what is sent may stay unacknowledged.
    pub(super) silence: Duration,
    events: mpsc::Sender<MeshEvent>,
    waker: Arc<Waker>,
    peers: Mutex<BTreeMap<ServerId, PeerPort>>,
    unidentified: Arc<Semaphore>,
    pub(super) log: LoggedOnce,
}

/// The way to the task of one server.
struct PeerPort {
    inbound: mpsc::Sender<Inbound>,
    outgoing: watch::Sender<Vec<u8>>,
}

impl Mesh {
    /// No connections yet.
    pub(super) fn new(
        ensemble: &Ensemble,
        connector: &Connector,
        waker: Arc<Waker>,
    ) -> (Arc<Mesh>, ElectionMesh) {
        let (events, received) = mpsc::channel(EVENTS_MAX);
        let own = ensemble.own().clone();
        let voters = ensemble.voters().filter(|voter| voter.id != own.id);
        let mesh = Mesh {
            voters: voters.map(|voter| (voter.id, voter.clone())).collect(),
            own,
            connector: connector.clone(),
            silence: ensemble.settings.quorum_cnxn_timeout,
            events,
            waker,
            peers: Mutex::default(),
            unidentified: Arc::new(Semaphore::new(UNIDENTIFIED_MAX)),
            log: LoggedOnce::default(),
        };
        let mesh = Arc::new(mesh);
        (mesh.clone(), ElectionMesh { mesh, events: received })
    }

    /// Begins to dial the voters, on the runtime.
    pub(super) fn begin(self: &Arc<Mesh>) {
        let mut peers = self.peers.lock();
        for voter in self.voters.keys() {
            peers.insert(*voter, self.begin_peer(*voter));
        }
    }

    fn begin_peer(self: &Arc<Mesh>, id: ServerId) -> PeerPort {
        let (inbound, received) = mpsc::channel(1);
        let outgoing = watch::Sender::new(Vec::new());
        let peer = MeshPeer::new(self.clone(), id, received, outgoing.subscribe());
        tokio::spawn(peer.run());
        PeerPort { inbound, outgoing }
    }

    /// Takes connections, until the listener fails.
    pub(super) async fn accept(self: Arc<Mesh>, listener: TcpListener) -> io::Error {
        let permits = self.unidentified.clone();
        accept(&permits, listener, |stream, address| {
            let mesh = self.clone();
            async move {
                if let Some(met) = identify(stream, address, &mesh.connector, &mesh.log).await {
                    mesh.take(met, address);
                }
            }
        })
        .await
    }

    /// A server has connected. Of one with a smaller number only the address is kept.
    fn take(self: &Arc<Mesh>, met: Identified, address: SocketAddr) {
        let Identified { stream, hello, received } = met;
        let id = u8::try_from(hello.sid).map(ServerId);
        let Some(id) = id.ok().filter(|id| *id != self.own.id) else {
            let what = format!("says that it is server {}, which it cannot be", hello.sid);
            return refuse(&self.log, address, &what);
        };
        let mut peers = self.peers.lock();
        if !peers.contains_key(&id) {
            if peers.len() >= self.voters.len() + STRANGERS_MAX {
                let what = "does not vote, and too many others of this kind are connected";
                return refuse(&self.log, address, what);
            }
            peers.insert(id, self.begin_peer(id));
        }
        let inbound = if id > self.own.id {
            Inbound::Connected(Connection { stream, received })
        } else {
            drop(stream);
            Inbound::DialBack(hello.addresses)
        };
        // Where another one is about to be taken, this one is closed, and its server dials again.
        let _ = peers[&id].inbound.try_send(inbound);
    }

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
