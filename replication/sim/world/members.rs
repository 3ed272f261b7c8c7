//! Processes: when they run, end and start.

use ringkeeper_engine::snapshot::SnapshotKind;
use ringkeeper_replication::learner::{FollowEnd, LinkEnd, ZabState};

use super::super::check::applied::check_digest;
use super::super::member::{Ended, Incarnation, MemberId, Process};
use super::super::schedule::Event;
use super::World;

/// The longest time from what wakes a thread until it runs.
const WAKE_US: u64 = 200;
/// The longest time until a process is started again.
const RESTART_US: u64 = 50_000;

/// What is left of a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Crash {
    /// The process is gone; what it wrote stays as it saw it.
    Process,
    /// The power fails: of what was not synced, some survives.
    Power,
}

impl World {
    /// The process of a member, if it is still this one.
    pub(super) fn process_of(
        &mut self,
        member: MemberId,
        incarnation: Incarnation,
    ) -> Option<&mut Process> {
        let member = &mut self.members[member];
        member.process.as_mut().filter(|_| member.incarnation == incarnation)
    }

    /// Lets a process run soon.
    pub(crate) fn wake(&mut self, member: MemberId, delay_us: u64) {
        let now_us = self.schedule.now_us();
        let Some(process) = &mut self.members[member].process else { return };
        let at_us = now_us + delay_us;
        if process.turn_us.is_none_or(|turn_us| turn_us > at_us) {
            process.turn_us = Some(at_us);
            let incarnation = self.members[member].incarnation;
            self.schedule.at(at_us, Event::Turn(member, incarnation));
        }
    }

    pub(super) fn on_start(&mut self, member: MemberId) {
        if self.members[member].process.is_some() {
            return;
        }
        let now_us = self.schedule.now_us();
        self.may_crash_while_starting(member);
        match self.members[member].start(now_us) {
            Ok(()) => {
                let delay_us = 1 + self.streams.disk.micros(self.swarm.snapshot_us);
                let incarnation = self.members[member].incarnation;
                self.schedule.after(delay_us, Event::Background(member, incarnation));
                self.wake(member, 1);
            }
            Err(error) => self.on_refused_start(member, &error.to_string()),
        }
    }

    /// A start fails because it is cut short, because the disk is full, or because of damage: then
    /// the operator replaces the disk.
    fn on_refused_start(&mut self, member: MemberId, error: &str) {
        use ringkeeper_engine::device::Directory;
        self.met.refused_starts += 1;
        if self.members[member].disk.list().is_err() {
            self.met.power_losses += 1;
            self.lose_power(member);
        } else if self.members[member].is_rotten {
            self.met.wipes += 1;
            self.members[member].wipe();
        } else {
            assert!(self.members[member].is_full, "a start is refused: {error}");
        }
        self.start_later(member);
    }

    pub(super) fn start_later(&mut self, member: MemberId) {
        let delay_us = 1 + self.streams.crash.micros(RESTART_US);
        self.schedule.after(delay_us, Event::Start(member));
    }

    pub(super) fn on_turn(&mut self, member: MemberId, incarnation: Incarnation) {
        let now_us = self.schedule.now_us();
        let paused_us = self.members[member].paused_us;
        let (wall, mono_us) = self.members[member].clock.at(now_us);
        let Some(process) = self.process_of(member, incarnation) else { return };
        if process.turn_us != Some(now_us) {
            return;
        }
        process.turn_us = None;
        if paused_us > now_us {
            return self.wake(member, paused_us - now_us);
        }
        process.server.set_clock(wall, mono_us);
        let mut outgoing = Vec::new();
        let member_state = &mut self.members[member];
        let process = member_state.process.as_mut().expect("it runs");
        let turn = process.turn(&mut member_state.link, &member_state.record, &mut outgoing);
        self.check_applied(member);
        if turn.is_err() {
            let sent = self.streams.crash.below(outgoing.len() + 1);
            outgoing.truncate(sent);
        }
        self.send_from_member(member, &outgoing);
        self.send_from_server(member);
        match turn {
            Ok(()) => self.after_turn(member),
            Err(Ended::AtStep) => self.crash(member, Crash::Power),
            Err(Ended::Disk) => self.crash_of_disk(member),
        }
    }

    /// What a turn has begun comes to an end later.
    fn after_turn(&mut self, member: MemberId) {
        self.take_ends(member);
        self.schedule_disk(member);
        let Some(process) = &mut self.members[member].process else { return };
        if process.leader().can_connect() && !process.is_dialling {
            self.dial_later(member);
        }
        let process = self.members[member].process.as_mut().expect("it runs");
        let wait_us = process.server.node_ref().wait_us();
        let has_bytes = process.leader().wants_bytes();
        let has_work = process.has_work();
        let arrived = self.members[member].link.as_ref().is_some_and(|it| !it.arrived.is_empty());
        let delay_us = match has_work || (has_bytes && arrived) {
            true => 1 + self.streams.network.micros(WAKE_US),
            false => self.members[member].clock.true_us(wait_us.max(100)),
        };
        self.wake(member, delay_us);
    }

    /// A member has given links up. An honest leader is left for few reasons.
    fn take_ends(&mut self, member: MemberId) {
        let process = self.members[member].process.as_mut().expect("it runs");
        let ends = std::mem::take(&mut process.ends);
        if ends.is_empty() {
            return;
        }
        let faults = &self.swarm.faults;
        let (is_full, can_lag) = (faults.disk_full > 0, self.swarm.lags > 0);
        let has_bad_disk = faults.disk_error > 0 || is_full;
        for end in ends {
            self.met.ends.push(end);
            let is_usual = match end {
                FollowEnd::Disconnected => true,
                FollowEnd::Link(LinkEnd::OtherHistory { .. } | LinkEnd::CutTooFar(_)) => true,
                FollowEnd::Link(LinkEnd::NotInstalled) => has_bad_disk,
                FollowEnd::Link(LinkEnd::LeaderBehind { .. }) => can_lag,
                FollowEnd::NoState(_) => true,
                FollowEnd::Full => is_full,
                FollowEnd::Link(_) | FollowEnd::Fault(_) | FollowEnd::Diverged(_) => false,
            };
            assert!(is_usual || !self.is_honest, "an honest leader is left: {end}");
            assert!(!end.is_fatal() || !self.is_honest, "{end}");
        }
        if !self.members[member].process.as_mut().expect("it runs").leader().is_connected() {
            self.members[member].link = None;
            self.ensemble.disconnect(member, &[]);
        }
    }

    /// The ends of what the disk and the thread for states were given.
    fn schedule_disk(&mut self, member: MemberId) {
        let now_us = self.schedule.now_us();
        let (incarnation, stalled_us) =
            (self.members[member].incarnation, self.members[member].stalled_us);
        let Some(process) = &mut self.members[member].process else { return };
        if process.log().take_begun() {
            let done_us = now_us + 20 + self.streams.disk.micros(self.swarm.flush_us);
            self.schedule.at(done_us.max(stalled_us), Event::LogDone(member, incarnation));
        }
        if process.states.take_begun() {
            let done_us = now_us + 100 + self.streams.disk.micros(self.swarm.flush_us * 4);
            self.schedule.at(done_us.max(stalled_us), Event::StateDone(member, incarnation));
        }
    }

    pub(super) fn on_log_done(&mut self, member: MemberId, incarnation: Incarnation) {
        let Some(process) = self.process_of(member, incarnation) else { return };
        process.log().complete();
        let has_failed = process.log().failed().is_some();
        self.after_disk(member, has_failed);
    }

    pub(super) fn on_state_done(&mut self, member: MemberId, incarnation: Incarnation) {
        let Some(process) = self.process_of(member, incarnation) else { return };
        process.states.complete();
        let has_failed = process.states.has_failed();
        self.after_disk(member, has_failed);
    }

    fn after_disk(&mut self, member: MemberId, has_failed: bool) {
        if has_failed {
            return self.crash_of_disk(member);
        }
        self.schedule_disk(member);
        let delay_us = 1 + self.streams.disk.micros(WAKE_US);
        self.wake(member, delay_us);
    }

    pub(super) fn on_background(&mut self, member: MemberId, incarnation: Incarnation) {
        let (kind, keep) = match self.streams.disk.below(4) {
            0 => (Some(SnapshotKind::Regular), 1 + self.streams.disk.below(3)),
            1 => (Some(SnapshotKind::Early), 0),
            _ => (None, 0),
        };
        let delay_us = 1 + self.streams.disk.micros(self.swarm.snapshot_us);
        let Some(process) = self.process_of(member, incarnation) else { return };
        process.idle();
        let goes_on = kind.is_none_or(|kind| process.snapshot(kind, keep));
        if !goes_on || process.log().failed().is_some() {
            return self.crash_of_disk(member);
        }
        self.met.snapshots += usize::from(kind.is_some());
        self.schedule.after(delay_us, Event::Background(member, incarnation));
    }

    fn check_applied(&mut self, member: MemberId) {
        let process = self.members[member].process.as_mut().expect("it runs");
        let is_served = process.leader().state() == ZabState::Broadcast
            && process.server.db().commit_status()
                == ringkeeper_engine::database::CommitStatus::Committed;
        let history = &process.server.history;
        process.compared.compare(history, &self.ensemble.truth, is_served);
        if is_served {
            check_digest(history, &self.ensemble.truth_digests, &process.server.db());
        }
    }

    /// The disk has failed, or the power of the machine.
    fn crash_of_disk(&mut self, member: MemberId) {
        use ringkeeper_engine::device::Directory;
        let is_dead = self.members[member].disk.list().is_err();
        self.crash(member, if is_dead { Crash::Power } else { Crash::Process });
    }

    /// The process ends.
    pub(crate) fn crash(&mut self, member: MemberId, crash: Crash) {
        self.met.crashes += 1;
        if let Some(link) = self.members[member].link.take() {
            let mut to_leader = link.to_leader;
            let bytes = to_leader.reset(0, self.schedule.now_us());
            let got = self.streams.crash.below(bytes.len() + 1);
            if link.is_open {
                self.ensemble.disconnect(member, &bytes[..got]);
            }
        } else {
            self.ensemble.disconnect(member, &[]);
        }
        self.drop_connections_of(member);
        let process = self.members[member].process.take().expect("it runs");
        self.add_met(&process);
        drop(process);
        match crash {
            Crash::Process => self.members[member].disk.process_death(),
            Crash::Power => {
                self.met.power_losses += 1;
                self.lose_power(member);
            }
        }
        self.start_later(member);
    }

    fn lose_power(&mut self, member: MemberId) {
        let chance = &mut self.streams.disk;
        let survives = *chance.pick(&[0, 50, 90, 100]);
        self.members[member].disk.power_loss(|_| chance.percent(survives));
    }

    /// What a process has met counts for the whole.
    pub(super) fn add_met(&mut self, process: &Process) {
        let (all, met) = (&mut self.met.links, process.met);
        all.installs += met.installs;
        all.ahead += met.ahead;
        all.diverged += met.diverged;
        all.faults += met.faults;
        all.refused_links += met.refused_links;
        all.holes += met.holes;
        all.too_far += met.too_far;
        all.not_installed += met.not_installed;
        all.full += met.full;
        all.activated += met.activated;
        all.behind += met.behind;
        all.withheld += met.withheld;
        self.met.reloads += process.states.reloads;
    }
}
