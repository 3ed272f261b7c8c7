//! What the kernel counts while commits are made.

use std::path::PathBuf;

use super::disk::BlockDevice;
use ringkeeper_bench::servers::root::Root;

/// Counts so far; the difference of two is what went on between them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Counts {
    /// Bytes that this process caused to be written.
    pub(crate) written_bytes: Option<u64>,
    /// Flushes of the disk's cache, by all processes.
    pub(crate) flushes: Option<u64>,
    /// 512-byte sectors written to the disk, by all processes.
    pub(crate) sectors: Option<u64>,
}

/// Where the counts are read.
pub(crate) struct Counters {
    root: Root,
    stat: Option<PathBuf>,
}

impl Counters {
    /// The counts of this process and of a disk. A disk without a write cache is never flushed.
    pub(crate) fn new(root: &Root, device: Option<&BlockDevice>) -> Counters {
        Counters { root: root.clone(), stat: device.map(|device| device.folder().join("stat")) }
    }

    pub(crate) fn read(&self) -> Counts {
        let io = self.root.read("/proc/self/io").ok();
        let written = io.as_deref().and_then(|text| {
            text.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok())
        });
        let stat = self.stat.as_ref().and_then(|path| self.root.read(path).ok());
        let (sectors, flushes) = stat.as_deref().map_or((None, None), of_stat);
        Counts { written_bytes: written, flushes, sectors }
    }
}

/// Sectors written, and flushes (since Linux 5.5), of a block device's `stat`.
fn of_stat(text: &str) -> (Option<u64>, Option<u64>) {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let field = |at: usize| fields.get(at)?.parse().ok();
    (field(6), field(15))
}

impl Counts {
    /// What was counted since `before`.
    pub(crate) fn since(self, before: Counts) -> Counts {
        self.with(before, u64::saturating_sub)
    }

    pub(crate) fn plus(self, other: Counts) -> Counts {
        self.with(other, |one, two| one + two)
    }

    /// What is unknown in one is unknown in the result.
    fn with(self, other: Counts, of: fn(u64, u64) -> u64) -> Counts {
        let each = |one: Option<u64>, two: Option<u64>| Some(of(one?, two?));
        Counts {
            written_bytes: each(self.written_bytes, other.written_bytes),
            flushes: each(self.flushes, other.flushes),
            sectors: each(self.sectors, other.sectors),
        }
    }

    pub(crate) const ZERO: Counts =
        Counts { written_bytes: Some(0), flushes: Some(0), sectors: Some(0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_stat_of_old_kernel_has_no_flushes() {
        let new = " 1 2 3 4 5 6 700 8 0 10 11 12 13 14 15 160 17\n";
        assert_eq!(of_stat(new), (Some(700), Some(160)));
        assert_eq!(of_stat("1 2 3 4 5 6 700 8 0 10 11"), (Some(700), None));
        assert_eq!(of_stat("nothing to see"), (None, None));
    }

    #[test]
    fn unknown_count_stays_unknown() {
        let one = Counts { written_bytes: Some(10), flushes: None, sectors: Some(1) };
        let sum = Counts::ZERO.plus(one.since(Counts { written_bytes: Some(4), ..one }));
        assert_eq!(sum, Counts { written_bytes: Some(6), flushes: None, sectors: Some(0) });
    }
}
