//! What a node still takes, and what its log can.

use ringkeeper_engine::limits;
use ringkeeper_engine::log::LogCapacity;

use super::{COMMITTED_MAX, DatabasePort, LeaderPort, LogPort, Node, Observer, Ports, World};
use crate::plant::{Bug, is_planted};
use crate::{Input, LogSpace};

impl<P: Ports> Node<P> {
    /// As [`Node::can_order`], for what the leader sends: that does not wait for shards, whose
    /// clients ask for nothing there.
    pub(super) fn can_learn(&self) -> bool {
        self.outputs.group.bytes() + self.world.log.waiting_bytes() < limits::GROUP_BYTES_MAX
            && self.committed.len() < COMMITTED_MAX
    }

    /// Whether the log can take what the leader sends next: what was learned and is not flushed
    /// comes first, of which a group may be on its way to the device.
    pub(super) fn log_space(&self) -> LogSpace {
        let log = &self.world.log;
        let capacity = log.capacity();
        if capacity == LogCapacity::UNBOUNDED {
            return LogSpace::Enough;
        }
        let flushing = if log.is_busy() { limits::GROUP_BYTES_MAX } else { 0 };
        let unflushed = self.outputs.group.bytes() + log.waiting_bytes() + flushing;
        match LogSpace::of(capacity, unflushed) {
            LogSpace::Full if is_planted(Bug::FullIgnored) => LogSpace::Enough,
            space => space,
        }
    }

    pub(super) fn look_at_capacity(&mut self) {
        let World { log, observer, .. } = &mut self.world;
        let before = self.replica.admission();
        self.replica.step(Input::Capacity(log.capacity()), &mut self.outputs);
        let admission = self.replica.admission();
        if admission != before {
            observer.admission(admission);
        }
    }

    /// Whether a tick would go on with ends of sessions, of which a part is in the tree now.
    pub(super) fn ends_sessions(&self) -> bool {
        let World { database, leader, .. } = &self.world;
        let waits = leader.has_learner_events() || self.is_leaving;
        !waits && self.replica.wants_step(|| database.read().applied())
    }
}
