//! Histories of unusual shape: huge records, groups over several segments, new epochs.

use ringkeeper_engine::device::{Identity, MemoryDisk};
use ringkeeper_engine::log::{Each, Group, Log, Recovered, recover};
use ringkeeper_engine::txn::{Txn, TxnBody};
use ringkeeper_engine::{Millis, SessionId, Zxid};

use crate::world::{dirs, settings};

fn start(disk: &MemoryDisk) -> (Recovered<MemoryDisk>, Vec<Txn>) {
    let mut identity = Identity::open(disk, 3).unwrap();
    let mut txns = Vec::new();
    let mut replay = Each(|txn| {
        txns.push(txn);
        Ok(())
    });
    let recovered = recover(&dirs(disk), &mut identity, &settings(), &mut replay);
    (recovered.unwrap_or_else(|refusal| panic!("{refusal}")), txns)
}

fn txn(zxid: Zxid, bytes: usize) -> Txn {
    let data = Some(vec![zxid.0 as u8; bytes].into());
    let body = TxnBody::SetData { path: "/a".into(), data, version: 1 };
    Txn { session: SessionId(1), cxid: 1, zxid, time: Millis(0), body }
}

fn flush(log: &mut Log<MemoryDisk>, txns: &[Txn]) {
    let mut group = Group::new();
    txns.iter().for_each(|txn| group.push(txn));
    assert_eq!(log.flush(&mut group).unwrap(), txns.last().unwrap().zxid);
}

#[test]
fn record_larger_than_a_segment_is_recovered() {
    let disk = MemoryDisk::new(1);
    let mut all = Vec::new();
    for round in 0..4 {
        let (mut recovered, txns) = start(&disk);
        assert!(txns == all);
        for bytes in [10, 70_000, 20 << 10, 0, 12_224, 12_225, 300_000] {
            let next = txn(Zxid(all.len() as u64 + 1), bytes + round);
            flush(&mut recovered.log, std::slice::from_ref(&next));
            all.push(next);
        }
        disk.power_loss(|_| false);
    }
    // The first record of all is too large: the empty first segment makes way for a larger one.
    let disk = MemoryDisk::new(1);
    let (mut recovered, _) = start(&disk);
    let first = txn(Zxid(1), 100_000);
    flush(&mut recovered.log, std::slice::from_ref(&first));
    disk.power_loss(|_| false);
    assert!(start(&disk).1 == [first]);
}

#[test]
fn group_over_several_segments_is_recovered() {
    let disk = MemoryDisk::new(1);
    let (mut recovered, _) = start(&disk);
    let all: Vec<Txn> = (1..300).map(|n| txn(Zxid(n), (n as usize * 97) % 900)).collect();
    flush(&mut recovered.log, &all[..200]);
    flush(&mut recovered.log, &all[200..]);
    assert!(disk.names().iter().filter(|name| name.starts_with("log.")).count() > 5);
    disk.power_loss(|_| false);
    assert!(start(&disk).1 == all);
}

#[test]
fn new_epoch_at_counter_one_is_recovered() {
    let disk = MemoryDisk::new(1);
    let (mut recovered, _) = start(&disk);
    let zxids = [
        Zxid(1),
        Zxid(2),
        Zxid::new(1, 1),
        Zxid::new(7, 1),
        Zxid::new(7, 2),
        Zxid::new(u32::MAX, 1),
    ];
    let all: Vec<Txn> = zxids.iter().map(|&zxid| txn(zxid, 3_000)).collect();
    for txn in &all {
        flush(&mut recovered.log, std::slice::from_ref(txn));
    }
    disk.power_loss(|_| false);
    assert!(start(&disk).1 == all);
}

#[test]
fn empty_flush_and_second_seal_write_nothing() {
    let disk = MemoryDisk::new(1);
    let (mut recovered, _) = start(&disk);
    flush(&mut recovered.log, &[txn(Zxid(1), 10)]);
    recovered.log.seal().unwrap();
    let before = disk.operations();
    recovered.log.seal().unwrap();
    assert_eq!(recovered.log.flush(&mut Group::new()).unwrap(), Zxid(1));
    assert_eq!(disk.operations(), before);
    assert_eq!(recovered.gauge.stats().flushes, 1);
    assert_eq!(recovered.log.last(), Zxid(1));
}
