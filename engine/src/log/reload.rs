//! Reading the state of a running server from its directories again.

use super::{Dirs, Feed, FeedError, Gauge, Portion, PortionLimit, Refusal};
use crate::Zxid;
use crate::database::{CommitStatus, Database};
use crate::device::{Directory, DirectoryId};
use crate::snapshot::{self, Loading, Replay};

/// What is replayed at a time.
const PORTION: PortionLimit = PortionLimit { bytes: 1 << 20, records: 4_096 };

/// The state at `zxid`, where the log of a running server ends after a cut: the newest snapshot
/// that is whole, and the log behind it. Nothing is changed, and nothing may be written meanwhile
/// but behind `zxid`. `seed` keys the tree's hash tables.
pub fn reload<D: Directory>(
    dirs: &Dirs<D>,
    (directory, gauge): (DirectoryId, &Gauge),
    seed: u64,
    zxid: Zxid,
) -> Result<Database, FeedError> {
    let mut loading = Loading::new(seed, |_| ());
    let base = load_snapshot(dirs, directory, zxid, &mut loading)?;
    if base < zxid {
        let mut feed = Feed::open(&dirs.log, directory, gauge, base)?;
        let mut portion = Portion::new();
        loop {
            feed.read(zxid, PORTION, &mut portion)?;
            if portion.is_empty() {
                break;
            }
            for (at, payload) in portion.txns() {
                let file = dirs.log.path_of("");
                let replayed = loading.record(payload);
                replayed.map_err(|why| Refusal::Replay { file, zxid: at, why })?;
            }
        }
    }
    let mut state = loading.finish();
    assert_eq!(state.applied(), zxid, "the log ends there");
    state.set_commit_status(CommitStatus::Unknown);
    Ok(state)
}

/// Loads the newest snapshot that is whole and not newer than `zxid`; without one, the log has
/// everything. Returns what it holds.
fn load_snapshot<D: Directory>(
    dirs: &Dirs<D>,
    directory: DirectoryId,
    zxid: Zxid,
    loading: &mut impl Replay,
) -> Result<Zxid, FeedError> {
    let entries = dirs.snapshots.list()?;
    let names = entries.iter().filter_map(|entry| snapshot::parse_name(&entry.name));
    let mut all: Vec<Zxid> = names.filter(|found| *found <= zxid).collect();
    all.sort_unstable();
    for found in all.into_iter().rev() {
        if snapshot::load(&dirs.snapshots, found, directory, loading).is_ok() {
            return Ok(found);
        }
    }
    loading.begin_empty();
    Ok(Zxid::ZERO)
}
