//! A member reads its state again after a cut, while it runs.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::database::CommitStatus;
use ringkeeper_engine::device::{Identity, MemoryDisk};
use ringkeeper_engine::log::{Recovered, reload};
use ringkeeper_engine::snapshot::keep_digest;
use ringkeeper_engine::tree::Digest;

use crate::tree_world::{SEED, TreeWorld, sessions, start};
use crate::world::dirs;

/// Transactions of the history below.
const ALL: u64 = 137;
/// Its snapshots.
const SNAPSHOTS: [u64; 2] = [40, 92];

/// Several segments.
fn history(disk: &MemoryDisk) -> (TreeWorld, Recovered<MemoryDisk>) {
    let mut world = TreeWorld::new(5);
    let (mut recovered, _) = start(disk);
    for records in [13, 27, 1, 21, 30, 17, 28] {
        if SNAPSHOTS.contains(&world.db.applied().0) {
            world.snapshot(disk);
        }
        world.flush(&mut recovered, records);
    }
    assert_eq!(world.db.applied(), Zxid(ALL));
    assert!(disk.names().iter().filter(|name| name.starts_with("log.")).count() > 2);
    (world, recovered)
}

/// Reloads behind a cut, and compares with a recovery of the same directory.
fn cut_and_reload(disk: &MemoryDisk, last: u64) {
    let (world, mut recovered) = history(disk);
    let directory = Identity::open(disk, 3).unwrap().directory;
    recovered.log.cut(Zxid(last), Zxid::ZERO).unwrap();
    let names = disk.names();
    let contents: Vec<_> = names.iter().map(|name| disk.contents(name)).collect();
    let reloaded = reload(&dirs(disk), (directory, &recovered.gauge), SEED, Zxid(last));
    let mut reloaded = reloaded.unwrap_or_else(|error| panic!("{last}: {error}"));
    assert_eq!(reloaded.commit_status(), CommitStatus::Unknown);
    keep_digest(&mut reloaded.tree, Digest::Kept, 1);
    assert_eq!((reloaded.applied(), disk.names()), (Zxid(last), names.clone()));
    let unchanged = names.iter().map(|name| disk.contents(name)).eq(contents);
    assert!(unchanged, "a reload changes nothing");
    let (_, recovered_db) = start(&disk.fork());
    assert_eq!(reloaded.tree.digest(), world.digests[last as usize]);
    assert_eq!(reloaded.tree.digest(), recovered_db.tree.digest());
    assert_eq!(sessions(&reloaded), sessions(&recovered_db));
}

#[test]
fn reload_behind_a_cut_at_any_transaction_equals_a_recovery() {
    (0..=ALL).for_each(|last| cut_and_reload(&MemoryDisk::new(1), last));
}

/// The newest snapshot is damaged, so that the one before and more of the log are used.
#[test]
fn reload_goes_on_from_an_earlier_snapshot_where_the_newest_one_is_damaged() {
    for last in [SNAPSHOTS[1], SNAPSHOTS[1] + 1, ALL] {
        let disk = MemoryDisk::new(1);
        let (world, mut recovered) = history(&disk);
        let directory = Identity::open(&disk, 3).unwrap().directory;
        recovered.log.cut(Zxid(last), Zxid::ZERO).unwrap();
        let name = format!("snapshot.{:x}", SNAPSHOTS[1]);
        let mut bytes = disk.contents(&name).unwrap();
        let at = bytes.len() - 60;
        bytes[at] ^= 0xff;
        disk.put(&name, bytes);
        let gauge = &recovered.gauge;
        let mut reloaded = reload(&dirs(&disk), (directory, gauge), SEED, Zxid(last)).unwrap();
        keep_digest(&mut reloaded.tree, Digest::Kept, 1);
        assert_eq!(reloaded.tree.digest(), world.digests[last as usize]);
    }
}

/// What is damaged in the log is refused: the server stops.
#[test]
fn reload_of_a_damaged_log_is_refused() {
    let disk = MemoryDisk::new(1);
    let (_, mut recovered) = history(&disk);
    let directory = Identity::open(&disk, 3).unwrap().directory;
    recovered.log.cut(Zxid(ALL), Zxid::ZERO).unwrap();
    for number in SNAPSHOTS {
        disk.take(&format!("snapshot.{number:x}"));
    }
    let mut bytes = disk.contents("log.1").unwrap();
    let at = bytes.windows(2).position(|path| path == b"/n").expect("it makes nodes");
    bytes[at] ^= 1;
    disk.put("log.1", bytes);
    let gauge = &recovered.gauge;
    assert!(reload(&dirs(&disk), (directory, gauge), SEED, Zxid(ALL)).is_err());
}
