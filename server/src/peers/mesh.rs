//! Connections for elections between the voters: one to each, open as long as both servers run.
//! Source: ZooKeeper's `QuorumCnxManager`.
//!
//! Of two servers the one with the larger number keeps the connection that it has dialled. The one
//! with the smaller number dials too, so that the other one learns that it is there: that
//! connection is closed, and it is dialled back at the address that it has sent.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use ringkeeper_engine::session::ServerId;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};

use super::connector::Connector;
use super::election_socket::{Identified, UNIDENTIFIED_MAX, accept, identify, refuse};
use super::logged_once::LoggedOnce;
use super::mesh_peer::MeshPeer;
pub(crate) use super::mesh_table::MeshEvent;
use super::mesh_table::{Connection, Inbound, Mesh, PeerPort};
use crate::config::Ensemble;
use crate::node::waker::Waker;

/// Events that wait for the node's thread. Then the bytes wait in the sockets.
const EVENTS_MAX: usize = 64;
/// Servers without a vote that are connected at a time.
const STRANGERS_MAX: usize = 64;

/// The node's end of the connections. Nothing here blocks.
pub(crate) struct ElectionMesh {
    mesh: Arc<Mesh>,
    events: mpsc::Receiver<MeshEvent>,
}

impl ElectionMesh {
    /// Sends a notification to a server that is connected. One that was not sent yet is replaced: a
    /// vote counts by its last word. Without a connection it is dropped, and the one that opens
    /// next begins with what is sent behind its [`MeshEvent::Opened`].
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
            let what = format!(
                "says that it is server {}, which is this server's own number or none: give each \
                 server its own myid",
                hello.sid
            );
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
}
