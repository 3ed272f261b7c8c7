//! A log is read while it is written.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::{Identity, MemoryDisk};
use ringkeeper_engine::log::{Feed, FeedError, Group};
use ringkeeper_engine::txn::{Txn, TxnBody};

use crate::world::{NO_LEARNER, Random, Server, World};

fn begin(disk: &MemoryDisk, after: u64) -> Result<Feed<MemoryDisk>, FeedError> {
    Feed::begin(disk, &Identity::open(disk, 3).unwrap(), Zxid(after))
}

/// One portion; returns whether there is more.
fn read(
    feed: &mut Feed<MemoryDisk>,
    durable: u64,
    bytes: usize,
    seen: &mut Vec<Txn>,
) -> Result<bool, FeedError> {
    feed.read(Zxid(durable), bytes, |zxid, payload| {
        let txn = Txn::read(payload).unwrap();
        assert_eq!(txn.zxid, zxid);
        seen.push(txn);
    })
}

fn written(rounds: usize) -> (MemoryDisk, World, Server<MemoryDisk>) {
    let (disk, mut world) = (MemoryDisk::new(1), World::default());
    let mut server = world.start(&disk).unwrap();
    for round in 0..rounds {
        world.flush(&mut server, [1, 9, 4, 12][round % 4]).unwrap();
        if round % 5 == 4 {
            server.recovered.log.seal().unwrap();
        }
    }
    (disk, world, server)
}

#[test]
fn feed_from_any_transaction_hands_over_exactly_the_durable_rest() {
    let (disk, world, _server) = written(24);
    let last = world.acked as u64;
    for after in 0..=last + 1 {
        for durable in [last, last / 2, after, after + 1] {
            let mut feed = begin(&disk, after).unwrap();
            let mut seen = Vec::new();
            let durable = durable.min(last);
            assert!(!read(&mut feed, durable, usize::MAX, &mut seen).unwrap());
            let expected = world.ordered.get(after as usize..durable as usize).unwrap_or(&[]);
            assert!(seen == expected, "{after} {durable}: {}", seen.len());
            assert_eq!(feed.after().0, after.max(durable));
        }
    }
}

#[test]
fn feed_in_portions_follows_a_log_that_grows() {
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let (disk, mut world, mut server) = written(random.below(9));
        let mut feed = begin(&disk, 0).unwrap();
        let mut seen = Vec::new();
        for _ in 0..60 {
            if random.coin() {
                world.flush(&mut server, 1 + random.below(20)).unwrap();
            }
            if random.below(4) == 0 {
                server.recovered.log.seal().unwrap();
            }
            let durable = world.acked - random.below(3).min(world.acked);
            let before = seen.len();
            let more = read(&mut feed, durable as u64, random.below(3_000), &mut seen).unwrap();
            assert!(seen.len() <= durable.max(before));
            assert!(more || seen.len() >= durable, "{} of {durable}", seen.len());
        }
        assert!(!read(&mut feed, world.acked as u64, usize::MAX, &mut seen).unwrap());
        assert!(seen == world.ordered);
    }
}

/// Far larger than what is read at once, and in a segment of its own.
#[test]
fn feed_hands_over_records_larger_than_a_segment() {
    let disk = MemoryDisk::new(1);
    let mut server = World::default().start(&disk).unwrap();
    let mut ordered = Vec::new();
    for (n, bytes) in [10, 60_000, 20, 200_000, 30].into_iter().enumerate() {
        let body =
            TxnBody::SetData { path: "/a".into(), data: Some(vec![7; bytes].into()), version: 1 };
        let txn = Txn { body, ..crate::world::txn(n as u64 + 1, 1) };
        let mut group = Group::new();
        group.push(&txn);
        server.recovered.log.flush(&mut group).unwrap();
        ordered.push(txn);
    }
    for after in 0..5 {
        let (mut feed, mut seen) = (begin(&disk, after).unwrap(), Vec::new());
        assert!(!read(&mut feed, 5, usize::MAX, &mut seen).unwrap());
        assert!(seen == ordered[after as usize..]);
    }
}

/// Segments that are needed stay; those that are not are recycled, and what is in them then is
/// never taken for what was.
#[test]
fn purge_keeps_what_a_feed_needs_and_a_late_feed_finds_it_gone() {
    for needed in [true, false] {
        let (disk, mut world, mut server) = written(24);
        let after = 20;
        let (mut feed, mut seen) = (begin(&disk, after).unwrap(), Vec::new());
        read(&mut feed, world.acked as u64, 1, &mut seen).unwrap();
        assert!(!seen.is_empty());
        if needed {
            server.recovered.gauge.need_from(Zxid(feed.after().0 + 1));
        }
        world.snapshot(&server, 1).unwrap();
        for _ in 0..12 {
            world.flush(&mut server, 12).unwrap();
        }
        let result = read(&mut feed, world.acked as u64, usize::MAX, &mut seen);
        assert!(seen == world.ordered[after as usize..after as usize + seen.len()]);
        if needed {
            result.unwrap();
            assert_eq!(seen.len(), world.acked - after as usize);
            server.recovered.gauge.need_from(NO_LEARNER);
            assert!(server.recovered.purger.purge(1, NO_LEARNER).unwrap().segments.len() > 1);
        } else {
            assert!(matches!(result, Err(FeedError::Gone { .. })), "{result:?}");
        }
        assert!(matches!(begin(&disk, after), Err(FeedError::Gone { after: Zxid(20) })));
    }
}

/// What the flush under way has left behind what is durable is not judged; what is durable and does
/// not verify is an error, and nothing of it is handed over.
#[test]
fn damage_is_found_where_it_is_durable_and_not_behind() {
    let (disk, world, _server) = written(24);
    let name = disk.names().into_iter().find(|name| name.starts_with("log.")).unwrap();
    assert_eq!(name, "log.1");
    let mut bytes = disk.contents(&name).unwrap();
    bytes[12_000] ^= 1;
    disk.put(&name, bytes);
    let (mut feed, mut seen) = (begin(&disk, 0).unwrap(), Vec::new());
    let error = read(&mut feed, world.acked as u64, usize::MAX, &mut seen).unwrap_err();
    assert!(matches!(error, FeedError::Unreadable { .. }), "{error}");
    assert!(seen == world.ordered[..seen.len()] && seen.len() > 3);
    let good = seen.len() as u64;
    let (mut feed, mut seen) = (begin(&disk, 0).unwrap(), Vec::new());
    assert!(!read(&mut feed, good, usize::MAX, &mut seen).unwrap());
    assert_eq!(seen.len() as u64, good);
}
