//! One member: its disk, which outlives its process, and the process, which runs the product's
//! node, shards, log and recovery.

mod background;
mod process;

use std::cell::RefCell;
use std::rc::Rc;

use ringkeeper_engine::Now;
use ringkeeper_engine::device::{Membership, MemoryDisk};
use ringkeeper_engine::log::{Dirs, OpenError, OpenSettings, Opened, Settings, open};
use ringkeeper_engine::tree::Digest;
use ringkeeper_replication::learner::{FollowLimits, FollowedLeader, LearnerKind, LearnerPosition};

pub(crate) use self::background::{take_snapshot, write_state};
pub(crate) use self::process::{Arrival, Ended, Met, Process};
use super::check::applied::Compared;
use super::check::promises::SentPackets;
use super::check::recovery::MemberRecord;
use super::clock::MemberClock;
use super::device_log::DeviceLog;
use super::net::Stream;
use super::recorded_leader::RecordedLeader;
use super::server::{HASH_SEED, Server, ServerSettings};
use super::states::{DeviceStates, StateDisk};

/// Which member, counted from 0. Its number in the ensemble is one more.
pub(crate) type MemberId = usize;
/// Counts the processes of a member: what was under way for one means nothing to the next.
pub(crate) type Incarnation = u64;

/// A member's end of its connection to the leader, and what is under way on it.
pub(crate) struct MemberLink {
    pub(crate) to_leader: Stream,
    pub(crate) to_member: Stream,
    /// What has arrived and is not read: the socket's buffer.
    pub(crate) arrived: Vec<u8>,
    /// The leader's end is there.
    pub(crate) is_open: bool,
    pub(crate) sent: SentPackets,
}

/// One member of the ensemble.
pub(crate) struct Member {
    pub(crate) id: MemberId,
    pub(crate) kind: LearnerKind,
    pub(crate) disk: MemoryDisk,
    pub(crate) clock: MemberClock,
    pub(crate) record: Rc<RefCell<MemberRecord>>,
    pub(crate) process: Option<Process>,
    pub(crate) incarnation: Incarnation,
    pub(crate) link: Option<MemberLink>,
    /// The process does nothing before this.
    pub(crate) paused_us: u64,
    /// The disk does nothing before this.
    pub(crate) stalled_us: u64,
    /// The disk has no space for more than it holds.
    pub(crate) is_full: bool,
    /// Something on the disk has changed by itself.
    pub(crate) is_rotten: bool,
    settings: ServerSettings,
    hold_ms: i64,
    limits: FollowLimits,
}

/// How a member works.
#[derive(Clone)]
pub(crate) struct MemberSettings {
    pub(crate) kind: LearnerKind,
    pub(crate) server: ServerSettings,
    pub(crate) hold_ms: i64,
    pub(crate) event_bytes_max: usize,
}

impl Member {
    /// A member that was never started.
    pub(crate) fn new(id: MemberId, settings: MemberSettings) -> Member {
        let MemberSettings { kind, server, hold_ms, event_bytes_max } = settings;
        let number = u8::try_from(id + 1).expect("there are few members");
        Member {
            id,
            kind,
            disk: MemoryDisk::new(u64::from(number)),
            clock: MemberClock::new(),
            record: Rc::default(),
            process: None,
            incarnation: 0,
            link: None,
            paused_us: 0,
            stalled_us: 0,
            is_full: false,
            is_rotten: false,
            settings: ServerSettings { id: number, tick_ms: 50, ..server },
            hold_ms,
            limits: FollowLimits { event_bytes_max, ..FollowLimits::default() },
        }
    }

    /// Starts a process on what the disk has, and compares that with what must be there.
    pub(crate) fn start(&mut self, now_us: u64) -> Result<(), OpenError> {
        assert!(self.process.is_none(), "it runs");
        let number = u64::from(self.settings.id);
        let Opened { identity, epochs, recovered, db } =
            open(&dirs(&self.disk), &open_settings(Membership::Member(number)), |_| ())?;
        let last = recovered.last;
        let diverged = identity.diverged;
        self.record.borrow_mut().recovered_ensemble(identity.ensemble);
        self.record.borrow_mut().recovered((last, diverged), &db, (identity.epochs, epochs));
        self.incarnation += 1;
        let position = LearnerPosition::at_start(last, &identity);
        self.record.borrow().promises.begins_with(position.saved);
        let leader = FollowedLeader::new(position, self.limits);
        let leader = RecordedLeader::new(leader, self.record.clone());
        let history = self.record.borrow().txns_until(db.applied());
        let compared = Compared::with_unknown(history.len());
        let (wall, mono_us) = self.clock.at(now_us);
        let now = Now { wall, mono: ringkeeper_engine::Millis((mono_us / 1_000) as i64) };
        let record = self.record.clone();
        let (log, preparer) = (recovered.log, recovered.preparer);
        let settings = (self.settings.clone(), self.hold_ms);
        let server = Server::member((db, history), settings, leader, now, |_| {
            DeviceLog::new(log, preparer, record)
        });
        let (purger, directory) = (recovered.purger, identity.directory);
        let gauge = server.node_ref().world().log.gauge();
        let states = DeviceStates::new(StateDisk { disk: self.disk.clone(), directory, gauge });
        let seen = (compared, self.record.borrow().installs());
        let process = Process::new(server, states, seen, (purger, directory, self.disk.clone()));
        self.process = Some(process);
        Ok(())
    }

    /// The disk is replaced by an empty one.
    pub(crate) fn wipe(&mut self) {
        assert!(self.process.is_none(), "it runs");
        self.disk = MemoryDisk::new(self.incarnation * 256 + self.id as u64);
        self.record = Rc::default();
        (self.is_full, self.is_rotten) = (false, false);
    }

    /// Bytes on the disk.
    pub(crate) fn used_bytes(&self) -> u64 {
        let names = self.disk.names();
        let bytes = |name: &String| self.disk.contents(name).map_or(0, |bytes| bytes.len() as u64);
        names.iter().map(bytes).sum()
    }
}

fn dirs(disk: &MemoryDisk) -> Dirs<MemoryDisk> {
    Dirs { snapshots: disk.clone(), log: disk.clone() }
}

fn open_settings(membership: Membership) -> OpenSettings {
    OpenSettings {
        membership,
        autocreate: true,
        digest: Digest::Kept,
        seed: HASH_SEED,
        log: Settings { segment_bytes: 20 << 10, spares_max: 2, ..Settings::default() },
    }
}
