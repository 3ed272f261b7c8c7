//! Writing a snapshot.

use std::io;

use crc_fast::{CrcAlgorithm, Digest};
use zstd::bulk::Compressor;

use super::format::{self, Kind, Totals};
use super::{BLOCK_BYTES_MAX, Meta, TEMPORARY};
use crate::Zxid;
use crate::device::{Directory, DirectoryId, DiskError, Sink, Source};

/// Fast rather than small: the tree is copied while it is in use.
const LEVEL: i32 = 1;

/// A snapshot being written. Dropped before [`Writer::finish`], it leaves nothing behind; that is
/// also what to do after an error, of which a full disk is the likely one: the log holds
/// everything, so a snapshot can be tried again later.
pub struct Writer<D: Directory> {
    dir: D,
    name: String,
    zxid: Zxid,
    sink: Option<D::Sink>,
    compressor: Compressor<'static>,
    digest: Digest,
    sections: u32,
    bytes: u64,
    totals: Totals,
}

/// Makes the early snapshot one like the others, under the name of its zxid, durable once the
/// directory is synced. A start from it does not read the log before it, which may be
/// damaged; so whatever is acknowledged from then on needs this snapshot.
pub(crate) fn keep_early<D: Directory>(dir: &D, zxid: Zxid) -> Result<(), DiskError> {
    // To read it from the disk makes it durable.
    dir.read(super::EARLY, Source::Disk)?;
    dir.rename(super::EARLY, &super::name(zxid))
}

/// A snapshot that is there: durable, unless it is an early one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Finished {
    /// What it holds.
    pub zxid: Zxid,
    /// The length of the file.
    pub bytes: u64,
    /// The length of the blocks before compression.
    pub raw_bytes: u64,
}

impl<D: Directory> Writer<D> {
    /// Begins a snapshot. Its zxid must be durable in the log already.
    pub fn begin(dir: &D, directory: DirectoryId, meta: &Meta) -> Result<Writer<D>, DiskError> {
        Writer::begin_as(super::name(meta.zxid), dir, directory, meta)
    }

    /// Begins an early snapshot (see [`super::EARLY`]). The same holds for its zxid.
    pub fn begin_early(
        dir: &D,
        directory: DirectoryId,
        meta: &Meta,
    ) -> Result<Writer<D>, DiskError> {
        Writer::begin_as(super::EARLY.to_owned(), dir, directory, meta)
    }

    /// Begins a state that is received (see [`super::RECEIVED`]). Nothing need be in the log.
    pub fn begin_received(
        dir: &D,
        directory: DirectoryId,
        meta: &Meta,
    ) -> Result<Writer<D>, DiskError> {
        Writer::begin_as(super::RECEIVED.to_owned(), dir, directory, meta)
    }

    fn begin_as(
        name: String,
        dir: &D,
        directory: DirectoryId,
        meta: &Meta,
    ) -> Result<Writer<D>, DiskError> {
        let sink = dir.create(&format!("{name}{TEMPORARY}"))?;
        let compressor = Compressor::new(LEVEL).map_err(compressing(dir, &name))?;
        let mut writer = Writer {
            dir: dir.clone(),
            name,
            zxid: meta.zxid,
            sink: Some(sink),
            compressor,
            digest: Digest::new(CrcAlgorithm::Crc32Iscsi),
            sections: 0,
            bytes: 0,
            totals: Totals::default(),
        };
        writer.append(&format::prologue(meta.zxid, directory))?;
        writer.section(Kind::Sessions, &format::encode_sessions(&meta.sessions))?;
        writer.section(Kind::Header, &meta.header)?;
        Ok(writer)
    }

    /// Appends a block.
    pub fn block(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        self.totals.blocks += 1;
        self.totals.raw += bytes.len() as u64;
        self.section(Kind::Block, bytes)
    }

    /// Bytes of the file so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes what was written durable, so that the end has less to wait for.
    pub(super) fn sync(&mut self) -> Result<(), DiskError> {
        self.sink.as_mut().expect("the sink is open until the end").sync()
    }

    /// Gives the snapshot its name, and makes it durable unless it is an early one. Afterwards
    /// what it replaces may be purged.
    pub fn finish(mut self) -> Result<Finished, DiskError> {
        self.totals.file = self.digest.finalize() as u32;
        let end = self.totals.encode();
        self.section(Kind::End, &end)?;
        let durable = self.name != super::EARLY;
        if durable {
            self.sink.as_mut().expect("the sink is open until here").sync()?;
        } else {
            // To replace a file makes some file systems write the new one at once. There need not
            // be an old one.
            let _ = self.dir.remove(&self.name);
        }
        self.dir.rename(&format!("{}{TEMPORARY}", self.name), &self.name)?;
        self.sink = None;
        if durable {
            self.dir.sync_dir()?;
        }
        Ok(Finished { zxid: self.zxid, bytes: self.bytes, raw_bytes: self.totals.raw })
    }

    fn section(&mut self, kind: Kind, raw: &[u8]) -> Result<(), DiskError> {
        if raw.len() > BLOCK_BYTES_MAX {
            let error = io::Error::other("a block is larger than a reader would take");
            return Err(compressing(&self.dir, &self.name)(error));
        }
        let packed = self.compressor.compress(raw).map_err(compressing(&self.dir, &self.name))?;
        let section = format::section(kind, self.sections, raw.len(), &packed);
        self.sections += 1;
        self.append(&section)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        self.sink.as_mut().expect("the sink is open until the end").write(bytes)
    }
}

impl<D: Directory> Drop for Writer<D> {
    fn drop(&mut self) {
        if self.sink.take().is_some() {
            // If it cannot be removed now, the next start removes it.
            let _ = self.dir.remove(&format!("{}{TEMPORARY}", self.name));
        }
    }
}

fn compressing<D: Directory>(dir: &D, name: &str) -> impl FnOnce(io::Error) -> DiskError {
    let file = dir.path_of(name);
    move |source| DiskError { doing: "compress", file, source }
}
