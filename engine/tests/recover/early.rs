//! Early snapshots: they save a start some of the log, and nothing depends on them.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::MemoryDisk;
use ringkeeper_engine::log::Refusal;
use ringkeeper_engine::snapshot::EARLY;

use crate::world::{World, goes_on, open, repaired};

/// A regular snapshot at 10, an early one at 20, and 25 transactions.
fn history() -> (MemoryDisk, World) {
    let (disk, mut world) = (MemoryDisk::new(4), World::default());
    let mut server = world.start(&disk).unwrap();
    world.flush(&mut server, 10).unwrap();
    world.snapshot_only(&server).unwrap();
    world.flush(&mut server, 5).unwrap();
    world.early_snapshot(&server).unwrap();
    world.flush(&mut server, 5).unwrap();
    world.early_snapshot(&server).unwrap();
    world.flush(&mut server, 5).unwrap();
    (disk, world)
}

#[test]
fn newest_early_snapshot_is_loaded() {
    let (disk, world) = history();
    let (recovered, txns) = open(&disk.fork()).unwrap();
    assert_eq!((recovered.snapshot, recovered.replayed.records), (Some(Zxid(20)), 5));
    assert!(txns == world.ordered && recovered.notes.is_empty());
    assert!(goes_on(&world, &disk).is_empty());
}

#[test]
fn early_snapshot_older_than_a_regular_one_is_not_loaded() {
    let (disk, mut world) = history();
    let mut server = world.start(&disk).unwrap();
    world.flush(&mut server, 1).unwrap();
    world.snapshot_only(&server).unwrap();
    let (recovered, txns) = open(&disk).unwrap();
    assert_eq!((recovered.snapshot, recovered.replayed.records), (Some(Zxid(26)), 0));
    assert!(txns == world.ordered);
}

/// Nobody waits until the disk has it, so a power failure may leave any of it. That is no news.
#[test]
fn damaged_early_snapshot_is_passed_over_without_a_note() {
    let (disk, world) = history();
    let whole = disk.contents(EARLY).unwrap();
    for at in 0..whole.len() {
        let disk = disk.fork();
        let mut bytes = whole.clone();
        if at % 2 == 0 {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << (at % 8);
        }
        disk.put(EARLY, bytes);
        let (recovered, txns) = open(&disk).unwrap();
        assert_eq!(
            (recovered.snapshot, recovered.replayed.records),
            (Some(Zxid(10)), 15),
            "byte {at}"
        );
        assert!(txns == world.ordered && recovered.notes.is_empty());
    }
}

#[test]
fn early_snapshot_of_another_directory_is_ignored() {
    let (disk, mut world) = history();
    let foreign = MemoryDisk::new(99);
    let mut stranger = World::default();
    let mut server = stranger.start(&foreign).unwrap();
    stranger.flush(&mut server, 22).unwrap();
    stranger.early_snapshot(&server).unwrap();
    disk.put(EARLY, foreign.contents(EARLY).unwrap());
    world.start(&disk).unwrap();
}

/// It was taken of what was durable, so a log that ends before it has lost something, which nobody
/// should find out later. A repair keeps what it holds.
#[test]
fn log_ending_before_an_early_snapshot_is_refused_and_repaired_behind_it() {
    let (disk, world) = history();
    let shorter = MemoryDisk::new(4);
    let mut before = World::default();
    let mut server = before.start(&shorter).unwrap();
    before.flush(&mut server, 10).unwrap();
    disk.put("log.1", {
        let mut bytes = disk.contents("log.1").unwrap();
        let kept = shorter.contents("log.1").unwrap();
        let end = kept.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        bytes[end.next_multiple_of(8)..].fill(0);
        bytes
    });
    match open(&disk.fork()) {
        Err(Refusal::LogTooShort { file, .. }) => assert!(file.contains(EARLY), "{file}"),
        other => panic!("{:?}", other.map(|(recovered, _)| recovered.last)),
    }
    assert!(repaired(&disk) == world.ordered[..20]);
    assert!(disk.contents(EARLY).is_none() && disk.contents("snapshot.14").is_some());
    let mut kept = World { ordered: world.ordered[..20].to_vec(), acked: 20, life: 9 };
    let mut server = kept.start(&disk).unwrap();
    kept.flush(&mut server, 3).unwrap();
    disk.power_loss(|_| false);
    kept.start(&disk).unwrap();
}

/// It cannot be used, or was never finished, but its first bytes say what was durable.
#[test]
fn log_ending_before_an_early_snapshot_that_cannot_be_used_is_refused_and_repaired() {
    let (disk, world) = history();
    let early = disk.contents(EARLY).unwrap();
    let (disk, mut left) = (MemoryDisk::new(4), World::default());
    let mut server = left.start(&disk).unwrap();
    left.flush(&mut server, 19).unwrap();
    assert!(left.ordered == world.ordered[..19]);
    for name in [EARLY.to_owned(), format!("{EARLY}.tmp")] {
        for bytes in [44, early.len() - 1] {
            let disk = disk.fork();
            disk.put(&name, early[..bytes].to_vec());
            match open(&disk).map(|_| ()) {
                Err(Refusal::LogTooShort { file, .. }) => assert!(file.ends_with(&name), "{file}"),
                other => panic!("{name}: {other:?}"),
            }
            assert!(repaired(&disk) == left.ordered);
            goes_on(&left, &disk);
        }
    }
    // One byte less of the prologue, and it says nothing.
    disk.put(EARLY, early[..43].to_vec());
    goes_on(&left, &disk);
}

/// Where the log is cut behind an early one that cannot be used, it must not come back later, when
/// another history has reached its place.
#[test]
fn early_snapshot_unused_by_a_repair_is_removed() {
    let (disk, _) = history();
    let mut early = disk.contents(EARLY).unwrap();
    let last = early.len() - 1;
    early[last] ^= 1;
    disk.put(EARLY, early);
    let mut log = disk.contents("log.1").unwrap();
    let zeros = log.iter().rposition(|byte| *byte != 0).unwrap();
    log[zeros - 3_000] ^= 1;
    disk.put("log.1", log);
    assert!(open(&disk.fork()).is_err());
    let left = repaired(&disk);
    assert!(left.len() >= 10 && left.len() < 25 && disk.contents(EARLY).is_none());
}

/// A start that begins from one does not read the log before it. Where that is damaged, a power
/// failure that takes the early one must not cost what was acknowledged since.
#[test]
fn early_snapshot_used_by_a_start_becomes_regular() {
    let (disk, mut world) = history();
    let mut server = world.start(&disk).unwrap();
    for _ in 0..10 {
        world.flush(&mut server, 5).unwrap();
    }
    world.early_snapshot(&server).unwrap();
    let mut damaged = Vec::new();
    world.ordered[11].write(&mut damaged);
    let mut log = disk.contents("log.1").unwrap();
    let at = log.windows(damaged.len()).position(|bytes| *bytes == damaged).unwrap();
    log[at + 50] ^= 1;
    disk.put("log.1", log);
    let mut server = world.start(&disk).unwrap();
    assert_eq!(server.recovered.snapshot, Some(Zxid(75)));
    assert!(disk.contents(EARLY).is_none() && disk.contents("snapshot.4b").is_some());
    world.flush(&mut server, 5).unwrap();
    world.early_snapshot(&server).unwrap();
    world.flush(&mut server, 5).unwrap();
    disk.power_loss(|_| false);
    let server = world.start(&disk).unwrap();
    assert_eq!(server.recovered.snapshot, Some(Zxid(75)));
}

/// A version without early ones that repairs the log and goes on must not leave it to a later start
/// of this one, so its name is one that such a version removes when it starts.
#[test]
fn early_snapshot_looks_unfinished_to_older_versions() {
    assert!(EARLY.starts_with("snapshot.") && EARLY.ends_with(".tmp"));
    let (disk, _) = history();
    let unfinished = format!("{EARLY}.tmp");
    disk.put(&unfinished, vec![1; 10]);
    open(&disk).unwrap();
    assert!(disk.contents("snapshot.14").is_some() && disk.contents(&unfinished).is_none());
}
