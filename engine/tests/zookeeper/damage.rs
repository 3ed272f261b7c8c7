//! Cut and flipped files: refused, or read up to the damage, and never a panic.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::zookeeper::{
    Bad, Behind, End, Ending, Entry, Item, LogReader, load_snapshot,
};

use crate::fuzzy::sample;

/// The entries of a log, and how it ends.
fn entries(log: &[u8]) -> (Vec<Entry>, Result<End, Bad>) {
    let mut entries = Vec::new();
    let mut reader = match LogReader::open(log, log.len() as u64) {
        Ok(reader) => reader,
        Err(bad) => return (entries, Err(bad)),
    };
    loop {
        let last = entries.last().map_or(Zxid::ZERO, |entry: &Entry| entry.txn.zxid);
        match reader.next(last) {
            Ok(Item::Entry(entry)) => entries.push(entry),
            Ok(Item::End(end)) => return (entries, Ok(end)),
            Err(bad) => return (entries, Err(bad)),
        }
    }
}

#[test]
fn truncated_snapshot_is_refused() {
    let files = sample();
    let load = |bytes: &[u8]| load_snapshot(bytes, files.from, 1).is_ok();
    let whole = files.snapshot.len();
    let good: Vec<usize> = (0..=whole).filter(|at| load(&files.snapshot[..*at])).collect();
    // The parts at the end came with later versions, so without them it is one of an older one.
    assert_eq!(good, [whole - 21 - 33, whole - 21, whole]);
}

#[test]
fn snapshot_with_a_flipped_bit_is_refused() {
    let files = sample();
    for at in 0..files.snapshot.len() * 8 {
        let mut bytes = files.snapshot.clone();
        bytes[at / 8] ^= 1 << (at % 8);
        // Nobody looks at the number of the database, but it is in the checksum.
        assert!(load_snapshot(&bytes[..], files.from, 1).is_err(), "bit {at}");
    }
}

#[test]
fn truncated_log_is_read_up_to_the_cut() {
    let log = sample().log;
    let whole = entries(&log.bytes).0;
    assert_eq!(whole.len(), log.ends.len());
    for at in 16..log.bytes.len() {
        let expected = log.ends.iter().filter(|end| **end <= at).count();
        let is_between = at == 16 || log.ends.contains(&at);
        for zeros in [0, 5, 500] {
            let mut bytes = log.bytes[..at].to_vec();
            bytes.resize(at + zeros, 0);
            let (found, end) = entries(&bytes);
            assert_eq!(found, whole[..found.len()], "byte {at}");
            // An entry may end with zeros.
            assert!((expected..=expected + 1).contains(&found.len()), "byte {at}");
            let end = end.unwrap();
            assert_eq!(end.behind, Behind::Nothing, "byte {at}, {zeros} zeros");
            if is_between {
                assert_eq!((end.ending, end.at), (Ending::Clean, at as u64));
            } else if zeros == 0 && bytes[end.at as usize..].iter().any(|byte| *byte != 0) {
                assert!(matches!(end.ending, Ending::Torn(_)), "byte {at}: {end:?}");
            }
        }
    }
}

#[test]
fn log_with_a_flipped_bit_is_reported() {
    let log = sample().log;
    let whole = entries(&log.bytes).0;
    let last = whole.len() - 1;
    let bytes = log.padded(64);
    for at in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[at / 8] ^= 1 << (at % 8);
        let (found, end) = entries(&bytes);
        let hit = log.ends.iter().filter(|end| **end <= at / 8).count();
        if (8..16).contains(&(at / 8)) {
            assert_eq!(found, whole, "the number of the database is not looked at");
            continue;
        }
        if at / 8 < 8 {
            assert!(end.is_err(), "bit {at}");
            continue;
        }
        assert_eq!(found, whole[..hit.min(found.len())], "bit {at}");
        assert_eq!(found.len(), hit, "bit {at}");
        let end = end.unwrap();
        match end.behind {
            Behind::Later { zxid, at: later } => {
                assert!(hit < last, "bit {at}");
                assert_eq!(zxid, whole[hit + 1].txn.zxid, "bit {at}");
                assert_eq!(later, log.ends[hit] as u64, "bit {at}");
            }
            Behind::Nothing => assert!(hit >= last, "bit {at}: a damage passes for a torn end"),
            Behind::Unknown => panic!("bit {at}"),
        }
    }
}

#[test]
fn file_of_another_kind_is_reported_as_such() {
    let files = sample();
    let said = |bytes: &[u8]| load_snapshot(bytes, Zxid(1), 1).err().unwrap().to_string();
    assert!(said(&files.log.bytes).contains("which is a log"));
    let mut other = files.snapshot.clone();
    other[..4].reverse();
    assert!(said(&other).contains("the other byte order"));
    other = files.snapshot.clone();
    other[7] = 3;
    assert!(said(&other).contains("version 3"));
    assert!(said(&[0; 64]).contains("never written"));
    assert!(said(b"ZKSN").contains("cut off at byte 4"));
    let log = |bytes: &[u8]| entries(bytes).1.err().unwrap().to_string();
    assert!(log(&files.snapshot).contains("which is a snapshot"));
}

/// A length that is not true costs nothing.
#[test]
fn hostile_length_is_refused_without_allocation() {
    let files = sample();
    for at in 16..files.snapshot.len().min(400) {
        for huge in [[0x7f, 0xff, 0xff, 0xff], [0x80, 0, 0, 0], [0xff, 0xff, 0xff, 0xfe]] {
            let mut bytes = files.snapshot.clone();
            bytes[at..at + 4].copy_from_slice(&huge);
            if bytes != files.snapshot {
                assert!(load_snapshot(&bytes[..], files.from, 1).is_err(), "byte {at}");
            }
        }
    }
}
