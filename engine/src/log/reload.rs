//! Reading the state of a running server from its directories again.

use super::{Dirs, Feed, FeedError, Gauge, Portion, PortionLimit, Refusal};
use crate::Zxid;
use crate::database::{CommitStatus, Database};
use crate::device::{Directory, DirectoryId};
use crate::snapshot::{self, Loading, Replay, Stage, Start};
use crate::txn::Txn;

/// What is replayed at a time.
const PORTION: PortionLimit = PortionLimit { bytes: 1 << 20, records: 4_096 };

/// The state at `zxid`, where the log of a running server ends after a cut: the newest snapshot
/// that is whole, and the log behind it. Nothing is changed, and nothing may be written meanwhile
/// but behind `zxid`. `seed` keys the tree's hash tables.
pub fn reload<D: Directory>(
    dirs: &Dirs<D>,
    whose: (DirectoryId, &Gauge),
    seed: u64,
    zxid: Zxid,
) -> Result<Database, FeedError> {
    let state = reload_unless(dirs, whose, seed, zxid, &|| false)?;
    Ok(state.expect("it is not to stop"))
}

/// The same, which may be stopped: then there is none. `is_stopped` is called for every block of
/// the snapshot and every part of the log, so within milliseconds. The log may go on behind `zxid`,
/// which is durable and in it, or is that of a snapshot.
pub fn reload_unless<D: Directory>(
    dirs: &Dirs<D>,
    (directory, gauge): (DirectoryId, &Gauge),
    seed: u64,
    zxid: Zxid,
    is_stopped: &dyn Fn() -> bool,
) -> Result<Option<Database>, FeedError> {
    let mut loading = Stoppable { loading: Loading::new(seed, |_| ()), is_stopped };
    let base = load_snapshot(dirs, directory, zxid, &mut loading)?;
    if base < zxid && !is_stopped() {
        let mut feed = Feed::open(&dirs.log, directory, gauge, base)?;
        let mut portion = Portion::new();
        while !is_stopped() {
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
    if is_stopped() {
        return Ok(None);
    }
    let mut state = loading.loading.finish();
    assert_eq!(state.applied(), zxid, "the log ends there");
    state.set_commit_status(CommitStatus::Unknown);
    Ok(Some(state))
}

/// A state that is not loaded to its end once it is not wanted any more.
struct Stoppable<'a, S> {
    loading: Loading<S>,
    is_stopped: &'a dyn Fn() -> bool,
}

impl<S: FnMut(Stage)> Replay for Stoppable<'_, S> {
    fn begin(&mut self, start: Start<'_>) -> Result<(), String> {
        self.loading.begin(start)
    }

    fn block(&mut self, bytes: &[u8]) -> Result<(), String> {
        if (self.is_stopped)() { Err("it is not wanted".into()) } else { self.loading.block(bytes) }
    }

    fn end(&mut self) -> Result<(), String> {
        self.loading.end()
    }

    fn begin_empty(&mut self) {
        self.loading.begin_empty();
    }

    fn txn(&mut self, txn: Txn) -> Result<(), String> {
        self.loading.txn(txn)
    }

    fn record(&mut self, payload: &[u8]) -> Result<(), String> {
        self.loading.record(payload)
    }
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
