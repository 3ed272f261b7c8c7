//! The end: a majority of the voters works, and has to make progress; then nothing fails any more,
//! and everything has to come to rest.

use ringkeeper_engine::tree::Tree;
use ringkeeper_replication::ZabState;
use ringkeeper_replication::learner::LearnerOffer;
use ringkeeper_replication::node::DatabasePort;

use super::super::check::proposals::are_same;
use super::super::check::snapshots::snapshot_of;
use super::super::check::{progress, sessions};
use super::super::member::MemberId;
use super::super::net::Latency;
use super::members::Crash;
use super::world::World;

/// How long everything must be at rest.
const RESTS_US: u64 = 250_000;
/// Virtual microseconds in which a majority has to have a leader and to acknowledge writes.
const PROGRESS_US: u64 = 30_000_000;
/// Writes that it has to acknowledge.
const WRITES: usize = 3;
/// What a cut lasts that only the end heals.
const FOR_EVER_US: u64 = 1 << 40;

impl World {
    /// The two phases of the end, and the checks behind them.
    pub(crate) fn finish(&mut self) {
        if !self.clients.is_empty() && !self.is_healed {
            self.heal_core();
            let before = self.writes;
            let is_there = self.run_while(PROGRESS_US, |world| world.writes < before + WRITES);
            if !is_there {
                progress::never_rests(&format!("in {:?}: {}", self.core, self.what_moves()));
            }
        }
        self.heal();
        self.rest();
        self.check_end();
    }

    /// What belongs to a majority works from now on; what does not stays as it is, or is gone.
    fn heal_core(&mut self) {
        let voters = self.swarm.voters;
        let is_sound = |world: &World, member: MemberId| {
            let machine = &world.machines[member];
            machine.is_trusted && !machine.is_rotten && world.vouches(member)
        };
        let mut core: Vec<MemberId> = (0..voters).filter(|id| is_sound(self, *id)).collect();
        if core.len() <= voters / 2 {
            core = (0..voters).collect();
            self.restart_those_without_a_vote();
        }
        while core.len() > voters / 2 + 1 && core.iter().all(|id| is_sound(self, *id)) {
            let out = self.streams.crash.below(core.len());
            core.remove(out);
        }
        self.report_event(|| format!("{core:?} works from now on"));
        self.heal_network();
        for member in 0..self.machines.len() {
            if core.contains(&member) {
                self.repair(member);
            } else {
                self.leave_outside(member, &core);
            }
        }
        self.core = Some(core);
        self.is_healed = true;
    }

    /// One whose disk did not give what a cut needs has no vote until it has a state.
    fn vouches(&self, member: MemberId) -> bool {
        self.machines[member].process.as_ref().is_none_or(|process| {
            process.port_ref().followed().position().offer == LearnerOffer::Log
        })
    }

    /// Where others have lost their disks, nobody can lead without those that have no vote. What
    /// they have is on their disks, and a process that starts votes with it.
    fn restart_those_without_a_vote(&mut self) {
        for member in 0..self.swarm.voters {
            if !self.vouches(member) {
                self.crash(member, Crash::Process);
            }
        }
    }

    /// A member outside stays as it is; or it ends; or nothing passes from it, to it, or both.
    fn leave_outside(&mut self, member: MemberId, core: &[MemberId]) {
        let chance = &mut self.streams.crash;
        let (is_down, is_deaf, is_mute) =
            (chance.percent(40), chance.percent(50), chance.percent(50));
        if is_down {
            self.machines[member].stays_down = true;
            if self.machines[member].process.is_some() {
                self.crash(member, Crash::Process);
            }
        }
        for inside in core {
            if is_deaf {
                self.network.cut(*inside, member, FOR_EVER_US);
            }
            if is_mute {
                self.network.cut(member, *inside, FOR_EVER_US);
            }
        }
    }

    /// What a learner lacks at most comes within `initLimit`, as its operator has to see to.
    fn widen_sockets(&mut self) {
        let bytes = self.machines.iter().map(|machine| machine.used_bytes()).max().unwrap_or(0);
        let Latency { least_us, spread_us } = self.swarm.latency;
        let there_and_back_us = 2 * least_us + spread_us;
        let init_us = self.swarm.init_ms.unsigned_abs() * 1_000;
        let passes = self.swarm.socket_bytes as u64 * init_us / there_and_back_us;
        if passes < 4 * bytes {
            self.swarm.socket_bytes = 1 << 20;
        }
    }

    fn heal_network(&mut self) {
        self.widen_sockets();
        let now_us = self.now_us();
        for a in 0..self.machines.len() {
            for b in a + 1..self.machines.len() {
                if !self.network.can_connect(a, b, now_us) {
                    self.network.release(a, b);
                    self.reset_between(a, b);
                }
            }
        }
        self.network.heal();
    }

    /// Everything of a member works from now on.
    fn repair(&mut self, member: MemberId) {
        self.on_space(member);
        let now_us = self.now_us();
        let machine = &mut self.machines[member];
        // A leader whose clock runs at half the rate pings too late for a limit of one tick, for
        // ever.
        machine.clock.set_rate(1_000, now_us);
        (machine.paused_us, machine.stalled_us, machine.slowness) = (0, 0, 1);
        if let Some(process) = &mut machine.process {
            process.steps_left = None;
        }
        if std::mem::take(&mut machine.stays_down) {
            self.start_later(member);
        }
        self.wake(member, 1);
    }

    /// Everything that is broken works again, and no client requests anything new.
    pub(crate) fn heal(&mut self) {
        (self.is_healed, self.is_quiet, self.core) = (true, true, None);
        self.report_event(|| "everything works from now on".to_owned());
        self.heal_network();
        (0..self.machines.len()).for_each(|member| self.repair(member));
    }

    /// Nothing fails until everything is at rest.
    pub(crate) fn rest(&mut self) {
        let end_us = self.now_us() + progress::REST_US;
        let (mut next_look_us, mut rests_since_us) = (0, None);
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
            let is_due = rests_since_us.is_some_and(|since| self.now_us() >= since + RESTS_US);
            if is_due && !self.is_at_rest() {
                rests_since_us = None;
            }
        }
    }

    /// One leads, all others follow, and nobody waits for anything. Pings go on.
    pub(crate) fn is_at_rest(&self) -> bool {
        let committed = self.committed.txns().len();
        self.leading().len() == 1
            && self.are_clients_settled()
            && self.machines.iter().all(|machine| {
                let Some(process) = &machine.process else { return false };
                let port = process.port_ref();
                let follows = port.followed().is_connected()
                    && port.followed().state() == ZabState::Broadcast;
                let is_same = process.server.history.len() == committed
                    && machine.record.borrow().txns().len() == committed;
                (follows || process.is_leading())
                    && is_same
                    && process.server.is_quiet()
                    && machine.is_trusted
            })
    }

    /// What is not at rest.
    pub(crate) fn what_moves(&self) -> String {
        let members = self.machines.iter().map(|machine| match &machine.process {
            None => format!("member {} does not run", machine.id),
            Some(process) => {
                let port = process.port_ref();
                let role = port.voter().map(|voter| {
                    let election = voter.election();
                    (voter.role(), voter.state(), election.round(), election.vote())
                });
                format!(
                    "member {}: {role:?}, link {:?}, log ends with {}, applied {}, {} wait, quiet {}",
                    machine.id,
                    port.followed().state(),
                    machine.record.borrow().last(),
                    process.server.db().applied(),
                    process.server.outstanding(),
                    process.server.is_quiet(),
                )
            }
        });
        let members: Vec<String> = members.collect();
        let links = self.network.links.iter().map(|(link, it)| {
            let socket = |member: MemberId| {
                let process = self.machines[member].process.as_ref();
                process.map(|process| match &process.leader {
                    Some(leader) if leader.link == *link => {
                        (leader.socket.arrived.len(), process.port_ref().followed().wants_bytes())
                    }
                    _ => (0, false),
                })
            };
            format!(
                "link {link} of {} to {}: {} and {} bytes under way, {:?} at the learner",
                it.learner.0,
                it.leader.0,
                it.to_leader.under_way(),
                it.to_learner.under_way(),
                socket(it.learner.0),
            )
        });
        let links: Vec<String> = links.collect();
        let open = self.network.elections.iter().filter(|(_, link)| link.open.is_some());
        let open: Vec<(MemberId, MemberId)> = open.map(|(pair, _)| *pair).collect();
        let clients: Vec<(usize, usize, bool)> = self
            .clients
            .iter()
            .map(|it| (it.member, it.client.in_flight(), it.client.is_connecting()))
            .collect();
        format!(
            "{}; {}; election connections {open:?}; committed {} up to {}; clients {clients:?} at rest: {}",
            members.join("; "),
            links.join("; "),
            self.committed.txns().len(),
            self.committed.last(),
            self.are_clients_settled(),
        )
    }

    fn check_end(&mut self) {
        let truth = self.committed.txns();
        let members = u8::try_from(self.machines.len()).expect("there are few members");
        self.acknowledged.check(truth, members);
        for machine in &self.machines {
            let process = machine.process.as_ref().expect("it is at rest");
            let (server, db) = (&process.server, process.server.db());
            let states = (&*db, self.committed.db());
            progress::check_member(server.outstanding(), (&server.history, truth), states);
            let is_log_whole = are_same(machine.record.borrow().txns(), truth);
            assert!(is_log_whole, "the log has what is committed");
            sessions::check(&db, truth);
            check_nodes(machine.id, &db.tree, &self.committed.db().tree);
        }
        self.check_snapshots();
        let truth = self.committed.txns();
        for sim_client in &mut self.clients {
            let is_connected = sim_client.connection.is_some();
            sim_client.client.finish(self.committed.db(), truth, is_connected);
        }
        for member in 0..self.machines.len() {
            if let Some(process) = self.machines[member].process.take() {
                self.add_met(&process);
            }
            self.met.installs += self.machines[member].record.borrow().installs();
        }
        self.met.replies = self.clients.iter().map(|it| it.client.replies).sum();
        self.met.events = self.clients.iter().map(|it| it.client.events).sum();
    }

    /// All members have one state: see [`snapshot_of`].
    fn check_snapshots(&mut self) {
        let expected = self.committed.snapshot();
        for machine in &mut self.machines {
            let process = machine.process.as_mut().expect("it is at rest");
            let mut db = process.server.node().world().database.write();
            let is_same = snapshot_of(&mut db) == expected;
            assert!(is_same, "member {} makes another snapshot at {}", machine.id, db.applied());
        }
    }
}

/// Two trees have the same nodes, each with the same.
fn check_nodes(member: MemberId, found: &Tree, expected: &Tree) {
    let mut paths = vec![String::new()];
    while let Some(path) = paths.pop() {
        let id = found.find(&path).expect("its parent has it");
        let Some(other) = expected.find(&path) else {
            panic!("member {member} has {path}, which is not there")
        };
        let all = |tree: &Tree, id| {
            (tree.data(id).map(<[u8]>::to_vec), tree.acl(id).clone(), tree.stat(id), tree.kind(id))
        };
        assert_eq!(all(found, id), all(expected, other), "{path} at member {member}");
        let before = paths.len();
        paths.extend(found.child_nodes(id).map(|child| found.path_of(child)));
        let children = (paths.len() - before, expected.child_nodes(other).count());
        assert_eq!(children.0, children.1, "the children of {path} at member {member}");
    }
}
