//! Segments made ready before they are needed.

use std::sync::atomic::Ordering::Relaxed;

use super::gauge::{Gauge, Shared};
use super::{Fatal, Settings, full_or_failed};
use crate::device::{Directory, DiskError, Entry};

const SPARE: &str = "spare.";
const MAKING: &str = "making.";

/// Keeps segments ready, on a thread of its own: call [`Preparer::step`] again and again.
#[derive(Debug)]
pub struct Preparer<D> {
    dir: D,
    gauge: Gauge,
    ahead: usize,
}

/// What one step did, and when the next one is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Enough segments are ready. The thread may park: it is woken when one is taken. Otherwise
    /// it need not look more often than every 50 ms or so.
    Enough,
    /// One more is ready; look again at once.
    Made,
    /// There is no space. Look again in 50 ms or so: writes come back when space does.
    Full,
}

impl<D: Directory> Preparer<D> {
    pub(super) fn new(dir: D, gauge: Gauge, settings: &Settings) -> Preparer<D> {
        Preparer { dir, gauge, ahead: settings.ahead.max(1) }
    }

    /// Makes one segment if one is missing.
    pub fn step(&mut self) -> Result<Step, Fatal> {
        if self.gauge.shared.ready.has(self.ahead) {
            self.gauge.shared.full.store(false, Relaxed);
            return Ok(Step::Enough);
        }
        self.gauge.shared.ready.making();
        let made =
            make(&self.dir, &self.gauge.shared, self.gauge.shared.capacity).map_err(full_or_failed);
        // Order: `full` is set before the log can find no segment ready.
        self.gauge.shared.full.store(matches!(made, Err(Fatal::Full(_))), Relaxed);
        let (name, step) = match made {
            Ok(name) => (Some(name), Ok(Step::Made)),
            Err(Fatal::Full(_)) => (None, Ok(Step::Full)),
            Err(fatal) => (None, Err(fatal)),
        };
        self.gauge.shared.ready.made(name);
        step
    }
}

/// Makes a file of zeros, under a name that says it is not finished until it is.
pub(super) fn make<D: Directory>(
    dir: &D,
    shared: &Shared,
    bytes: u64,
) -> Result<String, DiskError> {
    let number = shared.next_number();
    let (making, spare) = (format!("{MAKING}{number}"), spare_name(number));
    if let Err(error) = dir.preallocate(&making, bytes) {
        // What it got of a full disk goes back; if that fails too, the next start removes it.
        let _ = dir.remove(&making);
        return Err(error);
    }
    dir.rename(&making, &spare)?;
    dir.sync_dir()?;
    Ok(spare)
}

pub(super) fn spare_name(number: u64) -> String {
    format!("{SPARE}{number}")
}

/// The number of a spare file.
pub(super) fn parse_spare(name: &str) -> Option<u64> {
    name.strip_prefix(SPARE)?.parse().ok()
}

/// Whether the file is one that was never finished.
pub(super) fn is_unfinished(name: &str) -> bool {
    name.starts_with(MAKING)
}

impl Gauge {
    /// A spare of an earlier run is used again, if it has the right size.
    pub(super) fn adopt<D: Directory>(
        &self,
        dir: &D,
        entry: Entry,
        number: u64,
    ) -> Result<(), DiskError> {
        self.shared.number.fetch_max(number.saturating_add(1), Relaxed);
        if entry.bytes != self.shared.capacity || self.shared.ready.len() >= self.shared.spares_max
        {
            return dir.remove(&entry.name);
        }
        self.shared.ready.put(entry.name);
        Ok(())
    }

    /// Takes over all spares that are there.
    pub(super) fn adopt_all<D: Directory>(&self, dir: &D) -> Result<(), DiskError> {
        for entry in dir.list()? {
            if let Some(number) = parse_spare(&entry.name) {
                self.adopt(dir, entry, number)?;
            }
        }
        Ok(())
    }

    /// A segment that is not needed any more becomes a spare, or is removed.
    pub(crate) fn retire<D: Directory>(&self, dir: &D, name: &str) -> Result<(), DiskError> {
        let entry = dir.list()?.into_iter().find(|entry| entry.name == name);
        let fits = entry.is_some_and(|entry| entry.bytes == self.shared.capacity);
        if !fits || self.shared.ready.len() >= self.shared.spares_max {
            dir.remove(name)?;
            return dir.sync_dir();
        }
        let spare = spare_name(self.shared.next_number());
        dir.rename(name, &spare)?;
        // Order: the old name is gone for good before the file can be written again.
        dir.sync_dir()?;
        self.shared.ready.put(spare);
        Ok(())
    }
}
