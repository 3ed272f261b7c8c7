//! Snapshots: the whole state at one zxid, so that the log before it can go.
//!
//! A snapshot is written beside the others under a temporary name, synced, renamed, and its
//! directory synced; only then may older files be purged. What is in it is the caller's business:
//! this module stores a header and blocks of bytes, compressed and checked.

mod copy;
mod format;
mod loading;
mod read;
mod received;
mod replay;
mod schedule;
mod taker;
mod write;

pub use copy::copy;
pub use format::BadSnapshot;
pub use loading::{Loading, Stage, keep_digest};
pub use read::{LoadError, load};
pub(crate) use read::{begun_at, check_on_disk, load_early};
pub use received::{write_received, write_received_in_blocks};
pub use replay::{Replay, Start};
pub use schedule::{Intervals, LastStart, LogGrowth, SnapshotKind, Taken};
pub use taker::{
    Block, PurgeWhen, SnapshotRun, SnapshotSettings, Taker, begin_writing, tree_bytes, write_blocks,
};
pub(crate) use write::keep_early;
pub use write::{Finished, Writer};

use crate::{SessionId, Zxid};

/// Bytes of one block before compression. Callers cut theirs far smaller (a megabyte or so), for
/// blocks are what threads share.
pub const BLOCK_BYTES_MAX: usize = 256 << 20;

/// What stands in front of the blocks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Meta {
    /// Everything up to here is in the snapshot, and nothing later.
    pub zxid: Zxid,
    /// The sessions and their timeouts in milliseconds.
    pub sessions: Vec<(SessionId, i32)>,
    /// The caller's own header.
    pub header: Vec<u8>,
}

/// The name of the snapshot at `zxid`.
pub fn name(zxid: Zxid) -> String {
    format!("snapshot.{:x}", zxid.0)
}

/// The zxid in the name of a snapshot.
pub fn parse_name(name: &str) -> Option<Zxid> {
    parse_hex(name.strip_prefix("snapshot.")?)
}

/// A zxid as file names carry it: hexadecimal without leading zeros, so that there is one name.
pub(crate) fn parse_hex(text: &str) -> Option<Zxid> {
    let value = u64::from_str_radix(text, 16).ok()?;
    (format!("{value:x}") == text).then_some(Zxid(value))
}

/// The name of the early snapshot: one that saves the next start some of the log, and on which
/// nothing depends. There is one at most, so each replaces the one before it; it may be damaged
/// after a power failure, because it is not synced; no log is removed for its sake.
/// A start that begins from it makes it a regular one.
///
/// By its name it is one that was never finished to versions that do not know it: their next start
/// removes it. Otherwise it would be there still after they have cut the log and gone on, and a
/// start would take it for a part of the new history.
pub const EARLY: &str = "snapshot.early.tmp";

/// The name of a state that was received from a leader and not taken over yet: see
/// [`crate::log::Log::install`]. A start that finds it without an intent to take it over removes
/// it, as versions do that do not know it.
pub const RECEIVED: &str = "snapshot.received.tmp";

/// Whether the file is a snapshot that was never finished.
pub(crate) fn is_unfinished(name: &str) -> bool {
    name.starts_with("snapshot.") && name.ends_with(TEMPORARY) && name != EARLY
}

/// The zxid of a snapshot that was never finished. It was durable in the log when that was begun.
pub(crate) fn parse_unfinished(name: &str) -> Option<Zxid> {
    parse_name(name.strip_suffix(TEMPORARY)?)
}

/// Whether the file is an early snapshot, finished or not. Its zxid is in the file.
pub(crate) fn is_early(name: &str) -> bool {
    name.strip_prefix(EARLY).is_some_and(|rest| rest.is_empty() || rest == TEMPORARY)
}

const TEMPORARY: &str = ".tmp";
