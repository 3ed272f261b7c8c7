//! Who a learner is, and what it has when a link begins.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::{EnsembleId, EnsembleIdentity, Epochs, Identity};
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::{PeerExtension, PeerSettings};

use crate::plant::{Bug, is_planted};

/// How a learner takes part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LearnerKind {
    /// It acknowledges proposals, and the leader counts that.
    Follower,
    /// It hears of what is committed.
    Observer,
}

/// How a server speaks to its leader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// As ZooKeeper's servers do.
    ZooKeeper,
    /// With [`ringkeeper_engine::wire::peer::PeerExtension`], if the leader does so, too. A leader
    /// of ZooKeeper's does not read it.
    Extended,
}

/// Who connects to a leader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Learner {
    /// How it takes part.
    pub kind: LearnerKind,
    /// Its number.
    pub server: ServerId,
    /// The version of its configuration; a leader refuses a newer one than its own.
    pub config_version: i64,
    /// What it says to a leader of this kind.
    pub dialect: Dialect,
    /// Settings that its leader should have as well.
    pub settings: PeerSettings,
}

impl Learner {
    /// What it says of itself and of what it has, beyond ZooKeeper's protocol.
    pub(super) fn extension(&self, position: &LearnerPosition) -> Vec<u8> {
        let LearnerPosition { last, saved, ensemble, .. } = *position;
        match self.dialect {
            Dialect::ZooKeeper => Vec::new(),
            Dialect::Extended => PeerExtension {
                blank: last == Zxid::ZERO && saved.recovered(last).current == 0,
                ensemble: ensemble.and_then(|it| it.confirmed_id()),
                ..PeerExtension::own(self.settings)
            }
            .to_bytes(),
        }
    }
}

/// What a learner offers a leader to go on from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LearnerOffer {
    /// What is in its log.
    Log,
    /// Nothing: the leader sends its state as a whole. So it is after a cut that the log does not
    /// reach back to, and for a server that cannot trust what it has.
    Nothing,
}

impl LearnerPosition {
    /// What a server has that was started on a log which ends with `last`: nothing of it is known to
    /// be committed, and nothing of it is offered where it is known not to be the leader's.
    pub fn at_start(last: Zxid, identity: &Identity) -> LearnerPosition {
        let offer = match identity.diverged {
            None => LearnerOffer::Log,
            Some(_) => LearnerOffer::Nothing,
        };
        let (mut saved, ensemble) = (identity.epochs, identity.ensemble);
        if is_planted(Bug::PromiseForgotten) {
            saved.promised = saved.current;
        }
        let (committed, alone) = (Zxid::ZERO, identity.alone);
        LearnerPosition { last, offer, committed, saved, ensemble, alone }
    }

    /// Whether the history is one that this server has ordered on its own, and that no quorum is
    /// known to have: see [`Identity::own_history`]. Nothing of it is given up for that of another
    /// ensemble than the one that this server itself has proposed.
    pub(crate) fn is_own_history(&self, leader: Option<EnsembleId>) -> bool {
        let is_proposed = leader.is_some() && self.ensemble.map(|ensemble| ensemble.id) == leader;
        let is_own = self.alone == Some(self.last) && self.last != Zxid::ZERO;
        is_own && !is_proposed && !is_planted(Bug::OwnHistoryGivenUp)
    }
}

/// What a learner has when a link begins. The log is durable as a whole: nothing is under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LearnerPosition {
    /// Where the log ends; for a state that came from a leader which had ordered nothing in its
    /// epoch, the beginning of that epoch.
    pub last: Zxid,
    /// What the leader may go on from.
    pub offer: LearnerOffer,
    /// The last transaction that is known to be committed. Nothing up to it is ever given up.
    pub committed: Zxid,
    /// The epochs that are on the disk, as the last [`super::LinkEffect::Save`] left them. What
    /// follows from the end of the log besides ([`Epochs::recovered`]) the link adds itself.
    pub saved: Epochs,
    /// The ensemble that the directory belongs to, as the last [`super::LinkEffect::Adopt`] left
    /// it.
    pub ensemble: Option<EnsembleIdentity>,
    /// The end of a history of its own, as [`Identity::alone`].
    pub alone: Option<Zxid>,
}
