//! Feeds beside a writer on a real file system, in every strategy to write, each on a thread.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::{Disk, Durability, Identity, Strategy};
use ringkeeper_engine::log::{
    Feed, FeedError, Gauge, Group, Log, Portion, PortionLimit, Preparer, Purger, Recovered,
};
use ringkeeper_engine::txn::Txn;

use crate::disk::{directory, supported};
use crate::feed::feed;
use crate::world::{Random, World, open, txn, write_snapshot};

/// Transactions that the writer orders.
const END: u64 = 1_500;
const LIFE: u64 = 3;

/// Reads from where a feed stands to the end that is known, and checks every transaction.
fn read_on(feed: &mut Feed<Disk>, durable: u64, limit: PortionLimit, portion: &mut Portion) {
    loop {
        let before = feed.after().0;
        feed.read(Zxid(durable), limit, portion).unwrap_or_else(|error| panic!("{error}"));
        for (next, (zxid, payload)) in (before + 1..).zip(portion.txns()) {
            assert_eq!(zxid.0, next);
            assert!(Txn::read(payload).unwrap() == txn(next, LIFE), "{next}");
        }
        if portion.is_empty() {
            assert_eq!(feed.after().0, durable.max(feed.after().0));
            return;
        }
    }
}

/// Goes with the writer from the beginning to the end.
fn follow(mut feed: Feed<Disk>, durable: &AtomicU64, limit: PortionLimit) {
    let mut portion = Portion::new();
    while feed.after() < Zxid(END) {
        read_on(&mut feed, durable.load(Ordering::Acquire), limit, &mut portion);
        thread::yield_now();
    }
}

/// Begins again and again, anywhere; returns how often the log did not reach so far back.
fn begin_anywhere(disk: &Disk, gauge: &Gauge, durable: &AtomicU64) -> usize {
    let (mut portion, mut random, mut refused) = (Portion::new(), Random::new(9), 0);
    loop {
        let end = durable.load(Ordering::Acquire);
        let after = random.below(end as usize + 1) as u64;
        match feed(disk, gauge, after) {
            Ok(mut feed) => {
                let limit = PortionLimit { bytes: 5_000, records: 1 + random.below(50) };
                read_on(&mut feed, end, limit, &mut portion);
            }
            Err(FeedError::NotReached { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
        if end == END {
            return refused;
        }
    }
}

fn prepare(mut preparer: Preparer<Disk>, durable: &AtomicU64) {
    while durable.load(Ordering::Acquire) < END {
        preparer.step().unwrap();
        thread::yield_now();
    }
}

/// Ends the other threads with the writer, also where that fails.
struct End<'a>(&'a AtomicU64);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(END, Ordering::Release);
    }
}

/// Orders everything, in groups of many sizes, with seals, snapshots and purges; returns how many
/// segments were purged.
fn write(disk: &Disk, mut log: Log<Disk>, purger: &Purger<Disk>, durable: &AtomicU64) -> usize {
    let _end = End(durable);
    let identity = Identity::open(disk, 3).unwrap();
    let (mut world, mut random, mut purged) = (World::default(), Random::new(4), 0);
    while (world.acked as u64) < END {
        let mut group = Group::new();
        for _ in 0..(1 + random.below(40)).min(END as usize - world.acked) {
            let next = txn(world.ordered.len() as u64 + 1, LIFE);
            group.push(&next);
            world.ordered.push(next);
        }
        durable.store(log.flush(&mut group).unwrap().0, Ordering::Release);
        world.acked = world.ordered.len();
        match random.below(20) {
            0 => {
                write_snapshot(&world, disk, identity.directory).unwrap();
                purged += purger.purge(1).unwrap().segments.len();
            }
            1 | 2 => log.seal().unwrap(),
            _ => {}
        }
    }
    purged
}

fn run(strategy: Strategy) {
    let home = directory();
    let disk = Disk::open(home.path(), strategy, Durability::Synced).unwrap();
    let (recovered, _) = open(&disk).unwrap();
    let Recovered { log, preparer, purger, gauge, .. } = recovered;
    let durable = &AtomicU64::new(0);
    thread::scope(|scope| {
        for records in [1, 13, 500] {
            let feed = feed(&disk, &gauge, 0).unwrap();
            let limit = PortionLimit { bytes: 20_000, records };
            scope.spawn(move || follow(feed, durable, limit));
        }
        scope.spawn(move || prepare(preparer, durable));
        let late = scope.spawn(|| begin_anywhere(&disk, &gauge, durable));
        let purged = write(&disk, log, &purger, durable);
        println!("{strategy}: {purged} purged, {} too late", late.join().unwrap());
        assert!(purged > 5, "{purged}");
    });
}

#[test]
fn feeds_beside_a_writer_on_a_real_disk_hand_out_everything_with_each_strategy() {
    let home = directory();
    supported(home.path()).into_iter().for_each(run);
}
