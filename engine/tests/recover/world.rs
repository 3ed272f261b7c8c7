//! A server reduced to its log: it orders, flushes, snapshots, dies, and comes back.

use ringkeeper_engine::device::{Directory, DirectoryId, DiskError, Identity, MemoryDisk};
use ringkeeper_engine::log::{
    Dirs, Group, Note, Recovered, Refusal, Replay, Settings, recover, repair_plan, repair_truncate,
};
use ringkeeper_engine::snapshot::{Meta, Start, Writer};
use ringkeeper_engine::txn::{Txn, TxnBody};
use ringkeeper_engine::{Millis, SessionId, Zxid};

pub(crate) fn settings() -> Settings {
    Settings { segment_bytes: 20 << 10, spares_max: 2, ..Settings::default() }
}

/// Small numbers from a seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) as usize % limit
    }

    pub(crate) fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// A transaction that is unlike any other one of the same zxid in another life.
pub(crate) fn txn(n: u64, life: u64) -> Txn {
    let len = (n.wrapping_mul(2_654_435_761) >> 7) % 400;
    let data = (0..len).map(|at| (at ^ n ^ life) as u8).collect();
    let body = TxnBody::SetData { path: "/a/b".into(), data: Some(data), version: n as i32 };
    Txn { session: SessionId(7), cxid: n as i32, zxid: Zxid(n), time: Millis(life as i64), body }
}

/// What a replay brings back.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) txns: Vec<Txn>,
    pub(crate) whole: bool,
}

impl Replay for State {
    fn begin(&mut self, start: Start<'_>) -> Result<(), String> {
        assert_eq!(start.sessions, [(SessionId(5), 4_000), (SessionId(-6), 30_000)]);
        assert_eq!(start.header, start.zxid.0.to_string().as_bytes());
        self.txns.clear();
        self.whole = false;
        Ok(())
    }

    fn block(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut rest = bytes;
        while let Some((len, behind)) = rest.split_first_chunk::<4>() {
            let (txn, behind) = behind
                .split_at_checked(u32::from_le_bytes(*len) as usize)
                .ok_or("a block is cut off")?;
            self.txns.push(Txn::read(txn).map_err(|error| error.to_string())?);
            rest = behind;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        self.whole = true;
        Ok(())
    }

    fn begin_empty(&mut self) {
        self.txns.clear();
        self.whole = true;
    }

    fn txn(&mut self, txn: Txn) -> Result<(), String> {
        assert!(self.whole, "the log is replayed behind a whole snapshot");
        assert_eq!(txn.zxid.0, self.txns.len() as u64 + 1);
        self.txns.push(txn);
        Ok(())
    }
}

pub(crate) fn dirs<D: Directory>(disk: &D) -> Dirs<D> {
    Dirs { snapshots: disk.clone(), log: disk.clone() }
}

/// Opens a directory and brings back what is in it.
pub(crate) fn open<D: Directory>(disk: &D) -> Result<(Recovered<D>, Vec<Txn>), Refusal> {
    let mut state = State::default();
    let mut identity = match Identity::open(disk, 3) {
        Ok(identity) => identity,
        Err(ringkeeper_engine::device::BadIdentity::Disk(error)) => return Err(error.into()),
        Err(error) => panic!("{error}"),
    };
    let recovered = recover(&dirs(disk), &mut identity, &settings(), &mut state)?;
    Ok((recovered, state.txns))
}

/// What was ordered, and how much of it was acknowledged.
#[derive(Clone, Default)]
pub(crate) struct World {
    pub(crate) ordered: Vec<Txn>,
    pub(crate) acked: usize,
    pub(crate) life: u64,
}

/// A server that runs.
pub(crate) struct Server<D: Directory> {
    pub(crate) recovered: Recovered<D>,
    disk: D,
}

impl World {
    /// Brings a server up and checks what came back.
    pub(crate) fn start<D: Directory>(&mut self, disk: &D) -> Result<Server<D>, Refusal> {
        let (recovered, txns) = open(disk)?;
        assert!(txns.len() >= self.acked, "lost: {} of {}", self.acked - txns.len(), self.acked);
        assert!(txns.len() <= self.ordered.len(), "invented: {}", txns.len());
        assert!(txns == self.ordered[..txns.len()], "what came back is not what was ordered");
        assert_eq!(recovered.last.0, txns.len() as u64);
        // What was served after a recovery must not vanish later.
        self.ordered.truncate(txns.len());
        self.acked = txns.len();
        self.life += 1;
        Ok(Server { recovered, disk: disk.clone() })
    }

    /// Flushes a group of `records` transactions.
    pub(crate) fn flush<D: Directory>(
        &mut self,
        server: &mut Server<D>,
        records: usize,
    ) -> Result<(), String> {
        let mut group = Group::new();
        for _ in 0..records {
            let txn = txn(self.ordered.len() as u64 + 1, self.life);
            group.push(&txn);
            self.ordered.push(txn);
        }
        let durable = server.recovered.log.flush(&mut group).map_err(|fatal| fatal.to_string())?;
        assert_eq!(durable.0, self.ordered.len() as u64);
        assert!(group.is_empty());
        self.acked = self.ordered.len();
        Ok(())
    }

    /// Takes a snapshot of what is durable, and purges.
    pub(crate) fn snapshot<D: Directory>(
        &self,
        server: &Server<D>,
        keep: usize,
    ) -> Result<(), String> {
        self.snapshot_only(server)?;
        let purged = server.recovered.purger.purge(keep);
        purged.map(|_| ()).map_err(|error| error.to_string())
    }

    pub(crate) fn snapshot_only<D: Directory>(&self, server: &Server<D>) -> Result<(), String> {
        let identity = Identity::open(&server.disk, 3).map_err(|error| error.to_string())?;
        let write = || write_snapshot(self, &server.disk, identity.directory);
        write().map_err(|error| error.to_string())
    }

    /// Takes an early snapshot of what is durable.
    pub(crate) fn early_snapshot<D: Directory>(&self, server: &Server<D>) -> Result<(), String> {
        let identity = Identity::open(&server.disk, 3).map_err(|error| error.to_string())?;
        let writer = Writer::begin_early(&server.disk, identity.directory, &self.meta());
        writer.and_then(|writer| self.fill(writer)).map_err(|error| error.to_string())
    }

    pub(crate) fn meta(&self) -> Meta {
        let zxid = Zxid(self.acked as u64);
        let sessions = vec![(SessionId(5), 4_000), (SessionId(-6), 30_000)];
        Meta { zxid, sessions, header: zxid.0.to_string().into_bytes() }
    }

    /// Everything that was acknowledged.
    pub(crate) fn fill<D: Directory>(&self, mut writer: Writer<D>) -> Result<(), DiskError> {
        for txns in self.ordered[..self.acked].chunks(10) {
            let mut block = Vec::new();
            for txn in txns {
                let start = block.len();
                block.extend_from_slice(&[0; 4]);
                txn.write(&mut block);
                let len = (block.len() - start - 4) as u32;
                block[start..start + 4].copy_from_slice(&len.to_le_bytes());
            }
            writer.block(&block)?;
        }
        writer.finish().map(|_| ())
    }
}

/// Writes a snapshot of everything that was acknowledged.
pub(crate) fn write_snapshot<D: Directory>(
    world: &World,
    disk: &D,
    directory: DirectoryId,
) -> Result<(), DiskError> {
    world.fill(Writer::begin(disk, directory, &world.meta())?)
}

/// Makes a segment forget what it notes of its records: a whole block without waypoints.
pub(crate) fn forget_notes(bytes: &mut [u8]) {
    let capacity = u32::try_from(bytes.len()).unwrap();
    let block = &mut bytes[4_096..8_192];
    block[16..20].copy_from_slice(&capacity.to_le_bytes());
    block[20..].fill(0);
    let sum = crc_fast::crc32_iscsi(&block[..24]);
    block[24..28].copy_from_slice(&sum.to_le_bytes());
}

/// A history with everything in it: groups of many sizes, several segments, snapshots, purges,
/// recycled segments, seals. Ends early where the device does.
pub(crate) fn live(world: &mut World, disk: &MemoryDisk, rounds: usize) -> Result<(), String> {
    let mut server = world.start(disk).map_err(|refusal| refusal.to_string())?;
    for round in 0..rounds {
        world.flush(&mut server, [1, 4, 1, 9, 2, 30][round % 6])?;
        if round % 2 == 0 {
            server.recovered.preparer.step().map_err(|fatal| fatal.to_string())?;
        }
        if round % 7 == 6 {
            // A server goes on when a snapshot fails; a process that died does not get here again.
            let _ = world.snapshot(&server, 2);
        }
        if round % 7 == 2 {
            let _ = world.early_snapshot(&server);
        }
        if round % 5 == 4 {
            server.recovered.log.seal().map_err(|fatal| fatal.to_string())?;
        }
    }
    Ok(())
}

/// Checks that a directory comes back, goes on, and comes back again, also without power.
pub(crate) fn goes_on(world: &World, disk: &MemoryDisk) -> Vec<Note> {
    let mut world = world.clone();
    let mut server = world.start(disk).unwrap_or_else(|refusal| panic!("{refusal}"));
    let notes = server.recovered.notes.clone();
    for records in [1, 5, 2] {
        world.flush(&mut server, records).unwrap();
    }
    disk.power_loss(|_| false);
    let server = world.start(disk).unwrap_or_else(|refusal| panic!("{refusal}"));
    assert!(server.recovered.notes.is_empty(), "{:?}", server.recovered.notes);
    notes
}

/// Repairs a directory and checks that it starts then; returns what is left.
pub(crate) fn repaired(disk: &MemoryDisk) -> Vec<Txn> {
    let identity = Identity::open(disk, 3).unwrap();
    let plan = repair_plan(&dirs(disk), &identity).unwrap();
    let repaired = repair_truncate(&dirs(disk), &identity, &settings()).unwrap();
    assert_eq!((plan.last, &plan.trouble), (repaired.last, &repaired.trouble));
    assert_eq!(plan.aside.len(), repaired.aside.len(), "{:?} {:?}", plan.aside, repaired.aside);
    assert!(repaired.trouble.is_some() && !repaired.aside.is_empty());
    let (recovered, txns) = open(disk).unwrap_or_else(|refusal| panic!("{refusal}"));
    assert_eq!(recovered.last, repaired.last);
    txns
}
