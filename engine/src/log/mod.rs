//! The log: what makes a write survive.
//!
//! Segments of a fixed size (`log.<first zxid>`), allocated and zeroed ahead of use, hold records
//! (see [`record`]) in the order of their zxids. One flush is under way at a time, and that is
//! what recovery builds on: a record of a group proves that the group before it was durable. So
//! behind the first bad record there may be the rest of its own group (the flush that the crash
//! cut short, never acknowledged: it is cut off), but nothing later; anything later means that
//! acknowledged writes were damaged, and the server refuses to start.
//!
//! Every error of the disk is final: after a failed sync it is unknown what the disk holds, and a
//! second sync may report success falsely. The process stops and recovers from the disk.

pub mod header;
pub mod layout;
pub mod record;
pub mod scan;

mod chunk_txn;
mod command;
mod cut;
mod feed;
mod feeds;
pub mod gathering;
mod gauge;
mod group;
mod high_water;
mod inspect;
mod install;
mod note;
mod open;
mod portion;
mod prepare;
mod purge;
mod queue;
mod read_ahead;
mod recover;
mod refusal;
mod reload;
mod repair;
mod survey;
mod txn_window;

pub use chunk_txn::ChunkTxn;
pub use command::{Completion, Flushed, Generation, LogCommand, LogEvent};
pub use feed::{Feed, FeedError};
pub use feeds::PurgeHold;
pub use gauge::{Gauge, LogCapacity, Stats};
pub use group::Group;
pub use inspect::{Each, read_log};
pub use note::Note;
pub use open::{INITIALIZE, OpenError, OpenSettings, Opened, look, look_before_the_log, open};
pub use portion::{Portion, PortionLimit};
pub use prepare::{Preparer, Step};
pub use purge::{Purged, Purger};
pub use queue::{Flush, FlushQueue, Idle, Joined, Task};
pub use recover::{Recovered, recover};
pub use refusal::{BadSnapshots, Proof, Refusal};
pub use reload::{reload, reload_unless};
pub use repair::{Repaired, repair_plan, repair_truncate};
pub use txn_window::{Coverage, TxnChunk, TxnWindow, WindowLimit};

use self::gauge::Shared;
use self::header::Header;
use self::high_water::{HighWater, Waypoint};
use crate::Zxid;
pub use crate::snapshot::Replay;

use crate::device::{
    BLOCK_BYTES, Directory, DiskError, Durability, EnsembleIdentity, Epochs, Identity, Segment,
};

/// Zeros written at once when the end of a segment is cut off.
const CUT_BYTES: usize = 1 << 20;

/// Sizes of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Bytes of a segment (`preAllocSize`), within 16 KiB and 2 GiB.
    pub segment_bytes: u64,
    /// Segments prepared ahead of use. They are also the reserve for a full disk: what they hold is
    /// allocated, and is exactly what the log will need next.
    pub ahead: usize,
    /// Spent segments kept for reuse, beyond which they are removed.
    pub spares_max: usize,
    /// Bytes at the end of a full log that are kept for closing sessions.
    pub margin_bytes: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { segment_bytes: 64 << 20, ahead: 1, spares_max: 4, margin_bytes: 2 << 20 }
    }
}

impl Settings {
    /// The size of a segment that is used: whole blocks, and small enough for 32-bit offsets.
    pub(crate) fn capacity(&self) -> u64 {
        self.segment_bytes.clamp(16 << 10, 2 << 30).next_multiple_of(BLOCK_BYTES as u64)
    }
}

/// Where log and snapshots live: one directory, or two on different disks.
#[derive(Clone, Debug)]
pub struct Dirs<D> {
    /// Snapshots and the identity (`dataDir`).
    pub snapshots: D,
    /// The log (`dataLogDir`).
    pub log: D,
}

/// Why the process has to stop: the log cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// The disk failed.
    #[error(
        "the log cannot be written: {0}. The server stops, because nobody knows what the disk \
         holds after a failed write; what it acknowledged is recovered at the next start"
    )]
    Disk(#[from] DiskError),
    /// No space for the next segment. [`LogCapacity`] exists so that this does not happen.
    #[error(
        "there is no space for the next segment of the log: {0}. The server stops; what it \
         acknowledged is safe. Make some space and start it again"
    )]
    Full(DiskError),
    /// A leader wants something undone that is known to be committed.
    #[error(
        "the ensemble has lost what it acknowledged: its leader's history ends with {after}, but \
         {committed} is committed here. The server stops, with nothing changed; stop all members \
         and find the one whose log has it"
    )]
    Committed {
        /// Where the leader's history ends.
        after: Zxid,
        /// What was committed.
        committed: Zxid,
    },
    /// What is in the directories does not allow it. Nothing was changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// An earlier flush failed, and this one was tried nevertheless.
    #[error("the log has failed before and takes no more")]
    Failed,
}

/// The end of the log, owned by the thread that flushes, and the identity of the directory, which
/// nothing else changes once the log is open.
pub struct Log<D: Directory> {
    dirs: Dirs<D>,
    identity: Identity,
    active: Active<D::Segment>,
    /// The newest durable zxid, and the checksum of its record.
    last: Zxid,
    chain: u32,
    gauge: Gauge,
    failed: bool,
}

/// The segment that takes flushes.
#[derive(Debug)]
struct Active<S> {
    segment: S,
    header: Header,
    end: u64,
    /// What the second block says.
    high_water: HighWater,
    /// Whether something behind the last group proves that it was durable.
    sealed: bool,
}

impl<D: Directory> Log<D> {
    /// Makes a group durable and empties it. `Ok` means that everything up to the zxid returned
    /// will survive whatever happens; an error means that the process must stop.
    pub fn flush(&mut self, group: &mut Group) -> Result<Zxid, Fatal> {
        if self.failed {
            return Err(Fatal::Failed);
        }
        if let Some(first) = group.first {
            assert!(first.may_follow(self.last), "{first} was ordered behind {}", self.last);
            self.failed = true;
            self.write(group)?;
            self.failed = false;
        }
        assert!(group.last().is_none_or(|last| last == self.last), "all of the group is durable");
        group.clear();
        Ok(self.last)
    }

    /// Writes, where there is no next group to do it, what proves that the last one was durable:
    /// damage to it is then found, where otherwise it would be taken for a flush that was cut
    /// short. A segment without space for the record notes it in its second block only. To be
    /// called when there has been nothing to flush for a while, and at the end; costs two syncs
    /// after each flush that it seals, and nothing after that.
    pub fn seal(&mut self) -> Result<(), Fatal> {
        if self.failed {
            return Err(Fatal::Failed);
        }
        if !self.active.sealed {
            self.failed = true;
            self.active.note_seal(self.last, self.chain)?;
            if self.left() >= record::HEADER_BYTES as u64 {
                self.write_part(&mut [0; record::HEADER_BYTES])?;
            }
            self.active.segment.sync()?;
            self.active.sealed = true;
            self.gauge.shared.set_left(self.left());
            self.failed = false;
        }
        Ok(())
    }

    /// Whether damage to the last group would be found.
    pub fn is_sealed(&self) -> bool {
        self.active.sealed
    }

    /// Makes the epochs durable. A history must be durable before an epoch that says so.
    pub fn save_epochs(&mut self, epochs: Epochs) -> Result<(), Fatal> {
        let before = self.identity.epochs;
        let grows = epochs.promised >= before.promised && epochs.current >= before.current;
        assert!(grows && epochs.current <= epochs.promised, "{epochs:?} behind {before:?}");
        self.note(|identity| identity.epochs = epochs)
    }

    /// Notes durably that the state is another one than the leader's from this transaction on. A
    /// start offers nothing of it then; [`Log::install`] erases the note.
    pub fn mark_diverged(&mut self, zxid: Zxid) -> Result<(), Fatal> {
        self.note(|identity| identity.diverged = Some(zxid))
    }

    /// Notes durably which ensemble the directory belongs to.
    pub fn adopt(&mut self, ensemble: EnsembleIdentity) -> Result<(), Fatal> {
        self.note(|identity| identity.adopt(ensemble))
    }

    /// Notes durably up to where the history is the server's own: see [`Identity::alone`].
    pub(super) fn mark_alone(&mut self, end: Option<Zxid>) -> Result<(), Fatal> {
        self.note(|identity| identity.alone = end)
    }

    fn note(&mut self, change: impl FnOnce(&mut Identity)) -> Result<(), Fatal> {
        if self.failed {
            return Err(Fatal::Failed);
        }
        self.failed = true;
        change(&mut self.identity);
        self.identity.save(&self.dirs.snapshots)?;
        self.failed = false;
        Ok(())
    }

    /// What is left of the log; the same for all clones of [`Log::gauge`].
    pub fn capacity(&self) -> LogCapacity {
        self.gauge.capacity()
    }

    /// Counters and the duration of the last flush.
    pub fn stats(&self) -> Stats {
        self.gauge.stats()
    }

    /// Room and counters for other threads.
    pub fn gauge(&self) -> Gauge {
        self.gauge.clone()
    }

    /// The newest durable zxid.
    pub fn last(&self) -> Zxid {
        self.last
    }

    /// A group that does not fit into the segment is written as two: the first is durable before
    /// the second is begun, so that recovery sees two groups.
    fn write(&mut self, group: &mut Group) -> Result<(), Fatal> {
        let mut rest = &mut group.buffer[..];
        let mut micros = 0;
        let mut records = 0;
        while !rest.is_empty() {
            let left = self.active.segment.capacity() - self.active.end;
            let room = usize::try_from(left).unwrap_or(usize::MAX);
            let (bytes, count, last) = record::fitting(rest, room);
            let Some(last) = last else {
                let (first, need) = record::first(rest);
                self.switch(first, need as u64)?;
                continue;
            };
            let (part, behind) = rest.split_at_mut(bytes);
            micros += self.write_part(part)?;
            self.last = last;
            records += count;
            rest = behind;
        }
        self.gauge.shared.flushed(micros, group.buffer.len() as u64, records, self.left());
        Ok(())
    }

    fn write_part(&mut self, part: &mut [u8]) -> Result<u64, Fatal> {
        let active = &mut self.active;
        let start = u32::try_from(active.end).expect("segments are smaller than 4 GiB");
        let chain = record::stamp(part, start, active.header.salt, self.chain);
        let group = Waypoint { offset: start, chain: self.chain, last: self.last };
        active.raise_high_water(group, part.len() as u64)?;
        let written = active.segment.write(active.end, part)?;
        active.end += part.len() as u64;
        active.sealed = false;
        self.chain = chain;
        Ok(written.micros)
    }

    /// Goes on in the next segment, whose first record will be `first`, of `need` bytes.
    fn switch(&mut self, first: Zxid, need: u64) -> Result<(), Fatal> {
        let capacity = self
            .gauge
            .shared
            .capacity
            .max((need + layout::RECORDS_AT as u64).next_multiple_of(BLOCK_BYTES as u64));
        let header = Header {
            synced: self.dirs.log.durability() == Durability::Synced,
            capacity,
            salt: 0,
            first,
            prev: self.last,
            chain: self.chain,
            directory: self.identity.directory,
        };
        // Where flushes do not wait for the disk, a segment at least is whole before the next one.
        self.active.segment.sync()?;
        let next = Active::begin(&self.dirs.log, header, &self.gauge.shared)?;
        let mut full = std::mem::replace(&mut self.active, next);
        // Order: the next segment must be there before this one says so, and nothing may be in it
        // that could be lost with it before.
        if full.header.first != header.first {
            full.note_follower(self.last, self.chain)?;
        }
        Ok(())
    }

    fn left(&self) -> u64 {
        self.active.segment.capacity() - self.active.end
    }
}

impl<S: Segment> Active<S> {
    /// Begins a segment: takes a prepared file, writes the header, gives it its name. Each step is
    /// durable before the next, so a file that has the name has the header.
    fn begin<D>(dir: &D, mut header: Header, shared: &Shared) -> Result<Active<S>, Fatal>
    where
        D: Directory<Segment = S>,
    {
        let mut salt = [0; 8];
        dir.random(&mut salt)?;
        header.salt = u64::from_le_bytes(salt);
        let spare = match shared.ready.take() {
            Some(spare) if header.capacity == shared.capacity => spare,
            taken => {
                // A record larger than a whole segment gets a segment of its own.
                taken.into_iter().for_each(|spare| shared.ready.put(spare));
                prepare::make(dir, shared, header.capacity).map_err(full_or_failed)?
            }
        };
        let end = layout::RECORDS_AT as u64;
        let high_water = HighWater::fresh(header.capacity);
        let mut file = dir.segment(&spare, 0)?;
        file.write(0, &[header.encode(), high_water.encode(&header)].concat())?;
        file.sync()?;
        let name = header::name(header.first);
        dir.rename(&spare, &name)?;
        dir.sync_dir()?;
        let segment = dir.segment(&name, end)?;
        Ok(Active { segment, header, end, high_water, sealed: true })
    }

    /// Makes sure, durably, that the second block covers the next group, of so many bytes.
    fn raise_high_water(&mut self, group: Waypoint, bytes: u64) -> Result<(), DiskError> {
        if self.high_water.raise(group, bytes, self.header.capacity) {
            self.write_high_water()?;
        }
        Ok(())
    }

    /// Notes, durably, that everything before the seal that comes next is durable, or before the
    /// end of the segment where that has no space for it.
    fn note_seal(&mut self, last: Zxid, chain: u32) -> Result<(), DiskError> {
        if !self.header.synced {
            return Ok(());
        }
        let offset = u32::try_from(self.end).expect("segments are smaller than 4 GiB");
        self.high_water.seal(Waypoint { offset, chain, last }, self.header.capacity);
        self.write_high_water()
    }

    /// Notes, durably, that the next segment has begun.
    fn note_follower(&mut self, last: Zxid, chain: u32) -> Result<(), DiskError> {
        if !self.header.synced {
            return Ok(());
        }
        self.high_water.follow(last, chain, self.header.capacity);
        self.write_high_water()
    }

    fn write_high_water(&mut self) -> Result<(), DiskError> {
        let block = self.high_water.encode(&self.header);
        self.segment.rewrite(layout::HIGH_WATER_AT as u64, &block)
    }
}

fn full_or_failed(error: DiskError) -> Fatal {
    if error.is_full() { Fatal::Full(error) } else { Fatal::Disk(error) }
}

fn refuse(fatal: Fatal) -> Refusal {
    match fatal {
        Fatal::Disk(error) | Fatal::Full(error) => Refusal::Disk(error),
        Fatal::Refused(refusal) => refusal,
        Fatal::Committed { .. } | Fatal::Failed => unreachable!("the log has just been opened"),
    }
}

/// The checksum of everything here: CRC-32C.
fn crc(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}
