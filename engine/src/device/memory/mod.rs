//! A file system in memory with faults on demand (errors, torn writes, lost power); for tests and
//! simulations.
//!
//! Every operation has a number, so a test can let each one fail or be the last. What is not
//! synced is known sector by sector and name by name, and [`MemoryDisk::power_loss`] asks what
//! of it survives. Nothing here depends on a clock or on chance.
#![expect(clippy::disallowed_types, reason = "threads share it, as they share a disk")]

mod state;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::state::{File, NameChange, Reading, State};
use super::{Directory, DiskError, Durability, Entry, ReadAt, Segment, Sink, Source, Written};

/// What happens at an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It fails with this error. Half of a write is done; a failed sync may have written anything,
    /// and the next one will say that all is well.
    Error(io::ErrorKind),
    /// It is the last one: it is done as far as it goes without a sync, and then there is nothing
    /// more until [`MemoryDisk::power_loss`] or [`MemoryDisk::process_death`].
    Crash,
}

/// Something that a power failure may or may not undo.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unsynced {
    /// 512 bytes of a file.
    Sector {
        /// A number of the file.
        file: u64,
        /// Counted from its start.
        sector: usize,
    },
    /// A creation, renaming or removal, numbered in the order in which they were made.
    Name(usize),
}

/// A faulty directory in memory; clones are the same directory.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
}

impl MemoryDisk {
    /// An empty directory. Devices with different seeds draw different random numbers.
    pub fn new(seed: u64) -> MemoryDisk {
        let disk = MemoryDisk::default();
        disk.lock().random = seed.wrapping_mul(2).wrapping_add(1);
        disk
    }

    /// A copy that goes its own way from here.
    pub fn fork(&self) -> MemoryDisk {
        let state = self.lock().clone();
        MemoryDisk { state: Arc::new(Mutex::new(state)) }
    }

    /// Operations so far: the number of the next one.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Lets the operation of this number, counted from the beginning, meet a fault.
    pub fn fail_at(&self, number: u64, fault: Fault) {
        self.lock().fault = Some((number, fault));
    }

    /// Limits the sum of all files.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().capacity = bytes;
    }

    /// Makes flushes not wait for a sync, as `forceSync=no` does.
    pub fn set_unsynced(&self) {
        self.lock().unsynced = true;
    }

    /// Lets a recovery read on so many threads, so many bytes at once. With more than one, its
    /// operations have no fixed numbers.
    pub fn set_reading(&self, threads: usize, piece_bytes: usize) {
        self.lock().reading = Reading { threads, piece_bytes };
    }

    /// Everything that a power failure might undo now.
    pub fn unsynced(&self) -> Vec<Unsynced> {
        self.lock().unsynced()
    }

    /// The power fails and comes back; of what was not synced, only what `survives` says is there.
    pub fn power_loss(&self, survives: impl FnMut(Unsynced) -> bool) {
        self.lock().power_loss(survives);
    }

    /// The process dies and another one starts: what it wrote stays as it saw it.
    pub fn process_death(&self) {
        self.lock().revive();
    }

    /// The contents of a file, without an operation.
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.lock();
        Some(state.files.get(state.names.get(name)?)?.cached.clone())
    }

    /// Puts a file there, durably and without an operation.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.lock();
        state.files_made += 1;
        let number = state.files_made;
        let file = File { durable: bytes.clone(), cached: bytes, ..File::default() };
        state.files.insert(number, file);
        state.names.insert(name.to_owned(), number);
        state.names_durable.insert(name.to_owned(), number);
    }

    /// Takes a file away, durably and without an operation.
    pub fn take(&self, name: &str) {
        let mut state = self.lock();
        state.names.remove(name);
        state.names_durable.remove(name);
    }

    /// The names of all files.
    pub fn names(&self) -> Vec<String> {
        self.lock().names.keys().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run<T>(
        &self,
        doing: &'static str,
        name: &str,
        operation: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> Result<T, DiskError> {
        operation(&mut self.lock()).map_err(|source| DiskError {
            doing,
            file: self.path_of(name),
            source,
        })
    }
}

impl Directory for MemoryDisk {
    type Segment = MemoryFile;
    type Reader = MemoryFile;
    type Sink = MemoryFile;

    fn path_of(&self, name: &str) -> String {
        format!("memory/{name}")
    }

    fn list(&self) -> Result<Vec<Entry>, DiskError> {
        self.run("list", "", |state| {
            state.whole(|state| {
                let entry = |(name, file): (&String, &u64)| Entry {
                    name: name.clone(),
                    bytes: state.files[file].cached.len() as u64,
                };
                Ok(state.names.iter().map(entry).collect())
            })
        })
    }

    fn read(&self, name: &str, source: Source) -> Result<MemoryFile, DiskError> {
        self.run("open", name, |state| {
            let file = state.lookup(name)?;
            state.whole(|state| {
                let target = state.files.get_mut(&file).expect("files outlive their names");
                if source == Source::Disk {
                    target.sync();
                    target.lost.clear();
                    target.cached = target.durable.clone();
                }
                Ok(())
            })?;
            Ok(self.open(state, name, file, 0))
        })
    }

    fn create(&self, name: &str) -> Result<MemoryFile, DiskError> {
        self.run("create", name, |state| {
            let file = state.whole(|state| Ok(state.link(name)))?;
            Ok(self.open(state, name, file, 0))
        })
    }

    fn preallocate(&self, name: &str, bytes: u64) -> Result<(), DiskError> {
        self.run("preallocate", name, |state| {
            let file = state.whole(|state| Ok(state.link(name)))?;
            state.reserve(bytes)?;
            state.write(file, 0, &vec![0; bytes as usize])?;
            state.sync(file)
        })
    }

    fn segment(&self, name: &str, end: u64) -> Result<MemoryFile, DiskError> {
        self.run("open for appending", name, |state| {
            let file = state.lookup(name)?;
            state.whole(|_| Ok(()))?;
            Ok(self.open(state, name, file, end))
        })
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.run("rename", from, |state| {
            let file = state.lookup(from)?;
            state.whole(|state| {
                state.names.remove(from);
                state.names.insert(to.to_owned(), file);
                let (from, to) = (from.to_owned(), to.to_owned());
                state.names_pending.push(NameChange::Rename { from, to, file });
                Ok(())
            })
        })
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.run("remove", name, |state| {
            let file = state.lookup(name)?;
            state.whole(|state| {
                state.names.remove(name);
                state.names_pending.push(NameChange::Unlink { name: name.to_owned(), file });
                Ok(())
            })
        })
    }

    fn sync_dir(&self) -> Result<(), DiskError> {
        self.run("sync the directory", "", |state| {
            if state.begin()? {
                return Err(io::Error::other("the process died"));
            }
            for change in std::mem::take(&mut state.names_pending) {
                state.change_durably(change);
            }
            Ok(())
        })
    }

    fn free_bytes(&self) -> Result<u64, DiskError> {
        let state = self.lock();
        Ok(state.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(state.used())))
    }

    fn random(&self, out: &mut [u8]) -> Result<(), DiskError> {
        let mut state = self.lock();
        for byte in out {
            state.random ^= state.random << 13;
            state.random ^= state.random >> 7;
            state.random ^= state.random << 17;
            *byte = (state.random >> 24) as u8;
        }
        Ok(())
    }

    fn durability(&self) -> Durability {
        if self.lock().unsynced { Durability::Unsynced } else { Durability::Synced }
    }

    fn threads(&self) -> usize {
        self.lock().reading.threads
    }

    fn piece_bytes(&self) -> usize {
        self.lock().reading.piece_bytes
    }
}

impl MemoryDisk {
    fn open(&self, state: &State, name: &str, file: u64, end: u64) -> MemoryFile {
        let bytes = state.files[&file].cached.len() as u64;
        MemoryFile { disk: self.clone(), name: name.to_owned(), file, bytes, end }
    }
}

/// A file in memory, open for whatever it was opened for.
#[derive(Debug)]
pub struct MemoryFile {
    disk: MemoryDisk,
    name: String,
    file: u64,
    bytes: u64,
    end: u64,
}

impl Segment for MemoryFile {
    fn capacity(&self) -> u64 {
        self.bytes
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<Written, DiskError> {
        assert!(offset == self.end, "writes into a segment follow each other");
        assert!(self.bytes - offset >= bytes.len() as u64, "a segment never grows");
        self.end += bytes.len() as u64;
        self.disk.run("write", &self.name, |state| {
            state.write(self.file, offset as usize, bytes)?;
            if state.unsynced { Ok(()) } else { state.sync(self.file) }
        })?;
        Ok(Written::default())
    }

    fn rewrite(&mut self, offset: u64, blocks: &[u8]) -> Result<(), DiskError> {
        self.disk.run("write", &self.name, |state| {
            state.write(self.file, offset as usize, blocks)?;
            if state.unsynced { Ok(()) } else { state.sync(self.file) }
        })
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        self.disk.run("sync", &self.name, |state| {
            if state.unsynced { state.sync(self.file) } else { Ok(()) }
        })
    }
}

impl ReadAt for MemoryFile {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read_into(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        self.disk.run("read", &self.name, |state| {
            let whole = &state.files[&self.file].cached;
            let start = usize::try_from(offset).map_err(io::Error::other)?;
            let part = start.checked_add(buffer.len()).and_then(|end| whole.get(start..end));
            buffer.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
            state.whole(|_| Ok(()))
        })
    }

    fn read_at(&self, offset: u64, bytes: usize) -> Result<Vec<u8>, DiskError> {
        // Lengths come from the disk: they are checked before anything is reserved.
        let held = self.disk.lock().files[&self.file].cached.len();
        let mut buffer = vec![0; bytes.min(held)];
        if buffer.len() == bytes {
            self.read_into(offset, &mut buffer)?;
            return Ok(buffer);
        }
        self.disk.run("read", &self.name, |_| Err(io::ErrorKind::UnexpectedEof.into()))
    }

    fn expect(&self, _: u64, _: u64) {}
}

impl Sink for MemoryFile {
    fn write(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        self.disk.run("write", &self.name, |state| {
            state.reserve(bytes.len() as u64)?;
            state.write(self.file, self.end as usize, bytes)
        })?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        self.disk.run("sync", &self.name, |state| state.sync(self.file))
    }
}
