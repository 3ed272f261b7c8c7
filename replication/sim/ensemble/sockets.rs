//! The ends of connections between learners and leaders, as a process has them.

use super::super::check::promises::SentPackets;
use super::incoming::{ReceivedPackets, SentEpoch};

/// An end of a connection between a learner and its leader.
#[derive(Default)]
pub(crate) struct Socket {
    /// What has arrived and is not read.
    pub(crate) arrived: Vec<u8>,
    /// The other end is gone.
    pub(crate) has_ended: bool,
    /// What the network takes now.
    pub(crate) space: usize,
    /// More is to be sent than that.
    pub(crate) is_full: bool,
    /// What a leader has sent over it.
    pub(super) sent: SentEpoch,
}

impl Socket {
    /// Whether something is to be read, or the end to be heard of.
    pub(super) fn is_readable(&self, wants_bytes: bool) -> bool {
        match self.arrived.is_empty() {
            true => self.has_ended,
            false => wants_bytes,
        }
    }
}

/// The connection to the leader.
pub(crate) struct LeaderSocket {
    pub(crate) link: u64,
    pub(crate) socket: Socket,
    pub(super) sent: SentPackets,
    pub(super) received: ReceivedPackets,
}
