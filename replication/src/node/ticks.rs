//! Time that passes for a node.

use ringkeeper_engine::Millis;

use super::{ClockPort, DatabasePort, LeaderPort, Node, PAUSE_MS, Ports, World};
use crate::Input;

impl<P: Ports> Node<P> {
    /// Lets time pass, where it is due.
    pub(super) fn tick(&mut self) {
        let now = self.world.clock.now();
        let ran_ms = now.mono.0 - self.looked.0;
        self.looked = now.mono;
        if ran_ms > PAUSE_MS {
            self.replica.step(Input::Paused { now }, &mut self.outputs);
        }
        if now.mono < self.next_tick && !self.ends_sessions() {
            return;
        }
        self.next_tick = Millis(now.mono.0 + self.settings.tick_ms);
        if self.world.leader.has_learner_events() || self.is_leaving {
            // They wait, because too much is not committed. Whose requests wait was heard of, and
            // nothing expires meanwhile.
            return;
        }
        self.look_at_capacity();
        let records = self.begin_step();
        {
            let db = self.world.database.read();
            self.replica.step(Input::Tick { db: &db, now }, &mut self.outputs);
        }
        self.end_step(records);
        if self.replica.wants_tick() {
            self.next_tick = now.mono;
        }
    }

    /// Whether a tick would go on with ends of sessions, of which a part is in the tree now.
    pub(super) fn ends_sessions(&self) -> bool {
        let World { database, leader, .. } = &self.world;
        let waits = leader.has_learner_events() || self.is_leaving;
        !waits && self.replica.wants_step(|| database.read().applied())
    }
}
