//! Processes: when they run, end and start.

use ringkeeper_engine::device::Directory;
use ringkeeper_engine::snapshot::SnapshotKind;

use super::super::member::{Ended, Incarnation, MemberId};
use super::process::Process;
use super::world::{Event, World};

/// The longest time from what wakes a thread until it runs.
const WAKE_US: u64 = 200;
/// The longest time until a process is started again.
const RESTART_US: u64 = 100_000;
/// The longest time until the next piece is read for a learner.
const FEED_US: u64 = 2_000;

/// What is left of a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Crash {
    /// The process is gone; what it wrote stays as it saw it.
    Process,
    /// The power fails: of what was not synced, some survives.
    Power,
}

impl World {
    /// Lets a process run soon.
    pub(crate) fn wake(&mut self, member: MemberId, delay_us: u64) {
        let at_us = self.now_us() + delay_us;
        let incarnation = self.machines[member].incarnation;
        let Some(process) = &mut self.machines[member].process else { return };
        if process.turn_us.is_none_or(|turn_us| turn_us > at_us) {
            process.turn_us = Some(at_us);
            self.schedule.at(at_us, Event::Turn(member, incarnation));
        }
    }

    pub(crate) fn on_start(&mut self, member: MemberId) {
        let machine = &self.machines[member];
        if machine.process.is_some() || machine.stays_down {
            return;
        }
        let now_us = self.now_us();
        self.may_crash_while_starting(member);
        match self.machines[member].start(now_us) {
            Ok(()) => {
                let last = self.machines[member].record.borrow().last();
                self.report_event(|| format!("member {member} starts behind {last}"));
                let delay_us = 1 + self.streams.disk.micros(self.swarm.snapshot_us);
                let incarnation = self.machines[member].incarnation;
                self.schedule.after(delay_us, Event::Background(member, incarnation));
                self.wake(member, 1);
            }
            Err(error) => self.on_refused_start(member, &error.to_string()),
        }
    }

    /// A start fails because it is cut short, because the disk is full, or because of damage: then
    /// the operator replaces the disk.
    fn on_refused_start(&mut self, member: MemberId, error: &str) {
        self.met.refused_starts += 1;
        self.report_event(|| format!("member {member} cannot start: {error}"));
        if self.machines[member].disk.list().is_err() {
            self.met.power_losses += 1;
            self.lose_power(member);
        } else if self.machines[member].is_rotten {
            self.met.wipes += 1;
            self.machines[member].wipe();
        } else {
            assert!(self.machines[member].is_full, "a start is refused: {error}");
        }
        self.start_later(member);
    }

    pub(crate) fn start_later(&mut self, member: MemberId) {
        let delay_us = 1 + self.streams.crash.micros(RESTART_US);
        self.schedule.after(delay_us, Event::Start(member));
    }

    pub(crate) fn on_turn(&mut self, member: MemberId, incarnation: Incarnation) {
        let now_us = self.now_us();
        let machine = &self.machines[member];
        let (wall, mono_us) = machine.clock.at(now_us);
        let (mono, paused_us) = (machine.mono(now_us), machine.paused_us);
        let is_stalled = machine.stalled_us > now_us;
        let Some(process) = self.process_of((member, incarnation)) else { return };
        if process.turn_us != Some(now_us) {
            return;
        }
        process.turn_us = None;
        if paused_us > now_us {
            return self.wake(member, paused_us - now_us);
        }
        process.server.set_clock(wall, mono_us);
        if !is_stalled {
            process.states.go_on();
        }
        let turn = process.turn(mono);
        let done = std::mem::take(&mut process.done);
        self.take_reports(member);
        self.check_committed(member);
        self.execute(member, done);
        self.send_from_server(member);
        match turn {
            Ok(()) => self.after_turn(member),
            Err(Ended::AtStep) => self.crash(member, Crash::Power),
            Err(Ended::Disk) => self.crash_of_disk(member),
        }
    }

    /// What a turn has begun comes to an end later.
    fn after_turn(&mut self, member: MemberId) {
        self.schedule_disk(member);
        let process = self.machines[member].process.as_ref().expect("it runs");
        let (has_work, wait_us) = (process.has_work(), process.wait_us());
        let delay_us = match has_work {
            true => 1 + self.streams.network.micros(WAKE_US),
            false => self.machines[member].clock.true_us(wait_us.max(100)),
        };
        self.wake(member, delay_us);
    }

    /// The ends of what the disk, the thread for states and those of feeds were given.
    fn schedule_disk(&mut self, member: MemberId) {
        let now_us = self.now_us();
        let machine = &mut self.machines[member];
        let (incarnation, stalled_us) = (machine.incarnation, machine.stalled_us);
        let flush_us = self.swarm.flush_us * machine.slowness;
        let Some(process) = &mut machine.process else { return };
        if process.log().take_begun() {
            let done_us = now_us + 20 + self.streams.disk.micros(flush_us);
            self.schedule.at(done_us.max(stalled_us), Event::LogDone(member, incarnation));
        }
        if process.states.take_begun() {
            let done_us = now_us + 100 + self.streams.disk.micros(flush_us * 4);
            self.schedule.at(done_us.max(stalled_us), Event::StateDone(member, incarnation));
        }
        if process.feeds.take_begun() {
            let done_us = now_us + 20 + self.streams.disk.micros(flush_us.min(FEED_US));
            self.schedule.at(done_us.max(stalled_us), Event::FeedDone(member, incarnation));
        }
    }

    pub(crate) fn on_log_done(&mut self, member: MemberId, incarnation: Incarnation) {
        let Some(process) = self.process_of((member, incarnation)) else { return };
        process.log().complete();
        let has_failed = process.log().failed().is_some();
        self.after_disk(member, has_failed);
    }

    pub(crate) fn on_state_done(&mut self, member: MemberId, incarnation: Incarnation) {
        let Some(process) = self.process_of((member, incarnation)) else { return };
        process.states.complete();
        let has_failed = process.states.has_failed();
        self.after_disk(member, has_failed);
    }

    pub(crate) fn on_feed_done(&mut self, member: MemberId, incarnation: Incarnation) {
        let Some(process) = self.process_of((member, incarnation)) else { return };
        process.feeds.complete();
        let has_failed = process.disk.list().is_err();
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

    pub(crate) fn on_background(&mut self, member: MemberId, incarnation: Incarnation) {
        let (kind, keep) = match self.streams.disk.below(4) {
            0 => (Some(SnapshotKind::Regular), 1 + self.streams.disk.below(3)),
            1 => (Some(SnapshotKind::Early), 0),
            _ => (None, 0),
        };
        let delay_us = 1 + self.streams.disk.micros(self.swarm.snapshot_us);
        let Some(process) = self.process_of((member, incarnation)) else { return };
        process.log().idle();
        let goes_on = kind.is_none_or(|kind| process.snapshot(kind, keep));
        if !goes_on || process.log().failed().is_some() {
            return self.crash_of_disk(member);
        }
        self.met.snapshots += usize::from(kind.is_some());
        self.schedule.after(delay_us, Event::Background(member, incarnation));
    }

    /// The disk has failed, or the power of the machine.
    fn crash_of_disk(&mut self, member: MemberId) {
        let is_dead = self.machines[member].disk.list().is_err();
        self.crash(member, if is_dead { Crash::Power } else { Crash::Process });
    }

    /// The process ends.
    pub(crate) fn crash(&mut self, member: MemberId, crash: Crash) {
        self.met.crashes += 1;
        self.report_event(|| format!("member {member} ends: {crash:?}"));
        let half_open = if crash == Crash::Power { 50 } else { 0 };
        self.drop_links_of(member, half_open);
        self.drop_connections_of(member);
        let process = self.machines[member].process.take().expect("it runs");
        self.add_met(&process);
        drop(process);
        match crash {
            Crash::Process => self.machines[member].disk.process_death(),
            Crash::Power => {
                self.met.power_losses += 1;
                self.lose_power(member);
            }
        }
        self.start_later(member);
    }

    /// A leader ends as a server does that is stopped: it hands over first.
    pub(crate) fn hand_over(&mut self, member: MemberId) {
        let process = self.machines[member].process.as_mut().expect("it runs");
        process.leave();
        self.wake(member, 1);
        let leads = |world: &World| world.leading().contains(&member);
        assert!(self.run_while(1_000_000, leads), "{}", self.what_moves());
        self.crash(member, Crash::Process);
    }

    fn lose_power(&mut self, member: MemberId) {
        let chance = &mut self.streams.disk;
        let survives = *chance.pick(&[0, 50, 90, 100]);
        self.machines[member].disk.power_loss(|_| chance.percent(survives));
    }

    /// What a process has met counts for the whole.
    pub(crate) fn add_met(&mut self, process: &Process) {
        let plans = process.feeds.plans;
        self.met.plans.iter_mut().zip(plans).for_each(|(all, plan)| *all += plan);
        self.met.expired += process.port_ref().expired;
        self.met.reloads += process.states.reloads;
    }
}
