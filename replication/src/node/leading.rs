//! A node that leads an ensemble, and how it begins and ends to.

use ringkeeper_engine::database::CommitStatus;
use ringkeeper_engine::device::EnsembleIdentity;
use ringkeeper_engine::limits;
use ringkeeper_engine::log::Joined;
use ringkeeper_engine::session::ServerId;

use super::apply::leave_service;
use super::{ClockPort, DatabasePort, LeaderPort, LogPort, Node, Ports, World};
use crate::{Divergence, ElectionReason, Input};

/// Roles.
impl<P: Ports> Node<P> {
    /// This server leads from now on: a quorum has its history, and it orders in this epoch. Only
    /// where [`Node::is_caught_up`]. What has waited for a leader is ordered with the next turn.
    pub fn lead(&mut self, epoch: u32, voters: Vec<ServerId>) {
        assert!(self.is_caught_up(), "a leader begins behind everything that it has");
        let World { database, clock, .. } = &self.world;
        // Everything that was recovered or learned is part of what is committed.
        database.write().set_commit_status(CommitStatus::Committed);
        let now = clock.now();
        let records = self.begin_step();
        {
            let db = self.world.database.read();
            let input = Input::Lead { epoch, voters, db: &db, now };
            self.replica.step(input, &mut self.outputs);
        }
        self.end_step(records);
        self.look_at_capacity();
    }

    /// This server leads no more. What is ordered goes to the log, and waits for what the next
    /// leader makes of it.
    pub fn stop_leading(&mut self) {
        if !self.outputs.group.is_empty() {
            // It goes to the log like what was proposed before.
            self.world.leader.proposed(&self.outputs.group);
        }
        self.is_leaving = false;
        let (now, records) = (self.world.clock.now(), self.begin_step());
        self.replica.step(Input::StopLeading { now }, &mut self.outputs);
        self.end_step(records);
    }

    /// Nothing is ordered from now on, be it of learners, until this server leads no more. What is
    /// ordered goes its way, so that it is committed before another server leads.
    pub(crate) fn order_no_more(&mut self) {
        self.is_leaving = true;
    }

    /// The directory belongs to this ensemble, as the disk says: passwords of sessions are its own
    /// from now on.
    pub fn adopt(&mut self, ensemble: &EnsembleIdentity) {
        let now = self.world.clock.now();
        self.replica.adopt(ensemble, now);
    }

    /// The state is another one than that of a majority. Nothing is applied or answered until it is
    /// replaced. Not while this server leads.
    pub fn diverge(&mut self, divergence: Divergence) {
        assert!(!self.replica.leads_ensemble(), "a leader ends before that: {divergence}");
        let World { database, shards, leader, .. } = &mut self.world;
        if std::mem::replace(&mut self.has_diverged, true) {
            return;
        }
        leave_service(&mut database.write(), shards);
        leader.diverged(divergence);
    }

    /// Whether nothing is gathered or on its way to the disk, and everything that was learned is
    /// committed and applied.
    pub fn is_caught_up(&self) -> bool {
        let flushing = self.world.log.is_busy() || !self.outputs.group.is_empty();
        let waits = !self.committed.is_empty() || self.world.leader.has_events();
        !flushing
            && !waits
            && !self.has_diverged
            && self.replica.is_applied(&self.world.database.read())
    }

    /// Whether everything that was ordered or learned is on the disk.
    pub fn is_log_at_rest(&self) -> bool {
        !self.world.log.is_busy() && self.outputs.group.is_empty()
    }

    /// Whether a flush that ends has to wake the node's thread. A leader whose log is ahead of the
    /// others' waits for their acknowledgements, and takes note of the flush with them.
    pub fn awaits_flush(&self) -> bool {
        let is_paced = self.gathering.is_paced() || !self.outputs.group.is_empty();
        is_paced || !self.log_events.is_empty() || self.replica.awaits_flush()
    }

    /// Whether this server should lead in a later epoch, or another one: see
    /// [`crate::Replica::wants_election`].
    pub fn wants_election(&self) -> Option<ElectionReason> {
        self.replica.wants_election()
    }
}

/// Stages and parts of stages.
impl<P: Ports> Node<P> {
    /// Gives what learners have sent its place in the order, as much as there is room for.
    pub(super) fn order_learners(&mut self) {
        while self.world.leader.has_learner_events() && self.can_order() {
            self.world.leader.learner_events(&mut self.learner_events);
            assert!(!self.learner_events.is_empty(), "it has said that it has some");
            self.look_at_capacity();
            let (now, records) = (self.world.clock.now(), self.begin_step());
            {
                let db = self.world.database.read();
                let events = &mut self.learner_events;
                self.replica.step(Input::Learners { events, db: &db, now }, &mut self.outputs);
            }
            self.end_step(records);
        }
    }

    /// Adds the group under construction to the one that waits, if one does. It is proposed before:
    /// voters write it while our own disk does. If the one that waits is begun in between, this one
    /// waits in its place.
    pub(super) fn join_proposed(&mut self) -> Joined {
        let World { log, leader, .. } = &mut self.world;
        let group = &mut self.outputs.group;
        let waiting = log.waiting_bytes();
        if waiting == 0 {
            return Joined::Nothing;
        }
        if waiting + group.bytes() > limits::GROUP_BYTES_MAX {
            return Joined::Full;
        }
        leader.proposed(group);
        match log.join(group) {
            Joined::Yes => {}
            Joined::Nothing => log.submit(group, self.gathering.since_us()),
            Joined::Full => unreachable!("what waits grows here only"),
        }
        Joined::Yes
    }
}
