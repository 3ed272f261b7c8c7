//! What fails.

use ringkeeper_engine::device::{Directory, Fault as DiskFault};

use super::super::member::MemberId;
use super::super::rot::rot;
use super::members::Crash;
use super::world::{Event, World};

/// One kind of failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    Reset,
    CutOneWay,
    Partition,
    ProcessDeath,
    PowerLoss,
    MassDeath,
    LeaderDeath,
    CrashAt,
    Pause,
    Clock,
    DiskError,
    DiskFull,
    Stall,
    SlowDisk,
    Rot,
    Wipe,
}

impl Fault {
    /// All, in the order of [`super::swarm::FaultWeights::all`], with their names.
    pub(crate) const ALL: [(Fault, &'static str); 16] = [
        (Fault::Reset, "reset"),
        (Fault::CutOneWay, "cut_one_way"),
        (Fault::Partition, "partition"),
        (Fault::ProcessDeath, "process_death"),
        (Fault::PowerLoss, "power_loss"),
        (Fault::MassDeath, "mass_death"),
        (Fault::LeaderDeath, "leader_death"),
        (Fault::CrashAt, "crash_at"),
        (Fault::Pause, "pause"),
        (Fault::Clock, "clock"),
        (Fault::DiskError, "disk_error"),
        (Fault::DiskFull, "disk_full"),
        (Fault::Stall, "stall"),
        (Fault::SlowDisk, "slow_disk"),
        (Fault::Rot, "rot"),
        (Fault::Wipe, "wipe"),
    ];
}

impl World {
    pub(crate) fn on_fault(&mut self) {
        if self.is_healed {
            return;
        }
        let chance = &mut self.streams.crash;
        let delay_us = 1 + chance.micros(self.swarm.failure_us);
        let weights = self.swarm.faults.all();
        let mut drawn = chance.below(weights.iter().sum());
        let member = chance.below(self.machines.len());
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
        self.report_event(|| format!("{fault:?} of member {member}"));
        let now_us = self.now_us();
        let runs = self.machines[member].process.is_some();
        let other =
            (member + 1 + self.streams.crash.below(self.machines.len() - 1)) % self.machines.len();
        match fault {
            Fault::Reset => self.reset_between(member, other),
            Fault::CutOneWay => {
                let until_us = now_us + self.streams.network.micros(3_000_000);
                self.network.cut(member, other, until_us);
            }
            Fault::Partition => self.partition(member),
            Fault::ProcessDeath if runs => self.crash(member, Crash::Process),
            Fault::PowerLoss if runs => self.crash(member, Crash::Power),
            Fault::MassDeath => self.mass_death(),
            Fault::LeaderDeath => {
                if let Some(leader) = self.leading().last() {
                    let is_power = self.streams.crash.percent(50);
                    self.crash(*leader, if is_power { Crash::Power } else { Crash::Process });
                }
            }
            Fault::CrashAt if runs => self.crash_at(member),
            Fault::Pause => {
                let pause_us = *self.streams.crash.pick(&[50_000, 500_000, 3_000_000]);
                self.machines[member].paused_us = now_us + self.streams.crash.micros(pause_us);
            }
            Fault::Clock => self.turn_clock(member),
            Fault::DiskError if runs => {
                let disk = &self.machines[member].disk;
                let number = disk.operations() + self.streams.disk.micros(40);
                disk.fail_at(number, DiskFault::Error(std::io::ErrorKind::Other));
            }
            Fault::DiskFull => self.fill(member),
            Fault::Stall => {
                let stall_us = self.streams.disk.micros(1_500_000);
                self.machines[member].stalled_us = now_us + stall_us;
            }
            Fault::SlowDisk => {
                self.machines[member].slowness = *self.streams.disk.pick(&[1, 10, 100]);
            }
            Fault::Rot if runs && self.can_lose_disk(member) => self.rot(member),
            Fault::Wipe if runs && self.can_lose_disk(member) => {
                self.crash(member, Crash::Power);
                self.machines[member].wipe();
                self.met.wipes += 1;
            }
            Fault::ProcessDeath | Fault::PowerLoss | Fault::CrashAt => {}
            Fault::DiskError | Fault::Rot | Fault::Wipe => {}
        }
    }

    /// Whether those voters whose disks are what they were stay a majority without this one.
    fn can_lose_disk(&self, member: MemberId) -> bool {
        let voters = &self.machines[..self.swarm.voters];
        let trusted = voters
            .iter()
            .filter(|machine| machine.id != member && machine.is_trusted && !machine.is_rotten);
        trusted.count() > self.swarm.voters / 2
    }

    /// The members fall into two groups. In some partitions a member belongs to both; in some,
    /// only one direction is cut.
    fn partition(&mut self, member: MemberId) {
        let chance = &mut self.streams.network;
        let until_us = self.schedule.now_us() + chance.micros(4_000_000);
        let (is_one_alone, has_bridge, is_one_way) =
            (chance.percent(50), chance.percent(30), chance.percent(20));
        let count = self.machines.len();
        let bridge = chance.below(count);
        let sides: Vec<bool> = (0..count)
            .map(|id| if is_one_alone { id == member } else { chance.percent(50) })
            .collect();
        for from in 0..count {
            for to in 0..count {
                let is_bridged = has_bridge && (from == bridge || to == bridge);
                let is_cut = sides[from] != sides[to] && (!is_one_way || sides[from]);
                if is_cut && !is_bridged {
                    self.network.cut(from, to, until_us);
                }
            }
        }
    }

    /// Some members end at once.
    fn mass_death(&mut self) {
        let chance = &mut self.streams.crash;
        let (is_power, share) = (chance.percent(70), *chance.pick(&[50, 80, 100]));
        let all: Vec<MemberId> =
            (0..self.machines.len()).filter(|_| chance.percent(share)).collect();
        for member in all {
            if self.machines[member].process.is_some() {
                self.crash(member, if is_power { Crash::Power } else { Crash::Process });
            }
        }
    }

    /// The process ends at a disk operation that is yet to come, or within one of its next turns.
    fn crash_at(&mut self, member: MemberId) {
        let chance = &mut self.streams.crash;
        let is_disk = chance.percent(50);
        let steps = chance.below(60);
        let disk = &self.machines[member].disk;
        if is_disk {
            let number = disk.operations() + chance.micros(60);
            disk.fail_at(number, DiskFault::Crash);
        } else if let Some(process) = &mut self.machines[member].process {
            process.steps_left.get_or_insert(steps);
        }
    }

    /// A start may end at any operation as well.
    pub(crate) fn may_crash_while_starting(&mut self, member: MemberId) {
        if self.is_healed || self.swarm.faults.crash_at == 0 {
            return;
        }
        let chance = &mut self.streams.crash;
        if chance.percent(20) {
            let disk = &self.machines[member].disk;
            disk.fail_at(disk.operations() + chance.micros(80), DiskFault::Crash);
        }
    }

    fn turn_clock(&mut self, member: MemberId) {
        let now_us = self.now_us();
        let chance = &mut self.streams.clock;
        let clock = &mut self.machines[member].clock;
        if chance.percent(50) {
            clock.set_rate(*chance.pick(&[500, 900, 1_000, 1_100, 2_000]), now_us);
        } else {
            clock.jump(*chance.pick(&[-31_536_000_000, -60_000, -1, 1, 60_000, 31_536_000_000]));
        }
    }

    /// The disk takes little more than it has, for a while.
    fn fill(&mut self, member: MemberId) {
        let chance = &mut self.streams.disk;
        let (more, until_us) = (chance.micros(60 << 10), 1 + chance.micros(1_500_000));
        let machine = &mut self.machines[member];
        machine.disk.set_capacity(Some(machine.used_bytes() + more));
        machine.is_full = true;
        self.schedule.after(until_us, Event::Space(member));
    }

    pub(crate) fn on_space(&mut self, member: MemberId) {
        self.machines[member].disk.set_capacity(None);
        self.machines[member].is_full = false;
    }

    /// A file changes while the process is down: see [`rot`]. The log is sealed: without that, damage
    /// to its last group is taken for a flush that was cut short. A full segment cannot be.
    fn rot(&mut self, member: MemberId) {
        let Some(process) = &mut self.machines[member].process else { return };
        process.log().idle();
        let is_sealed = process.log().is_still() && process.log().is_sealed();
        self.crash(member, Crash::Process);
        let disk = &self.machines[member].disk;
        let can_rot = is_sealed && disk.list().is_ok();
        if can_rot && rot(disk, &mut self.streams.disk) {
            self.machines[member].is_rotten = true;
        }
    }
}
