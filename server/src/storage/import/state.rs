//! From the files to the state: which snapshot, which logs, and what is wrong with them.

use anyhow::{Context, bail};
use ringkeeper_engine::Zxid;
use ringkeeper_engine::zookeeper::{
    Bad, Behind, End, Ending, Imported, Item, LogReader, Rebuild, Unusable, load_snapshot,
};

use super::progress::Progress;
use super::source::{LogFile, SnapshotFile, Source};
use super::unpack;

/// The first transaction of a server on its own, and of an ensemble.
const FIRST: [Zxid; 2] = [Zxid::new(0, 1), Zxid::new(1, 1)];

/// What was read, and from which files.
pub(super) struct State {
    pub(super) imported: Imported,
    /// The snapshot; none where the log begins with the first transaction.
    pub(super) snapshot: Option<SnapshotFile>,
    /// The files of the log.
    pub(super) logs: Vec<LogFile>,
    /// What was strange.
    pub(super) notes: Vec<String>,
}

/// How far to read, and what to do without.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// The last transaction to take.
    pub(super) until: Zxid,
    /// Whether a log has to be there.
    pub(super) needs_log: bool,
    /// What keys the hash tables.
    pub(super) seed: u64,
}

/// Takes the newest snapshot that is whole and that the log goes with, and the log behind it.
pub(super) fn read(source: &Source, limits: Limits, progress: &Progress) -> anyhow::Result<State> {
    let Some(newest) = source.snapshots.first() else {
        return whole_log(source, limits, progress);
    };
    check_there(source, newest, limits)?;
    let mut notes = source.notes.clone();
    let snapshots = source.snapshots.iter().filter(|snapshot| snapshot.zxid <= limits.until);
    for snapshot in snapshots {
        let name = &snapshot.found.name;
        let mut passed_over = |why: &dyn std::fmt::Display| {
            notes.push(format!("{name} was not used: {why}; an older one was looked for"));
        };
        let rebuild = match load(snapshot, limits, progress)? {
            Ok(rebuild) => rebuild,
            Err(bad) => {
                passed_over(&bad);
                continue;
            }
        };
        let mut replay = Replay::new(rebuild, limits, progress);
        replay.files(source.logs_from(snapshot.zxid))?;
        match replay.rebuild.finish(source.epoch) {
            Ok(imported) => {
                notes.append(&mut replay.notes);
                let (snapshot, logs) = (Some(snapshot.clone()), replay.used);
                return Ok(State { imported, snapshot, logs, notes });
            }
            Err(why @ (Unusable::Ahead { .. } | Unusable::NotCreated { .. })) => passed_over(&why),
            Err(why) => return Err(why.into()),
        }
    }
    let directory = source.snapshot_dir.display();
    if notes.is_empty() {
        bail!("{directory} has no snapshot at or before {}", limits.until);
    }
    bail!("no snapshot in {directory} can be used:\n  {}", notes.join("\n  "))
}

/// The state from the log alone, as it is where a server has written less than `snapCount`
/// transactions. That is enough where it begins with the first one.
fn whole_log(source: &Source, limits: Limits, progress: &Progress) -> anyhow::Result<State> {
    let directory = source.snapshot_dir.display();
    let Some(oldest) = source.logs.first() else {
        bail!("there is no snapshot in {directory}, and no log in {}", source.log_dir.display());
    };
    if !FIRST.contains(&oldest.first) {
        bail!(
            "there is no snapshot in {directory}, and the log begins with {} ({}): what came before \
             is missing. Bring the newest snapshot or the older files of the log back, or take the \
             directory of another server of the ensemble",
            oldest.first,
            oldest.found.name
        );
    }
    let mut replay = Replay::new(Rebuild::of_nothing(limits.seed), limits, progress);
    replay.files(&source.logs)?;
    let mut notes = source.notes.clone();
    notes.push(format!(
        "there is no snapshot: the state is that of the log, which begins with {}",
        oldest.first
    ));
    let imported = replay.rebuild.finish(source.epoch)?;
    notes.append(&mut replay.notes);
    Ok(State { imported, snapshot: None, logs: replay.used, notes })
}

fn check_there(source: &Source, newest: &SnapshotFile, limits: Limits) -> anyhow::Result<()> {
    // A server that has only just been started has no log yet.
    if source.logs.is_empty() && newest.zxid > Zxid::ZERO && limits.needs_log {
        bail!(
            "there is no log in {}, so what happened since {} was written would be lost; name the \
             dataLogDir behind a comma (--from DIR,LOGDIR), or give --without-log if there is none",
            source.log_dir.display(),
            newest.found.name
        );
    }
    Ok(())
}

/// The outer error is a file that cannot be opened, the inner one a snapshot that is no good.
fn load(
    snapshot: &SnapshotFile,
    limits: Limits,
    progress: &Progress,
) -> anyhow::Result<Result<Rebuild, Bad>> {
    progress.begin(&snapshot.found.name, snapshot.found.bytes);
    let counting = progress.clone();
    let bytes = unpack::open(snapshot, move |count| counting.advance(count as u64))?;
    Ok(load_snapshot(bytes, snapshot.zxid, limits.seed).map(|loaded| loaded.rebuild))
}

/// Whether more of the log is wanted.
#[derive(PartialEq)]
enum Go {
    On,
    Enough,
}

/// A state while the log is added to it.
struct Replay<'a> {
    rebuild: Rebuild,
    limits: Limits,
    progress: &'a Progress,
    notes: Vec<String>,
    used: Vec<LogFile>,
}

impl<'a> Replay<'a> {
    fn new(rebuild: Rebuild, limits: Limits, progress: &'a Progress) -> Replay<'a> {
        Replay { rebuild, limits, progress, notes: Vec::new(), used: Vec::new() }
    }

    fn files(&mut self, logs: &[LogFile]) -> anyhow::Result<()> {
        for log in logs {
            if self.file(log)? == Go::Enough {
                break;
            }
        }
        Ok(())
    }

    fn file(&mut self, log: &LogFile) -> anyhow::Result<Go> {
        let path = log.found.path.display();
        self.progress.begin(&log.found.name, log.found.bytes);
        self.used.push(log.clone());
        let mut reader = match LogReader::open(log.found.open()?, log.found.bytes) {
            Ok(reader) => reader,
            Err(Bad::CutOff { .. } | Bad::Magic { found: 0, .. }) => {
                let name = &log.found.name;
                self.notes.push(format!("{name} was made, and nothing was written to it"));
                return Ok(Go::On);
            }
            Err(bad) => return Err(bad).with_context(|| format!("{path} cannot be read")),
        };
        loop {
            let before = reader.at();
            let item = reader.next(self.rebuild.last());
            self.progress.advance(reader.at() - before);
            match item.with_context(|| format!("{path} cannot be read"))? {
                Item::End(end) => return self.end(log, end).map(|()| Go::On),
                Item::Entry(entry) if entry.txn.zxid > self.limits.until => return Ok(Go::Enough),
                Item::Entry(entry) => self
                    .rebuild
                    .take(&entry)
                    .with_context(|| format!("{path} does not go on where the state ends"))?,
            }
            if self.rebuild.last() == self.limits.until {
                return Ok(Go::Enough);
            }
        }
    }

    /// What a crash leaves is cut off, as it is in ZooKeeper; what a disk has lost is not.
    fn end(&mut self, log: &LogFile, end: End) -> anyhow::Result<()> {
        let (name, last, at) = (&log.found.name, self.rebuild.last(), end.at);
        let what = match end.ending {
            Ending::Clean => "zeros",
            Ending::Torn(what) => what,
        };
        match end.behind {
            Behind::Later { at: later, zxid } => bail!(
                "{} is damaged at byte {at} ({what}): {last} is the last good transaction before \
                 it, and {zxid} stands behind it at byte {later}. Take the directory of another \
                 server of the ensemble, or import up to there with --until {last}",
                log.found.path.display()
            ),
            Behind::Unknown => bail!(
                "{} ends at byte {at} ({what}), but much more follows, which is not understood. \
                 Take the directory of another server of the ensemble, or import up to there with \
                 --until {last}",
                log.found.path.display()
            ),
            Behind::Nothing => {}
        }
        if let Ending::Torn(what) = end.ending {
            self.notes.push(format!(
                "{name} ends with an entry that was cut short at byte {at} ({what}), as a crash \
                 leaves it; what is before it was taken, up to {last}"
            ));
        }
        Ok(())
    }
}
