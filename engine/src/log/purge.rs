//! Removing what newer snapshots have made superfluous.

use super::gauge::Gauge;
use super::{Dirs, header};
use crate::Zxid;
use crate::device::{Directory, DiskError};
use crate::snapshot;

/// Removes old snapshots and the segments that only they need; owned by the thread that takes
/// snapshots, and used after one has become durable.
#[derive(Debug)]
pub struct Purger<D> {
    dirs: Dirs<D>,
    gauge: Gauge,
}

/// What a purge did.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Purged {
    /// Snapshots removed.
    pub snapshots: Vec<String>,
    /// Segments removed, or kept as spares under another name.
    pub segments: Vec<String>,
}

impl<D: Directory> Purger<D> {
    pub(crate) fn new(dirs: Dirs<D>, gauge: Gauge) -> Purger<D> {
        Purger { dirs, gauge }
    }

    /// Keeps the newest `keep` snapshots (at least one), every segment with a record behind the
    /// oldest of these, and all that a [`Feed`](super::Feed) reads or is going to read. While there
    /// is a [`PurgeHold`](super::PurgeHold), everything.
    ///
    /// Order: names go oldest first and each removal is durable before the next, so that a crash
    /// never leaves a gap in the log.
    pub fn purge(&self, keep: usize) -> Result<Purged, DiskError> {
        let mut purged = Purged::default();
        let mut snapshots = zxids(&self.dirs.snapshots, snapshot::parse_name)?;
        let kept = snapshots.split_off(snapshots.len().saturating_sub(keep.max(1)));
        let Some(oldest) = kept.first() else { return Ok(purged) };
        for zxid in snapshots {
            if self.gauge.shared.feeds.is_held() {
                return Ok(purged);
            }
            self.dirs.snapshots.remove(&snapshot::name(zxid))?;
            self.dirs.snapshots.sync_dir()?;
            purged.snapshots.push(snapshot::name(zxid));
        }
        let segments = zxids(&self.dirs.log, header::parse_name)?;
        for pair in segments.windows(2) {
            // Everything in a segment is older than the first record of the next one.
            let needed = pair[1].0 > oldest.0 + 1;
            if needed || !self.gauge.shared.feeds.give_up_before(pair[1]) {
                break;
            }
            let name = header::name(pair[0]);
            self.gauge.retire(&self.dirs.log, &name)?;
            purged.segments.push(name);
        }
        Ok(purged)
    }
}

/// The zxids in the names of the files that have one, ascending.
fn zxids<D: Directory>(dir: &D, parse: fn(&str) -> Option<Zxid>) -> Result<Vec<Zxid>, DiskError> {
    let mut zxids: Vec<Zxid> = dir.list()?.iter().filter_map(|entry| parse(&entry.name)).collect();
    zxids.sort_unstable();
    Ok(zxids)
}
