//! Disks that fail and disks that are full.

use std::io::ErrorKind;

use ringkeeper_engine::device::{Fault, MemoryDisk};
use ringkeeper_engine::log::{Group, LogCapacity, Step};

use crate::world::{Random, World, goes_on, live, txn};

const ROUNDS: usize = 32;

/// An error is final, and what was acknowledged before it comes back: from the disk, also where
/// the page cache has more.
#[test]
fn failure_of_any_operation_loses_nothing_acknowledged() {
    let operations = {
        let (disk, mut world) = (MemoryDisk::new(1), World::default());
        live(&mut world, &disk, ROUNDS).unwrap();
        disk.operations()
    };
    let mut stopped = 0;
    for at in 0..operations {
        for kind in [ErrorKind::Other, ErrorKind::StorageFull] {
            let (disk, mut world) = (MemoryDisk::new(1), World::default());
            disk.fail_at(at, Fault::Error(kind));
            stopped += usize::from(live(&mut world, &disk, ROUNDS).is_err());
            let powerless = disk.fork();
            disk.process_death();
            goes_on(&world, &disk);
            let mut random = Random::new(at);
            powerless.power_loss(|_| random.coin());
            goes_on(&world, &powerless);
        }
    }
    assert!(stopped > 200, "{stopped}");
}

#[test]
fn failed_log_takes_no_further_group() {
    let (disk, mut world) = (MemoryDisk::new(1), World::default());
    let mut server = world.start(&disk).unwrap();
    world.flush(&mut server, 2).unwrap();
    disk.fail_at(disk.operations() + 1, Fault::Error(ErrorKind::Other));
    let error = world.flush(&mut server, 1).unwrap_err();
    assert!(error.contains("The server stops"), "{error}");
    let mut group = Group::new();
    group.push(&txn(4, 1));
    assert!(server.recovered.log.flush(&mut group).is_err());
    assert!(server.recovered.log.seal().is_err());
}

/// A server that asks for room never meets the end of the disk in its log.
#[test]
fn full_disk_is_reported_before_a_flush_fails() {
    for spare_bytes in (0..60_000).step_by(1_237) {
        let (disk, mut world) = (MemoryDisk::new(1), World::default());
        let mut server = world.start(&disk).unwrap();
        server.recovered.preparer.step().unwrap();
        assert_eq!(server.recovered.gauge.capacity(), LogCapacity::UNBOUNDED);
        disk.set_capacity(Some(2 * (20 << 10) + 4_096 + spare_bytes));
        let mut refused = false;
        for round in 0..1_000 {
            let mut group = Group::new();
            (0..1 + round % 5).for_each(|n| {
                group.push(&txn((world.ordered.len() + n) as u64 + 1, world.life));
            });
            if server.recovered.gauge.capacity().writes < group.bytes() as u64 {
                refused = true;
                break;
            }
            world.flush(&mut server, 1 + round % 5).unwrap();
            server.recovered.preparer.step().unwrap();
        }
        assert!(refused, "the disk is full, and nobody says so");
        // Sessions can still be closed, and the log never fails.
        let closes = server.recovered.gauge.capacity().closes;
        assert!(closes >= server.recovered.gauge.capacity().writes + 3_000, "{closes}");
        world.flush(&mut server, 3).unwrap();
        // A snapshot does not fit; that is no reason to stop, and it leaves nothing behind.
        if spare_bytes == 0 {
            disk.set_capacity(Some(1));
            world.snapshot(&server, 1).unwrap_err();
            assert!(!disk.names().iter().any(|name| name.starts_with("snapshot")));
        }
        // A restart on the full disk works.
        disk.process_death();
        let mut server = world.start(&disk).unwrap();
        assert_eq!(server.recovered.preparer.step().unwrap(), Step::Full);
        // Space comes back.
        disk.set_capacity(None);
        assert_eq!(server.recovered.preparer.step().unwrap(), Step::Made);
        assert_eq!(server.recovered.gauge.capacity(), LogCapacity::UNBOUNDED);
        world.flush(&mut server, 40).unwrap();
        goes_on(&world, &disk);
    }
}

/// A purge may be what brings space back.
#[test]
fn recycled_segments_end_the_full_disk_state() {
    let (disk, mut world) = (MemoryDisk::new(1), World::default());
    let mut server = world.start(&disk).unwrap();
    for _ in 0..12 {
        world.flush(&mut server, 10).unwrap();
    }
    disk.set_capacity(Some(0));
    assert_eq!(server.recovered.preparer.step().unwrap(), Step::Full);
    assert_ne!(server.recovered.gauge.capacity(), LogCapacity::UNBOUNDED);
    disk.set_capacity(None);
    world.snapshot_only(&server).unwrap();
    disk.set_capacity(Some(0));
    server.recovered.purger.purge(1).unwrap();
    assert_eq!(server.recovered.preparer.step().unwrap(), Step::Enough);
    assert_eq!(server.recovered.gauge.capacity(), LogCapacity::UNBOUNDED);
    world.flush(&mut server, 60).unwrap();
    goes_on(&world, &disk);
}
