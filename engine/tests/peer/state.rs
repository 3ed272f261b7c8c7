//! The state behind a SNAP packet: cut off, damaged, hostile.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use ringkeeper_engine::Zxid;
use ringkeeper_engine::database::Database;
use ringkeeper_engine::limits::SNAP_FIELD_BYTES_MAX;
use ringkeeper_engine::wire::peer::{BadPacket, StateScan};
use ringkeeper_engine::wire::{Put, Reader};
use ringkeeper_engine::zookeeper::{Bad, load_stream, write_state};

use crate::conversation::quorum;

/// Every recorded state.
fn states() -> Vec<Vec<u8>> {
    let messages = quorum().flat_map(|(_, messages)| messages);
    messages.filter(|message| message.name == "STATE").map(|message| message.bytes).collect()
}

const ZXID: Zxid = Zxid::new(2, 3);

#[test]
fn recorded_state_is_read_to_its_last_byte_and_no_further() {
    assert_eq!(states().len(), 3);
    for state in states() {
        let longer = [&state[..], b"what follows"].concat();
        let mut bytes = &longer[..];
        let loaded = load_stream(&mut bytes, ZXID, 1).expect("a recorded state");
        assert_eq!((loaded.bytes, bytes), (state.len() as u64, &b"what follows"[..]));
    }
}

/// What Apache ZooKeeper 3.9.5 has sent, byte for byte, but that a list which lets everyone do
/// everything is among the lists there where a client has named it.
#[test]
fn recorded_state_is_written_as_it_was_read() {
    for state in states() {
        let loaded = load_stream(&state[..], Zxid::new(9, 1), 1).expect("a recorded state");
        let read = loaded.rebuild.finish(0).expect("a whole state");
        let mut written = Vec::new();
        write_state(&Database::new(read.tree, read.sessions), &mut written);
        let (written, recorded) = (split(&written), split(&state));
        assert_eq!(written.0, recorded.0);
        let differs: Vec<_> = written.1.symmetric_difference(&recorded.1).collect();
        assert!(differs.is_empty(), "{differs:x?}");
    }
}

/// The sessions; and the nodes: what is before the number of the list, the list, and the stat. A
/// hash orders them there, but for parents and children.
type Parts<'a> = (BTreeSet<(i64, i32)>, BTreeSet<(&'a [u8], &'a [u8], &'a [u8])>);

fn split(state: &[u8]) -> Parts<'_> {
    const OPEN: &[u8] = b"\0\0\0\x01\0\0\0\x1f\0\0\0\x05world\0\0\0\x06anyone";
    const STAT_BYTES: usize = 60;
    let behind = |reader: &Reader<'_>| state.len() - reader.rest().len();
    let mut reader = Reader::new(state);
    let sessions = (0..reader.int().unwrap())
        .map(|_| (reader.long().unwrap(), reader.int().unwrap()))
        .collect();
    let mut lists = BTreeMap::from([(-1, OPEN)]);
    for _ in 0..reader.int().unwrap() {
        let number = reader.long().unwrap();
        let begin = behind(&reader);
        for _ in 0..reader.int().unwrap() {
            reader.int().unwrap();
            reader.string().unwrap();
            reader.string().unwrap();
        }
        lists.insert(number, &state[begin..behind(&reader)]);
    }
    let mut nodes = BTreeSet::new();
    while !reader.rest().starts_with(b"\0\0\0\x01/") {
        let begin = behind(&reader);
        reader.string().unwrap();
        reader.buffer().unwrap();
        let named = &state[begin..behind(&reader)];
        let list = lists[&reader.long().unwrap()];
        let (stat, rest) = reader.rest().split_at(STAT_BYTES);
        nodes.insert((named, list, stat));
        reader = Reader::new(rest);
    }
    assert_eq!(reader.rest(), b"\0\0\0\x01/\0\0\0\x0aBenWasHere");
    (sessions, nodes)
}

#[test]
fn state_cut_off_at_any_byte_is_refused() {
    for state in states() {
        for cut in 0..state.len() {
            match load_stream(&state[..cut], ZXID, 1).err() {
                Some(Bad::CutOff { at }) => assert_eq!(at, cut as u64),
                other => panic!("{cut}: {other:?}"),
            }
        }
    }
}

#[test]
fn state_without_its_signature_is_refused() {
    for mut state in states() {
        let last = state.len() - 1;
        state[last] = b'f';
        let said = load_stream(&state[..], ZXID, 1).err().unwrap().to_string();
        assert!(said.contains("signature"), "{said}");
    }
}

/// Where a scan in pieces finds the end.
fn scanned(mut bytes: &[u8], piece: usize) -> Result<Option<usize>, BadPacket> {
    let mut scan = StateScan::default();
    let mut passed = 0;
    while !bytes.is_empty() {
        let (head, tail) = bytes.split_at(piece.min(bytes.len()));
        if let Some(end) = scan.advance(head)? {
            return Ok(Some(passed + end));
        }
        passed += head.len();
        bytes = tail;
    }
    Ok(None)
}

#[test]
fn scan_finds_the_end_of_a_state_in_pieces_of_any_size() {
    for state in states() {
        let longer = [&state[..], &[0; 40]].concat();
        for piece in 1..longer.len() {
            assert_eq!(scanned(&longer, piece), Ok(Some(state.len())), "{piece}");
        }
        for cut in 0..state.len() {
            assert_eq!(scanned(&state[..cut], 5), Ok(None), "{cut}");
        }
        let mut unsigned = state.clone();
        unsigned[state.len() - 1] = b'f';
        assert_eq!(scanned(&unsigned, 7), Err(BadPacket::Signature));
    }
}

/// Where both are content, they agree; what the loader takes, the scan has found.
#[test]
fn scan_of_a_damaged_state_agrees_with_the_loader() {
    let mut agreed = 0;
    for state in states() {
        for bit in 0..state.len() * 8 {
            let mut bytes = state.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let found = scanned(&bytes, bytes.len());
            assert_eq!(scanned(&bytes, 3), found, "{bit}");
            let mut rest = &bytes[..];
            match load_stream(&mut rest, ZXID, 1) {
                Ok(loaded) => {
                    assert_eq!(found, Ok(Some(loaded.bytes as usize)), "{bit}");
                    agreed += 1;
                }
                Err(Bad::CutOff { .. }) => assert_eq!(found, Ok(None), "{bit}"),
                Err(Bad::Damaged { what, .. }) => assert!(found.is_err(), "{bit}: {what}"),
                // The scan does not look at what nodes are.
                Err(Bad::Node { .. }) => {}
                Err(other) => panic!("{bit}: {other}"),
            }
        }
    }
    assert!(agreed > 1_000, "{agreed}");
}

/// A flipped bit may pass, for there is no checksum; it may not panic.
#[test]
fn state_with_any_flipped_bit_is_read_or_refused() {
    let (mut read, mut refused) = (0, 0);
    for state in states() {
        for bit in 0..state.len() * 8 {
            let mut bytes = state.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            match load_stream(&bytes[..], ZXID, 1) {
                Ok(loaded) => {
                    read += 1;
                    let _ = loaded.rebuild.finish(0);
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(read > 1_000 && refused > 1_000, "{read} {refused}");
}

/// Sends without end, and counts what was taken.
struct Endless {
    begin: Vec<u8>,
    taken: usize,
}

impl Read for Endless {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        assert!(self.taken < SNAP_FIELD_BYTES_MAX / 4, "far too much is read");
        let left = self.begin.get(self.taken..).unwrap_or_default();
        let from = if left.is_empty() { &[b'x'; 4_096][..] } else { left };
        let count = from.len().min(into.len());
        into[..count].copy_from_slice(&from[..count]);
        self.taken += count;
        Ok(count)
    }
}

#[test]
fn lengths_that_are_not_true_are_refused_before_anything_is_taken_for_them() {
    let lengths = [SNAP_FIELD_BYTES_MAX as i32 + 1, i32::MAX, i32::MIN, -2];
    for length in lengths {
        let (mut scheme, mut path, mut data) = (Vec::new(), Vec::new(), Vec::new());
        // One list with one entry.
        scheme.put_int(0);
        scheme.put_int(1);
        scheme.put_long(1);
        scheme.put_int(1);
        scheme.put_int(31);
        scheme.put_int(length);
        path.put_long(0);
        path.put_int(length);
        data.put_long(0);
        data.put_string("");
        data.put_int(length);
        let mut count = Vec::new();
        count.put_int(length.min(-2));
        for begin in [scheme, path, data, count] {
            let sent = begin.len();
            let mut endless = Endless { begin, taken: 0 };
            let bad = load_stream(&mut endless, ZXID, 1).err().expect("it is refused");
            assert!(matches!(bad, Bad::Damaged { .. }), "{bad}");
            assert_eq!(endless.taken, sent);
            let found = scanned(&endless.begin, 1);
            assert!(matches!(found, Err(BadPacket::Length { .. })), "{found:?}");
        }
    }
}

#[test]
fn counts_that_are_not_true_cost_no_more_than_the_bytes_that_come() {
    let mut sessions = Vec::new();
    sessions.put_int(i32::MAX);
    sessions.put_long(1);
    let mut lists = Vec::new();
    lists.put_int(0);
    lists.put_int(i32::MAX);
    let mut entries = lists.clone();
    entries.put_long(1);
    entries.put_int(i32::MAX);
    for begin in [sessions, lists, entries] {
        let end = begin.len() as u64;
        match load_stream(&begin[..], ZXID, 1).err() {
            Some(Bad::CutOff { at }) => assert_eq!(at, end),
            other => panic!("{other:?}"),
        }
    }
}
