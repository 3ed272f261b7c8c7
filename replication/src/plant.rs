//! Bugs that a test plants, each at the line that prevents it, to see that the tests catch it. With
//! the feature `plant` one may be planted per thread; without it nothing of this is compiled in.

/// A bug. `docs/understand/testing.md` says what catches each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(
    not(feature = "plant"),
    expect(unreachable_pub, reason = "tests with the feature use it")
)]
pub enum Bug {
    /// ACKEPOCH is sent before the promise is on the disk.
    PromiseAfterAck,
    /// The epoch is current before its history is on the disk.
    EpochBeforeHistory,
    /// NEWLEADER is acknowledged before the history is on the disk.
    AckBeforeHistory,
    /// NEWLEADER is acknowledged before the epoch is current.
    AckBeforeEpoch,
    /// What the leader does not have stays in the log.
    TailKept,
    /// The node does not hear that the log was cut.
    CutUnheard,
    /// A next link does not say again what the one before had said is committed.
    CommitForgotten,
    /// What was meant for the link before is sent to the next one.
    StaleRequests,
    /// What is on the disk is applied, be it committed or not.
    ApplyBeforeCommit,
    /// What is committed is applied, be it on the disk or not.
    ApplyBeforeFlush,
    /// Writes that a leader has got are sent to it again.
    ResentToSameLeader,
    /// A read does not wait for the write before it.
    ReadOvertakes,
    /// A state that is not the leader's is kept.
    DivergenceIgnored,
    /// A leader that is found closes connections.
    DiffCloses,
    /// A state that is replaced leaves connections open.
    SnapLeavesOpen,
    /// The next link does not wait for the end of a load that was abandoned.
    LoadForgotten,
    /// Clients go on reading a state that is not the leader's.
    DivergenceServed,
    /// A divergence is forgotten in a restart.
    DivergenceForgotten,
    /// What the leader sends is appended, be there space or not.
    FullIgnored,
    /// A leader that is behind its own commits counts as one that has lost them.
    LagIsLoss,
    /// A leader counts itself for what its own disk does not hold.
    OwnUnflushedCounts,
    /// A leader commits what its own disk holds.
    MinorityCommits,
    /// Observers count for the quorum that has a leader's history.
    ObserversCount,
    /// A leader sends its epoch and does not save it.
    LeadersEpochUnsaved,
    /// A leader is established before a quorum has its history.
    QuorumNotAwaited,
    /// A leader does not cut off what its learner has and itself has not.
    ForeignTailSent,
    /// What was acknowledged over a connection counts when it is lost.
    StaleAcksCount,
    /// A leader answers sync without knowing that it leads.
    SyncUnconfirmed,
    /// A leader without a quorum goes on.
    LeadsWithoutQuorum,
    /// A vote is compared without its zxid.
    VoteWithoutZxid,
    /// A vote is compared without its epoch.
    VoteWithoutEpoch,
    /// As [`Bug::VoteWithoutZxid`], and a leader goes on although a voter has more than it has.
    LaterHistoryIgnored,
    /// A leader counts the silence of sessions from before it led.
    ExpiresEarly,
    /// What waits for a leader is sent to the next one twice.
    ResentTwice,
    /// A voter counts for what its directory once had.
    BlankCounts,
    /// A leader counts a voter that was sent its history as one that has acknowledged it: history
    /// of older epochs is committed by those that hold it, not by those that follow this leader.
    SentCounts,
    /// A voter that starts has not promised what it has promised.
    PromiseForgotten,
    /// A commit between NEWLEADER and UPTODATE is passed over.
    CommitPassedOver,
    /// A leader sends what its memory has to a learner that lacks what was before.
    WindowHole,
    /// What is read from the disk for a learner goes beyond what is committed.
    FeedAboveCommitted,
    /// A leader answers sync when a round was answered that had begun before it came.
    EarlierRoundConfirms,
    /// A session is served however long ago its leader has heard of it.
    UnconfirmedServed,
    /// A learner that is back does not wait for what its leader has ordered of the link before.
    ResentBeforeSync,
    /// A leader of another ensemble is followed, and a learner of another one led.
    StrangerFollowed,
    /// A learner does not take over the identity of its ensemble.
    EnsembleNotAdopted,
    /// A notification of another ensemble's server counts.
    StrangerVotes,
    /// A history that a server has from when it was on its own is given up for that of a leader.
    OwnHistoryGivenUp,
    /// A leader does not compare the states of its members.
    DigestsIgnored,
    /// The connection of a session stays open at the server that it has left.
    MovedStaysOpen,
}

#[cfg(feature = "plant")]
impl Bug {
    /// Those of a member that follows.
    pub const OF_LEARNERS: [Bug; 20] = [
        Bug::PromiseAfterAck,
        Bug::EpochBeforeHistory,
        Bug::AckBeforeHistory,
        Bug::AckBeforeEpoch,
        Bug::TailKept,
        Bug::CutUnheard,
        Bug::CommitForgotten,
        Bug::StaleRequests,
        Bug::ApplyBeforeCommit,
        Bug::ApplyBeforeFlush,
        Bug::ResentToSameLeader,
        Bug::ReadOvertakes,
        Bug::DivergenceIgnored,
        Bug::DiffCloses,
        Bug::SnapLeavesOpen,
        Bug::LoadForgotten,
        Bug::DivergenceServed,
        Bug::DivergenceForgotten,
        Bug::FullIgnored,
        Bug::LagIsLoss,
    ];
    /// Those of leaders and elections.
    pub const OF_LEADERS: [Bug; 29] = [
        Bug::OwnUnflushedCounts,
        Bug::MinorityCommits,
        Bug::ObserversCount,
        Bug::LeadersEpochUnsaved,
        Bug::QuorumNotAwaited,
        Bug::ForeignTailSent,
        Bug::StaleAcksCount,
        Bug::SyncUnconfirmed,
        Bug::LeadsWithoutQuorum,
        Bug::VoteWithoutZxid,
        Bug::VoteWithoutEpoch,
        Bug::LaterHistoryIgnored,
        Bug::ExpiresEarly,
        Bug::ResentTwice,
        Bug::BlankCounts,
        Bug::SentCounts,
        Bug::PromiseForgotten,
        Bug::CommitPassedOver,
        Bug::WindowHole,
        Bug::FeedAboveCommitted,
        Bug::EarlierRoundConfirms,
        Bug::ResentBeforeSync,
        Bug::UnconfirmedServed,
        Bug::StrangerFollowed,
        Bug::EnsembleNotAdopted,
        Bug::StrangerVotes,
        Bug::OwnHistoryGivenUp,
        Bug::DigestsIgnored,
        Bug::MovedStaysOpen,
    ];
}

#[cfg(feature = "plant")]
mod planted {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Plants a bug in this thread in place of the one before. The link's own assertions are off
    /// meanwhile: others have to catch it.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }

    /// Whether this one is planted.
    pub(crate) fn is_planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }

    /// Whether any is.
    pub(crate) fn is_any_planted() -> bool {
        PLANTED.get().is_some()
    }
}

#[cfg(feature = "plant")]
pub use self::planted::plant;
#[cfg(feature = "plant")]
pub(crate) use self::planted::{is_any_planted, is_planted};

/// Nothing is planted.
#[cfg(not(feature = "plant"))]
pub(crate) const fn is_planted(_: Bug) -> bool {
    false
}

/// Nothing is planted.
#[cfg(not(feature = "plant"))]
pub(crate) const fn is_any_planted() -> bool {
    false
}
