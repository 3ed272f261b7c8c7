//! The port at which this server takes learners: connections that wait for the node.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use crossbeam::channel::{Receiver, Sender, bounded};
use tokio::net::TcpListener;

use super::connector::Connector;
use super::election_socket::{ACCEPT_PAUSE, is_of_one_connection};
use super::logged_once::LoggedOnce;
use crate::node::waker::Waker;

/// Connections that wait for the node. Those that come then are closed.
const WAITING_MAX: usize = 64;

/// The node's end: connections of learners, which have not said anything yet.
pub(crate) struct AcceptedLearners {
    accepted: Receiver<(TcpStream, SocketAddr)>,
}

impl AcceptedLearners {
    /// The next connection, not blocking and without delay of small packets, and whose it is; the
    /// waker is woken when there is one.
    pub(crate) fn poll(&self) -> Option<(TcpStream, SocketAddr)> {
        self.accepted.try_recv().ok()
    }

    /// Whether [`AcceptedLearners::poll`] has something.
    pub(crate) fn has_accepted(&self) -> bool {
        !self.accepted.is_empty()
    }
}

/// Takes connections for the node.
pub(super) struct QuorumPort {
    accepted: Sender<(TcpStream, SocketAddr)>,
    connector: Connector,
    /// Whether small packets leave for learners at once (`leader.nodelay`).
    nodelay: bool,
    waker: Arc<Waker>,
    log: LoggedOnce,
}

impl QuorumPort {
    /// No connections yet.
    pub(super) fn new(
        connector: &Connector,
        nodelay: bool,
        waker: Arc<Waker>,
    ) -> (Arc<QuorumPort>, AcceptedLearners) {
        let (sender, accepted) = bounded(WAITING_MAX);
        let connector = connector.clone();
        let log = LoggedOnce::default();
        let port = QuorumPort { accepted: sender, connector, nodelay, waker, log };
        (Arc::new(port), AcceptedLearners { accepted })
    }

    /// Takes connections for as long as the server runs.
    pub(super) async fn accept(self: Arc<QuorumPort>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.hand_over(stream, peer),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    let text = format!("cannot accept on the quorum port: {error}");
                    self.log.warn((-1, "quorum port"), &text);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn hand_over(&self, stream: tokio::net::TcpStream, peer: SocketAddr) {
        self.connector.prepare(&stream);
        let prepared = stream.set_nodelay(self.nodelay).and_then(|()| stream.into_std());
        // It has been closed meanwhile.
        let Ok(stream) = prepared else { return };
        if self.accepted.try_send((stream, peer)).is_err() {
            let text = format!(
                "{peer} has connected to the quorum port, where {WAITING_MAX} others wait; it is \
                 closed"
            );
            self.log.warn_of((-1, "waiting"), &peer.ip().to_string(), &text);
        }
        self.waker.wake();
    }
}

/// An error of listening on the quorum port, with what to do about it.
pub(super) fn cannot_listen(port: u16, id: u8, error: &io::Error) -> io::Error {
    let advice = listen_advice(error, id);
    let text = format!("cannot listen on the quorum port {port}: {error}; {advice}");
    io::Error::new(error.kind(), text)
}

/// What to do where a port of this server cannot be listened on.
pub(super) fn listen_advice(error: &io::Error, id: u8) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!(
            "correct the name in the line server.{id} or make it known to this host, or set \
             quorumListenOnAllIPs=true"
        ),
        _ => format!("free the port, or correct the line server.{id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_fits_what_has_failed() {
        let text = |kind| cannot_listen(2_888, 3, &io::Error::new(kind, "why")).to_string();
        let used = text(io::ErrorKind::AddrInUse);
        assert!(used.contains("free the port") && used.contains("server.3"), "{used}");
        let unknown = text(io::ErrorKind::NotFound);
        assert!(!unknown.contains("free the port"), "{unknown}");
        assert!(unknown.contains("quorumListenOnAllIPs=true"), "{unknown}");
    }
}
