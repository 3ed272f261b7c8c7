//! Every bit of a small log and a small snapshot, flipped.

use ringkeeper_engine::device::MemoryDisk;
use ringkeeper_engine::log::Note;

use crate::world::{World, open, repaired};

fn flipped(disk: &MemoryDisk, name: &str, bit: usize) -> MemoryDisk {
    let disk = disk.fork();
    let mut bytes = disk.contents(name).unwrap();
    bytes[bit / 8] ^= 1 << (bit % 8);
    disk.put(name, bytes);
    disk
}

/// Bits of the used part of a file, and some of the rest.
fn bits(disk: &MemoryDisk, name: &str) -> impl Iterator<Item = usize> {
    let bytes = disk.contents(name).unwrap();
    let used = move |byte: &usize| {
        let near = bytes[byte.saturating_sub(8)..(byte + 8).min(bytes.len())].iter();
        near.clone().any(|&byte| byte != 0) || byte.is_multiple_of(64)
    };
    (0..20 << 10).filter(used).flat_map(|byte| byte * 8..byte * 8 + 8)
}

#[test]
fn flipped_bit_in_a_sealed_log_is_found_or_harmless() {
    let (disk, mut world) = (MemoryDisk::new(3), World::default());
    let mut server = world.start(&disk).unwrap();
    for records in [2, 1, 5, 3, 1] {
        world.flush(&mut server, records).unwrap();
    }
    server.recovered.log.seal().unwrap();
    let (mut refused, mut harmless) = (0, 0);
    for bit in bits(&disk, "log.1") {
        let disk = flipped(&disk, "log.1", bit);
        match open(&disk) {
            Ok((_, txns)) => {
                assert!(txns == world.ordered, "bit {bit} loses what was acknowledged");
                harmless += 1;
            }
            Err(refusal) => {
                refused += 1;
                if bit % 1_001 == 0 {
                    let left = repaired(&disk);
                    assert!(left == world.ordered[..left.len()], "{refusal}");
                }
            }
        }
    }
    println!("{refused} refused, {harmless} harmless");
    assert!(refused > 10_000);
}

/// Where nothing proves that the last flush was acknowledged, it may be taken for one that was
/// cut short; but only that one, and never silently.
#[test]
fn flipped_bit_in_an_unsealed_log_is_found_or_a_torn_tail() {
    let (disk, mut world) = (MemoryDisk::new(4), World::default());
    let mut server = world.start(&disk).unwrap();
    for records in [2, 3, 4] {
        world.flush(&mut server, records).unwrap();
    }
    let before_last = world.ordered.len() - 4;
    for bit in bits(&disk, "log.1") {
        if let Ok((recovered, txns)) = open(&flipped(&disk, "log.1", bit)) {
            let torn = recovered.notes.iter().any(|note| matches!(note, Note::TornTail { .. }));
            assert!(txns.len() >= before_last && txns == world.ordered[..txns.len()]);
            assert!(txns.len() == world.ordered.len() || torn, "bit {bit} loses silently");
        }
    }
}

/// What a recovery has shown to clients is as good as acknowledged.
#[test]
fn recovered_log_is_sealed() {
    let (disk, mut world) = (MemoryDisk::new(4), World::default());
    let mut server = world.start(&disk).unwrap();
    world.flush(&mut server, 3).unwrap();
    world.start(&disk).unwrap();
    for bit in bits(&disk, "log.1") {
        if let Ok((_, txns)) = open(&flipped(&disk, "log.1", bit)) {
            assert!(txns == world.ordered, "bit {bit}");
        }
    }
}

#[test]
fn flipped_bit_in_a_snapshot_is_found() {
    let (disk, mut world) = (MemoryDisk::new(5), World::default());
    let mut server = world.start(&disk).unwrap();
    world.flush(&mut server, 3).unwrap();
    world.snapshot_only(&server).unwrap();
    world.flush(&mut server, 2).unwrap();
    world.snapshot_only(&server).unwrap();
    world.flush(&mut server, 2).unwrap();
    let bytes = disk.contents("snapshot.5").unwrap();
    for bit in 0..bytes.len() * 8 {
        let (recovered, txns) = open(&flipped(&disk, "snapshot.5", bit)).unwrap();
        assert!(txns == world.ordered);
        assert_eq!(recovered.snapshot.unwrap().0, 3, "bit {bit} was not found");
        assert!(matches!(&recovered.notes[..], [Note::BadSnapshot { .. }]));
    }
    // Cut short or with more behind it, it is no better.
    for len in (0..bytes.len()).chain([bytes.len() + 1]) {
        let disk = disk.fork();
        let mut bytes = bytes.clone();
        bytes.resize(len, 0);
        disk.put("snapshot.5", bytes);
        let (recovered, txns) = open(&disk).unwrap();
        assert!(txns == world.ordered && recovered.snapshot.unwrap().0 == 3);
    }
}

#[test]
fn log_without_a_good_snapshot_is_replayed_from_its_begin() {
    let (disk, mut world) = (MemoryDisk::new(5), World::default());
    let mut server = world.start(&disk).unwrap();
    world.flush(&mut server, 3).unwrap();
    world.snapshot_only(&server).unwrap();
    world.flush(&mut server, 2).unwrap();
    let (recovered, txns) = open(&flipped(&disk, "snapshot.3", 1_000)).unwrap();
    assert!(
        txns == world.ordered && recovered.snapshot.is_none() && recovered.replayed.records == 5
    );
    assert_eq!(recovered.notes.len(), 1);
}

/// A block that is right by itself, but of another snapshot.
#[test]
fn snapshot_with_a_block_of_another_is_refused() {
    let snapshot = |life| {
        let (disk, mut world) = (MemoryDisk::new(5), World { life, ..World::default() });
        let mut server = world.start(&disk).unwrap();
        world.flush(&mut server, 25).unwrap();
        world.snapshot_only(&server).unwrap();
        (disk, world)
    };
    let ((disk, world), (other, _)) = (snapshot(0), snapshot(64));
    let name = "snapshot.19";
    let (mut bytes, stranger) = (disk.contents(name).unwrap(), other.contents(name).unwrap());
    // Behind the prologue come sessions and header, then the first of three blocks.
    let behind = |at: usize, bytes: &[u8]| {
        at + 20 + u32::from_le_bytes(bytes[at + 16..at + 20].try_into().unwrap()) as usize
    };
    let start = behind(behind(44, &bytes), &bytes);
    let end = behind(start, &bytes);
    assert!(end == behind(start, &stranger) && bytes[start..end] != stranger[start..end]);
    bytes[start..end].copy_from_slice(&stranger[start..end]);
    disk.put(name, bytes);
    let (recovered, txns) = open(&disk).unwrap();
    assert!(recovered.snapshot.is_none() && txns == world.ordered);
    assert!(recovered.notes[0].to_string().contains("the totals at its end"));
}
