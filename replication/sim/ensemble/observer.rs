//! What an observer's driver does: it asks the voters who leads, and follows that server.

use std::collections::VecDeque;

use ringkeeper_engine::Millis;
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::{Notification, PeerSettings};
use ringkeeper_replication::ZabState;
use ringkeeper_replication::learner::{
    Dialect, FollowEnd, FollowedLeader, LeaderSearch, Learner, LearnerKind, RetryDelay,
};
use ringkeeper_replication::member::MemberAction;

/// Milliseconds after which the voters are asked again.
const SEARCH_MS: i64 = 200;
/// Milliseconds before the same is tried again that has just failed.
const LONG_MS: i64 = 1_000;

/// How often one that looks for a leader looks at the time.
const LOOKING_MS: i64 = 5;

/// What it is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// For the voters to say who leads.
    Looking,
    /// For a connection.
    Dialing(ServerId),
    /// For the end of the link.
    Following,
}

/// A member without a vote.
pub(crate) struct Observer {
    server: ServerId,
    voters: Vec<ServerId>,
    config: Box<[u8]>,
    pub(crate) followed: FollowedLeader,
    state: State,
    search: LeaderSearch,
    searches: i64,
    next_search: Millis,
    heard: Millis,
    /// Milliseconds that a leader may be silent: one that synchronizes, and one that serves.
    init_ms: i64,
    sync_ms: i64,
    pub(crate) actions: VecDeque<MemberAction>,
    pub(crate) ends: Vec<FollowEnd>,
}

impl Observer {
    /// An observer that has just started.
    pub(crate) fn new(
        server: ServerId,
        voters: Vec<ServerId>,
        config: Box<[u8]>,
        (followed, now): (FollowedLeader, Millis),
        (init_ms, sync_ms): (i64, i64),
    ) -> Observer {
        Observer {
            server,
            search: LeaderSearch::new(voters.iter().copied()),
            voters,
            config,
            followed,
            state: State::Looking,
            searches: 0,
            next_search: now,
            heard: now,
            init_ms,
            sync_ms,
            actions: VecDeque::new(),
            ends: Vec::new(),
        }
    }

    fn look(&mut self, next_search: Millis) {
        self.state = State::Looking;
        self.search = LeaderSearch::new(self.voters.iter().copied());
        self.next_search = next_search;
    }

    /// Time has passed, and the node had its turn.
    pub(crate) fn on_turn(&mut self, now: Millis) {
        match self.state {
            State::Looking if now >= self.next_search && self.followed.can_connect() => {
                self.searches += 1;
                self.next_search = Millis(now.0 + SEARCH_MS);
                for voter in self.voters.clone() {
                    self.search_leader(voter);
                }
            }
            State::Looking | State::Dialing(_) => {}
            State::Following => self.watch_leader(now),
        }
    }

    /// Milliseconds until time alone gives it something to do.
    pub(crate) fn wait_ms(&self) -> i64 {
        match self.state {
            State::Looking => LOOKING_MS,
            State::Dialing(_) | State::Following => i64::MAX,
        }
    }

    fn watch_leader(&mut self, now: Millis) {
        if !self.followed.wants_bytes() {
            self.heard = now;
        }
        let serves = self.followed.state() == ZabState::Broadcast;
        let limit_ms = if serves { self.sync_ms } else { self.init_ms };
        if self.followed.is_connected() && now.0 - self.heard.0 >= limit_ms {
            self.followed.disconnect();
        }
        let Some(end) = self.followed.take_end() else { return };
        self.ends.push(end);
        self.actions.push_back(MemberAction::HangUp);
        let pause_ms = match end.retry_delay() {
            RetryDelay::Usual => 20,
            RetryDelay::Long => LONG_MS,
        };
        self.look(Millis(now.0 + pause_ms));
    }

    fn search_leader(&mut self, peer: ServerId) {
        let mut bytes = Vec::new();
        LeaderSearch::request(self.searches, &self.config).encode(&mut bytes);
        self.actions.push_back(MemberAction::Notify(peer, bytes));
    }

    /// The election connection to a voter is open.
    pub(crate) fn peer_opened(&mut self, peer: ServerId) {
        if self.state == State::Looking && self.searches > 0 {
            self.search_leader(peer);
        }
    }

    /// A notification has come from a voter.
    pub(crate) fn notified(&mut self, from: ServerId, bytes: &[u8]) {
        let Ok(Some((notification, _))) = Notification::decode(bytes) else {
            panic!("a member sends notifications")
        };
        if let Some(found) = self.search.on_notification(from, &notification)
            && self.state == State::Looking
            && self.followed.can_connect()
        {
            self.state = State::Dialing(found.leader);
            self.actions.push_back(MemberAction::Dial(found.leader));
        }
    }

    /// The connection is there, or not.
    pub(crate) fn dialed(&mut self, leader: ServerId, is_open: bool, now: Millis) {
        if self.state != State::Dialing(leader) || !is_open || !self.followed.can_connect() {
            if is_open {
                self.actions.push_back(MemberAction::HangUp);
            }
            return self.look(Millis(now.0 + 20));
        }
        (self.state, self.heard) = (State::Following, now);
        let (server, kind, dialect) = (self.server, LearnerKind::Observer, Dialect::Extended);
        let settings = PeerSettings::default();
        self.followed.connect(Learner { kind, server, config_version: 0, dialect, settings });
    }

    /// Bytes of the leader.
    pub(crate) fn received(&mut self, bytes: &[u8], now: Millis) {
        self.heard = now;
        self.followed.received(bytes);
    }
}
