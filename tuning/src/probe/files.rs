//! What the state of a file does to the commits into it: reserved blocks against written ones, and
//! large pages in the cache against small ones.

use ringkeeper_engine::device::{Strategy, extents};
use serde::{Deserialize, Serialize};

use super::commits::{FileLayout, Sample, Target};
use super::counters::Counters;
use super::scratch::Scratch;
use super::spread::Spread;
use super::stop::Stop;

/// Bytes of each file.
const FILE_BYTES: u64 = 4 << 20;
/// Bytes of each commit.
const COMMIT_BYTES: usize = 4 << 10;

/// What the state of a file does.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
pub(crate) struct FileFacts {
    /// The strategy of the first two.
    pub(crate) strategy: String,
    /// Commits into a file made as the server makes its own: filled with zeros.
    pub(crate) zeroed: Option<FileState>,
    /// Commits into a file whose blocks are only reserved.
    pub(crate) reserved: Option<FileState>,
    /// Stores into a mapped file that was filled in small pieces, as the server does.
    pub(crate) mapped_small_pieces: Option<FileState>,
    /// Stores into a mapped file that was filled in pieces of 2 MiB.
    pub(crate) mapped_large_pieces: Option<FileState>,
}

/// Commits of 4 KiB into a file in some state.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
pub(crate) struct FileState {
    /// Contiguous pieces of the file, where the file system says.
    pub(crate) pieces: Option<u32>,
    /// KiB of it that were reserved and never written, before the commits.
    pub(crate) unwritten_kib: Option<u64>,
    /// How long a commit took.
    pub(crate) micros: Spread,
    /// KiB that the kernel wrote for each.
    pub(crate) written_kib: Option<f64>,
    /// Flushes for each.
    pub(crate) flushes: Option<f64>,
}

/// Compares them. What does not work here is left out.
pub(crate) fn compare(
    scratch: &Scratch,
    counters: &Counters,
    stop: &Stop,
    works: &[Strategy],
) -> Option<FileFacts> {
    let plain = [Strategy::Direct, Strategy::Pwrite].into_iter().find(|way| works.contains(way))?;
    let state = |strategy, made| {
        let target = Target::make(scratch, strategy, FILE_BYTES, made).ok()?;
        let before = extents(&target.path()).ok();
        let sample = target.pass(COMMIT_BYTES, stop, counters).ok()?;
        // The file goes at once: the space that the probe takes was promised.
        let _ = std::fs::remove_file(target.path());
        Some(FileState {
            pieces: before.map(|extents| extents.pieces),
            unwritten_kib: before.map(|extents| extents.unwritten_bytes >> 10),
            ..of(&sample)
        })
    };
    let mapped = |made| works.contains(&Strategy::Mmap).then(|| state(Strategy::Mmap, made));
    Some(FileFacts {
        strategy: plain.to_string(),
        zeroed: state(plain, FileLayout::AsSegments),
        reserved: state(plain, FileLayout::Reserved),
        mapped_small_pieces: mapped(FileLayout::AsSegments).flatten(),
        mapped_large_pieces: mapped(FileLayout::LargePieces).flatten(),
    })
}

fn of(sample: &Sample) -> FileState {
    let each = |count: Option<u64>, unit: f64| {
        let commits = sample.nanos.len();
        (commits > 0).then(|| count.map(|count| count as f64 / unit / commits as f64)).flatten()
    };
    FileState {
        pieces: None,
        unwritten_kib: None,
        micros: Spread::of(&sample.nanos),
        written_kib: each(sample.counts.written_bytes, 1024.0),
        flushes: each(sample.counts.flushes, 1.0),
    }
}
