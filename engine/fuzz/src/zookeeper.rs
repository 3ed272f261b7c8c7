//! Any bytes as a snapshot and a log of ZooKeeper's.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::tree::Progress;
use ringkeeper_engine::zookeeper::{Entry, Item, LogReader, Rebuild, load_snapshot, load_stream};

/// What the snapshot is named after.
pub const FROM: Zxid = Zxid::new(1, 20);
/// What begins a log: magic, version, number of the database.
const LOG_HEADER: &[u8; 16] = b"ZKLG\0\0\0\x02\0\0\0\0\0\0\0\0";

/// The first byte is even: what follows is a snapshot and also a log, as it is. It is odd: a
/// snapshot up to its checksum behind two bytes for its length, then entries behind two bytes each;
/// checksums are put in, for nothing that is mutated would ever get past them.
pub fn run(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else { return };
    if kind % 2 == 0 {
        if let Ok(loaded) = load_snapshot(data, FROM, 1) {
            finish(loaded.rebuild);
        }
        read_log(data, None);
        return;
    }
    let (snapshot, data) = cut(data);
    stream(snapshot, data);
    let mut snapshot = snapshot.to_vec();
    snapshot.extend(u64::from(simd_adler32::adler32(&&snapshot[..])).to_be_bytes());
    snapshot.extend(b"\0\0\0\x01/");
    let loaded = load_snapshot(&snapshot[..], FROM, 1);
    read_log(&framed(data), loaded.ok().map(|loaded| loaded.rebuild));
}

/// The same as what a leader sends to a learner: the snapshot without its header, then proposals.
fn stream(snapshot: &[u8], mut data: &[u8]) {
    let state = snapshot.get(LOG_HEADER.len()..).unwrap_or_default();
    let state = [state, b"\0\0\0\x0aBenWasHere"].concat();
    let Ok(loaded) = load_stream(&state[..], FROM, 1) else { return };
    let mut rebuild = loaded.rebuild;
    while !data.is_empty() {
        let (proposal, rest) = cut(data);
        data = rest;
        let Ok(entry) = Entry::read(proposal) else { return };
        if rebuild.take(&entry).is_err() {
            return;
        }
    }
    finish(rebuild);
}

/// The bytes behind a length, and the rest.
fn cut(data: &[u8]) -> (&[u8], &[u8]) {
    let Some((length, rest)) = data.split_first_chunk::<2>() else { return (data, &[]) };
    rest.split_at(usize::from(u16::from_be_bytes(*length)).min(rest.len()))
}

fn framed(mut data: &[u8]) -> Vec<u8> {
    let mut log = LOG_HEADER.to_vec();
    while !data.is_empty() {
        let (entry, rest) = cut(data);
        data = rest;
        let length = u32::try_from(entry.len()).expect("two bytes are fewer than four");
        log.extend(u64::from(simd_adler32::adler32(&entry)).to_be_bytes());
        log.extend(length.to_be_bytes());
        log.extend(entry);
        log.push(b'B');
    }
    log
}

fn read_log(log: &[u8], rebuild: Option<Rebuild>) {
    let Ok(mut reader) = LogReader::open(log, log.len() as u64) else { return };
    let mut rebuild = rebuild;
    let mut last = Zxid::ZERO;
    while let Ok(Item::Entry(entry)) = reader.next(last) {
        last = entry.txn.zxid;
        let Some(state) = &mut rebuild else { continue };
        if state.take(&entry).is_err() {
            return;
        }
    }
    if let Some(rebuild) = rebuild {
        finish(rebuild);
    }
}

/// Whatever was taken for a state can be written.
fn finish(rebuild: Rebuild) {
    let Ok(mut imported) = rebuild.finish(0) else { return };
    let counted = imported.tree.begin_snapshot();
    let mut block = Vec::new();
    while imported.tree.snapshot_slice(100, &mut block) != Progress::Done {}
    assert!(counted.zxid >= imported.last, "new zxids are larger than all before");
}
