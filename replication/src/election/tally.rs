//! What voters have said since this server began to look, and what follows from it.

use std::collections::{BTreeMap, BTreeSet};

use ringkeeper_engine::Zxid;
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::PeerState;

use super::vote::{Heard, Vote};
use crate::plant::{Bug, is_planted};

/// The votes of one election as this server sees them. Each map has one entry for a voter at the
/// most, its last word.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    me: ServerId,
    /// How many voters are a quorum.
    quorum: usize,
    /// The round (`logicalclock`).
    pub(super) round: i64,
    /// The vote for this server itself.
    own: Vote,
    /// The vote of this server.
    pub(super) proposal: Vote,
    /// Votes of this round of the other voters, of those that have a leader too (`recvset`).
    votes: BTreeMap<ServerId, Ballot>,
    /// Votes of voters that have a leader, of any round (`outofelection`).
    outside: BTreeMap<ServerId, Ballot>,
    /// Servers that this election cannot choose: too many voters do not vote for them, although
    /// they have heard better votes than their own.
    passed_over: BTreeSet<ServerId>,
}

/// What voters mean that have said nothing in a round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Silent {
    /// They may agree; their votes are on their way.
    MayAgree,
    /// They are not heard: it is as if they did not agree.
    Refuse,
}

/// What one voter has said last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Ballot {
    state: PeerState,
    vote: Vote,
    round: i64,
}

/// What a vote has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    /// Nothing that others have to know.
    Nothing,
    /// This server votes for another one, or in a later round: all voters have to know.
    Proposal,
    /// The sender is of an older round, and has to know of this one.
    Behind,
}

/// A vote as others are compared with it.
fn as_compared(vote: Vote) -> Vote {
    let is_without = is_planted(Bug::VoteWithoutZxid) || is_planted(Bug::LaterHistoryIgnored);
    let zxid = if is_without { Zxid::ZERO } else { vote.zxid };
    let epoch = if is_planted(Bug::VoteWithoutEpoch) { 0 } else { vote.epoch };
    Vote { epoch, zxid, ..vote }
}

/// A leader that is there already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Established {
    pub(super) vote: Vote,
    pub(super) round: i64,
}

impl Tally {
    /// A round in which nothing has been said; this server votes for itself.
    pub(super) fn new(own: Vote, quorum: usize, round: i64) -> Tally {
        Tally {
            me: own.leader,
            quorum,
            round,
            own,
            proposal: own,
            votes: BTreeMap::new(),
            outside: BTreeMap::new(),
            passed_over: BTreeSet::new(),
        }
    }

    /// Takes what another voter says. `links` are the voters that can be spoken to.
    pub(super) fn hear(
        &mut self,
        from: ServerId,
        heard: &Heard,
        links: &BTreeSet<ServerId>,
    ) -> Change {
        let ballot = heard.vote.map(|vote| Ballot { state: heard.state, vote, round: heard.round });
        match (heard.state, ballot) {
            (PeerState::Observing, _) | (PeerState::Following | PeerState::Leading, None) => {
                Change::Nothing
            }
            (PeerState::Following | PeerState::Leading, Some(ballot)) => {
                if ballot.round == self.round {
                    self.votes.insert(from, ballot);
                }
                self.outside.insert(from, ballot);
                Change::Nothing
            }
            (PeerState::Looking, ballot) => {
                self.outside.remove(&from);
                if ballot.is_none() {
                    // It has no vote any more.
                    self.votes.remove(&from);
                }
                match ballot {
                    _ if heard.round < self.round => Change::Behind,
                    Some(ballot) => self.hear_vote(from, ballot, links),
                    None => Change::Nothing,
                }
            }
        }
    }

    /// A vote of this round or a later one.
    fn hear_vote(&mut self, from: ServerId, ballot: Ballot, links: &BTreeSet<ServerId>) -> Change {
        let mut change = Change::Nothing;
        if ballot.round > self.round {
            self.begin_round(ballot.round);
            change = Change::Proposal;
        }
        // A server that cannot be spoken to cannot be followed.
        let leader = ballot.vote.leader;
        let is_linked = leader == self.me || leader == from || links.contains(&leader);
        let can_follow = is_linked && !self.passed_over.contains(&leader);
        if as_compared(ballot.vote) > as_compared(self.proposal) && can_follow {
            self.proposal = ballot.vote;
            change = Change::Proposal;
        }
        self.votes.insert(from, ballot);
        change
    }

    /// Where the server that is voted for cannot be chosen, begins the next round without it. So it
    /// is where not all voters can speak to each other: those that cannot speak to that server keep
    /// voting for a smaller vote, and it may itself vote for one that this server cannot speak to.
    /// If they are so many that the others are no quorum, nobody is ever chosen. Those that say
    /// nothing may still agree, until they have been `silent` for long: then nothing may pass from
    /// them to here. Where that has not helped either, because that server is needed, everything is
    /// tried once more. Says whether a round begins.
    pub(super) fn pass_over(&mut self, links: &BTreeSet<ServerId>, silent: Silent) -> bool {
        let leader = self.proposal.leader;
        let refuses = |voter: &&ServerId| match self.votes.get(voter) {
            Some(ballot) => ballot.vote != self.proposal,
            None => silent == Silent::Refuse,
        };
        let refusing = links.iter().filter(refuses).count();
        // Where those that can be spoken to are no quorum without it, it is needed.
        let others = 1 + links.len() - usize::from(links.contains(&leader));
        let can_do_without = leader != self.me && others >= self.quorum;
        if can_do_without && 1 + links.len() - refusing < self.quorum {
            self.passed_over.insert(leader);
        } else if self.passed_over.is_empty() {
            return false;
        } else {
            self.passed_over.clear();
        }
        self.begin_round(self.round.saturating_add(1));
        true
    }

    /// The server was chosen, and could not be connected to: it is not chosen this time, if those
    /// that can be spoken to are a quorum without it.
    pub(super) fn avoid(&mut self, server: ServerId, links: &BTreeSet<ServerId>) {
        let others = 1 + links.len() - usize::from(links.contains(&server));
        if server != self.me && others >= self.quorum {
            self.passed_over.insert(server);
        }
    }

    /// Votes anew, for itself.
    pub(super) fn begin_round(&mut self, round: i64) {
        self.round = round;
        self.proposal = self.own;
        self.votes.clear();
    }

    /// A voter cannot be spoken to any more: what it has said does not count.
    pub(super) fn forget(&mut self, voter: ServerId) {
        self.votes.remove(&voter);
        self.outside.remove(&voter);
    }

    /// The leader that the voters have already, if this server may join it.
    pub(super) fn established(&self) -> Option<Established> {
        let can_follow = |it: &&Ballot| !self.passed_over.contains(&it.vote.leader);
        let of_round = self.votes.values().filter(|it| it.state != PeerState::Looking);
        let joined = of_round.filter(can_follow).find(|it| self.is_elected_in_round(it));
        let mut outside = self.outside.values().filter(can_follow);
        let found = joined.or_else(|| outside.find(|it| self.is_established(it)));
        found.map(|it| Established { vote: it.vote, round: it.round })
    }

    /// Whether a quorum has voted so in this round, and the leader says that it leads.
    fn is_elected_in_round(&self, ballot: &Ballot) -> bool {
        let others = self.votes.values().filter(|it| match it.state {
            PeerState::Looking => it.vote == ballot.vote,
            _ => it.names_leader_of(ballot),
        });
        let count = others.count() + usize::from(self.proposal == ballot.vote);
        let leader = ballot.vote.leader;
        let leads = leader == self.me || leads(&self.votes, ballot);
        count >= self.quorum && leads
    }

    /// Whether a quorum follows this leader. Round and zxid are not compared: they differ between
    /// servers that joined at different times.
    fn is_established(&self, ballot: &Ballot) -> bool {
        let followers = || self.outside.values().filter(|it| it.names_leader_of(ballot));
        if ballot.vote.leader == self.me {
            // The others are right unless they mean the time before a restart.
            return followers().filter(|it| it.round == self.round).count() >= self.quorum;
        }
        if !leads(&self.outside, ballot) {
            return false;
        }
        // This server may be the one that is missing for a quorum, if there is no later leader.
        let epoch = ballot.vote.epoch;
        let newest = self.outside.values().map(|it| it.vote.epoch).max();
        let joins = epoch >= self.own.epoch && newest <= Some(epoch);
        followers().count() + usize::from(joins) >= self.quorum
    }

    /// Who wins this round as long as there is no better vote.
    pub(super) fn winner(&self) -> Option<Vote> {
        let same = self.votes.values().filter(|it| it.vote == self.proposal).count();
        if same + 1 >= self.quorum {
            return Some(self.proposal);
        }
        // A quorum votes for this server, which votes for one that they cannot follow.
        let for_me = self.votes.values().filter(|it| it.vote.leader == self.me).count();
        (for_me >= self.quorum).then_some(self.own)
    }

    /// Whether all voters that can be spoken to have voted so in this round.
    pub(super) fn is_unanimous(&self, vote: Vote, links: &BTreeSet<ServerId>) -> bool {
        self.proposal == vote && links.iter().all(|voter| self.has_voted(*voter, vote))
    }

    /// Whether this voter has voted so in this round.
    pub(super) fn has_voted(&self, voter: ServerId, vote: Vote) -> bool {
        self.votes.get(&voter).is_some_and(|it| it.vote == vote)
    }
}

impl Ballot {
    fn names_leader_of(&self, other: &Ballot) -> bool {
        (self.vote.leader, self.vote.epoch) == (other.vote.leader, other.vote.epoch)
    }
}

/// Whether the leader itself says that it leads (`checkLeader`).
fn leads(ballots: &BTreeMap<ServerId, Ballot>, ballot: &Ballot) -> bool {
    let said = ballots.get(&ballot.vote.leader);
    said.is_some_and(|said| said.state == PeerState::Leading && said.names_leader_of(ballot))
}

#[cfg(test)]
#[path = "tally_tests.rs"]
mod tests;
