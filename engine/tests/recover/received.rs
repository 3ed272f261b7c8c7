//! A leader's state is written beside what a member has, and taken over.

use std::io::ErrorKind;

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::{Fault, Identity, MemoryDisk};
use ringkeeper_engine::log::Recovered;
use ringkeeper_engine::snapshot::{RECEIVED, write_received};

use crate::crashes::survives_power_loss;
use crate::tree_world::{TreeWorld, sessions, start};

/// A member with a log and a snapshot.
fn member(disk: &MemoryDisk) -> (TreeWorld, Recovered<MemoryDisk>) {
    let mut world = TreeWorld::new(5);
    let (mut recovered, _) = start(disk);
    world.flush(&mut recovered, 20);
    world.snapshot(disk);
    world.flush(&mut recovered, 20);
    (world, recovered)
}

/// What the leader has.
fn leader(txns: usize) -> TreeWorld {
    let mut world = TreeWorld::new(6);
    (0..txns).for_each(|_| drop(world.order()));
    world
}

#[test]
fn state_that_was_written_and_installed_comes_back() {
    // Next to nothing, earlier than the member's own end, there, and later.
    for txns in [1, 25, 40, 300] {
        let disk = MemoryDisk::new(1);
        let (_, mut recovered) = member(&disk);
        let mut leader = leader(txns);
        let directory = Identity::open(&disk, 3).unwrap().directory;
        let written = write_received(&disk, directory, &mut leader.db).unwrap();
        let bytes = disk.contents(RECEIVED).map(|bytes| bytes.len() as u64);
        assert_eq!((written.zxid, Some(written.bytes)), (leader.db.applied(), bytes));
        recovered.log.install(written.zxid, Zxid::ZERO).unwrap();
        leader.flush(&mut recovered, 9);
        disk.power_loss(|_| false);
        let (_, db) = start(&disk);
        assert_eq!(db.tree.digest(), leader.db.tree.digest(), "{txns}");
        assert_eq!(sessions(&db), sessions(&leader.db));
    }
}

/// What was received and not taken over goes with the next start.
#[test]
fn write_ended_by_a_crash_at_any_operation_leaves_what_was_there() {
    let mut tried = 0;
    for operation in 0.. {
        let disk = MemoryDisk::new(1);
        let (member, _recovered) = member(&disk);
        let (mut leader, directory) = (leader(300), Identity::open(&disk, 3).unwrap().directory);
        disk.fail_at(disk.operations() + operation, Fault::Crash);
        let written = write_received(&disk, directory, &mut leader.db);
        tried += survives_power_loss(&disk, operation, |disk| {
            let (_, db) = start(disk);
            assert_eq!(db.tree.digest(), member.db.tree.digest());
            let left: Vec<String> =
                disk.names().into_iter().filter(|name| name.contains("received")).collect();
            assert!(left.is_empty(), "{operation}: {left:?}");
        });
        if written.is_ok() {
            break;
        }
    }
    assert!(tried > 20, "{tried}");
}

/// A disk that fails leaves no file, and the state can be written again.
#[test]
fn write_that_fails_at_any_operation_leaves_no_file_and_can_be_repeated() {
    let write = |fails_at: Option<(u64, ErrorKind)>| {
        let disk = MemoryDisk::new(1);
        let (_, recovered) = member(&disk);
        let (mut leader, directory) = (leader(300), Identity::open(&disk, 3).unwrap().directory);
        let (names, before) = (disk.names(), disk.operations());
        if let Some((operation, error)) = fails_at {
            disk.fail_at(before + operation, Fault::Error(error));
            write_received(&disk, directory, &mut leader.db).unwrap_err();
            assert_eq!(disk.names(), names, "{operation}");
            leader.order();
        }
        write_received(&disk, directory, &mut leader.db).unwrap();
        (disk.operations() - before, disk, recovered, leader)
    };
    let (operations, ..) = write(None);
    assert!(operations > 6, "{operations}");
    for error in [ErrorKind::StorageFull, ErrorKind::Other] {
        for operation in 0..operations {
            let (_, disk, mut recovered, leader) = write(Some((operation, error)));
            recovered.log.install(leader.db.applied(), Zxid::ZERO).unwrap();
            disk.power_loss(|_| false);
            let (_, db) = start(&disk);
            assert_eq!(db.tree.digest(), leader.db.tree.digest());
        }
    }
}
