//! How voters choose a leader: ZooKeeper's fast leader election (`FastLeaderElection`).
//!
//! Every voter votes for itself at first, and then for the best server that it hears of; the votes
//! of a quorum choose. Whom a server follows or whether it leads is a **hint**: two servers may be
//! chosen at once, and one that is not the best. Safety comes from Zab. A server leads once a
//! quorum has promised it an epoch and has its history; one without a quorum gives up, and looks
//! again.

mod tally;
mod vote;

use std::collections::{BTreeMap, BTreeSet};

use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::{Notification, PeerState};
use ringkeeper_engine::{Millis, Zxid};

use tally::{Change, Silent, Tally};
use vote::Heard;

pub use vote::{Vote, VoteNotification};

/// How long an election waits, milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ElectionSettings {
    /// Where a quorum agrees and not all voters that can be spoken to: how long a better vote may
    /// take (`finalizeWait`, 200 with ZooKeeper).
    pub finalize_wait_ms: i64,
    /// After how long a vote is sent again at first (`fastleader.minNotificationInterval`).
    pub resend_min_ms: i64,
    /// And at last; it doubles each time.
    pub resend_max_ms: i64,
}

impl Default for ElectionSettings {
    fn default() -> ElectionSettings {
        ElectionSettings { finalize_wait_ms: 20, resend_min_ms: 200, resend_max_ms: 2_000 }
    }
}

/// What a server votes for itself with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ElectionPosition {
    /// Its current epoch.
    pub epoch: u32,
    /// Its last transaction.
    pub zxid: Zxid,
}

/// What a voter is to do after an election.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ElectedRole {
    /// It leads.
    Lead,
    /// It follows this server.
    Follow(ServerId),
}

/// The end of an election.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Elected {
    /// What this server is to do.
    pub role: ElectedRole,
    /// The epoch of the winner: its current one if it was chosen now, and the one that it leads, or
    /// is about to leave, if it leads already.
    pub epoch: u32,
    /// The last transaction that the winner was chosen with; none if it led already.
    pub zxid: Option<Zxid>,
    /// The round.
    pub round: i64,
}

/// The election of one voter, as a value: no clock, no socket, no randomness.
///
/// What is to be sent, and the end of an election, are taken out after each input
/// ([`Election::pop_notification`], [`Election::take_elected`]). Of notifications that are not
/// taken out only the last one for each server is kept.
#[derive(Clone, Debug)]
pub struct Election {
    me: ServerId,
    voters: BTreeSet<ServerId>,
    settings: ElectionSettings,
    /// Voters that can be spoken to, without this one.
    links: BTreeSet<ServerId>,
    /// The round (`logicalclock`), from 1; 0 before the first one.
    round: i64,
    phase: Phase,
    /// The last that each voter has said in an election, and when.
    looking: BTreeMap<ServerId, (Heard, Millis)>,
    /// The leaders that voters have named last, as long as they do not look.
    named: BTreeMap<ServerId, ServerId>,
    /// Who has heard nothing of the leader yet, and waits for it.
    waiting: BTreeSet<ServerId>,
    outgoing: BTreeMap<ServerId, VoteNotification>,
    elected: Option<Elected>,
    /// Who was chosen last, and could not be connected to.
    avoided: Option<ServerId>,
}

/// What the server is doing.
#[derive(Clone, Debug)]
enum Phase {
    /// Nothing yet, or nothing any more.
    Resting,
    Looking(Looking),
    /// It has a leader, or is one.
    Settled(VoteNotification),
}

#[derive(Clone, Debug)]
struct Looking {
    tally: Tally,
    /// When the vote is sent again.
    resend: Millis,
    /// How long until the next time.
    pause_ms: i64,
    /// It was sent again in this round: what was sent first has arrived by now, and been answered.
    was_resent: bool,
    /// The winner if there is no better vote until then.
    winner: Option<(Vote, Millis)>,
}

impl Election {
    /// A voter that has just started. Rounds begin at 1.
    ///
    /// # Panics
    /// If `me` is not one of the voters: a server without a vote has no election.
    pub fn new(
        me: ServerId,
        voters: impl IntoIterator<Item = ServerId>,
        settings: ElectionSettings,
    ) -> Election {
        let voters: BTreeSet<ServerId> = voters.into_iter().collect();
        assert!(voters.contains(&me), "server {} has no vote", me.0);
        Election {
            me,
            voters,
            settings,
            links: BTreeSet::new(),
            round: 0,
            phase: Phase::Resting,
            looking: BTreeMap::new(),
            named: BTreeMap::new(),
            waiting: BTreeSet::new(),
            outgoing: BTreeMap::new(),
            elected: None,
            avoided: None,
        }
    }

    /// The server that was chosen cannot be connected to: the next election passes it over, if the
    /// others can do without it. The one behind that takes it again.
    pub fn avoid(&mut self, server: ServerId) {
        self.avoided = Some(server);
    }

    /// Begins to look for a leader, in the next round: at the start, and when leading or following
    /// is over.
    pub fn look(&mut self, position: ElectionPosition, now: Millis) {
        self.round = self.round.saturating_add(1);
        self.elected = None;
        self.waiting.clear();
        let ElectionPosition { epoch, zxid } = position;
        let own = Vote { epoch, zxid, leader: self.me };
        let pause_ms = self.settings.resend_min_ms;
        self.phase = Phase::Looking(Looking {
            tally: Tally::new(own, self.voters.len() / 2 + 1, self.round),
            resend: Millis(now.0.saturating_add(pause_ms)),
            pause_ms,
            was_resent: false,
            winner: None,
        });
        if let (Some(server), Phase::Looking(looking)) = (self.avoided.take(), &mut self.phase) {
            looking.tally.avoid(server, &self.links);
        }
        self.notify_voters();
        // Those that began earlier have sent their votes already.
        let since = now.0.saturating_sub(self.settings.resend_max_ms);
        self.looking.retain(|_, (_, at)| at.0 >= since);
        for (from, (heard, _)) in self.looking.clone() {
            self.hear(from, &heard, now);
        }
        self.decide(now);
    }

    /// The connection for elections to a voter is open: votes go both ways from now on. It hears
    /// what this server does: it may have been chosen, and wait for this server.
    pub fn link_opened(&mut self, voter: ServerId) {
        if voter == self.me || !self.voters.contains(&voter) {
            return;
        }
        self.links.insert(voter);
        match self.phase {
            Phase::Looking(_) | Phase::Settled(_) => self.notify(voter),
            Phase::Resting => {}
        }
    }

    /// The connection to the leader is there: all voters hear that this server follows it. One that
    /// was chosen meanwhile waits for it in vain ([`Election::led_elsewhere`]). Servers of
    /// ZooKeeper's say so only when they are asked; while they look they count it as that, else
    /// they ignore it.
    pub fn announce(&mut self) {
        if let Phase::Settled(_) = self.phase {
            self.notify_voters();
        }
    }

    /// Another server that a quorum has for its leader, as far as voters have said so, and without
    /// those that are known to follow this server. A leader counts that others name, unless it says
    /// itself that it looks in this round or follows: a voter that is not heard any more may have
    /// named it before.
    pub fn led_elsewhere(&self, follows_me: impl Fn(ServerId) -> bool) -> Option<ServerId> {
        let quorum = self.voters.len() / 2 + 1;
        let others = || self.named.iter().filter(|(voter, _)| !follows_me(**voter));
        let count = |leader: ServerId| {
            let followers =
                others().filter(|(voter, named)| **named == leader && **voter != leader);
            1 + followers.count()
        };
        let may_lead = |leader: ServerId| {
            let looks = |(heard, _): &(Heard, Millis)| heard.round >= self.round;
            leader != self.me
                && self.named.get(&leader).is_none_or(|named| *named == leader)
                && !self.looking.get(&leader).is_some_and(looks)
        };
        let mut named = others().map(|(_, leader)| *leader).filter(|leader| may_lead(*leader));
        named.find(|leader| count(*leader) >= quorum)
    }

    /// It is closed. What that server has said does not count any more. If this server votes for
    /// it, a new round begins: within a round no vote becomes a smaller one.
    pub fn link_closed(&mut self, server: ServerId, now: Millis) {
        self.links.remove(&server);
        self.looking.remove(&server);
        self.named.remove(&server);
        self.waiting.remove(&server);
        self.outgoing.remove(&server);
        let Phase::Looking(looking) = &mut self.phase else { return };
        looking.tally.forget(server);
        if looking.tally.proposal.leader == server {
            looking.tally.begin_round(self.round.saturating_add(1));
            self.propose(now);
        }
        self.decide(now);
    }

    /// Takes a notification of any server.
    pub fn on_notification(
        &mut self,
        from: ServerId,
        notification: &Notification<'_>,
        now: Millis,
    ) {
        if from == self.me {
            return;
        }
        let heard = Heard::read(notification, &self.voters);
        let is_voter = self.voters.contains(&from);
        if is_voter {
            match (heard.state, heard.vote) {
                (PeerState::Following | PeerState::Leading, Some(vote)) => {
                    self.named.insert(from, vote.leader)
                }
                _ => self.named.remove(&from),
            };
            match heard.state {
                PeerState::Looking => self.looking.insert(from, (heard, now)),
                PeerState::Following | PeerState::Leading | PeerState::Observing => {
                    self.looking.remove(&from)
                }
            };
        }
        match &self.phase {
            Phase::Resting => {}
            Phase::Settled(_) if heard.state == PeerState::Looking => {
                self.waiting.insert(from);
                self.notify(from);
            }
            Phase::Settled(_) => {}
            Phase::Looking(_) if is_voter => {
                self.hear(from, &heard, now);
                self.decide(now);
            }
            // Two servers of which neither takes the other for a voter would answer each other for
            // ever: only who has no vote is answered.
            Phase::Looking(_) => {
                if heard.state == PeerState::Looking && !heard.names_leader {
                    self.notify(from);
                }
            }
        }
    }

    /// Time has passed: to be called when [`Election::next_due`] has come, or at any time.
    pub fn on_time(&mut self, now: Millis) {
        let Phase::Looking(looking) = &mut self.phase else { return };
        if let Some((vote, at)) = looking.winner
            && now >= at
        {
            let round = looking.tally.round;
            return self.settle(vote, Some(vote.zxid), round);
        }
        if now >= looking.resend {
            let is_last = looking.pause_ms >= self.settings.resend_max_ms;
            let silent = if is_last { Silent::Refuse } else { Silent::MayAgree };
            if std::mem::replace(&mut looking.was_resent, true)
                && looking.tally.pass_over(&self.links, silent)
            {
                self.propose(now);
                return self.decide(now);
            }
            looking.pause_ms = looking.pause_ms.saturating_mul(2).min(self.settings.resend_max_ms);
            looking.resend = Millis(now.0.saturating_add(looking.pause_ms));
            self.notify_voters();
        }
    }

    /// When something is due; nothing while there is a leader.
    pub fn next_due(&self) -> Option<Millis> {
        let Phase::Looking(looking) = &self.phase else { return None };
        let winner = looking.winner.map(|(_, at)| at);
        Some(winner.map_or(looking.resend, |at| at.min(looking.resend)))
    }

    /// The server has the role now, in this epoch: what others hear of it from now on
    /// (`QuorumPeer.updateElectionVote`). Those that wait for a leader hear it at once.
    ///
    /// # Panics
    /// If the leader is no voter.
    pub fn take_role(&mut self, role: ElectedRole, epoch: u32) {
        let (state, leader) = match role {
            ElectedRole::Lead => (PeerState::Leading, self.me),
            ElectedRole::Follow(leader) => (PeerState::Following, leader),
        };
        assert!(self.voters.contains(&leader), "server {} has no vote and cannot lead", leader.0);
        let (zxid, round) = match &self.phase {
            Phase::Settled(said) if said.vote.leader == leader => (said.vote.zxid, said.round),
            Phase::Settled(_) | Phase::Resting => (Zxid::ZERO, self.round),
            Phase::Looking(looking) => (looking.tally.proposal.zxid, self.round),
        };
        let vote = Vote { epoch, zxid, leader };
        self.elected = None;
        self.phase = Phase::Settled(VoteNotification { state, vote, round });
        for server in std::mem::take(&mut self.waiting) {
            self.notify(server);
        }
    }

    /// The role is over, and the next election begins later: nobody is to follow a server that
    /// leads no more, or to count one that follows no more. What is heard meanwhile is kept.
    pub fn rest(&mut self) {
        self.phase = Phase::Resting;
        self.elected = None;
        self.waiting.clear();
        self.outgoing.clear();
    }

    /// The next notification to send, and to whom.
    pub fn pop_notification(&mut self) -> Option<(ServerId, VoteNotification)> {
        self.outgoing.pop_first()
    }

    /// The end of the election, once.
    pub fn take_elected(&mut self) -> Option<Elected> {
        self.elected.take()
    }

    /// What the server is doing: looking before it has begun, too.
    pub fn state(&self) -> PeerState {
        match &self.phase {
            Phase::Resting | Phase::Looking(_) => PeerState::Looking,
            Phase::Settled(said) => said.state,
        }
    }

    /// The round: that of the last election when there is none. It grows while the process lives.
    pub fn round(&self) -> i64 {
        self.round
    }

    /// The vote: whom this server votes for, or follows. Nothing before it has begun.
    pub fn vote(&self) -> Option<Vote> {
        self.said().map(|said| said.vote)
    }

    fn said(&self) -> Option<VoteNotification> {
        match &self.phase {
            Phase::Resting => None,
            Phase::Looking(looking) => {
                let Tally { round, proposal: vote, .. } = looking.tally;
                Some(VoteNotification { state: PeerState::Looking, vote, round })
            }
            Phase::Settled(said) => Some(*said),
        }
    }

    fn notify(&mut self, to: ServerId) {
        let said = self.said().expect("nothing is sent before the first round");
        self.outgoing.insert(to, said);
    }

    fn notify_voters(&mut self) {
        for voter in self.links.clone() {
            self.notify(voter);
        }
    }

    fn hear(&mut self, from: ServerId, heard: &Heard, now: Millis) {
        let Phase::Looking(looking) = &mut self.phase else { return };
        match looking.tally.hear(from, heard, &self.links) {
            Change::Nothing => {}
            Change::Behind => self.notify(from),
            Change::Proposal => self.propose(now),
        }
    }

    /// The vote or the round has changed.
    fn propose(&mut self, now: Millis) {
        let Phase::Looking(looking) = &mut self.phase else { return };
        self.round = looking.tally.round;
        looking.pause_ms = self.settings.resend_min_ms;
        looking.was_resent = false;
        looking.resend = Millis(now.0.saturating_add(looking.pause_ms));
        self.notify_voters();
    }

    /// Ends the election if it is decided, and says when it will be.
    fn decide(&mut self, now: Millis) {
        let Phase::Looking(looking) = &mut self.phase else { return };
        if let Some(found) = looking.tally.established() {
            let zxid = (found.vote.leader == self.me).then_some(found.vote.zxid);
            return self.settle(found.vote, zxid, found.round);
        }
        let Some(vote) = looking.tally.winner() else {
            looking.winner = None;
            return;
        };
        if looking.tally.is_unanimous(vote, &self.links) {
            let round = looking.tally.round;
            return self.settle(vote, Some(vote.zxid), round);
        }
        if looking.winner.is_none_or(|(before, _)| before != vote) {
            let at = Millis(now.0.saturating_add(self.settings.finalize_wait_ms));
            looking.winner = Some((vote, at));
        }
    }

    /// The election is over. Who has not voted so, and waits, hears of it.
    fn settle(&mut self, vote: Vote, zxid: Option<Zxid>, round: i64) {
        let Phase::Looking(looking) = &self.phase else { return };
        let waits = |voter: &ServerId| !looking.tally.has_voted(*voter, vote);
        self.waiting = self.looking.keys().copied().filter(waits).collect();
        let leads = vote.leader == self.me;
        let (state, role) = if leads {
            (PeerState::Leading, ElectedRole::Lead)
        } else {
            (PeerState::Following, ElectedRole::Follow(vote.leader))
        };
        // ZooKeeper's goes back to that of the leader; rounds of one process only grow here.
        self.round = self.round.max(round);
        self.phase = Phase::Settled(VoteNotification { state, vote, round });
        self.elected = Some(Elected { role, epoch: vote.epoch, zxid, round });
        for server in self.waiting.clone() {
            self.notify(server);
        }
    }
}

#[cfg(test)]
mod tests;
