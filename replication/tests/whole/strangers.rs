//! Do strangers break a server? Mutated sessions of the golden scripts against a whole server in
//! memory, and mutated records of every kind against their readers. `engine/fuzz` runs the same
//! functions without end.

use std::path::Path;

use ringkeeper_engine::wire::{Acl, Put};

use crate::mutate::{mutate, splice};
use crate::random::Random;
use crate::{frames, golden, records};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../server/tests/golden");
const SESSIONS: u64 = 4_000;
const RECORDS: u64 = 30_000;

fn streams() -> Vec<Vec<u8>> {
    golden::streams(Path::new(SCRIPTS))
}

#[test]
fn golden_sessions_are_served_in_any_pieces() {
    let streams = streams();
    assert!(streams.len() > 150, "only {} streams were found", streams.len());
    for stream in &streams {
        for head in [0, 2, 6, 36] {
            frames::run(&[&[head], &stream[..]].concat());
        }
    }
}

#[test]
fn mutated_sessions_break_nothing() {
    let streams = streams();
    for seed in 0..SESSIONS {
        let mut random = Random::new(seed);
        let mut bytes = splice(&streams, &mut random);
        mutate(&mut bytes, &mut random);
        bytes.insert(0, random.below(256) as u8);
        let run = std::panic::catch_unwind(|| frames::run(&bytes));
        assert!(run.is_ok(), "seed {seed} breaks it: {}", hex(&bytes));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The records of all golden requests, without length and header, and lists of access rights.
fn requests() -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    for stream in streams() {
        let mut rest = &stream[..];
        while let Some((length, tail)) = rest.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            let Some((frame, tail)) = tail.split_at_checked(length) else { break };
            records.push(frame.get(8..).unwrap_or(frame).to_vec());
            rest = tail;
        }
    }
    let mut list = Vec::new();
    Acl::write_list(&[Acl::open(), Acl::open()], &mut list);
    list.put_string("digest");
    records.push(list);
    records
}

#[test]
fn any_bytes_are_read_or_refused() {
    let (txns, requests) = (records::samples(), requests());
    assert!(requests.len() > 1_000, "only {} requests were found", requests.len());
    txns.iter().chain(&requests).for_each(|record| records::run(record));
    for seed in 0..RECORDS {
        let mut random = Random::new(seed);
        let all = if random.percent(40) { &txns } else { &requests };
        let mut bytes = random.pick(all).clone();
        bytes.truncate(2_000);
        mutate(&mut bytes, &mut random);
        let run = std::panic::catch_unwind(|| records::run(&bytes));
        assert!(run.is_ok(), "seed {seed} breaks it: {bytes:02x?}");
    }
}

/// What fuzzing has found stays found, and what it begins with is served.
#[test]
fn seeds_of_the_targets_break_nothing() {
    let seeds = |target: &str| {
        let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/fuzz/seeds").join(target);
        let entries = std::fs::read_dir(home).expect("the seeds are there");
        let paths = entries.map(|entry| entry.expect("a directory entry can be read").path());
        paths.map(|path| std::fs::read(path).expect("a seed can be read")).collect::<Vec<_>>()
    };
    seeds("frames").iter().for_each(|seed| frames::run(seed));
    seeds("records").iter().for_each(|seed| records::run(seed));
}
