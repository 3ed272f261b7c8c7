//! What is between members: connections for elections, over which whole notifications go, and
//! connections between learners and their leaders, over which bytes go. In each direction what is
//! sent arrives in order, late, or not before a cut is over; it is lost with its connection only.

use std::collections::BTreeMap;

use super::super::member::{Incarnation, MemberId};
use super::super::net::Stream;

/// A process of a member.
pub(crate) type ProcessId = (MemberId, Incarnation);

/// A connection between a learner and its leader, until both have heard that it is gone.
pub(crate) struct QuorumLink {
    pub(crate) learner: ProcessId,
    pub(crate) leader: ProcessId,
    pub(crate) to_leader: Stream,
    pub(crate) to_learner: Stream,
    /// The end has arrived at the leader, and at the learner.
    pub(crate) has_ended: [bool; 2],
}

/// The election connection of two members; the one with the smaller number is first.
#[derive(Default)]
pub(crate) struct ElectionLink {
    /// Between these processes.
    pub(crate) open: Option<[ProcessId; 2]>,
    /// The last that could not be sent, of each of the two.
    pub(crate) kept: [Option<Vec<u8>>; 2],
    /// When the last arrives that was sent, at each of the two.
    pub(crate) last_us: [u64; 2],
    pub(crate) is_dialed: bool,
}

/// All connections.
pub(crate) struct Network {
    members: usize,
    /// Until when nothing passes from one member to another.
    cut_us: Vec<u64>,
    pub(crate) links: BTreeMap<u64, QuorumLink>,
    pub(crate) elections: BTreeMap<(MemberId, MemberId), ElectionLink>,
    links_made: u64,
}

impl Network {
    /// Nothing is connected. Each of the voters has an election connection to every other member.
    pub(crate) fn new(members: usize, voters: usize) -> Network {
        let pairs = (0..members).flat_map(|a| (0..members).map(move |b| (a, b)));
        let pairs = pairs.filter(|(a, b)| a < b && *a < voters);
        Network {
            members,
            cut_us: vec![0; members * members],
            links: BTreeMap::new(),
            elections: pairs.map(|pair| (pair, ElectionLink::default())).collect(),
            links_made: 0,
        }
    }

    /// Until when nothing passes from one member to another.
    pub(crate) fn cut_us(&self, from: MemberId, to: MemberId) -> u64 {
        self.cut_us[from * self.members + to]
    }

    /// Whether two members can connect now.
    pub(crate) fn can_connect(&self, a: MemberId, b: MemberId, now_us: u64) -> bool {
        self.cut_us(a, b) <= now_us && self.cut_us(b, a) <= now_us
    }

    /// Nothing passes from one member to another for a while.
    pub(crate) fn cut(&mut self, from: MemberId, to: MemberId, until_us: u64) {
        let cut_us = &mut self.cut_us[from * self.members + to];
        *cut_us = until_us.max(*cut_us);
        for link in self.links.values_mut() {
            if (link.learner.0, link.leader.0) == (from, to) {
                link.to_leader.clog(until_us);
            }
            if (link.leader.0, link.learner.0) == (from, to) {
                link.to_learner.clog(until_us);
            }
        }
    }

    /// Everything passes between two members again, as far as it is under way.
    pub(crate) fn release(&mut self, a: MemberId, b: MemberId) {
        for (from, to) in [(a, b), (b, a)] {
            self.cut_us[from * self.members + to] = 0;
        }
        for link in self.links.values_mut() {
            let ends = (link.learner.0, link.leader.0);
            if ends == (a, b) || ends == (b, a) {
                link.to_leader.release();
                link.to_learner.release();
            }
        }
    }

    /// Everything passes again. What was cut off before is to be reset.
    pub(crate) fn heal(&mut self) {
        self.cut_us.fill(0);
    }

    /// A learner has connected to a leader.
    pub(crate) fn connect(&mut self, learner: ProcessId, leader: ProcessId) -> u64 {
        self.links_made += 1;
        let mut link = QuorumLink {
            learner,
            leader,
            to_leader: Stream::default(),
            to_learner: Stream::default(),
            has_ended: [false; 2],
        };
        link.to_leader.clog(self.cut_us(learner.0, leader.0));
        link.to_learner.clog(self.cut_us(leader.0, learner.0));
        self.links.insert(self.links_made, link);
        self.links_made
    }

    /// The election connection of two members, and which of the two `from` is.
    pub(crate) fn election(
        &mut self,
        from: MemberId,
        to: MemberId,
    ) -> Option<((MemberId, MemberId), usize)> {
        let pair = (from.min(to), from.max(to));
        self.elections.contains_key(&pair).then_some((pair, usize::from(from > to)))
    }
}
