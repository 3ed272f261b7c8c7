//! The end: nothing fails any more, and everything comes to rest.

use ringkeeper_replication::node::DatabasePort;

use super::super::check::snapshots::snapshot_of;
use super::super::check::{progress, sessions};
use super::super::server::database_of;
use super::World;

/// How long everything must be at rest.
const RESTS_US: u64 = 250_000;

impl World {
    /// Everything that is broken works again, and no client requests anything new.
    pub(crate) fn heal(&mut self) {
        self.is_healed = true;
        (self.ensemble.wrong, self.ensemble.lags) = (None, 0);
        for member in 0..self.members.len() {
            self.on_space(member);
            self.members[member].paused_us = 0;
            self.members[member].stalled_us = 0;
            if let Some(process) = &mut self.members[member].process {
                process.steps_left = None;
            }
            self.wake(member, 1);
        }
        for member in self.ensemble.wronged() {
            self.lose(member);
        }
    }

    /// Nothing fails until everything is at rest; then everything is compared.
    pub(crate) fn finish(&mut self) {
        self.heal();
        let end_us = self.now_us() + progress::REST_US;
        let mut next_look_us = 0;
        let mut rests_since_us = None;
        // Packets that wait for their node are taken with its next tick at the latest.
        while rests_since_us.is_none_or(|since_us| self.now_us() < since_us + RESTS_US) {
            let Some(event) = self.schedule.next(end_us) else {
                progress::never_rests(&self.what_moves());
            };
            self.on_event(event);
            if self.now_us() >= next_look_us {
                let now_us = self.now_us();
                let since_us = *rests_since_us.get_or_insert(now_us);
                rests_since_us = self.is_at_rest().then_some(since_us);
                next_look_us = now_us + 5_000;
            }
            if !self.is_at_rest_behind(rests_since_us) {
                rests_since_us = None;
            }
        }
        self.check_end();
    }

    /// Whether it is at rest still, at the moment at which that counts.
    fn is_at_rest_behind(&self, since_us: Option<u64>) -> bool {
        let is_due = since_us.is_some_and(|since_us| self.now_us() >= since_us + RESTS_US);
        !is_due || self.is_at_rest()
    }

    fn is_at_rest(&self) -> bool {
        self.ensemble.is_quiet(self.members.len())
            && self.are_clients_settled()
            && self.members.iter().all(|member| {
                let Some(process) = &member.process else { return false };
                let is_still = member.link.as_ref().is_some_and(|link| {
                    link.to_leader.is_still()
                        && link.to_member.is_still()
                        && link.arrived.is_empty()
                });
                let leader = process.leader_ref();
                let is_linked = leader.is_connected() && leader.outgoing().is_empty();
                let is_quiet = process.server.is_quiet() && !process.has_work();
                is_still && is_linked && is_quiet
            })
    }

    /// What is not at rest.
    fn what_moves(&self) -> String {
        let members = self.members.iter().map(|member| match &member.process {
            None => format!("member {} does not run", member.id),
            Some(process) => {
                let state = process.leader_ref().state();
                let outstanding = process.server.outstanding();
                format!("member {}: {state:?}, {outstanding} requests wait", member.id)
            }
        });
        let members: Vec<String> = members.collect();
        let quiet = self.ensemble.is_quiet(self.members.len());
        let settled = self.are_clients_settled();
        format!("{}; leader at rest: {quiet}; clients at rest: {settled}", members.join("; "))
    }

    fn check_end(&mut self) {
        let truth = &self.ensemble.truth;
        let members = u8::try_from(self.members.len()).expect("there are few members");
        self.acknowledged.check(truth, members);
        for member in &self.members {
            let process = member.process.as_ref().expect("it is at rest");
            let (server, db) = (&process.server, process.server.db());
            let outstanding = server.outstanding();
            progress::check_member(outstanding, (&server.history, truth), (&db, &self.ensemble.db));
            assert!(member.record.borrow().txns() == *truth, "the log has what is committed");
            sessions::check(&db, truth);
        }
        let mut db = database_of(truth);
        let expected = snapshot_of(&mut db);
        for member in &mut self.members {
            let process = member.process.as_mut().expect("it is at rest");
            let mut found = process.server.node().world().database.write();
            // Where nothing was ordered, a state that was sent has the zxid of its epoch's
            // beginning.
            let is_same = found.applied() != db.applied() || snapshot_of(&mut found) == expected;
            assert!(is_same, "member {} makes another snapshot at {}", member.id, db.applied());
        }
        for sim_client in &mut self.clients {
            let is_connected = sim_client.connection.is_some();
            sim_client.client.finish(&db, truth, is_connected);
        }
        for member in 0..self.members.len() {
            if let Some(process) = self.members[member].process.take() {
                self.add_met(&process);
            }
        }
        self.met.replies = self.clients.iter().map(|it| it.client.replies).sum();
        self.met.events = self.clients.iter().map(|it| it.client.events).sum();
    }
}
