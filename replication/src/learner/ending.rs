//! Why a link to a leader ends.

use std::fmt;

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::EnsembleId;
use ringkeeper_engine::wire::Malformed;
use ringkeeper_engine::wire::peer::BadPacket;

use super::ZabState;

/// Why a link cannot go on. Except for [`LinkEnd::LostCommitted`], a new link may do better.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkEnd {
    /// What came is no packet of a leader.
    Malformed(BadPacket),
    /// A packet at a time when no leader sends it.
    Unexpected {
        /// ZooKeeper's name of the packet.
        packet: &'static str,
        /// What the link was doing.
        state: ZabState,
    },
    /// A leader from before ZooKeeper 3.4.
    Protocol(i32),
    /// LEADERINFO or NEWLEADER with a zxid that begins no epoch.
    NoEpoch(Zxid),
    /// A leader of another ensemble than that of this server's directory.
    OtherEnsemble {
        /// This server's.
        own: EnsembleId,
        /// The leader's.
        leader: EnsembleId,
    },
    /// This server has a history that nobody else has, from before it was a member, and the leader
    /// would have it given up.
    OwnHistory {
        /// Its end.
        last: Zxid,
        /// The leader's epoch, and where its history ends.
        epoch: u32,
        /// See `epoch`.
        end: Zxid,
        /// The leader's ensemble, if it has said so.
        ensemble: Option<EnsembleId>,
    },
    /// A leader of an epoch that is over.
    EpochOver {
        /// The leader's.
        epoch: u32,
        /// What this learner has promised.
        promised: u32,
    },
    /// NEWLEADER of another epoch than LEADERINFO.
    OtherEpoch {
        /// That of LEADERINFO.
        epoch: u32,
        /// What came then.
        zxid: Zxid,
    },
    /// A transaction that does not follow what is here.
    DoesNotFollow {
        /// The transaction.
        zxid: Zxid,
        /// The one before.
        last: Zxid,
    },
    /// A DIFF that did not bring all that it announced.
    Incomplete {
        /// The end that DIFF announced.
        announced: Zxid,
        /// The last transaction that came.
        last: Zxid,
    },
    /// A DIFF or TRUNC from or to a transaction that this learner does not have.
    OtherHistory {
        /// Where the leader goes on.
        zxid: Zxid,
        /// Where the log ends.
        last: Zxid,
    },
    /// The leader's history lacks what is known to be committed. The server must not go on with it.
    LostCommitted {
        /// Where the leader's history ends.
        zxid: Zxid,
        /// What is known to be committed.
        committed: Zxid,
    },
    /// The leader has not applied what it has committed itself: nothing is lost, and a later link
    /// goes on from there.
    LeaderBehind {
        /// Where the leader's state ends.
        zxid: Zxid,
        /// What it has committed.
        committed: Zxid,
    },
    /// Nothing whole that could be read reaches back to where the log is to be cut. The next links
    /// try it again; then nothing is offered, so that the state comes as a whole.
    CutTooFar(Zxid),
    /// This learner has offered nothing to go on from, and the leader has not sent its state.
    NoState,
    /// The state behind SNAP is damaged, or does not fit what followed it.
    NotInstalled,
    /// A commit of what was not proposed, or was committed before.
    NotProposed(Zxid),
    /// A change of the members that is none.
    NoReconfig(Zxid),
    /// A transaction whose bytes mean nothing, or that says another zxid than its packet.
    BadTxn {
        /// The zxid of the packet.
        zxid: Zxid,
        /// What is wrong.
        why: Malformed,
    },
    /// More proposals without a commit than the memory should hold, while a state is received.
    TooMuchProposed(usize),
}

fn other_ensemble(f: &mut fmt::Formatter<'_>, own: EnsembleId, leader: EnsembleId) -> fmt::Result {
    write!(
        f,
        "the leader is of ensemble {leader}, and the directory of this server belongs to ensemble \
         {own}: it is not followed. Correct the addresses in the server lines, or name this \
         server's own directory; to join that ensemble, start on an empty one"
    )
}

fn own_history(
    f: &mut fmt::Formatter<'_>,
    (last, end): (Zxid, Zxid),
    epoch: u32,
    ensemble: Option<EnsembleId>,
) -> fmt::Result {
    write!(f, "the leader leads epoch {epoch}")?;
    if let Some(id) = ensemble {
        write!(f, " of ensemble {id}")?;
    }
    write!(
        f,
        " with a history up to {end}, and this server has one of its own up to {last}, from when it \
         was on its own, which would be thrown away: the leader is not followed. To keep what is \
         here, stop all servers, start this one first, and the others on empty directories when it \
         says that it looks for a leader. To give it up, start this server on an empty directory"
    )
}

fn cut_too_far(f: &mut fmt::Formatter<'_>, zxid: Zxid) -> fmt::Result {
    write!(
        f,
        "the log and the snapshots that can be read do not reach back to {zxid}, where the leader \
         wants the log to be cut: it is tried again, and then the leader's state is taken over as \
         a whole"
    )
}

/// One sentence for the log.
impl fmt::Display for LinkEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            LinkEnd::Malformed(bad) => write!(f, "the leader's bytes are no packet: {bad}"),
            LinkEnd::Unexpected { packet, state } => {
                write!(f, "the leader sent {packet} during {state}, where it means nothing")
            }
            LinkEnd::Protocol(version) => {
                write!(
                    f,
                    "the leader speaks version {version:#x} of the protocol, and 0x10000 is needed"
                )
            }
            LinkEnd::NoEpoch(zxid) => {
                write!(f, "the leader begins with {zxid}, which is no beginning of an epoch")
            }
            LinkEnd::OtherEnsemble { own, leader } => other_ensemble(f, own, leader),
            LinkEnd::OwnHistory { last, epoch, end, ensemble } => {
                own_history(f, (last, end), epoch, ensemble)
            }
            LinkEnd::EpochOver { epoch, promised } => write!(
                f,
                "the leader leads epoch {epoch}, and a leader of epoch {promised} was promised that \
                 none of an earlier one is followed"
            ),
            LinkEnd::OtherEpoch { epoch, zxid } => {
                write!(f, "the leader began with epoch {epoch} and goes on with {zxid}")
            }
            LinkEnd::DoesNotFollow { zxid, last } => {
                write!(f, "the leader sent {zxid} behind {last}, where it cannot follow")
            }
            LinkEnd::Incomplete { announced, last } => write!(
                f,
                "the leader announced a history up to {announced}, and it ended with {last}"
            ),
            LinkEnd::OtherHistory { zxid, last } => write!(
                f,
                "the leader goes on from {zxid}, and the log of this server ends with {last}"
            ),
            LinkEnd::LostCommitted { zxid, committed } => write!(
                f,
                "the leader's history ends with {zxid}, but {committed} was committed: the ensemble \
                 has lost what it acknowledged"
            ),
            LinkEnd::LeaderBehind { zxid, committed } => write!(
                f,
                "the leader has committed {committed} and has applied no more than {zxid} yet: it \
                 is tried again"
            ),
            LinkEnd::CutTooFar(zxid) => cut_too_far(f, zxid),
            LinkEnd::NoState => f.write_str(
                "this server cannot go on from its own log, and the leader has not sent its state",
            ),
            LinkEnd::NotInstalled => f.write_str("the state that the leader sent cannot be used"),
            LinkEnd::NotProposed(zxid) => write!(
                f,
                "the leader committed {zxid}, which is no proposal that waits for its commit"
            ),
            LinkEnd::NoReconfig(zxid) => {
                write!(f, "the leader activates the members of {zxid}, which does not change them")
            }
            LinkEnd::BadTxn { zxid, why } => {
                write!(f, "the leader's transaction {zxid} cannot be read: {why}")
            }
            LinkEnd::TooMuchProposed(bytes) => write!(
                f,
                "the leader has proposed {bytes} bytes behind its state and committed none of them"
            ),
        }
    }
}

impl std::error::Error for LinkEnd {}
