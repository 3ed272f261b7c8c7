//! What a leader reads from its disk for learners that lag behind, on threads of the server.

use ringkeeper_engine::Zxid;

use super::LinkId;
use crate::learner::SyncKind;

/// What one learner lacks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FeedTask {
    /// Whose connection it is for.
    pub link: LinkId,
    /// The last transaction that the learner has reported; zero for nothing, which also asks for
    /// the whole state where the log does not reach back to the beginning.
    pub last: Zxid,
    /// Where to end: everything up to here is committed and on this server's disk.
    pub upto: Zxid,
    /// What carries the transactions.
    pub packets: FeedPackets,
}

/// What carries transactions that are read from the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FeedPackets {
    /// A PROPOSAL and its COMMIT: to a learner that is synchronized, and to a follower.
    Proposals,
    /// An INFORM: to an observer behind its synchronization.
    Informs,
}

/// How a learner is brought in line with the leader's history: what ZooKeeper calls DIFF, TRUNC
/// and SNAP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SyncPlan {
    /// Everything that it has is in the leader's history: what follows is sent.
    Diff,
    /// What it has behind this transaction is not in the leader's history: it is cut off there, and
    /// what follows is sent.
    Trunc(Zxid),
    /// The whole state at this transaction, then what follows.
    Snap(Zxid),
}

impl SyncPlan {
    /// The packet that it begins with.
    pub fn kind(self) -> SyncKind {
        match self {
            SyncPlan::Diff => SyncKind::Diff,
            SyncPlan::Trunc(_) => SyncKind::Trunc,
            SyncPlan::Snap(_) => SyncKind::Snap,
        }
    }
}

/// What comes of a [`FeedTask`], in this order: the plan, any number of pieces, and the end.
#[derive(Debug)]
pub enum FeedEvent {
    /// How the learner is synchronized. It comes before the first piece is requested.
    Plan(SyncPlan),
    /// The next bytes for its connection: whole packets with transactions, or a part of the state
    /// that belongs behind SNAP.
    Piece(Vec<u8>),
    /// Everything up to [`FeedTask::upto`] was handed out; or the whole state, if that is later.
    Done,
    /// It cannot go on, for this reason. The learner has to begin anew.
    Failed(String),
}

/// The threads that read. One task per connection at a time.
pub trait FeedPort {
    /// Begins a task: its plan is reported.
    fn begin(&mut self, task: FeedTask);
    /// The connection can take the next piece. One is requested at a time.
    fn request(&mut self, link: LinkId);
    /// Nothing more is wanted for this connection. An event of it may still come.
    fn stop(&mut self, link: LinkId);
    /// What has come next, of any connection.
    fn poll(&mut self) -> Option<(LinkId, FeedEvent)>;
}
