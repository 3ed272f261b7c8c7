//! The link to a leader, or to learners, with its times taken for reports.

use std::sync::Arc;

use ringkeeper_engine::Zxid;
use ringkeeper_engine::log::Group;
use ringkeeper_engine::txn::Txn;
use ringkeeper_replication::leader::{Acknowledgement, LearnerEvent, ToLearners};
use ringkeeper_replication::node::LeaderPort;
use ringkeeper_replication::{Divergence, LeaderEvent, LeaderFault, LogSpace, SessionAttachment};

use super::group_times::{LearnedSample, ProposedGroups};
use crate::node::clock::Clock;
use crate::peers::replication_stats::ReplicationStats;

/// A link whose groups are timed.
pub(crate) struct Timed<L> {
    /// The link.
    pub(crate) link: L,
    clock: Clock,
    stats: Arc<ReplicationStats>,
    proposed: ProposedGroups,
    learned: LearnedSample,
}

impl<L> Timed<L> {
    pub(crate) fn new(link: L, clock: Clock, stats: Arc<ReplicationStats>) -> Timed<L> {
        let (proposed, learned) = (ProposedGroups::default(), LearnedSample::default());
        Timed { link, clock, stats, proposed, learned }
    }

    fn note_learned(&mut self, txn: &Txn) {
        let now = (self.clock.now().wall, self.clock.micros());
        self.learned.learned((txn.zxid, txn.time), now, &self.stats);
    }

    /// What has come of the leader.
    fn note_event(&mut self, event: &LeaderEvent) {
        match event {
            LeaderEvent::Learned(entry) if self.learned.is_free() => self.note_learned(&entry.txn),
            LeaderEvent::LearnedChunk(chunk) if self.learned.is_free() => {
                chunk.each().take(1).for_each(|first| self.note_learned(&first.read()));
            }
            LeaderEvent::Committed(upto) if self.learned.is_reached(*upto) => {
                let now = (self.clock.now().wall, self.clock.micros());
                self.learned.committed(now, &self.stats);
            }
            LeaderEvent::Lost | LeaderEvent::Cut(_) => self.learned.clear(),
            LeaderEvent::Learned(_)
            | LeaderEvent::LearnedChunk(_)
            | LeaderEvent::Committed(_)
            | LeaderEvent::Synced
            | LeaderEvent::Revalidated(..)
            | LeaderEvent::SessionMoved(_)
            | LeaderEvent::Serving(..) => {}
        }
    }
}

impl<L: LeaderPort> LeaderPort for Timed<L> {
    fn receive(&mut self) -> Option<LeaderEvent> {
        let event = self.link.receive()?;
        self.note_event(&event);
        Some(event)
    }

    fn has_events(&self) -> bool {
        self.link.has_events()
    }

    fn send(&mut self, packets: &mut Vec<u8>) {
        self.link.send(packets);
    }

    fn sessions(&mut self, changes: &mut Vec<SessionAttachment>) {
        self.link.sessions(changes);
    }

    fn flushed(&mut self, durable: Zxid) {
        let now_us = self.clock.micros();
        self.proposed.flushed(durable, now_us, &self.stats);
        self.learned.flushed(durable, now_us, &self.stats);
        self.link.flushed(durable);
    }

    fn space(&mut self, space: LogSpace) {
        self.link.space(space);
    }

    fn fault(&mut self, fault: LeaderFault, learned: Zxid) {
        self.link.fault(fault, learned);
    }

    fn diverged(&mut self, divergence: Divergence) {
        self.link.diverged(divergence);
    }

    fn applied(&mut self, zxid: Zxid, digest: u64) {
        self.link.applied(zxid, digest);
    }

    fn learner_events(&mut self, out: &mut Vec<LearnerEvent>) {
        self.link.learner_events(out);
    }

    fn has_learner_events(&self) -> bool {
        self.link.has_learner_events()
    }

    fn next_ack(&mut self) -> Option<Acknowledgement> {
        let ack = self.link.next_ack()?;
        if let Acknowledgement::Durable(server, upto) = ack {
            self.proposed.acked((server, upto), self.clock.micros(), &self.stats);
        }
        Some(ack)
    }

    fn has_acks(&self) -> bool {
        self.link.has_acks()
    }

    fn has_capacity(&self) -> bool {
        self.link.has_capacity()
    }

    fn proposed(&mut self, group: &Group) {
        if let Some(last) = group.last() {
            self.proposed.proposed(last, self.clock.micros());
        }
        self.link.proposed(group);
    }

    fn to_learners(&mut self, out: &mut Vec<ToLearners>) {
        for answer in out.iter() {
            if let ToLearners::Committed(upto) = answer {
                self.proposed.committed(*upto, self.clock.micros(), &self.stats);
            }
        }
        self.link.to_learners(out);
    }
}
