//! Early snapshots: they save a start some of the log, and nothing depends on them.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::MemoryDevice;
use ringkeeper_engine::log::Refusal;
use ringkeeper_engine::snapshot::EARLY;

use crate::world::{World, goes_on, open, repaired};

/// A regular snapshot at 10, an early one at 20, and 25 transactions.
fn history() -> (MemoryDevice, World) {
    let (device, mut world) = (MemoryDevice::new(4), World::default());
    let mut server = world.start(&device).unwrap();
    world.commit(&mut server, 10).unwrap();
    world.snapshot_only(&server).unwrap();
    world.commit(&mut server, 5).unwrap();
    world.early_snapshot(&server).unwrap();
    world.commit(&mut server, 5).unwrap();
    world.early_snapshot(&server).unwrap();
    world.commit(&mut server, 5).unwrap();
    (device, world)
}

#[test]
fn the_newest_one_is_where_a_start_begins() {
    let (device, world) = history();
    let (recovered, txns) = open(&device.fork()).unwrap();
    assert_eq!((recovered.snapshot, recovered.replayed), (Some(Zxid(20)), 5));
    assert!(txns == world.ordered && recovered.notes.is_empty());
    assert!(goes_on(&world, &device).is_empty());
}

#[test]
fn a_newer_regular_one_is_preferred() {
    let (device, mut world) = history();
    let mut server = world.start(&device).unwrap();
    world.commit(&mut server, 1).unwrap();
    world.snapshot_only(&server).unwrap();
    let (recovered, txns) = open(&device).unwrap();
    assert_eq!((recovered.snapshot, recovered.replayed), (Some(Zxid(26)), 0));
    assert!(txns == world.ordered);
}

/// Nobody waits until the disk has it, so a power failure may leave any of it. That is no news.
#[test]
fn a_damaged_one_is_passed_over_in_silence() {
    let (device, world) = history();
    let whole = device.contents(EARLY).unwrap();
    for at in 0..whole.len() {
        let device = device.fork();
        let mut bytes = whole.clone();
        if at % 2 == 0 {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << (at % 8);
        }
        device.put(EARLY, bytes);
        let (recovered, txns) = open(&device).unwrap();
        assert_eq!((recovered.snapshot, recovered.replayed), (Some(Zxid(10)), 15), "byte {at}");
        assert!(txns == world.ordered && recovered.notes.is_empty());
    }
}

#[test]
fn one_of_another_directory_is_not_looked_at() {
    let (device, mut world) = history();
    let foreign = MemoryDevice::new(99);
    let mut stranger = World::default();
    let mut server = stranger.start(&foreign).unwrap();
    stranger.commit(&mut server, 22).unwrap();
    stranger.early_snapshot(&server).unwrap();
    device.put(EARLY, foreign.contents(EARLY).unwrap());
    world.start(&device).unwrap();
}

/// It was taken of what was durable, so a log that ends before it has lost something, which nobody
/// should find out later. A repair keeps what it holds.
#[test]
fn a_log_that_ends_before_it_is_refused_and_a_repair_keeps_all_of_it() {
    let (device, world) = history();
    let shorter = MemoryDevice::new(4);
    let mut before = World::default();
    let mut server = before.start(&shorter).unwrap();
    before.commit(&mut server, 10).unwrap();
    device.put("log.1", {
        let mut bytes = device.contents("log.1").unwrap();
        let kept = shorter.contents("log.1").unwrap();
        let end = kept.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        bytes[end.next_multiple_of(8)..].fill(0);
        bytes
    });
    match open(&device.fork()) {
        Err(Refusal::LogTooShort { file, .. }) => assert!(file.contains(EARLY), "{file}"),
        other => panic!("{:?}", other.map(|(recovered, _)| recovered.last)),
    }
    assert!(repaired(&device) == world.ordered[..20]);
    assert!(device.contents(EARLY).is_none() && device.contents("snapshot.14").is_some());
    let mut kept = World { ordered: world.ordered[..20].to_vec(), acked: 20, life: 9 };
    let mut server = kept.start(&device).unwrap();
    kept.commit(&mut server, 3).unwrap();
    device.power_loss(|_| false);
    kept.start(&device).unwrap();
}

/// Where the log is cut behind an early one that cannot be used, it must not come back later, when
/// another history has reached its place.
#[test]
fn one_that_a_repair_did_not_use_is_gone() {
    let (device, _) = history();
    let mut early = device.contents(EARLY).unwrap();
    let last = early.len() - 1;
    early[last] ^= 1;
    device.put(EARLY, early);
    let mut log = device.contents("log.1").unwrap();
    let zeros = log.iter().rposition(|byte| *byte != 0).unwrap();
    log[zeros - 3_000] ^= 1;
    device.put("log.1", log);
    assert!(open(&device.fork()).is_err());
    let left = repaired(&device);
    assert!(left.len() >= 10 && left.len() < 25 && device.contents(EARLY).is_none());
}

/// A start that begins from one does not read the log before it. Where that is damaged, a power
/// failure that takes the early one must not cost what was acknowledged since.
#[test]
fn one_that_a_start_began_from_is_kept() {
    let (device, mut world) = history();
    let mut server = world.start(&device).unwrap();
    for _ in 0..10 {
        world.commit(&mut server, 5).unwrap();
    }
    world.early_snapshot(&server).unwrap();
    let mut damaged = Vec::new();
    world.ordered[11].write(&mut damaged);
    let mut log = device.contents("log.1").unwrap();
    let at = log.windows(damaged.len()).position(|bytes| *bytes == damaged).unwrap();
    log[at + 50] ^= 1;
    device.put("log.1", log);
    let mut server = world.start(&device).unwrap();
    assert_eq!(server.recovered.snapshot, Some(Zxid(75)));
    assert!(device.contents(EARLY).is_none() && device.contents("snapshot.4b").is_some());
    world.commit(&mut server, 5).unwrap();
    world.early_snapshot(&server).unwrap();
    world.commit(&mut server, 5).unwrap();
    device.power_loss(|_| false);
    let server = world.start(&device).unwrap();
    assert_eq!(server.recovered.snapshot, Some(Zxid(75)));
}

/// A version without early ones that repairs the log and goes on must not leave it to a later start
/// of this one, so its name is one that such a version removes when it starts.
#[test]
fn one_looks_unfinished_to_who_does_not_know_it() {
    assert!(EARLY.starts_with("snapshot.") && EARLY.ends_with(".tmp"));
    let (device, _) = history();
    let unfinished = format!("{EARLY}.tmp");
    device.put(&unfinished, vec![1; 10]);
    open(&device).unwrap();
    assert!(device.contents("snapshot.14").is_some() && device.contents(&unfinished).is_none());
}
