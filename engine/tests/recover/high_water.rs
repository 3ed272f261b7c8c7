//! What a segment says about how far it was written, and what recovery makes of it.

use ringkeeper_engine::device::MemoryDisk;

use crate::world::{World, goes_on, open};

const BLOCK: std::ops::Range<usize> = 4_096..8_192;

/// The only segment of a log, with its second block as it was after each flush.
fn history() -> (MemoryDisk, World, Vec<Vec<u8>>) {
    let (disk, mut world) = (MemoryDisk::new(8), World::default());
    let mut server = world.start(&disk).unwrap();
    let mut blocks = Vec::new();
    for _ in 0..10 {
        world.flush(&mut server, 3).unwrap();
        blocks.push(disk.contents("log.1").unwrap()[BLOCK].to_vec());
    }
    blocks.dedup();
    assert!(blocks.len() > 1, "it was raised");
    (disk, world, blocks)
}

fn limit(block: &[u8]) -> usize {
    u32::from_le_bytes(block[16..20].try_into().unwrap()) as usize
}

/// A disk that has lost the last raise must not cost what was written behind it.
#[test]
fn records_beyond_a_stale_high_water_are_found() {
    let (disk, world, blocks) = history();
    for block in &blocks {
        let disk = disk.fork();
        let mut bytes = disk.contents("log.1").unwrap();
        bytes[BLOCK].copy_from_slice(block);
        disk.put("log.1", bytes);
        assert!(open(&disk.fork()).unwrap().1 == world.ordered);
        goes_on(&world, &disk);
        let (known, written) = (limit(blocks.last().unwrap()), disk.contents("log.1").unwrap());
        assert!(limit(&written[BLOCK]) >= known, "what is known from now on is right again");
    }
}

/// What nothing was ever written to is not looked at.
#[test]
fn bytes_beyond_the_high_water_are_not_read() {
    let (disk, mut world) = (MemoryDisk::new(8), World::default());
    let mut server = world.start(&disk).unwrap();
    world.flush(&mut server, 3).unwrap();
    let mut bytes = disk.contents("log.1").unwrap();
    let limit = limit(&bytes[BLOCK]);
    assert!(limit < bytes.len());
    bytes[limit..].fill(0xff);
    disk.put("log.1", bytes);
    assert!(goes_on(&world, &disk).is_empty());
}

/// Damage below the limit is told from a flush that was cut short, up to the last byte.
#[test]
fn later_group_below_the_high_water_is_damage() {
    let (disk, world, blocks) = history();
    let whole = disk.contents("log.1").unwrap();
    let mut refused = 0;
    for at in (BLOCK.end..limit(blocks.last().unwrap())).step_by(512) {
        let disk = disk.fork();
        let mut bytes = whole.clone();
        bytes[at..at + 512].fill(0);
        if bytes == whole {
            continue;
        }
        disk.put("log.1", bytes);
        match open(&disk) {
            Ok((_, txns)) => assert!(txns.len() >= world.ordered.len() - 3, "byte {at}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 5, "{refused}");
}

/// A segment that was written to its limit several times, with a snapshot behind each flush.
fn with_snapshots() -> (MemoryDisk, World, Vec<String>) {
    let (disk, mut world) = (MemoryDisk::new(8), World::default());
    let mut server = world.start(&disk).unwrap();
    let mut snapshots = Vec::new();
    while disk.contents("log.1").unwrap()[17_000] == 0 {
        world.flush(&mut server, 2).unwrap();
        world.snapshot_only(&server).unwrap();
        snapshots.push(format!("snapshot.{:x}", world.acked));
    }
    assert!(snapshots.len() > 10 && disk.contents("log.1").unwrap()[20_000..] == [0; 480]);
    (disk, world, snapshots)
}

/// Wherever the snapshot is, all that is behind it is found, and nothing of it twice.
#[test]
fn records_behind_a_snapshot_are_found_from_its_waypoint() {
    let (disk, world, snapshots) = with_snapshots();
    for kept in &snapshots {
        let disk = disk.fork();
        snapshots.iter().filter(|name| *name != kept).for_each(|name| disk.take(name));
        let (recovered, txns) = open(&disk.fork()).unwrap();
        let base = u64::from_str_radix(kept.strip_prefix("snapshot.").unwrap(), 16).unwrap();
        assert_eq!(recovered.replayed.records, world.acked as u64 - base, "{kept}");
        assert!(txns == world.ordered, "{kept}");
        assert!(goes_on(&world, &disk).is_empty());
    }
}

/// What stands before the waypoint is not looked at for the newest snapshot, and is for an older
/// one: damage there is found by whoever needs what is damaged.
#[test]
fn damage_before_the_waypoint_matters_only_without_the_snapshot() {
    let (disk, world, snapshots) = with_snapshots();
    let mut bytes = disk.contents("log.1").unwrap();
    bytes[8_300] ^= 1;
    disk.put("log.1", bytes);
    assert!(open(&disk.fork()).unwrap().1 == world.ordered);
    goes_on(&world, &disk.fork());
    snapshots.iter().for_each(|name| disk.take(name));
    assert!(open(&disk).is_err());
}

/// A block that cannot be read, or is of an earlier kind, costs a longer look and nothing else.
#[test]
fn segment_without_waypoints_is_read_from_the_begin() {
    let (disk, world, _) = with_snapshots();
    for at in [0, 8, 16, 20, 24, 30, 40] {
        let disk = disk.fork();
        let mut bytes = disk.contents("log.1").unwrap();
        bytes[BLOCK.start + at] ^= 1;
        disk.put("log.1", bytes.clone());
        assert!(goes_on(&world, &disk).is_empty());
        bytes[8_300] ^= 1;
        disk.put("log.1", bytes);
        assert!(open(&disk).is_err(), "byte {at}");
    }
}

/// The block is durable before the group that it speaks of, which may never come.
#[test]
fn waypoint_of_a_lost_group_is_passed_over() {
    let (disk, world, _) = with_snapshots();
    let bytes = disk.contents("log.1").unwrap();
    let records = u32::from_le_bytes(bytes[4_116..4_120].try_into().unwrap());
    assert!(records >= 2, "{records} waypoints");
    let last = 4_096 + 24 + 16 * (records as usize - 1);
    let offset = u32::from_le_bytes(bytes[last..last + 4].try_into().unwrap()) as usize;
    let before = u64::from_le_bytes(bytes[last + 8..last + 16].try_into().unwrap()) as usize;
    let mut shorter = World { acked: before, life: world.life, ..World::default() };
    shorter.ordered = world.ordered[..before].to_vec();
    let mut cut = bytes;
    cut[offset..].fill(0);
    disk.put("log.1", cut);
    let later = |name: &String| {
        name.strip_prefix("snapshot.")
            .is_some_and(|zxid| usize::from_str_radix(zxid, 16).unwrap() > before)
    };
    disk.names().iter().filter(|name| later(name)).for_each(|name| disk.take(name));
    assert!(goes_on(&shorter, &disk).is_empty());
}
