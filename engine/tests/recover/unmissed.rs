//! Records and segments that vanish are missed: what is left of a log says that there was more.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::MemoryDisk;
use ringkeeper_engine::log::{Proof, Refusal};

use crate::world::{World, forget_notes, goes_on, open, repaired};

/// Several segments, no snapshot; ended in order or not.
fn history(end: End) -> (MemoryDisk, World) {
    let (disk, mut world) = (MemoryDisk::new(1), World::default());
    let mut server = world.start(&disk).unwrap();
    for round in 0..27 {
        world.flush(&mut server, [1, 9, 4, 12][round % 4]).unwrap();
    }
    if end == End::Sealed {
        server.recovered.log.seal().unwrap();
    }
    assert!(segments(&disk).len() >= 4, "{:?}", segments(&disk));
    (disk, world)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Sealed,
    Killed,
}

fn segments(disk: &MemoryDisk) -> Vec<String> {
    let mut names: Vec<String> =
        disk.names().into_iter().filter(|name| name.starts_with("log.")).collect();
    names.sort_by_key(|name| u64::from_str_radix(&name[4..], 16).unwrap());
    names
}

/// Zeros in the newest segment, from a byte to its end.
fn zeroed(disk: &MemoryDisk, from: usize) -> MemoryDisk {
    let disk = disk.fork();
    let name = segments(&disk).pop().unwrap();
    let mut bytes = disk.contents(&name).unwrap();
    bytes[from..].fill(0);
    disk.put(&name, bytes);
    disk
}

fn used(disk: &MemoryDisk) -> usize {
    let bytes = disk.contents(&segments(disk).pop().unwrap()).unwrap();
    bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1
}

#[test]
fn tail_that_reads_as_zeros_behind_a_seal_is_damage_wherever_it_begins() {
    let (disk, world) = history(End::Sealed);
    let (mut refused, end) = (0, used(&disk));
    assert!(end > 10_000);
    for from in (8_192..end).step_by(8) {
        let disk = zeroed(&disk, from);
        match open(&disk.fork()) {
            // Only the seal is gone.
            Ok((_, txns)) => assert!(txns == world.ordered && from + 24 >= end, "byte {from}"),
            Err(Refusal::Damaged { last, why: Proof::Waypoint(noted), .. }) => {
                assert!(last < noted && noted.0 == world.acked as u64);
                refused += 1;
            }
            Err(other) => panic!("byte {from}: {other}"),
        }
        if from % 1_600 == 0 {
            let left = repaired(&disk);
            assert!(left == world.ordered[..left.len()] && left.len() < world.acked);
            goes_on(&World { acked: left.len(), ordered: left, life: 9 }, &disk);
        }
    }
    assert!(refused > 100, "{refused}");
}

/// The notes of a segment go with its records, or alone: either way nothing proves any more that
/// the records are all there.
#[test]
fn notes_that_read_as_zeros_are_damage_whatever_records_are_left() {
    for ended in [End::Sealed, End::Killed] {
        let (disk, world) = history(ended);
        let name = segments(&disk).pop().unwrap();
        for (notes_from, records_from) in [
            (4_096, 8_192),
            (4_100, 8_192),
            (4_112, 8_200),
            (4_096, 9_000),
            (4_096, used(&disk) / 2),
            (4_096, used(&disk)),
        ] {
            let disk = disk.fork();
            let mut bytes = disk.contents(&name).unwrap();
            bytes[notes_from..8_192].fill(0);
            bytes[records_from..].fill(0);
            disk.put(&name, bytes);
            match open(&disk.fork()).map(|_| ()) {
                Err(Refusal::Damaged { why: Proof::Erased, .. }) => {}
                other => panic!("{notes_from} {records_from}: {other:?}"),
            }
            let left = repaired(&disk);
            assert!(left == world.ordered[..left.len()]);
            goes_on(&World { acked: left.len(), ordered: left, life: 9 }, &disk);
        }
    }
}

/// Without a seal, what lies before the last waypoint is missed.
#[test]
fn tail_of_a_killed_server_that_reads_as_zeros_is_damage_up_to_the_last_waypoint() {
    let (disk, world) = history(End::Killed);
    let end = used(&disk);
    let step = (20 << 10) / 16_usize;
    let (mut refused, mut passed) = (0, 0);
    for from in (8_192..end).step_by(8) {
        match open(&zeroed(&disk, from)) {
            Ok((_, txns)) => {
                assert!(from + 2 * step.next_multiple_of(4_096) > end, "byte {from} of {end}");
                assert!(txns == world.ordered[..txns.len()]);
                passed += 1;
            }
            Err(Refusal::Damaged { why: Proof::Waypoint(_), .. }) => refused += 1,
            Err(other) => panic!("byte {from}: {other}"),
        }
    }
    assert!(refused > 100 && passed > 0, "{refused} {passed}");
}

#[test]
fn newest_segments_that_are_gone_are_missed() {
    for end in [End::Sealed, End::Killed] {
        let (disk, world) = history(end);
        let names = segments(&disk);
        for gone in 1..names.len() {
            let disk = disk.fork();
            names[names.len() - gone..].iter().for_each(|name| disk.take(name));
            let refusal = open(&disk).map(|_| ()).unwrap_err();
            let Refusal::NextMissing { file, last } = &refusal else { panic!("{refusal}") };
            assert!(file.ends_with(&names[names.len() - gone - 1]), "{file}");
            assert!(refusal.to_string().contains("ringkeeper log repair"), "{refusal}");
            let last = last.0 as usize;
            assert!(repaired(&disk) == world.ordered[..last]);
            goes_on(
                &World { acked: last, ordered: world.ordered[..last].to_vec(), life: 9 },
                &disk,
            );
        }
    }
}

/// The process died between the two: the start that comes next says that the segment is followed.
#[test]
fn segment_begun_by_a_process_that_died_at_once_is_missed() {
    use ringkeeper_engine::device::Fault;
    let (mut died_between, mut at) = (0, 0);
    loop {
        let (disk, mut world) = (MemoryDisk::new(1), World::default());
        let mut server = world.start(&disk).unwrap();
        world.flush(&mut server, 30).unwrap();
        disk.fail_at(disk.operations() + at, Fault::Crash);
        at += 1;
        let ended = (0..4).try_for_each(|_| world.flush(&mut server, 12)).is_ok();
        disk.power_loss(|_| true);
        let begun = segments(&disk).len();
        let server = world.start(&disk).unwrap();
        let names = segments(&disk);
        assert_eq!(names.len(), begun);
        drop(server);
        if names.len() > 1 {
            died_between += 1;
            let disk = disk.fork();
            disk.take(names.last().unwrap());
            assert!(matches!(open(&disk), Err(Refusal::NextMissing { .. })), "operation {at}");
        }
        if ended {
            break;
        }
    }
    assert!(died_between > 5, "{died_between}");
}

/// What an older version wrote: no segment says that it is followed, and the newest pair does after
/// one start.
#[test]
fn log_whose_segments_say_nothing_is_taken_and_says_more_afterwards() {
    let (disk, world) = history(End::Killed);
    for name in segments(&disk) {
        let mut bytes = disk.contents(&name).unwrap();
        forget_notes(&mut bytes);
        disk.put(&name, bytes);
    }
    assert!(open(&disk).unwrap().1 == world.ordered);
    disk.take(&segments(&disk).pop().unwrap());
    assert!(matches!(open(&disk), Err(Refusal::NextMissing { .. })));
}

#[test]
fn log_written_without_waiting_for_the_disk_may_end_anywhere() {
    let (disk, mut world) = (MemoryDisk::new(1), World::default());
    disk.set_unsynced();
    let mut server = world.start(&disk).unwrap();
    for _ in 0..12 {
        world.flush(&mut server, 9).unwrap();
    }
    server.recovered.log.seal().unwrap();
    disk.take(&segments(&disk).pop().unwrap());
    world.acked = 0;
    world.start(&disk).unwrap();
}

/// A segment that is cut does not say any more that there was something behind.
#[test]
fn log_cut_in_any_segment_misses_nothing() {
    let (disk, mut world) = history(End::Sealed);
    let mut server = world.start(&disk).unwrap();
    world.snapshot_only(&server).unwrap();
    for last in (1..world.acked).rev().step_by(5) {
        server.recovered.log.cut(Zxid(last as u64), Zxid::ZERO).unwrap();
        let there = open(&disk.fork()).unwrap_or_else(|refusal| panic!("{last}: {refusal}"));
        assert!(there.1 == world.ordered[..last]);
    }
}

/// A snapshot that was never finished was begun when its zxid was durable.
#[test]
fn unfinished_snapshot_beyond_the_end_of_the_log_is_refused_and_repaired() {
    let (disk, world) = history(End::Killed);
    disk.put(&format!("snapshot.{:x}.tmp", world.acked), vec![1; 10]);
    goes_on(&world, &disk.fork());
    disk.put(&format!("snapshot.{:x}.tmp", world.acked + 1), vec![1; 10]);
    let refusal = open(&disk).map(|_| ()).unwrap_err();
    assert!(matches!(refusal, Refusal::LogTooShort { .. }), "{refusal}");
    assert!(repaired(&disk) == world.ordered);
}
