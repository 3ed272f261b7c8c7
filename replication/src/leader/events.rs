//! What passes between the node of a leader and the links of its learners.

use std::sync::Arc;

use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::Id;
use ringkeeper_engine::{SessionId, Zxid};

use crate::SessionLife;

/// One connection of a learner. Numbers are not used again, so what was meant for a connection that
/// is gone reaches no other one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(pub u64);

/// What a learner that is synchronized has sent.
#[derive(Clone, PartialEq, Debug)]
pub struct LearnerEvent {
    /// Over which connection.
    pub link: LinkId,
    /// Which server it is.
    pub server: ServerId,
    /// What it is.
    pub kind: LearnerEventKind,
}

/// See [`LearnerEvent`].
#[derive(Clone, PartialEq, Debug)]
pub enum LearnerEventKind {
    /// A request of one of its clients (REQUEST).
    Request(ForwardedRequest),
    /// A client has taken up a session there (REVALIDATE). The learner has verified the password.
    Revalidate {
        /// The session.
        session: SessionId,
        /// The timeout agreed, milliseconds.
        timeout_ms: i32,
    },
    /// Sessions whose clients it heard of since its last answer to a ping, with their timeouts in
    /// milliseconds.
    Touched(Vec<(SessionId, i32)>),
}

impl LearnerEvent {
    /// What it takes in memory, about.
    pub(super) fn bytes(&self) -> usize {
        const EVENT_BYTES: usize = 128;
        EVENT_BYTES
            + match &self.kind {
                LearnerEventKind::Request(request) => {
                    let id_bytes = |id: &Id| size_of::<Id>() + id.scheme.len() + id.id.len();
                    let ids = request.identities.iter().flat_map(|ids| ids.iter());
                    request.record.len() + ids.map(id_bytes).sum::<usize>()
                }
                LearnerEventKind::Revalidate { .. } => 0,
                LearnerEventKind::Touched(all) => all.len() * 16,
            }
    }
}

/// A client's request as a learner has sent it on. Nothing of it was looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForwardedRequest {
    /// The client's session.
    pub session: SessionId,
    /// The client's number of the request.
    pub cxid: i32,
    /// The operation, see [`ringkeeper_engine::wire::opcode::op`].
    pub op: i32,
    /// The request record.
    pub record: Box<[u8]>,
    /// The identities of the client's connection; `None` where the packet had null.
    pub identities: Option<Arc<[Id]>>,
}

/// What moves a leader's commit point, or confirms that it still leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acknowledgement {
    /// The log of this voter is durable up to here. Only of the leader's own epoch, and never below
    /// what was said for the same link before.
    Durable(ServerId, Zxid),
    /// A quorum has answered a round that was begun after [`ToLearners::Confirm`] asked for it.
    Confirmed(u64),
}

/// What the node has for its learners, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ToLearners {
    /// Everything up to here is committed (COMMIT, INFORM).
    Committed(Zxid),
    /// Everything that was ordered before the oldest sync of this link that is not answered was
    /// sent (SYNC).
    Synced(LinkId),
    /// Whether a session lives that a client has taken up there (REVALIDATE).
    Revalidated(LinkId, SessionId, SessionLife),
    /// This server has the session now: connections of other servers are stale. Those of the
    /// server that had it, or, if that is not known, of all others.
    SessionMoved {
        /// The session.
        session: SessionId,
        /// Who had it.
        from: Option<ServerId>,
        /// Who has it.
        to: ServerId,
    },
    /// Find out whether a quorum still follows, and report this number, which only grows, with
    /// [`Acknowledgement::Confirmed`]. Answers that were on their way before do not count.
    Confirm(u64),
}
