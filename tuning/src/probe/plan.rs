//! What a probe will do, and how much of everything it may take: said before it begins.

use std::time::Duration;

use ringkeeper_engine::device::{Load, Strategy};

use crate::text;

/// How thorough a probe is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Depth {
    /// A few seconds.
    Quick,
    /// A quarter of a minute.
    Normal,
    /// A minute and more.
    Thorough,
}

impl Depth {
    /// The word in reports.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Depth::Quick => "quick",
            Depth::Normal => "normal",
            Depth::Thorough => "thorough",
        }
    }
}

/// The bounds of a probe.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Plan {
    pub(crate) depth: Depth,
    /// Bytes of the commits that are measured. 4 KiB and 64 KiB are always among them.
    pub(crate) sizes: Vec<usize>,
    /// Each is measured this often, in turn with all others, so that what else the host does in
    /// one moment does not fall on one of them alone.
    pub(crate) rounds: u32,
    /// Time of one measurement in one round.
    pub(crate) slice: Duration,
    /// Bytes of the file that each strategy writes into.
    pub(crate) file_bytes: u64,
    /// Bytes that the probe may write in all.
    pub(crate) bytes_max: u64,
}

/// From here on a commit is a large one.
const LARGE: usize = 64 << 10;
/// A quiet host and a busy one.
const LOADS: [Load; 2] = [Load::Quiet, Load::Busy];

impl Plan {
    /// The plan of a depth.
    pub(crate) fn of(depth: Depth) -> Plan {
        let kib = |sizes: &[usize]| sizes.iter().map(|&quarter| quarter * 256).collect();
        match depth {
            Depth::Quick => Plan {
                depth,
                sizes: kib(&[1, 16, 256]),
                rounds: 2,
                slice: Duration::from_millis(50),
                file_bytes: 4 << 20,
                bytes_max: 512 << 20,
            },
            Depth::Normal => Plan {
                depth,
                sizes: kib(&[1, 4, 16, 64, 256, 1024]),
                rounds: 3,
                slice: Duration::from_millis(80),
                file_bytes: 16 << 20,
                bytes_max: 4 << 30,
            },
            Depth::Thorough => Plan {
                depth,
                sizes: kib(&[1, 4, 16, 64, 256, 1024, 4096]),
                rounds: 5,
                slice: Duration::from_millis(200),
                file_bytes: 64 << 20,
                bytes_max: 8 << 30,
            },
        }
    }

    /// Every measurement of one round: the quiet ones first.
    pub(crate) fn cells(&self) -> Vec<(Strategy, usize, Load)> {
        let mut cells = Vec::new();
        for load in LOADS {
            for &bytes in &self.sizes {
                cells.extend(Strategy::ALL.map(|strategy| (strategy, bytes, load)));
            }
        }
        cells
    }

    /// Bytes that one measurement may write in one round. Large commits get more, or there would be
    /// too few of them for a percentile.
    pub(crate) fn slice_bytes(&self, bytes: usize) -> u64 {
        let weight = |bytes: usize| if bytes >= LARGE { 4 } else { 1 };
        let ways_and_loads = (Strategy::ALL.len() * LOADS.len()) as u64;
        let all: u64 = self.sizes.iter().map(|&bytes| weight(bytes)).sum::<u64>() * ways_and_loads;
        let share = self.bytes_max / 2 / u64::from(self.rounds) * weight(bytes) / all;
        share.max(4 * self.largest())
    }

    fn largest(&self) -> u64 {
        self.sizes.iter().max().copied().unwrap_or(0) as u64
    }

    /// Space that has to be free: the files, and as much again.
    pub(crate) fn space(&self) -> u64 {
        self.file_bytes * 4 * 2 + (32 << 20)
    }

    /// What the commits take; files and the other measurements come on top.
    pub(crate) fn expected(&self) -> Duration {
        let slices = self.cells().len() as u32 * self.rounds;
        self.slice * slices + Duration::from_secs(3)
    }

    /// When the probe stops whatever is left: a disk may be slower than expected.
    pub(crate) fn time_max(&self) -> Duration {
        self.expected() * 2 + Duration::from_secs(10)
    }

    /// The sentence before it begins.
    pub(crate) fn announcement(&self) -> String {
        format!(
            "about {} s (never more than {} s), at most {} written, {} of space while it runs",
            self.expected().as_secs(),
            self.time_max().as_secs(),
            text::bytes(self.bytes_max),
            text::bytes(self.file_bytes * 4),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_depth_has_4_and_64_kib() {
        for depth in [Depth::Quick, Depth::Normal, Depth::Thorough] {
            let plan = Plan::of(depth);
            assert!(plan.sizes.contains(&4_096) && plan.sizes.contains(&65_536));
            assert!(plan.sizes.is_sorted());
            assert_eq!(plan.cells().len(), plan.sizes.len() * 8);
            let one: u64 = plan.cells().iter().map(|&(_, bytes, _)| plan.slice_bytes(bytes)).sum();
            let all = one * u64::from(plan.rounds);
            assert!(all + 4 * plan.file_bytes <= plan.bytes_max, "{depth:?}: {all}");
            assert!(plan.file_bytes >= 2 * plan.largest());
        }
    }
}
