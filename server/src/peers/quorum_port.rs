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
    let text = format!(
        "cannot listen on the quorum port {port}: {error}; free the port, or correct the line \
         server.{id}"
    );
    io::Error::new(error.kind(), text)
}
