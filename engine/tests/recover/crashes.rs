//! The process dies at every operation, the power with it, and every part of what was not synced
//! may be there or not.

use ringkeeper_engine::device::{Fault, MemoryDisk, Unsynced};

use crate::world::{Random, World, goes_on, live};

const ROUNDS: usize = 32;
/// Up to this many unsynced things, every subset is tried.
const EXHAUSTIVE: usize = 6;
const SAMPLES: usize = 12;

#[test]
fn crash_at_any_operation_loses_nothing_acknowledged() {
    let operations = {
        let (disk, mut world) = (MemoryDisk::new(1), World::default());
        live(&mut world, &disk, ROUNDS).unwrap();
        assert!(disk.names().iter().any(|name| name.starts_with("spare.")), "none was recycled");
        disk.operations()
    };
    let mut tried = 0;
    for last in 0..operations {
        let (disk, mut world) = (MemoryDisk::new(1), World::default());
        disk.fail_at(last, Fault::Crash);
        live(&mut world, &disk, ROUNDS).unwrap_err();
        tried += survives_power_loss(&disk, last, |disk| drop(goes_on(&world, disk)));
        disk.process_death();
        goes_on(&world, &disk);
    }
    println!("{operations} operations, {tried} power failures");
    assert!(operations > 250 && tried > 1_000);
}

/// The segments that a purge sets free are the next ones to be written.
#[test]
fn recycled_segment_survives_a_crash_at_any_operation() {
    let history = |world: &mut World, disk: &MemoryDisk, last: Option<u64>| {
        let mut server = world.start(disk).unwrap();
        for _ in 0..12 {
            world.flush(&mut server, 10).unwrap();
        }
        world.snapshot_only(&server).unwrap();
        let before = disk.operations();
        if let Some(last) = last {
            disk.fail_at(before + last, Fault::Crash);
        }
        let mut go_on = || {
            let purged = server.recovered.purger.purge(1).map_err(|e| e.to_string())?;
            assert!(purged.segments.len() >= 2);
            (0..8).try_for_each(|_| world.flush(&mut server, 15))
        };
        go_on().map(|()| disk.operations() - before)
    };
    let operations = history(&mut World::default(), &MemoryDisk::new(1), None).unwrap();
    for last in 0..operations {
        let (disk, mut world) = (MemoryDisk::new(1), World::default());
        history(&mut world, &disk, Some(last)).unwrap_err();
        survives_power_loss(&disk, last, |disk| drop(goes_on(&world, disk)));
    }
}

/// Tries subsets of what is not synced, and checks the directory that is left of each.
pub(crate) fn survives_power_loss(
    disk: &MemoryDisk,
    seed: u64,
    mut check: impl FnMut(&MemoryDisk),
) -> usize {
    let unsynced = disk.unsynced();
    let place = |item: Unsynced| unsynced.iter().position(|&other| other == item).unwrap();
    let mut tried = 0;
    let mut attempt = |survives: &mut dyn FnMut(usize) -> bool| {
        let disk = disk.fork();
        disk.power_loss(|item| survives(place(item)));
        check(&disk);
        tried += 1;
    };
    if unsynced.len() <= EXHAUSTIVE {
        for subset in 0..1_usize << unsynced.len() {
            attempt(&mut |number| subset & 1 << number != 0);
        }
        return tried;
    }
    attempt(&mut |_| false);
    attempt(&mut |_| true);
    let mut random = Random::new(seed);
    for _ in 0..SAMPLES {
        let odd = random.below(unsynced.len());
        attempt(&mut |number| number == odd);
        attempt(&mut |number| number != odd);
        // Everything up to some point, as a device that writes in order would leave it.
        attempt(&mut |number| number < odd);
        attempt(&mut |_| random.coin());
    }
    tried
}

#[test]
fn crash_during_recovery_loses_nothing_acknowledged() {
    let mut tried = 0;
    for last in (0..400).step_by(3) {
        let (disk, mut world) = (MemoryDisk::new(2), World::default());
        disk.fail_at(last, Fault::Crash);
        if live(&mut world, &disk, ROUNDS).is_ok() {
            break;
        }
        let mut random = Random::new(last);
        disk.power_loss(|_| random.coin());
        let whole = {
            let (disk, mut world) = (disk.fork(), world.clone());
            let before = disk.operations();
            world.start(&disk).unwrap_or_else(|refusal| panic!("{refusal}"));
            disk.operations() - before
        };
        for operation in 0..whole {
            let disk = disk.fork();
            disk.fail_at(disk.operations() + operation, Fault::Crash);
            assert!(world.clone().start(&disk).is_err());
            disk.power_loss(|_| random.coin());
            goes_on(&world, &disk);
            tried += 1;
        }
    }
    assert!(tried > 1_000, "{tried}");
}

#[test]
fn many_crashes_in_one_directory_lose_nothing_acknowledged() {
    for seed in 0..60 {
        let (disk, mut world) = (MemoryDisk::new(seed), World::default());
        let mut random = Random::new(seed);
        for _ in 0..12 {
            let last = disk.operations() + 30 + random.below(250) as u64;
            disk.fail_at(last, Fault::Crash);
            if live(&mut world, &disk, 40).is_ok() {
                disk.fail_at(u64::MAX, Fault::Crash);
            }
            if random.coin() {
                disk.power_loss(|_| random.coin());
            } else {
                disk.process_death();
            }
        }
        goes_on(&world, &disk);
    }
}

/// Without syncs a power failure may lose the newest flushes, but it never invents any, and the
/// server starts.
#[test]
fn unsynced_log_loses_only_its_end_at_power_loss() {
    for seed in 0..300 {
        let (disk, mut world) = (MemoryDisk::new(seed), World::default());
        disk.set_unsynced();
        let mut server = world.start(&disk).unwrap();
        for records in [30, 1, 7, 20, 2, 5, 9, 1, 1] {
            world.flush(&mut server, records).unwrap();
        }
        let mut random = Random::new(seed);
        disk.power_loss(|_| random.coin());
        let ordered = world.ordered.len();
        world.acked = 0;
        world.start(&disk).unwrap_or_else(|refusal| panic!("{refusal}"));
        assert!(world.acked >= 30 && world.acked <= ordered, "a full segment was synced");
        disk.process_death();
        world.start(&disk).unwrap_or_else(|refusal| panic!("{refusal}"));
    }
}
