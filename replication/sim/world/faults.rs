//! What fails.

use ringkeeper_engine::device::{Directory, Fault as DiskFault};

use super::super::leader::Wrong;
use super::super::member::MemberId;
use super::super::rot::rot;
use super::super::schedule::Event;
use super::World;
use super::members::Crash;

/// One kind of failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    LoseLink,
    ChangeLeader,
    Clog,
    ProcessDeath,
    PowerLoss,
    CrashAt,
    Pause,
    Clock,
    DiskError,
    DiskFull,
    Stall,
    Rot,
    Wipe,
    Wrong,
}

impl Fault {
    /// All, in the order of [`super::super::swarm::FaultWeights::all`], with their names.
    pub(crate) const ALL: [(Fault, &'static str); 14] = [
        (Fault::LoseLink, "lose_link"),
        (Fault::ChangeLeader, "change_leader"),
        (Fault::Clog, "clog"),
        (Fault::ProcessDeath, "process_death"),
        (Fault::PowerLoss, "power_loss"),
        (Fault::CrashAt, "crash_at"),
        (Fault::Pause, "pause"),
        (Fault::Clock, "clock"),
        (Fault::DiskError, "disk_error"),
        (Fault::DiskFull, "disk_full"),
        (Fault::Stall, "stall"),
        (Fault::Rot, "rot"),
        (Fault::Wipe, "wipe"),
        (Fault::Wrong, "wrong"),
    ];
}

impl World {
    pub(super) fn on_fault(&mut self) {
        if self.is_healed {
            return;
        }
        let chance = &mut self.streams.crash;
        let delay_us = 1 + chance.micros(self.swarm.failure_us);
        let weights = self.swarm.faults.all();
        let mut drawn = chance.below(weights.iter().sum());
        let member = chance.below(self.members.len());
        let found = weights.iter().zip(Fault::ALL).find(|(weight, _)| {
            let is_it = drawn < **weight;
            drawn = drawn.saturating_sub(**weight);
            is_it
        });
        let (_, (fault, name)) = found.expect("something has a weight");
        *self.met.faults.entry(name).or_default() += 1;
        self.fail(fault, member);
        self.schedule.after(delay_us, Event::Fault);
    }

    /// Something fails now.
    pub(crate) fn fail(&mut self, fault: Fault, member: MemberId) {
        let now_us = self.schedule.now_us();
        let runs = self.members[member].process.is_some();
        match fault {
            Fault::LoseLink => self.lose(member),
            Fault::ChangeLeader => self.change_leader(),
            Fault::Clog => self.clog(member),
            Fault::ProcessDeath if runs => self.crash(member, Crash::Process),
            Fault::PowerLoss if runs => self.crash(member, Crash::Power),
            Fault::CrashAt if runs => self.crash_at(member),
            Fault::Pause => {
                let pause_us = self.streams.crash.micros(500_000);
                self.members[member].paused_us = now_us + pause_us;
            }
            Fault::Clock => self.turn_clock(member),
            Fault::DiskError if runs => {
                let disk = &self.members[member].disk;
                let number = disk.operations() + self.streams.disk.micros(40);
                disk.fail_at(number, DiskFault::Error(std::io::ErrorKind::Other));
            }
            Fault::DiskFull => self.fill(member),
            Fault::Stall => {
                let stall_us = self.streams.disk.micros(300_000);
                self.members[member].stalled_us = now_us + stall_us;
            }
            Fault::Rot if runs => self.rot(member),
            Fault::Wipe if runs => {
                self.crash(member, Crash::Power);
                self.members[member].wipe();
                self.met.wipes += 1;
            }
            Fault::Wrong => {
                self.ensemble.wrong = Some(*self.streams.leader.pick(&Wrong::ALL));
            }
            // It does not run.
            Fault::ProcessDeath | Fault::PowerLoss | Fault::CrashAt => {}
            Fault::DiskError | Fault::Rot | Fault::Wipe => {}
        }
    }

    /// Nothing passes in one direction for a while.
    fn clog(&mut self, member: MemberId) {
        let until_us = self.schedule.now_us() + self.streams.network.micros(400_000);
        let is_up = self.streams.network.percent(50);
        let Some(link) = &mut self.members[member].link else { return };
        if is_up {
            link.to_leader.clog(until_us);
        } else {
            link.to_member.clog(until_us);
        }
    }

    /// The process ends at a disk operation that is yet to come, or within one of its next turns.
    fn crash_at(&mut self, member: MemberId) {
        let chance = &mut self.streams.crash;
        let is_disk = chance.percent(60);
        let steps = chance.below(40);
        let disk = &self.members[member].disk;
        if is_disk {
            let number = disk.operations() + chance.micros(60);
            disk.fail_at(number, DiskFault::Crash);
        } else if let Some(process) = &mut self.members[member].process {
            process.steps_left.get_or_insert(steps);
        }
    }

    /// A start may end at any operation as well.
    pub(super) fn may_crash_while_starting(&mut self, member: MemberId) {
        if self.is_healed || self.swarm.faults.crash_at == 0 {
            return;
        }
        let chance = &mut self.streams.crash;
        if chance.percent(20) {
            let disk = &self.members[member].disk;
            disk.fail_at(disk.operations() + chance.micros(80), DiskFault::Crash);
        }
    }

    fn turn_clock(&mut self, member: MemberId) {
        let now_us = self.schedule.now_us();
        let chance = &mut self.streams.clock;
        let clock = &mut self.members[member].clock;
        if chance.percent(50) {
            clock.set_rate(*chance.pick(&[500, 900, 1_000, 1_100, 2_000]), now_us);
        } else {
            clock.jump(*chance.pick(&[-31_536_000_000, -60_000, -1, 1, 60_000, 31_536_000_000]));
        }
    }

    /// The disk takes little more than it has, for a while.
    fn fill(&mut self, member: MemberId) {
        let chance = &mut self.streams.disk;
        let (more, until_us) = (chance.micros(60 << 10), 1 + chance.micros(300_000));
        let member_state = &mut self.members[member];
        member_state.disk.set_capacity(Some(member_state.used_bytes() + more));
        member_state.is_full = true;
        self.schedule.after(until_us, Event::Space(member));
    }

    pub(super) fn on_space(&mut self, member: MemberId) {
        self.members[member].disk.set_capacity(None);
        self.members[member].is_full = false;
    }

    /// A file changes while the process is down: see [`rot`]. The log is sealed: without that, damage
    /// to its last group is taken for a flush that was cut short.
    fn rot(&mut self, member: MemberId) {
        let Some(process) = &mut self.members[member].process else { return };
        process.idle();
        let log = process.log();
        let is_sealed = log.is_still() && log.failed().is_none();
        assert!(!is_sealed || log.is_sealed(), "a log at rest is sealed");
        self.crash(member, Crash::Process);
        let disk = &self.members[member].disk;
        let can_rot = is_sealed && disk.list().is_ok();
        if can_rot && rot(disk, &mut self.streams.disk) {
            self.members[member].is_rotten = true;
        }
    }
}
