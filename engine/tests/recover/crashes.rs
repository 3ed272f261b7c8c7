//! The process dies at every operation, the power with it, and every part of what was not synced
//! may be there or not.

use ringkeeper_engine::device::{Fault, MemoryDevice, Unsynced};

use crate::world::{NOBODY, Random, World, goes_on, live};

const ROUNDS: usize = 32;
/// Up to this many unsynced things, every subset is tried.
const EXHAUSTIVE: usize = 6;
const SAMPLES: usize = 12;

#[test]
fn every_operation_may_be_the_last() {
    let operations = {
        let (device, mut world) = (MemoryDevice::new(1), World::default());
        live(&mut world, &device, ROUNDS).unwrap();
        assert!(device.names().iter().any(|name| name.starts_with("spare.")), "none was recycled");
        device.operations()
    };
    let mut tried = 0;
    for last in 0..operations {
        let (device, mut world) = (MemoryDevice::new(1), World::default());
        device.fail_at(last, Fault::Crash);
        live(&mut world, &device, ROUNDS).unwrap_err();
        tried += survives_power_loss(&world, &device, last);
        device.process_death();
        goes_on(&world, &device);
    }
    println!("{operations} operations, {tried} power failures");
    assert!(operations > 250 && tried > 1_000);
}

/// The segments that a purge sets free are the next ones to be written.
#[test]
fn segments_are_recycled_at_once() {
    let history = |world: &mut World, device: &MemoryDevice, last: Option<u64>| {
        let mut server = world.start(device).unwrap();
        for _ in 0..12 {
            world.commit(&mut server, 10).unwrap();
        }
        world.snapshot_only(&server).unwrap();
        let before = device.operations();
        if let Some(last) = last {
            device.fail_at(before + last, Fault::Crash);
        }
        let mut go_on = || {
            let purged = server.recovered.purger.purge(1, NOBODY).map_err(|e| e.to_string())?;
            assert!(purged.segments.len() >= 2);
            (0..8).try_for_each(|_| world.commit(&mut server, 15))
        };
        go_on().map(|()| device.operations() - before)
    };
    let operations = history(&mut World::default(), &MemoryDevice::new(1), None).unwrap();
    for last in 0..operations {
        let (device, mut world) = (MemoryDevice::new(1), World::default());
        history(&mut world, &device, Some(last)).unwrap_err();
        survives_power_loss(&world, &device, last);
    }
}

/// Tries subsets of what is not synced.
fn survives_power_loss(world: &World, device: &MemoryDevice, seed: u64) -> usize {
    let unsynced = device.unsynced();
    let place = |item: Unsynced| unsynced.iter().position(|&other| other == item).unwrap();
    let mut tried = 0;
    let mut attempt = |survives: &mut dyn FnMut(usize) -> bool| {
        let device = device.fork();
        device.power_loss(|item| survives(place(item)));
        goes_on(world, &device);
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
fn recovery_itself_may_be_cut_short() {
    let mut tried = 0;
    for last in (0..400).step_by(3) {
        let (device, mut world) = (MemoryDevice::new(2), World::default());
        device.fail_at(last, Fault::Crash);
        if live(&mut world, &device, ROUNDS).is_ok() {
            break;
        }
        let mut random = Random::new(last);
        device.power_loss(|_| random.coin());
        let whole = {
            let (device, mut world) = (device.fork(), world.clone());
            let before = device.operations();
            world.start(&device).unwrap_or_else(|refusal| panic!("{refusal}"));
            device.operations() - before
        };
        for operation in 0..whole {
            let device = device.fork();
            device.fail_at(device.operations() + operation, Fault::Crash);
            assert!(world.clone().start(&device).is_err());
            device.power_loss(|_| random.coin());
            goes_on(&world, &device);
            tried += 1;
        }
    }
    assert!(tried > 1_000, "{tried}");
}

#[test]
fn many_lives_in_one_directory() {
    for seed in 0..60 {
        let (device, mut world) = (MemoryDevice::new(seed), World::default());
        let mut random = Random::new(seed);
        for _ in 0..12 {
            let last = device.operations() + 30 + random.below(250) as u64;
            device.fail_at(last, Fault::Crash);
            if live(&mut world, &device, 40).is_ok() {
                device.fail_at(u64::MAX, Fault::Crash);
            }
            if random.coin() {
                device.power_loss(|_| random.coin());
            } else {
                device.process_death();
            }
        }
        goes_on(&world, &device);
    }
}

/// Without syncs a power failure may lose the newest commits, but it never invents any, and the
/// server starts.
#[test]
fn unsynced_histories_lose_their_end_and_start_again() {
    for seed in 0..300 {
        let (device, mut world) = (MemoryDevice::new(seed), World::default());
        device.set_unsynced();
        let mut server = world.start(&device).unwrap();
        for records in [30, 1, 7, 20, 2, 5, 9, 1, 1] {
            world.commit(&mut server, records).unwrap();
        }
        let mut random = Random::new(seed);
        device.power_loss(|_| random.coin());
        let ordered = world.ordered.len();
        world.acked = 0;
        world.start(&device).unwrap_or_else(|refusal| panic!("{refusal}"));
        assert!(world.acked >= 30 && world.acked <= ordered, "a full segment was synced");
        device.process_death();
        world.start(&device).unwrap_or_else(|refusal| panic!("{refusal}"));
    }
}
