//! Reading a snapshot: sections are read in order, checked and decompressed by several threads,
//! and handed on in order.

use crc_fast::{CrcAlgorithm, Digest};

use super::format::{self, Kind, PROLOGUE_BYTES, SECTION_BYTES, SectionHeader, Totals};
use super::{BadSnapshot, Replay, Start};
use crate::device::{Directory, DirectoryId, DiskError, ReadAt, Source, map_in_order};
use crate::{SessionId, Zxid};

/// Why a snapshot was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It is not usable.
    #[error(transparent)]
    Bad(#[from] BadSnapshot),
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Loads the snapshot at `zxid`. After an error what was handed on is void.
pub fn load<D: Directory>(
    dir: &D,
    zxid: Zxid,
    directory: DirectoryId,
    replay: &mut impl Replay,
) -> Result<(), LoadError> {
    load_file(dir, &super::name(zxid), (zxid, directory), replay)
}

/// The zxid of a snapshot that was never finished, or of an early one, where its file tells. It was
/// durable in the log when that was begun.
pub(crate) fn begun_at<D: Directory>(dir: &D, name: &str, directory: DirectoryId) -> Option<Zxid> {
    if !super::is_early(name) {
        return super::parse_unfinished(name);
    }
    // Nothing depends on it, so what is wrong with it is of no interest.
    let reader = dir.read(name, Source::Cached).ok()?;
    let prologue = reader.read_at(0, PROLOGUE_BYTES).ok()?;
    let (zxid, whose) = format::read_prologue(&prologue).ok()?;
    (whose == directory).then_some(zxid)
}

/// Loads the early snapshot, which has to be at `zxid`. After an error what was handed on is void.
pub(crate) fn load_early<D: Directory>(
    dir: &D,
    zxid: Zxid,
    directory: DirectoryId,
    replay: &mut impl Replay,
) -> Result<(), LoadError> {
    load_file(dir, super::EARLY, (zxid, directory), replay)
}

/// Loads the snapshot in a file from the disk, not from the page cache; what is read is durable.
pub(crate) fn check_on_disk<D: Directory>(
    dir: &D,
    file: &str,
    whose: (Zxid, DirectoryId),
    replay: &mut impl Replay,
) -> Result<(), LoadError> {
    drop(dir.read(file, Source::Disk)?);
    load_file(dir, file, whose, replay)
}

/// Loads the snapshot in a file that has to be of this zxid and directory.
pub(super) fn load_file<D: Directory>(
    dir: &D,
    file: &str,
    (zxid, directory): (Zxid, DirectoryId),
    replay: &mut impl Replay,
) -> Result<(), LoadError> {
    let reader = dir.read(file, Source::Cached)?;
    let prologue_bytes = PROLOGUE_BYTES.min(usize::try_from(reader.bytes()).unwrap_or(usize::MAX));
    let prologue = reader.read_at(0, prologue_bytes)?;
    format::check_prologue(&prologue, zxid, directory)?;
    let mut sections = Sections::new(&reader, &prologue);
    let mut feed = Feed { zxid, sessions: None, totals: Totals::default(), replay };
    let mut end = None;
    map_in_order(
        dir.threads(),
        std::iter::from_fn(|| sections.next().transpose()),
        |section: Section| (section.header.kind, section.offset, section.unpack()),
        |(kind, offset, raw)| {
            let raw = raw.map_err(|what| BadSnapshot::Damaged { offset, what })?;
            if kind == Kind::End {
                end = Totals::decode(&raw);
                return Ok(());
            }
            feed.take(kind, &raw).map_err(LoadError::from)
        },
    )?;
    let totals = Totals { file: sections.file, ..feed.totals };
    if end != Some(totals) {
        let offset = reader.bytes();
        return Err(BadSnapshot::Damaged { offset, what: "the totals at its end" }.into());
    }
    feed.end().map_err(LoadError::from)
}

/// A section as it was read, not checked yet.
struct Section {
    header: SectionHeader,
    offset: u64,
    bytes: Vec<u8>,
}

impl Section {
    fn unpack(&self) -> Result<Vec<u8>, &'static str> {
        format::unpack(&self.bytes)
    }
}

/// Cuts a file into sections.
struct Sections<'a, R> {
    reader: &'a R,
    at: u64,
    number: u32,
    digest: Digest,
    /// The checksum of everything before the last section, once that was reached.
    file: u32,
    ended: bool,
}

impl<'a, R: ReadAt> Sections<'a, R> {
    fn new(reader: &'a R, prologue: &[u8]) -> Sections<'a, R> {
        let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
        digest.update(prologue);
        Sections { reader, at: prologue.len() as u64, number: 0, digest, file: 0, ended: false }
    }

    /// The next section; `None` behind the last one.
    fn next(&mut self) -> Result<Option<Section>, LoadError> {
        let damaged = |offset, what| LoadError::Bad(BadSnapshot::Damaged { offset, what });
        let (offset, left) = (self.at, self.reader.bytes() - self.at);
        if self.ended {
            return if left == 0 { Ok(None) } else { Err(damaged(offset, "bytes behind its end")) };
        }
        if left < SECTION_BYTES as u64 {
            return Err(damaged(offset, "its end is missing"));
        }
        let fields = self.reader.read_at(offset, SECTION_BYTES)?;
        let header =
            format::section_header(&fields).ok_or(damaged(offset, "the header of a section"))?;
        // The length is compared with what is there before anything is reserved for it.
        let whole = SECTION_BYTES + header.packed;
        if header.number != self.number || whole as u64 > left {
            return Err(damaged(offset, "the header of a section"));
        }
        let bytes = self.reader.read_at(offset, whole)?;
        if header.kind == Kind::End {
            self.file = self.digest.finalize() as u32;
            self.ended = true;
        }
        self.digest.update(&bytes);
        self.number += 1;
        self.at += whole as u64;
        Ok(Some(Section { header, offset, bytes }))
    }
}

/// Hands sections on, in the order in which they must come.
struct Feed<'a, R> {
    zxid: Zxid,
    /// The sessions, until the header that goes with them arrives.
    sessions: Option<Vec<(SessionId, i32)>>,
    totals: Totals,
    replay: &'a mut R,
}

impl<R: Replay> Feed<'_, R> {
    fn take(&mut self, kind: Kind, raw: &[u8]) -> Result<(), BadSnapshot> {
        match kind {
            Kind::Sessions => {
                self.sessions = format::decode_sessions(raw);
                Ok(())
            }
            Kind::Header => {
                let sessions = self.sessions.as_deref().ok_or(misplaced())?;
                let start = Start { zxid: self.zxid, sessions, header: raw };
                self.replay.begin(start).map_err(BadSnapshot::Refused)
            }
            Kind::Block => {
                self.totals.blocks += 1;
                self.totals.raw += raw.len() as u64;
                self.replay.block(raw).map_err(BadSnapshot::Refused)
            }
            Kind::End => Ok(()),
        }
    }

    fn end(self) -> Result<(), BadSnapshot> {
        self.sessions.ok_or(misplaced())?;
        self.replay.end().map_err(BadSnapshot::Refused)
    }
}

fn misplaced() -> BadSnapshot {
    BadSnapshot::Damaged { offset: PROLOGUE_BYTES as u64, what: "the order of its sections" }
}
