//! How an observer finds its leader: it has no vote, so it listens to those who have one.
//!
//! It sends a LOOKING notification to the election port of every voter. A voter answers a server
//! that has no vote at once, with its own vote and with what it is doing. ZooKeeper's rule
//! (`FastLeaderElection`) is that a quorum of voters outside of an election names the same leader
//! in the same epoch, and that the leader says itself that it leads. Round and zxid are not
//! compared: they differ between servers that joined at different times.

use std::collections::BTreeMap;

use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::{Notification, PeerState};

/// Who leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FoundLeader {
    /// The leader.
    pub leader: ServerId,
    /// The epoch that it leads (`peerEpoch`).
    pub epoch: u32,
}

/// What voters have said since the search began.
///
/// What is found is a hint. A server that does not lead, or not any more, sends no LEADERINFO, and
/// the next search begins.
#[derive(Debug)]
pub struct LeaderSearch {
    voters: BTreeMap<ServerId, Voter>,
}

/// The last that one voter said.
#[derive(Clone, Copy, Debug, Default)]
struct Voter {
    /// The newest epoch that it has named. What it said of earlier ones comes late.
    epoch: u32,
    vote: Option<Vote>,
}

/// A voter that has a leader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Vote {
    found: FoundLeader,
    /// Whether the voter is that leader.
    leads: bool,
}

impl LeaderSearch {
    /// Begins a search among these voters.
    pub fn new(voters: impl IntoIterator<Item = ServerId>) -> LeaderSearch {
        LeaderSearch { voters: voters.into_iter().map(|id| (id, Voter::default())).collect() }
    }

    /// What is sent to every voter: that of a server which looks for a leader and has no vote. The
    /// round is the number of the search, from 1; `config` is the text of the configuration.
    pub fn request(round: i64, config: &[u8]) -> Notification<'_> {
        Notification {
            state: PeerState::Looking,
            leader: i64::MIN,
            zxid: i64::MIN,
            round,
            epoch: i64::MIN,
            version: Notification::VERSION,
            config: Some(config),
            extension: &[],
        }
    }

    /// Takes a notification of the server with this number. Returns the leader as soon as it is
    /// known, and again with every later notification that leaves it so.
    ///
    /// Of servers that are no voters, and of leaders that are none, nothing is believed.
    pub fn on_notification(
        &mut self,
        from: ServerId,
        notification: &Notification<'_>,
    ) -> Option<FoundLeader> {
        let said = self.read(from, notification);
        if let Some(voter) = self.voters.get_mut(&from) {
            match said {
                Said::Vote(vote) if vote.found.epoch >= voter.epoch => {
                    *voter = Voter { epoch: vote.found.epoch, vote: Some(vote) };
                }
                Said::Looking => voter.vote = None,
                Said::Vote(_) | Said::Nothing => {}
            }
        }
        self.leader()
    }

    fn read(&self, from: ServerId, notification: &Notification<'_>) -> Said {
        let leads = match notification.state {
            PeerState::Looking => return Said::Looking,
            PeerState::Observing => return Said::Nothing,
            PeerState::Following => false,
            PeerState::Leading => true,
        };
        let leader = u8::try_from(notification.leader).map(ServerId);
        match (leader, u32::try_from(notification.epoch)) {
            (Ok(leader), Ok(epoch))
                if self.voters.contains_key(&leader) && (leader == from) == leads =>
            {
                Said::Vote(Vote { found: FoundLeader { leader, epoch }, leads })
            }
            _ => Said::Nothing,
        }
    }

    /// Who leads by what was said: the one that a quorum names, or else the one that says so itself
    /// and that another voter agrees with, if nothing newer was heard of.
    fn leader(&self) -> Option<FoundLeader> {
        let votes = || self.voters.values().filter_map(|voter| voter.vote);
        let count = |found| votes().filter(|vote| vote.found == found).count();
        let quorum = self.voters.len() / 2 + 1;
        if let Some(vote) = votes().find(|vote| count(vote.found) >= quorum) {
            return Some(vote.found);
        }
        let newest = self.voters.values().map(|voter| voter.epoch).max()?;
        let leading = votes().filter(|vote| vote.leads && vote.found.epoch == newest);
        leading.map(|vote| vote.found).find(|found| count(*found) > 1)
    }
}

/// What a notification means for the search.
enum Said {
    /// The voter takes part in an election.
    Looking,
    Vote(Vote),
    Nothing,
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOKING: PeerState = PeerState::Looking;
    const FOLLOWING: PeerState = PeerState::Following;
    const LEADING: PeerState = PeerState::Leading;

    fn note(state: PeerState, leader: i64, epoch: i64) -> Notification<'static> {
        Notification { state, leader, epoch, zxid: 7, round: 1, ..LeaderSearch::request(1, b"") }
    }

    /// Says all of it to a search among `voters` servers, and returns what it found in the end.
    fn search(voters: u8, said: &[(u8, PeerState, i64, i64)]) -> Option<(u8, u32)> {
        let mut search = LeaderSearch::new((1..=voters).map(ServerId));
        let mut found = None;
        for &(from, state, leader, epoch) in said {
            found = search.on_notification(ServerId(from), &note(state, leader, epoch));
        }
        found.map(|found| (found.leader.0, found.epoch))
    }

    #[test]
    fn a_quorum_that_names_a_leader_is_enough() {
        let said = [(1, FOLLOWING, 3, 4), (2, FOLLOWING, 3, 4)];
        assert_eq!(search(3, &said[..1]), None);
        assert_eq!(search(3, &said), Some((3, 4)));
        assert_eq!(search(5, &said), None, "two of five");
        assert_eq!(search(4, &said), None, "half of them");
        assert_eq!(search(1, &[(1, LEADING, 1, 9)]), Some((1, 9)), "a quorum of one");
    }

    #[test]
    fn a_leader_that_another_voter_agrees_with_is_enough() {
        let said = [(3, LEADING, 3, 4), (1, FOLLOWING, 3, 4)];
        assert_eq!(search(5, &said[..1]), None);
        assert_eq!(search(5, &said), Some((3, 4)));
        assert_eq!(search(5, &[said[1], said[0]]), Some((3, 4)), "in any order");
    }

    #[test]
    fn split_answers_find_no_leader() {
        let said = [(1, FOLLOWING, 3, 4), (2, FOLLOWING, 5, 4), (4, FOLLOWING, 3, 5)];
        assert_eq!(search(5, &said), None);
        assert_eq!(search(5, &[(1, LEADING, 1, 4), (2, LEADING, 2, 4)]), None);
        assert_eq!(search(5, &[(1, FOLLOWING, 3, 4), (3, LEADING, 3, 5)]), None, "two epochs");
    }

    #[test]
    fn leader_of_an_older_epoch_that_has_one_follower_left_is_not_found() {
        let older = [(1, LEADING, 1, 3), (2, FOLLOWING, 1, 3)];
        assert_eq!(search(5, &older), Some((1, 3)));
        let newer = [(3, LEADING, 3, 4)];
        assert_eq!(search(5, &[&older[..], &newer].concat()), None, "a newer one is heard of");
        assert_eq!(search(5, &[&newer[..], &older].concat()), None);
        let more = [(3, LEADING, 3, 4), (4, FOLLOWING, 3, 4)];
        assert_eq!(search(5, &[&older[..], &more].concat()), Some((3, 4)));
        assert_eq!(search(5, &[&more[..], &older].concat()), Some((3, 4)));
    }

    #[test]
    fn one_voter_that_claims_a_newer_epoch_does_not_stop_a_quorum() {
        let said = [(5, LEADING, 5, 9), (1, FOLLOWING, 3, 4), (2, FOLLOWING, 3, 4)];
        assert_eq!(search(5, &said), None);
        assert_eq!(search(5, &[&said[..], &[(3, LEADING, 3, 4)]].concat()), Some((3, 4)));
    }

    #[test]
    fn notification_of_an_older_epoch_that_comes_late_changes_nothing() {
        let said = [(1, FOLLOWING, 3, 4), (3, LEADING, 3, 4), (1, FOLLOWING, 2, 3)];
        assert_eq!(search(3, &said), Some((3, 4)));
        let late = [(1, FOLLOWING, 3, 4), (1, FOLLOWING, 2, 3), (2, LEADING, 2, 3)];
        assert_eq!(search(3, &late), None, "it does not take its vote back");
    }

    #[test]
    fn voter_that_begins_an_election_has_no_leader_any_more() {
        let said = [(1, FOLLOWING, 3, 4), (1, LOOKING, 1, 4), (2, FOLLOWING, 3, 4)];
        assert_eq!(search(3, &said), None);
        let said = [(1, LOOKING, 3, 4), (2, LOOKING, 3, 4), (3, LOOKING, 3, 4)];
        assert_eq!(search(3, &said), None, "an election is no leader");
        let again = [(1, FOLLOWING, 3, 4), (1, LOOKING, 1, 4), (1, FOLLOWING, 2, 3)];
        let leads = [(2, LEADING, 2, 3)];
        assert_eq!(search(3, &[&again[..], &leads].concat()), None, "that came late");
    }

    #[test]
    fn nothing_is_believed_that_is_not_of_voters_and_about_voters() {
        let outside = [(8, FOLLOWING, 3, 4), (9, FOLLOWING, 3, 4), (7, LEADING, 3, 4)];
        assert_eq!(search(3, &outside), None);
        for (leader, epoch) in [(9, 4), (-1, 4), (i64::MAX, 4), (300, 4), (3, -1), (3, 1 << 32)] {
            let said = [(1, FOLLOWING, leader, epoch), (2, FOLLOWING, leader, epoch)];
            assert_eq!(search(3, &said), None, "{leader} {epoch}");
        }
        let observing = [(1, PeerState::Observing, 3, 4), (2, PeerState::Observing, 3, 4)];
        assert_eq!(search(3, &observing), None);
        let liars = [(1, LEADING, 3, 4), (3, FOLLOWING, 3, 4)];
        assert_eq!(search(3, &liars), None, "one leads for another, one follows itself");
    }

    #[test]
    fn one_voter_counts_once_however_often_it_says_it() {
        assert_eq!(search(3, &[(1, FOLLOWING, 3, 4); 5]), None);
        let moves = [(1, FOLLOWING, 3, 4), (1, FOLLOWING, 2, 4), (2, LEADING, 2, 4)];
        assert_eq!(search(3, &moves), Some((2, 4)), "its last word counts");
    }

    #[test]
    fn request_is_that_of_a_server_without_a_vote() {
        let mut bytes = Vec::new();
        LeaderSearch::request(2, b"server.1=a").encode(&mut bytes);
        let (read, len) = Notification::decode(&bytes).unwrap().unwrap();
        assert_eq!((read, len), (LeaderSearch::request(2, b"server.1=a"), bytes.len()));
        assert_eq!((read.state, read.leader, read.version), (LOOKING, i64::MIN, 2));
    }
}
