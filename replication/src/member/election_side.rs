//! How a member finds out who leads.

use ringkeeper_engine::Millis;
use ringkeeper_engine::device::EnsembleId;
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::{BadPacket, Notification, PeerExtension, PeerState};

use super::role::{Joining, Role};
use super::{Member, MemberAction, MemberEvent};
use crate::ZabState;
use crate::election::{Elected, ElectedRole, ElectionPosition};
use crate::leader::{Leadership, StepDown};
use crate::learner::LeaderSearch;
use crate::plant::{Bug, is_planted};

impl Member {
    /// The election connection to a voter is open.
    pub fn peer_opened(&mut self, peer: ServerId, now: Millis) {
        self.now = now;
        self.strangers.remove(&peer);
        self.election.link_opened(peer);
        if self.search.is_some() {
            self.request_leader(peer);
        }
        self.after_election_input();
    }

    /// It is closed.
    pub fn peer_closed(&mut self, peer: ServerId, now: Millis) {
        self.now = now;
        self.election.link_closed(peer, now);
        self.after_election_input();
    }

    /// A notification has come from a server, one message as [`Notification::decode`] takes it. An
    /// error means that its connection is to be closed.
    pub fn notified(&mut self, from: ServerId, bytes: &[u8], now: Millis) -> Result<(), BadPacket> {
        self.now = now;
        let Some((notification, _)) = Notification::decode(bytes)? else { return Ok(()) };
        let extension = PeerExtension::read(notification.extension)?;
        if self.is_stranger(from, extension) {
            return Ok(());
        }
        self.stand_aside(extension.ensemble);
        self.election.on_notification(from, &notification, now);
        self.leave_one_that_looks(from, &notification);
        self.leave_to_other_leader();
        if let Some(search) = &mut self.search
            && let Some(found) = search.on_notification(from, &notification)
            && self.role == Role::Looking
            // Others may not have noticed yet that this server leads no more.
            && found.leader != self.settings.leader.server
        {
            self.search = None;
            self.found(found.leader);
        }
        self.after_election_input();
        Ok(())
    }

    /// A server that was chosen and looks in a later round, or has no vote, does not lead: it would
    /// be waited for in vain, for as long as a leader may take to answer.
    fn leave_one_that_looks(&mut self, from: ServerId, notification: &Notification<'_>) {
        let has_no_vote = notification.leader == LeaderSearch::request(0, &[]).leader;
        if self.role == Role::Following(from)
            && self.followed.state() == ZabState::Discovery
            && notification.state == PeerState::Looking
            && (notification.round > self.election.round() || has_no_vote)
        {
            self.events.push_back(MemberEvent::NotLeading(from));
            self.followed.disconnect();
        }
    }

    /// Whoever has chosen this server may have gone back to a leader that was there, as a
    /// connection was lost and came back. This server would wait for a quorum in vain.
    fn leave_to_other_leader(&mut self) {
        let Some(leadership) = &mut self.leadership else { return };
        if self.role != Role::Leading || leadership.is_established() {
            return;
        }
        let follows_me = |voter| leadership.is_followed_by(voter);
        if let Some(leader) = self.election.led_elsewhere(follows_me) {
            leadership.step_down(StepDown::LedElsewhere(leader));
        }
    }

    /// Begins to look for a leader, with what is on the disk. A server that cannot vouch for what
    /// it has, because it has lost it or it is not what the leader has, has no vote: whoever is
    /// chosen might lack what this server once acknowledged.
    pub(super) fn look(&mut self) {
        let position = self.followed.position();
        self.role = Role::Looking;
        self.looked = self.now;
        self.events.push_back(MemberEvent::Looking);
        if !self.has_vote() {
            self.searches += 1;
            let voters = self.settings.leader.voters.iter().copied();
            self.search = Some(LeaderSearch::new(voters));
            return self.request_leader_of_all();
        }
        let epoch = position.saved.recovered(position.last).current;
        self.election.look(ElectionPosition { epoch, zxid: position.last }, self.now);
        self.after_election_input();
    }

    /// When a server whose log could not be cut has looked for a leader's state for long enough.
    pub(super) fn votes_again(&self) -> Option<Millis> {
        let pause_ms = self.followed.cut_pause_ms()?;
        Some(Millis(self.looked.0 + pause_ms))
    }

    /// Asks all voters for the leader, as long as it is not known.
    pub(super) fn search_on(&mut self) {
        if self.search.is_some() && self.votes_again().is_some_and(|at| self.now >= at) {
            self.search = None;
            self.followed.offer_log_again();
            return self.look();
        }
        if self.search.is_some() && self.now >= self.search_again {
            self.request_leader_of_all();
        }
    }

    fn request_leader_of_all(&mut self) {
        self.search_again = Millis(self.now.0 + self.settings.election.resend_max_ms);
        let peers: Vec<ServerId> = self.settings.leader.voters.iter().copied().collect();
        peers.into_iter().for_each(|peer| self.request_leader(peer));
    }

    /// Asks a voter who leads.
    fn request_leader(&mut self, peer: ServerId) {
        if peer != self.settings.leader.server {
            let (mut bytes, extension) = (Vec::new(), self.election_extension());
            let request = LeaderSearch::request(self.searches, &self.settings.leader.config);
            Notification { extension: &extension, ..request }.encode(&mut bytes);
            self.actions.push_back(MemberAction::Notify(peer, bytes));
        }
    }

    /// Takes out what the election has to say, and how it has ended.
    pub(super) fn after_election_input(&mut self) {
        while let Some((to, said)) = self.election.pop_notification() {
            let (mut bytes, extension) = (Vec::new(), self.election_extension());
            let said = said.to_wire(&self.settings.leader.config);
            Notification { extension: &extension, ..said }.encode(&mut bytes);
            self.actions.push_back(MemberAction::Notify(to, bytes));
        }
        if let Some(elected) = self.election.take_elected()
            && self.role == Role::Looking
        {
            self.on_elected(elected);
        }
    }

    /// The ensemble that this server is known to belong to.
    fn own_ensemble(&self) -> Option<EnsembleId> {
        let ensemble = match &self.leadership {
            Some(leadership) => leadership.ensemble(),
            None => self.followed.position().ensemble,
        };
        ensemble.and_then(|ensemble| ensemble.confirmed_id())
    }

    /// What notifications have besides ZooKeeper's fields.
    fn election_extension(&self) -> Vec<u8> {
        let ensemble = self.own_ensemble();
        let extension = PeerExtension { ensemble, ..PeerExtension::default() };
        if ensemble.is_some() { extension.to_bytes() } else { Vec::new() }
    }

    /// Whether who has sent this is of another ensemble. As far as elections go, there is no such
    /// server. It is sent this server's ensemble once per connection, with a notification that has
    /// no vote: otherwise it would not learn why nobody answers it.
    fn is_stranger(&mut self, from: ServerId, said: PeerExtension) -> bool {
        let (own, other) = match (self.own_ensemble(), said.ensemble) {
            (Some(own), Some(other)) if own != other && !is_planted(Bug::StrangerVotes) => {
                (own, other)
            }
            _ => {
                if self.strangers.remove(&from) {
                    self.election.link_opened(from);
                }
                return false;
            }
        };
        if self.strangers.insert(from) {
            self.election.link_closed(from, self.now);
            self.events.push_back(MemberEvent::OtherEnsemble { server: from, own, other });
            self.request_leader(from);
            self.after_election_input();
        }
        true
    }

    fn on_elected(&mut self, elected: Elected) {
        if !self.followed.can_connect() {
            // The state has turned out not to be the one that the log makes.
            return self.rest(0);
        }
        match elected.role {
            ElectedRole::Follow(leader) => self.found(leader),
            ElectedRole::Lead => {
                let election_ms = self.now.0 - self.looked.0;
                let round = elected.round;
                self.events.push_back(MemberEvent::Elected { round, election_ms });
                self.lead();
            }
        }
    }

    fn found(&mut self, leader: ServerId) {
        let election_ms = self.now.0 - self.looked.0;
        self.events.push_back(MemberEvent::Found { leader, election_ms });
        self.close_early();
        let until = Millis(self.now.0 + self.settings.dial_ms);
        self.role = Role::Joining(Joining { leader, until });
        self.actions.push_back(MemberAction::Dial(leader));
    }

    fn lead(&mut self) {
        let position = self.followed.position();
        let mut settings = self.settings.leader.clone();
        if settings.proposed.java_before != Millis(0) {
            // Sessions that have begun since the start have these passwords, too.
            settings.proposed.java_before.0 += self.now.0 - self.began.0;
        }
        let mut leadership = Leadership::new(settings, position, self.now);
        for (link, _) in std::mem::take(&mut self.early) {
            leadership.opened(link, self.now);
        }
        self.leadership = Some(Box::new(leadership));
        self.led = self.now;
        self.role = Role::Leading;
    }

    pub(super) fn close_early(&mut self) {
        for (link, _) in std::mem::take(&mut self.early) {
            self.actions.push_back(MemberAction::Close(link));
        }
    }
}
