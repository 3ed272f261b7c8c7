//! Reading a snapshot.
//!
//! ```text
//! header | sessions | access control lists | nodes, parents first | "/" | seal
//!        | [zxid, version, digest | seal] | [zxid | seal]
//! ```
//! A seal is the Adler-32 of every byte before it, and the string "/". The two parts at the end
//! came with 3.6 and 3.9, and each can be switched off.

use std::collections::BTreeMap;
use std::io::Read;

use simd_adler32::Adler32;

use super::rebuild::{Purpose, RawNode, Rebuild};
use super::stream::Stream;
use super::{Bad, SNAPSHOT_MAGIC};
use crate::txn::AclList;
use crate::wire::{Acl, Id, Malformed, Reader, Stat};
use crate::{SessionId, Zxid};

/// More than the parts at the end ever take.
const TRAILER_BYTES_MAX: usize = 4_096;
/// The number that stands for the open list.
const OPEN: i64 = -1;

/// What was read.
pub struct Loaded {
    /// The state, to which the log is to be added.
    pub rebuild: Rebuild,
    /// Bytes of the snapshot, decompressed.
    pub bytes: u64,
}

/// Reads the snapshot that is named after `zxid`; `seed` keys the tree's hash tables.
pub fn load_snapshot(from: impl Read, zxid: Zxid, seed: u64) -> Result<Loaded, Bad> {
    let mut stream = Stream::new(from);
    stream.header()?.check(SNAPSHOT_MAGIC, "snapshot")?;
    let mut rebuild = Rebuild::new(zxid, seed, Purpose::Import);
    read_state(&mut stream, &mut rebuild)?;
    let sum = stream.sum();
    if stream.long()? != i64::from(sum.finish()) {
        return Err(stream.damaged("its checksum is wrong"));
    }
    if stream.buffer()? != Some(b"/") {
        return Err(stream.damaged("the mark behind its checksum is missing"));
    }
    let sum = stream.sum();
    let trailer = Trailer::read(stream.rest(TRAILER_BYTES_MAX)?, &sum);
    let trailer = trailer.ok_or_else(|| stream.damaged("what follows its nodes"))?;
    rebuild.loaded(trailer.digest, trailer.last);
    Ok(Loaded { rebuild, bytes: stream.at() })
}

/// Sessions, access control lists, nodes, and the "/" behind them.
pub(super) fn read_state(stream: &mut Stream<impl Read>, rebuild: &mut Rebuild) -> Result<(), Bad> {
    for _ in 0..stream.count()? {
        let session = SessionId(stream.long()?);
        rebuild.session(session, stream.int()?);
    }
    let lists = read_lists(stream)?;
    read_nodes(stream, &lists, rebuild)
}

fn read_lists(stream: &mut Stream<impl Read>) -> Result<BTreeMap<i64, AclList>, Bad> {
    let mut lists = BTreeMap::new();
    for _ in 0..stream.count()? {
        let number = stream.long()?;
        let mut list = Vec::new();
        for _ in 0..stream.count()? {
            let perms = stream.int()?;
            let id = Id { scheme: stream.string()?, id: stream.string()? };
            list.push(Acl { perms, id });
        }
        lists.insert(number, AclList::from(list));
    }
    Ok(lists)
}

fn read_nodes(
    stream: &mut Stream<impl Read>,
    lists: &BTreeMap<i64, AclList>,
    rebuild: &mut Rebuild,
) -> Result<(), Bad> {
    let open = crate::acl::open_list();
    let mut data = Vec::new();
    loop {
        let path = stream.string()?;
        if path == "/" {
            return Ok(());
        }
        data.clear();
        let bytes = stream.buffer()?;
        let is_null = bytes.is_none();
        data.extend_from_slice(bytes.unwrap_or_default());
        let acl = match stream.long()? {
            OPEN => Some(&open),
            number => lists.get(&number),
        };
        let (stat, owner) = read_stat(stream)?;
        let data = (!is_null).then_some(&data[..]);
        let node = RawNode { path: &path, data, acl, owner, stat: &stat };
        if let Err(source) = rebuild.node(&node) {
            return Err(Bad::Node { path, source });
        }
    }
}

/// The stat as it is stored, and the internal owner.
fn read_stat(stream: &mut Stream<impl Read>) -> Result<(Stat, i64), Bad> {
    let mut stat = Stat {
        czxid: stream.long()?,
        mzxid: stream.long()?,
        ctime: stream.long()?,
        mtime: stream.long()?,
        version: stream.int()?,
        cversion: stream.int()?,
        aversion: stream.int()?,
        ..Stat::default()
    };
    let owner = stream.long()?;
    stat.pzxid = stream.long()?;
    Ok((stat, owner))
}

/// What may stand behind the nodes and their seal.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Trailer {
    /// The digest of the tree (version 2) at a zxid near the end of the writing.
    digest: Option<(Zxid, u64)>,
    /// The last transaction that was applied when the writing ended.
    last: Option<Zxid>,
}

impl Trailer {
    /// Nothing in the bytes says which parts there are; the seals do.
    fn read(bytes: &[u8], sum: &Adler32) -> Option<Trailer> {
        if bytes.is_empty() {
            return Some(Trailer::default());
        }
        [(true, true), (true, false), (false, true)].into_iter().find_map(|parts| {
            let mut trailer = Trailer::default();
            let mut sealed =
                Sealed { bytes, reader: Reader::new(bytes), sum: sum.clone(), done: 0 };
            if parts.0 {
                trailer.digest = sealed.digest().ok()?;
                sealed.seal()?;
            }
            if parts.1 {
                trailer.last = Some(Zxid::from_wire(sealed.reader.long().ok()?));
                sealed.seal()?;
            }
            sealed.reader.rest().is_empty().then_some(trailer)
        })
    }
}

/// Parts with a seal each.
struct Sealed<'a> {
    bytes: &'a [u8],
    reader: Reader<'a>,
    sum: Adler32,
    /// Bytes that are in the sum.
    done: usize,
}

impl Sealed<'_> {
    /// A digest of an older version counted otherwise, and is nothing to compare with.
    fn digest(&mut self) -> Result<Option<(Zxid, u64)>, Malformed> {
        let zxid = Zxid::from_wire(self.reader.long()?);
        let version = self.reader.int()?;
        if version < 2 {
            self.reader.ustring()?;
            return Ok(None);
        }
        let digest = self.reader.long()? as u64;
        Ok((version == 2).then_some((zxid, digest)))
    }

    fn seal(&mut self) -> Option<()> {
        self.count_in();
        let expected = i64::from(self.sum.finish());
        let found = self.reader.long().ok()?;
        let mark = self.reader.buffer().ok()?;
        self.count_in();
        (found == expected && mark == Some(b"/")).then_some(())
    }

    fn count_in(&mut self) {
        let read = self.bytes.len() - self.reader.rest().len();
        self.sum.write(&self.bytes[self.done..read]);
        self.done = read;
    }
}
