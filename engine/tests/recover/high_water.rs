//! What a segment says about how far it was written, and what recovery makes of it.

use ringkeeper_engine::device::MemoryDevice;

use crate::world::{World, goes_on, open};

const BLOCK: std::ops::Range<usize> = 4_096..8_192;

/// The only segment of a log, with its second block as it was after each commit.
fn history() -> (MemoryDevice, World, Vec<Vec<u8>>) {
    let (device, mut world) = (MemoryDevice::new(8), World::default());
    let mut server = world.start(&device).unwrap();
    let mut blocks = Vec::new();
    for _ in 0..10 {
        world.commit(&mut server, 3).unwrap();
        blocks.push(device.contents("log.1").unwrap()[BLOCK].to_vec());
    }
    blocks.dedup();
    assert!(blocks.len() > 1, "it was raised");
    (device, world, blocks)
}

fn limit(block: &[u8]) -> usize {
    u32::from_le_bytes(block[16..20].try_into().unwrap()) as usize
}

/// A disk that has lost the last raise must not cost what was written behind it.
#[test]
fn records_behind_an_old_limit_are_found() {
    let (device, world, blocks) = history();
    for block in &blocks {
        let device = device.fork();
        let mut bytes = device.contents("log.1").unwrap();
        bytes[BLOCK].copy_from_slice(block);
        device.put("log.1", bytes);
        assert!(open(&device.fork()).unwrap().1 == world.ordered);
        goes_on(&world, &device);
        let (known, written) = (limit(blocks.last().unwrap()), device.contents("log.1").unwrap());
        assert!(limit(&written[BLOCK]) >= known, "what is known from now on is right again");
    }
}

/// What nothing was ever written to is not looked at.
#[test]
fn nothing_behind_the_limit_matters() {
    let (device, mut world) = (MemoryDevice::new(8), World::default());
    let mut server = world.start(&device).unwrap();
    world.commit(&mut server, 3).unwrap();
    let mut bytes = device.contents("log.1").unwrap();
    let limit = limit(&bytes[BLOCK]);
    assert!(limit < bytes.len());
    bytes[limit..].fill(0xff);
    device.put("log.1", bytes);
    assert!(goes_on(&world, &device).is_empty());
}

/// Damage below the limit is told from a commit that was cut short, up to the last byte.
#[test]
fn a_later_group_below_the_limit_is_damage() {
    let (device, world, blocks) = history();
    let whole = device.contents("log.1").unwrap();
    let mut refused = 0;
    for at in (BLOCK.end..limit(blocks.last().unwrap())).step_by(512) {
        let device = device.fork();
        let mut bytes = whole.clone();
        bytes[at..at + 512].fill(0);
        if bytes == whole {
            continue;
        }
        device.put("log.1", bytes);
        match open(&device) {
            Ok((_, txns)) => assert!(txns.len() >= world.ordered.len() - 3, "byte {at}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 5, "{refused}");
}
