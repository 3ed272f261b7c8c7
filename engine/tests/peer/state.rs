//! The state behind a SNAP packet: cut off, damaged, hostile.

use std::io::{self, Read};

use ringkeeper_engine::Zxid;
use ringkeeper_engine::limits::SNAP_FIELD_BYTES_MAX;
use ringkeeper_engine::wire::Put;
use ringkeeper_engine::zookeeper::{Bad, load_stream};

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
