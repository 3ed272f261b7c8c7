//! Segments that are full, or nearly: there is no space for a seal behind the last group.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::{Identity, MemoryDisk};
use ringkeeper_engine::log::{Group, Proof, Recovered, Refusal, Settings, repair_truncate};
use ringkeeper_engine::txn::{Txn, TxnBody};

use crate::feed::{ALL, drain, feed};
use crate::world::{World, dirs, forget_notes, open, settings};

const RECORDS_AT: u64 = 8_192;
/// Bytes that are left: none, too few for a seal, and as many as it takes.
const LEFT: [u64; 4] = [0, 8, 16, 24];

fn sized(zxid: u64, bytes: usize) -> Txn {
    let data = Some(vec![zxid as u8 | 1; bytes].into());
    let body = TxnBody::SetData { path: "/a".into(), data, version: 1 };
    Txn { body, ..crate::world::txn(zxid, 1) }
}

fn flush(recovered: &mut Recovered<MemoryDisk>, world: &mut World, sizes: &[usize]) -> u64 {
    let mut group = Group::new();
    for bytes in sizes {
        let txn = sized(world.ordered.len() as u64 + 1, *bytes);
        group.push(&txn);
        world.ordered.push(txn);
    }
    recovered.log.flush(&mut group).unwrap();
    world.acked = world.ordered.len();
    recovered.log.stats().bytes_last
}

/// A log of one segment in which so many bytes are left. Returns where its last group begins.
fn filled(disk: &MemoryDisk, left: u64) -> (Recovered<MemoryDisk>, World, usize) {
    let (mut recovered, mut world) = (open(disk).unwrap().0, World::default());
    let framing = flush(&mut recovered, &mut world, &[80]) - 80;
    flush(&mut recovered, &mut world, &[300, 20, 700]);
    flush(&mut recovered, &mut world, &[5_000]);
    let at = RECORDS_AT + recovered.log.stats().bytes;
    let Settings { segment_bytes, .. } = settings();
    // The last group has two records.
    let bytes = segment_bytes - at - left - 2 * framing - 80;
    flush(&mut recovered, &mut world, &[80, usize::try_from(bytes).unwrap()]);
    assert_eq!(RECORDS_AT + recovered.log.stats().bytes, segment_bytes - left);
    assert!(!recovered.log.is_sealed());
    recovered.log.seal().unwrap();
    assert!(recovered.log.is_sealed());
    assert_eq!(segments(disk), ["log.1"]);
    (recovered, world, usize::try_from(at).unwrap())
}

fn segments(disk: &MemoryDisk) -> Vec<String> {
    disk.names().into_iter().filter(|name| name.starts_with("log.")).collect()
}

/// Found by the simulator, seeds 10976 and 11704.
#[test]
fn flipped_bit_in_the_last_group_of_a_sealed_full_segment_is_damage() {
    for left in LEFT {
        let disk = MemoryDisk::new(1);
        let (_, world, group_at) = filled(&disk, left);
        let whole = disk.contents("log.1").unwrap();
        let (mut refused, end) = (0, whole.len() - usize::try_from(left).unwrap());
        for at in group_at..end {
            let disk = disk.fork();
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            disk.put("log.1", bytes);
            let refusal = open(&disk).map(|_| ()).unwrap_err();
            let Refusal::Damaged { why, last, .. } = &refusal else { panic!("{at}: {refusal}") };
            assert!(last.0 < world.acked as u64);
            let is_noted = matches!(why, Proof::Waypoint(noted) if noted.0 == world.acked as u64);
            assert!(is_noted || (left == 24 && matches!(why, Proof::LaterGroup(_))), "{refusal}");
            refused += 1;
            if at % 499 == 0 {
                let identity = Identity::open(&disk, 3).unwrap();
                let repaired = repair_truncate(&dirs(&disk), &identity, &settings()).unwrap();
                assert_eq!(repaired.lost_to, Some(Zxid(world.acked as u64)));
                let txns = open(&disk).unwrap_or_else(|refusal| panic!("{refusal}")).1;
                assert!(txns == world.ordered[..txns.len()]);
            }
        }
        assert!(refused > 1_000, "{refused}");
    }
}

#[test]
fn last_group_of_a_sealed_full_segment_that_reads_as_zeros_is_damage() {
    for left in LEFT {
        let disk = MemoryDisk::new(1);
        let (_, world, group_at) = filled(&disk, left);
        for from in [group_at, group_at + 24, group_at + 240] {
            let disk = disk.fork();
            let mut bytes = disk.contents("log.1").unwrap();
            bytes[from..].fill(0);
            disk.put("log.1", bytes);
            let refusal = open(&disk).map(|_| ()).unwrap_err();
            let why = Proof::Waypoint(Zxid(world.acked as u64));
            assert!(matches!(&refusal, Refusal::Damaged { why: it, .. } if *it == why));
        }
    }
}

/// A start seals what it has recovered, and the second block does not grow with each of them.
#[test]
fn sealed_full_segment_is_recovered_any_number_of_times() {
    for left in LEFT {
        let disk = MemoryDisk::new(1);
        let (recovered, world, _) = filled(&disk, left);
        drop(recovered);
        let block = |disk: &MemoryDisk| disk.contents("log.1").unwrap()[4_096..8_192].to_vec();
        let before = block(&disk);
        for _ in 0..3 {
            disk.power_loss(|_| false);
            let (recovered, txns) = open(&disk).unwrap_or_else(|refusal| panic!("{refusal}"));
            assert!(txns == world.ordered && recovered.log.is_sealed());
            assert_eq!((recovered.notes, block(&disk) == before), (vec![], true), "{left}");
        }
    }
}

/// A log that was killed before it could seal is sealed by the next start.
#[test]
fn full_segment_of_a_killed_server_is_sealed_by_a_start() {
    for left in LEFT {
        let disk = MemoryDisk::new(1);
        let (_, world, group_at) = filled(&disk, left);
        // As it was before the seal.
        let mut bytes = disk.contents("log.1").unwrap();
        forget_notes(&mut bytes);
        let end = bytes.len() - usize::try_from(left).unwrap();
        bytes[end..].fill(0);
        disk.put("log.1", bytes);
        assert!(open(&disk).unwrap().1 == world.ordered);
        let mut bytes = disk.contents("log.1").unwrap();
        bytes[group_at + 30] ^= 1;
        disk.put("log.1", bytes);
        let refusal = open(&disk).map(|_| ()).unwrap_err();
        assert!(matches!(refusal, Refusal::Damaged { .. }), "{refusal}");
    }
}

/// A feed that begins at a waypoint at which nothing stands finds its place nevertheless.
#[test]
fn log_goes_on_behind_a_sealed_full_segment_and_is_read_across_it() {
    for left in LEFT {
        let disk = MemoryDisk::new(1);
        let (mut recovered, mut world, _) = filled(&disk, left);
        flush(&mut recovered, &mut world, &[10, 400]);
        assert_eq!(segments(&disk).len(), 2);
        disk.power_loss(|_| false);
        assert!(open(&disk.fork()).unwrap().1 == world.ordered);
        for after in 0..world.acked {
            let mut feed = feed(&disk, &recovered.gauge, after as u64).unwrap();
            let found = drain(&mut feed, world.acked as u64, ALL).unwrap();
            assert!(found == world.ordered[after..]);
        }
    }
}

#[test]
fn sealed_full_segment_is_cut_in_its_last_group_and_goes_on() {
    for left in LEFT {
        let disk = MemoryDisk::new(1);
        let (mut recovered, mut world, _) = filled(&disk, left);
        flush(&mut recovered, &mut world, &[10, 400]);
        let after = world.acked - 3;
        recovered.log.cut(Zxid(after as u64), Zxid::ZERO).unwrap();
        (world.acked, world.life) = (after, 7);
        world.ordered.truncate(after);
        assert_eq!(segments(&disk), ["log.1"]);
        disk.power_loss(|_| false);
        let (there, txns) = open(&disk.fork()).unwrap_or_else(|refusal| panic!("{refusal}"));
        assert!(txns == world.ordered && there.notes.is_empty(), "{:?}", there.notes);
        flush(&mut recovered, &mut world, &[30]);
        recovered.log.seal().unwrap();
        assert!(open(&disk).unwrap().1 == world.ordered);
    }
}
