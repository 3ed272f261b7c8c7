//! What is cached, what is durable, and what happens at the next operation.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::{Fault, Unsynced};

/// Bytes that reach the disk whole or not at all.
const SECTOR: usize = 512;

#[derive(Clone, Debug, Default)]
pub(super) struct State {
    /// What processes see.
    pub(super) names: BTreeMap<String, u64>,
    /// What the disk has.
    pub(super) names_durable: BTreeMap<String, u64>,
    pub(super) names_pending: Vec<NameChange>,
    pub(super) files: BTreeMap<u64, File>,
    pub(super) files_made: u64,
    pub(super) operations: u64,
    pub(super) fault: Option<(u64, Fault)>,
    pub(super) dead: bool,
    pub(super) unsynced: bool,
    pub(super) capacity: Option<u64>,
    pub(super) random: u64,
    pub(super) reading: Reading,
}

/// How recovery reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) threads: usize,
    pub(super) piece_bytes: usize,
}

impl Default for Reading {
    /// In order, and in pieces that no record and no block fits into evenly.
    fn default() -> Reading {
        Reading { threads: 1, piece_bytes: 5_003 }
    }
}

#[derive(Clone, Debug)]
pub(super) enum NameChange {
    Link { name: String, file: u64 },
    Rename { from: String, to: String, file: u64 },
    Unlink { name: String, file: u64 },
}

#[derive(Clone, Debug, Default)]
pub(super) struct File {
    pub(super) cached: Vec<u8>,
    pub(super) durable: Vec<u8>,
    /// Sectors that a sync will write.
    pub(super) dirty: BTreeSet<usize>,
    /// Sectors that a failed sync gave up: they look written, and are not.
    pub(super) lost: BTreeSet<usize>,
}

impl File {
    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.cached.len() < end {
            self.cached.resize(end, 0);
        }
        self.cached[offset..end].copy_from_slice(bytes);
        self.dirty.extend(offset / SECTOR..end.div_ceil(SECTOR));
    }

    pub(super) fn land(&mut self, sector: usize) {
        let start = sector * SECTOR;
        let end = (start + SECTOR).min(self.cached.len());
        if self.durable.len() < end {
            self.durable.resize(end, 0);
        }
        self.durable[start..end].copy_from_slice(&self.cached[start..end]);
    }

    pub(super) fn sync(&mut self) {
        for sector in std::mem::take(&mut self.dirty) {
            self.land(sector);
            self.lost.remove(&sector);
        }
    }
}

impl State {
    /// Numbers an operation and lets it meet its fate. `Ok(true)` means: begin it, then crash.
    pub(super) fn begin(&mut self) -> io::Result<bool> {
        if self.dead {
            return Err(io::Error::other("the process is dead"));
        }
        let number = self.operations;
        self.operations += 1;
        match self.fault {
            Some((at, Fault::Error(kind))) if at == number => Err(kind.into()),
            Some((at, Fault::Crash)) if at == number => {
                self.dead = true;
                Ok(true)
            }
            Some(_) | None => Ok(false),
        }
    }

    /// An operation that is done in full even if it is the last one.
    pub(super) fn whole<T>(
        &mut self,
        operation: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        let last = self.begin()?;
        let result = operation(self)?;
        if last { Err(io::Error::other("the process died")) } else { Ok(result) }
    }

    pub(super) fn lookup(&self, name: &str) -> io::Result<u64> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn link(&mut self, name: &str) -> u64 {
        self.files_made += 1;
        let file = self.files_made;
        self.files.insert(file, File::default());
        self.names.insert(name.to_owned(), file);
        self.names_pending.push(NameChange::Link { name: name.to_owned(), file });
        file
    }

    pub(super) fn write(&mut self, file: u64, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let begun = self.begin();
        let done = match begun {
            Ok(_) => bytes.len(),
            Err(_) if self.dead => 0,
            Err(_) => bytes.len() / 2,
        };
        let target = self.files.get_mut(&file).ok_or(io::ErrorKind::NotFound)?;
        target.write(offset, &bytes[..done]);
        if begun? { Err(io::Error::other("the process died")) } else { Ok(()) }
    }

    pub(super) fn sync(&mut self, file: u64) -> io::Result<()> {
        let begun = self.begin();
        let was_dead = self.dead && begun.is_err();
        let target = self.files.get_mut(&file).ok_or(io::ErrorKind::NotFound)?;
        match begun {
            Ok(false) => target.sync(),
            Ok(true) => return Err(io::Error::other("the process died")),
            Err(_) if was_dead => {}
            Err(_) => {
                let dirty = std::mem::take(&mut target.dirty);
                target.lost.extend(dirty);
            }
        }
        begun.map(|_| ())
    }

    pub(super) fn used(&self) -> u64 {
        let bytes = |file: &u64| self.files.get(file).map_or(0, |file| file.cached.len() as u64);
        self.names.values().map(bytes).sum()
    }

    pub(super) fn reserve(&self, bytes: u64) -> io::Result<()> {
        match self.capacity {
            Some(capacity) if self.used() + bytes > capacity => {
                Err(io::ErrorKind::StorageFull.into())
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn unsynced(&self) -> Vec<Unsynced> {
        let sectors = self.files.iter().flat_map(|(&number, file)| {
            let sectors = file.dirty.union(&file.lost);
            sectors.map(move |&sector| Unsynced::Sector { file: number, sector })
        });
        sectors.chain((0..self.names_pending.len()).map(Unsynced::Name)).collect()
    }

    pub(super) fn power_loss(&mut self, mut survives: impl FnMut(Unsynced) -> bool) {
        for (&number, file) in &mut self.files {
            let mut sectors = std::mem::take(&mut file.dirty);
            sectors.append(&mut file.lost);
            for sector in sectors {
                if survives(Unsynced::Sector { file: number, sector }) {
                    file.land(sector);
                }
            }
            file.cached = file.durable.clone();
        }
        for (number, change) in std::mem::take(&mut self.names_pending).into_iter().enumerate() {
            if survives(Unsynced::Name(number)) {
                self.change_durably(change);
            }
        }
        self.names = self.names_durable.clone();
        self.revive();
    }

    pub(super) fn change_durably(&mut self, change: NameChange) {
        let names = &mut self.names_durable;
        match change {
            NameChange::Link { name, file } => {
                names.insert(name, file);
            }
            NameChange::Rename { from, to, file } => {
                if names.get(&from) == Some(&file) {
                    names.remove(&from);
                }
                names.insert(to, file);
            }
            NameChange::Unlink { name, file } => {
                if names.get(&name) == Some(&file) {
                    names.remove(&name);
                }
            }
        }
    }

    pub(super) fn revive(&mut self) {
        self.dead = false;
        self.fault = None;
    }
}
