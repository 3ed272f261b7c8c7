//! Votes, and what a notification says as one.

use std::collections::BTreeSet;

use ringkeeper_engine::Zxid;
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::{Notification, PeerState};

/// A vote for a server: the larger one wins. The order is that of the fields, ZooKeeper's
/// `FastLeaderElection.totalOrderPredicate`: the epoch, then the zxid, then the number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Vote {
    /// The current epoch of the server that is voted for (`peerEpoch`).
    pub epoch: u32,
    /// Its last transaction.
    pub zxid: Zxid,
    /// The server.
    pub leader: ServerId,
}

/// A notification to one server, without the configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VoteNotification {
    /// What this server is doing.
    pub state: PeerState,
    /// Whom it votes for, or follows.
    pub vote: Vote,
    /// The round that the vote is of (`electionEpoch`).
    pub round: i64,
}

impl VoteNotification {
    /// The notification in ZooKeeper's form. `config` is the text of the configuration.
    pub fn to_wire<'a>(&self, config: &'a [u8]) -> Notification<'a> {
        Notification {
            state: self.state,
            leader: self.vote.leader.0.into(),
            zxid: self.vote.zxid.to_wire(),
            round: self.round,
            epoch: self.vote.epoch.into(),
            version: Notification::VERSION,
            config: Some(config),
            extension: &[],
        }
    }
}

/// What a notification says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Heard {
    pub(super) state: PeerState,
    pub(super) round: i64,
    /// The vote; none where it is not about a voter, or its numbers are none that a server has.
    pub(super) vote: Option<Vote>,
    /// The sender names a server at all. An observer that looks for the leader does not.
    pub(super) names_leader: bool,
}

impl Heard {
    pub(super) fn read(notification: &Notification<'_>, voters: &BTreeSet<ServerId>) -> Heard {
        let leader = u8::try_from(notification.leader).map(ServerId).ok();
        // A zxid of -1 says that the sender has no history to vote with.
        let zxid = u64::try_from(notification.zxid).map(Zxid).ok();
        let epoch = u32::try_from(notification.epoch).ok();
        let vote = match (leader, zxid, epoch) {
            (Some(leader), Some(zxid), Some(epoch))
                if voters.contains(&leader) && notification.round >= 0 =>
            {
                Some(Vote { epoch, zxid, leader })
            }
            _ => None,
        };
        let (state, round) = (notification.state, notification.round);
        Heard { state, round, vote, names_leader: leader.is_some() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vote(epoch: u32, zxid: Zxid, leader: u8) -> Vote {
        Vote { epoch, zxid, leader: ServerId(leader) }
    }

    #[test]
    fn larger_vote_is_of_later_epoch_then_later_zxid_then_larger_id() {
        let least_to_largest = [
            vote(1, Zxid::new(1, 9), 3),
            vote(2, Zxid::new(1, 1), 1),
            vote(2, Zxid::new(1, 1), 2),
            vote(2, Zxid::new(1, 2), 1),
            vote(2, Zxid::new(2, 1), 1),
            vote(3, Zxid::ZERO, 1),
        ];
        assert!(least_to_largest.is_sorted());
    }

    #[test]
    fn notification_is_read_as_it_was_sent() {
        let sent = VoteNotification {
            state: PeerState::Following,
            vote: vote(7, Zxid::new(6, 5), 2),
            round: 4,
        };
        let voters = BTreeSet::from([1, 2, 3].map(ServerId));
        let heard = Heard::read(&sent.to_wire(b"server.1=a"), &voters);
        let (state, round, vote) = (sent.state, sent.round, Some(sent.vote));
        assert_eq!(heard, Heard { state, round, vote, names_leader: true });
    }

    #[test]
    fn numbers_that_no_server_has_are_no_vote() {
        let voters = BTreeSet::from([1, 2, 3].map(ServerId));
        let sent = VoteNotification {
            state: PeerState::Looking,
            vote: vote(7, Zxid::new(6, 5), 2),
            round: 4,
        };
        let good = sent.to_wire(b"");
        for bad in [
            Notification { leader: 4, ..good },
            Notification { leader: -1, ..good },
            Notification { leader: 258, ..good },
            Notification { leader: i64::MIN, ..good },
            Notification { zxid: -1, ..good },
            Notification { zxid: i64::MIN, ..good },
            Notification { epoch: -1, ..good },
            Notification { epoch: 1 << 32, ..good },
            Notification { round: -1, ..good },
        ] {
            assert_eq!(Heard::read(&bad, &voters).vote, None, "{bad:?}");
        }
        let unnamed = Notification { leader: i64::MIN, ..good };
        assert!(!Heard::read(&unnamed, &voters).names_leader);
    }
}
