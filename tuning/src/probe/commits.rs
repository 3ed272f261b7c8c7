//! Commits through the very code that the server writes its log with.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use ringkeeper_engine::device::{Directory, Disk, DiskError, Durability, Segment, Strategy};
use rustix::fs::{FallocateFlags, fallocate};

use super::counters::{Counters, Counts};
use super::scratch::Scratch;
use super::spread::histogram;
use super::stop::Stop;

/// How the file was made that commits go into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FileLayout {
    /// As the server makes its segments.
    AsSegments,
    /// Its blocks reserved but never written.
    Reserved,
    /// Filled with zeros in pieces of 2 MiB through the page cache.
    LargePieces,
}

/// A file that commits go into, by one strategy.
pub(crate) struct Target {
    device: Disk,
    name: String,
    bytes: u64,
}

/// What some commits took.
pub(crate) struct Sample {
    pub(crate) nanos: Histogram<u64>,
    pub(crate) busy: Duration,
    pub(crate) counts: Counts,
}

/// How long commits are made.
#[derive(Clone, Copy)]
pub(crate) struct Bounds<'a> {
    pub(crate) time: Duration,
    pub(crate) bytes: u64,
    pub(crate) stop: &'a Stop,
}

impl Target {
    pub(crate) fn make(
        scratch: &Scratch,
        strategy: Strategy,
        bytes: u64,
        made: FileLayout,
    ) -> Result<Target, DiskError> {
        let device = Disk::open(scratch.path(), strategy, Durability::Synced)?;
        let name = format!("{strategy}-{made:?}").to_lowercase();
        let path = scratch.file(&name);
        let error = |doing| {
            let file = path.display().to_string();
            move |source| DiskError { doing, file, source }
        };
        match made {
            FileLayout::AsSegments => device.preallocate(&name, bytes)?,
            FileLayout::Reserved => {
                let file = File::create(&path).map_err(error("create"))?;
                fallocate(&file, FallocateFlags::empty(), 0, bytes)
                    .map_err(|errno| error("reserve space for")(errno.into()))?;
                file.sync_all().map_err(error("sync"))?;
            }
            FileLayout::LargePieces => fill(&path, bytes).map_err(error("fill"))?,
        }
        device.sync_dir()?;
        // Whether it works here at all shows when the file is opened.
        device.segment(&name, 0)?;
        Ok(Target { device, name, bytes })
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.device.path().join(&self.name)
    }

    /// Commits of `bytes`, one behind the other, at least three of them.
    pub(crate) fn commit(
        &self,
        bytes: usize,
        bounds: Bounds<'_>,
        counters: &Counters,
    ) -> Result<Sample, DiskError> {
        let commit = vec![0x5a; bytes];
        let step = bytes as u64;
        let mut segment = self.device.segment(&self.name, 0)?;
        // The first write after opening pays for things that no later one pays for.
        segment.write(0, &commit)?;
        let (mut offset, mut nanos, mut busy) = (step, histogram(), Duration::ZERO);
        let (begun, before) = (Instant::now(), counters.read());
        let done = |count: u64| {
            let full = begun.elapsed() >= bounds.time || count * step >= bounds.bytes;
            bounds.stop.is_wanted() || (full && count >= 3)
        };
        while !done(nanos.len()) {
            if offset + step > self.bytes {
                segment = self.device.segment(&self.name, 0)?;
                offset = 0;
            }
            let start = Instant::now();
            segment.write(offset, &commit)?;
            let took = start.elapsed();
            busy += took;
            nanos.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1));
            offset += step;
        }
        Ok(Sample { nanos, busy, counts: counters.read().since(before) })
    }

    /// One pass over the file from its beginning, so that every block is written once.
    pub(crate) fn pass(
        &self,
        bytes: usize,
        stop: &Stop,
        counters: &Counters,
    ) -> Result<Sample, DiskError> {
        let steps = (self.bytes / bytes as u64).saturating_sub(1);
        let bounds = Bounds { time: Duration::from_secs(2), bytes: steps * bytes as u64, stop };
        self.commit(bytes, bounds, counters)
    }
}

fn fill(path: &std::path::Path, bytes: u64) -> std::io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    let zeros = vec![0; 2 << 20];
    let mut offset = 0;
    while offset < bytes {
        let count = zeros.len().min(usize::try_from(bytes - offset).unwrap_or(usize::MAX));
        file.write_all_at(&zeros[..count], offset)?;
        offset += count as u64;
    }
    file.sync_all()
}
