//! One member: its disk, which outlives its process, and the process.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use ringkeeper_engine::device::{
    EnsembleId, EnsembleIdentity, Identity, Membership, MemoryDisk, Standing,
};
use ringkeeper_engine::log::{
    Dirs, Group, OpenError, OpenSettings, Opened, Settings, WindowLimit, open,
};
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::tree::Digest;
use ringkeeper_engine::txn::{Txn, TxnBody};
use ringkeeper_engine::wire::peer::PeerSettings;
use ringkeeper_engine::{Millis, Now, SessionId, Zxid};
use ringkeeper_replication::election::ElectionSettings;
use ringkeeper_replication::leader::{FeedLimits, FeedSource, LeaderLimits, LeaderSettings};
use ringkeeper_replication::learner::{FollowLimits, FollowedLeader, LearnerPosition};
use ringkeeper_replication::member::{Member, MemberSettings};

use super::super::check::proposals::Proposals;
use super::super::check::recovery::MemberRecord;
use super::super::clock::MemberClock;
use super::super::device_log::DeviceLog;
use super::super::member::{Incarnation, MemberId};
use super::super::server::{HASH_SEED, Server, ServerSettings, SessionSecret};
use super::super::states::{DeviceStates, StateDisk};
use super::feeds::Feeds;
use super::observer::Observer;
use super::port::{MemberPort, Side};
use super::process::Process;
use super::swarm::Swarm;

/// The configuration as text.
const CONFIG: &[u8] = b"server.1=a:1:2\nversion=0";

/// One member of the ensemble.
pub(crate) struct Machine {
    pub(crate) id: MemberId,
    pub(crate) is_voter: bool,
    pub(crate) disk: MemoryDisk,
    pub(crate) clock: MemberClock,
    pub(crate) record: Rc<RefCell<MemberRecord>>,
    /// What was on a disk that was replaced: its acknowledgements may still be under way.
    before: Option<Rc<RefCell<MemberRecord>>>,
    pub(crate) process: Option<Process>,
    pub(crate) incarnation: Incarnation,
    /// The process does nothing before this, and the disk.
    pub(crate) paused_us: u64,
    pub(crate) stalled_us: u64,
    /// How much slower the disk is than it should be.
    pub(crate) slowness: u64,
    pub(crate) is_full: bool,
    /// Something on the disk has changed by itself.
    pub(crate) is_rotten: bool,
    /// The disk has had the history of a leader. One that never had, be it new or replaced, counts
    /// only where all voters are there, or none of them has a history.
    pub(crate) is_trusted: bool,
    /// It is not started again before everything heals.
    pub(crate) stays_down: bool,
    proposals: Rc<RefCell<Proposals>>,
    settings: ServerSettings,
    swarm: Swarm,
}

impl Machine {
    /// A member that was never started.
    pub(crate) fn new(id: MemberId, swarm: &Swarm, proposals: Rc<RefCell<Proposals>>) -> Machine {
        let number = u8::try_from(id + 1).expect("there are few members");
        Machine {
            id,
            is_voter: id < swarm.voters,
            disk: MemoryDisk::new(u64::from(number)),
            clock: MemberClock::new(),
            record: Rc::new(RefCell::new(MemberRecord::of(proposals.clone()))),
            before: None,
            process: None,
            incarnation: 0,
            paused_us: 0,
            stalled_us: 0,
            slowness: 1,
            is_full: false,
            is_rotten: false,
            is_trusted: false,
            stays_down: false,
            proposals,
            settings: ServerSettings {
                id: number,
                tick_ms: swarm.tick_ms / 2,
                shards: swarm.shards,
                apply_batch: swarm.apply_batch,
                outstanding_max: swarm.outstanding_max,
                session_ms_min: swarm.session_ms,
                epochs: swarm.epochs,
                ..ServerSettings::default()
            },
            swarm: swarm.clone(),
        }
    }

    /// Its number in the ensemble.
    pub(crate) fn server(&self) -> ServerId {
        ServerId(self.settings.id)
    }

    /// Its monotonic clock.
    pub(crate) fn mono(&self, now_us: u64) -> Millis {
        Millis(i64::try_from(self.clock.at(now_us).1 / 1_000).expect("simulations are short"))
    }

    /// Whether a transaction is, or was, on its disk.
    pub(crate) fn holds(&self, zxid: Zxid) -> bool {
        let before = self.before.as_ref();
        self.record.borrow().holds(zxid) || before.is_some_and(|it| it.borrow().holds(zxid))
    }

    /// Starts a process on what the disk has, and compares that with what must be there.
    pub(crate) fn start(&mut self, now_us: u64) -> Result<(), OpenError> {
        assert!(self.process.is_none(), "it runs");
        let Opened { identity, epochs, recovered, db } =
            open(&dirs(&self.disk), &self.open_settings(), |_| ())?;
        let last = recovered.last;
        let found = (last, identity.diverged);
        self.record.borrow_mut().recovered_ensemble(identity.ensemble);
        self.record.borrow_mut().recovered(found, &db, (identity.epochs, epochs));
        self.record.borrow_mut().history_ends(Zxid::ZERO);
        self.incarnation += 1;
        let position = LearnerPosition::at_start(last, &identity);
        self.record.borrow().promises.begins_with(position.saved);
        let (wall, mono_us) = self.clock.at(now_us);
        let now = Now { wall, mono: Millis((mono_us / 1_000) as i64) };
        self.settings.secret =
            identity.ensemble.map_or(SessionSecret::Unknown, SessionSecret::Ensemble);
        let proposed = identity.propose_ensemble(&self.disk, Millis(0))?;
        let side = self.side(position, proposed, now.mono);
        let port = MemberPort::new(side, self.record.clone(), self.proposals.clone(), now.mono);
        let history = self.record.borrow().txns_until(db.applied());
        let record = self.record.clone();
        let (log, preparer) = (recovered.log, recovered.preparer);
        let settings = (self.settings.clone(), self.swarm.hold_ms);
        let mut server = Server::member((db, history), settings, port, now, |_| {
            DeviceLog::new(log, preparer, record)
        });
        server.node().world_mut().observer.proposals = Some(self.proposals.clone());
        let (directory, disk) = (identity.directory, self.disk.clone());
        let gauge = server.node_ref().world().log.gauge();
        let feeds = Feeds::new(FeedSource {
            dirs: dirs(&disk),
            directory,
            gauge: gauge.clone(),
            seed: HASH_SEED,
            limits: FeedLimits { piece_bytes: self.swarm.piece_bytes, ..FeedLimits::default() },
        });
        let states = DeviceStates::new(StateDisk { disk: disk.clone(), directory, gauge });
        let disk = (recovered.purger, directory, disk);
        let process = Process::new(server, (states, feeds), self.record.clone(), disk);
        self.process = Some(process);
        Ok(())
    }

    fn side(&self, position: LearnerPosition, proposed: EnsembleIdentity, now: Millis) -> Side {
        let swarm = &self.swarm;
        let follow =
            FollowLimits { event_bytes_max: swarm.event_bytes_max, ..FollowLimits::default() };
        let number = |id: usize| ServerId(u8::try_from(id + 1).expect("there are few members"));
        let voters: BTreeSet<ServerId> = (0..swarm.voters).map(number).collect();
        if !self.is_voter {
            let followed = (FollowedLeader::new(position, follow), now);
            let (voters, limits) = (voters.into_iter().collect(), (swarm.init_ms, swarm.sync_ms));
            let observer = Observer::new(self.server(), voters, CONFIG.into(), followed, limits);
            return Side::Observer(Box::new(observer));
        }
        let all = swarm.voters + swarm.observers;
        let limits = LeaderLimits {
            window: WindowLimit { bytes: 1 << 20, records: swarm.window_records },
            link_bytes_max: swarm.link_bytes_max,
            uncommitted_bytes_max: swarm.uncommitted_bytes_max,
            ..LeaderLimits::default()
        };
        let leader = LeaderSettings {
            server: self.server(),
            voters,
            observers: (swarm.voters..all).map(number).collect(),
            config: CONFIG.into(),
            config_version: 0,
            tick_ms: swarm.tick_ms,
            init_ms: swarm.init_ms,
            sync_ms: swarm.sync_ms,
            limits,
            common: PeerSettings::default(),
            proposed,
        };
        let election = ElectionSettings::default();
        let settings = MemberSettings { leader, follow, dial_ms: 2_000, election };
        Side::Voter(Box::new(Member::new(settings, position, now)))
    }

    /// The disk is replaced by an empty one.
    pub(crate) fn wipe(&mut self) {
        assert!(self.process.is_none(), "it runs");
        self.disk = MemoryDisk::new(self.incarnation * 256 + self.id as u64);
        let record = Rc::new(RefCell::new(MemberRecord::of(self.proposals.clone())));
        self.before = Some(std::mem::replace(&mut self.record, record));
        (self.is_full, self.is_rotten, self.is_trusted) = (false, false, false);
    }

    /// The directory becomes one of another ensemble. It does not run.
    pub(crate) fn make_stranger(&mut self) {
        assert!(self.process.is_none(), "it runs");
        let mut identity = Identity::read(&self.disk).expect("it is whole").expect("it is there");
        let (id, standing) = (EnsembleId([0xee; 16]), Standing::Confirmed);
        let (secret, java_before) = ([0xee; 32], Millis(0));
        let ensemble = EnsembleIdentity { id, secret, java_before, standing };
        identity.adopt(ensemble);
        identity.save(&self.disk).expect("the disk works");
        self.record.borrow_mut().make_stranger(ensemble);
    }

    /// The directory becomes one of a server on its own that has ordered so many transactions, in
    /// the seventh epoch. It was never started.
    pub(crate) fn make_alone(&mut self, txns: u32) {
        assert!(self.process.is_none() && self.incarnation == 0, "it runs, or did");
        let membership = Membership::Alone(u64::from(self.settings.id));
        let settings = OpenSettings { membership, ..self.open_settings() };
        let mut opened = open(&dirs(&self.disk), &settings, |_| ()).expect("it is empty");
        let mut group = Group::new();
        let txn = |counter: u32| Txn {
            session: SessionId(i64::from(counter)),
            cxid: 0,
            zxid: Zxid::new(7, counter),
            time: Millis(1),
            body: TxnBody::CreateSession { timeout_ms: 60_000 },
        };
        let txns: Vec<Rc<Txn>> = (1..=txns).map(txn).map(Rc::new).collect();
        txns.iter().for_each(|txn| group.push(txn));
        opened.recovered.log.flush(&mut group).expect("the disk works");
        self.record.borrow_mut().make_alone(txns);
    }

    /// Bytes on the disk.
    pub(crate) fn used_bytes(&self) -> u64 {
        let names = self.disk.names();
        let bytes = |name: &String| self.disk.contents(name).map_or(0, |bytes| bytes.len() as u64);
        names.iter().map(bytes).sum()
    }

    fn open_settings(&self) -> OpenSettings {
        OpenSettings {
            membership: Membership::Member(u64::from(self.settings.id)),
            autocreate: true,
            digest: Digest::Kept,
            seed: HASH_SEED,
            log: Settings { segment_bytes: 20 << 10, spares_max: 2, ..Settings::default() },
        }
    }
}

fn dirs(disk: &MemoryDisk) -> Dirs<MemoryDisk> {
    Dirs { snapshots: disk.clone(), log: disk.clone() }
}
