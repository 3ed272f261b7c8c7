//! Stands in for the election mesh and the quorum port until they are there.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use ringkeeper_engine::session::ServerId;

use crate::config::Ensemble;
use crate::node::waker::Waker;

pub(crate) enum PortEvent {
    Opened(ServerId),
    Closed(ServerId),
    Note(ServerId, Vec<u8>),
    Accepted(TcpStream, SocketAddr),
    Dialed(ServerId, io::Result<TcpStream>),
}

pub(crate) struct VotingPorts;

pub(crate) struct VotingThread;

impl VotingPorts {
    pub(crate) fn start(_: &Ensemble, _: Arc<Waker>) -> io::Result<(VotingPorts, VotingThread)> {
        Ok((VotingPorts, VotingThread))
    }

    pub(super) fn poll(&mut self) -> Option<PortEvent> {
        None
    }

    pub(super) fn is_done(&self) -> bool {
        false
    }

    pub(super) fn send(&mut self, _: ServerId, _: Vec<u8>) {}

    pub(super) fn close(&mut self, _: ServerId) {}

    pub(super) fn dial_leader(&mut self, _: ServerId) {}
}
