//! How far a learner is behind.

use std::collections::VecDeque;

use ringkeeper_engine::{SessionId, Zxid};

/// What a learner that is behind has been sent, and what it has not.
#[derive(Debug)]
pub(super) struct Lagging {
    /// The last commit that it was sent.
    pub(super) committed: Zxid,
    /// Where what is read from the disk for it ends, while that goes on.
    pub(super) feed: Option<Zxid>,
    /// Answers, each with the commit that it stands behind.
    pub(super) answers: VecDeque<(Zxid, LearnerAnswer)>,
}

/// What a learner has requested.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LearnerAnswer {
    /// SYNC.
    Sync,
    /// REVALIDATE.
    Revalidate { session: SessionId, valid: bool },
    /// SESSIONMOVED, which it has not requested.
    SessionMoved { session: SessionId },
}
