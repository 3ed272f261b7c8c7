//! What a voter has of the other servers: connections for elections, learners that connect, and the
//! connection to its leader. One thread serves all of it; the node polls, and never blocks.

use std::io;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::connector::Connector;
use super::dialer_thread::DialerThread;
use super::leader_dial::{LeaderDial, LeaderDialer};
use super::mesh::ElectionMesh;
use super::mesh_table::Mesh;
use super::ports::Ports;
use super::quorum_port::{AcceptedLearners, QuorumPort, cannot_listen};
use crate::config::Ensemble;
use crate::node::waker::Waker;

/// The node's ends, and the thread behind them, which ends when this is dropped.
pub(crate) struct VotingPorts {
    /// Connections for elections to the other voters, and from servers without a vote.
    pub(crate) mesh: ElectionMesh,
    /// Learners that have connected to this server's quorum port.
    pub(crate) accepted: AcceptedLearners,
    /// The connection to a leader.
    pub(crate) leader: LeaderDial,
    _thread: DialerThread,
}

impl VotingPorts {
    /// Listens on the ports of this server and begins to dial the other voters. `waker` is woken
    /// when one of the ends has something.
    ///
    /// # Errors
    /// When the quorum port cannot be listened on, with a sentence; and when there is no thread.
    /// Listening on the election port is tried again, as `electionPortBindRetry` says.
    pub(crate) fn start(ensemble: &Ensemble, waker: &Arc<Waker>) -> io::Result<VotingPorts> {
        let runtime = DialerThread::runtime()?;
        let connector = Connector::new(&ensemble.settings);
        let ports = Ports::new(ensemble, &connector);
        let quorum = listen_for_learners(&runtime, ensemble, &ports)?;
        let (mesh, node_mesh) = Mesh::new(ensemble, &connector, waker.clone());
        let (port, accepted) =
            QuorumPort::new(&connector, ensemble.settings.leader_nodelay, waker.clone());
        let (dialer, leader) = LeaderDialer::new(ensemble, &connector, waker.clone());
        let thread = DialerThread::start(runtime, || {
            let ports = Arc::new(ports);
            for address in ensemble.own().addresses.clone() {
                let (mesh, ports) = (mesh.clone(), ports.clone());
                tokio::spawn(async move {
                    let accept = |listener| mesh.clone().accept(listener);
                    ports.listen(&address.host, address.election_port, accept).await;
                });
            }
            for listener in quorum {
                tokio::spawn(port.clone().accept(listener));
            }
            mesh.begin();
            tokio::spawn(dialer.serve());
        })?;
        Ok(VotingPorts { mesh: node_mesh, accepted, leader, _thread: thread })
    }
}

fn listen_for_learners(
    runtime: &Runtime,
    ensemble: &Ensemble,
    ports: &Ports,
) -> io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for address in &ensemble.own().addresses {
        let port = address.quorum_port;
        let listener = runtime
            .block_on(ports.bind(&address.host, port))
            .map_err(|error| cannot_listen(port, ensemble.id.0, &error))?;
        listeners.push(listener);
    }
    Ok(listeners)
}

#[cfg(test)]
mod tests;
