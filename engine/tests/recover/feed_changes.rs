//! A log that changes while it is read: cut, replaced, begun with a huge record, in later epochs.

use ringkeeper_engine::device::{Fault, Identity, MemoryDisk};
use ringkeeper_engine::log::{Each, Feed, FeedError, Group, Portion, PortionLimit, recover};
use ringkeeper_engine::snapshot::{RECEIVED, Writer};
use ringkeeper_engine::txn::{Txn, TxnBody};
use ringkeeper_engine::{Millis, SessionId, Zxid};

use crate::feed::{ALL, drain, feed, history, segments};
use crate::world::{World, dirs, settings, txn};

/// Transactions in the history.
const END: u64 = 176;

/// The world behind a cut: later lives order other transactions.
fn left(world: &World, last: u64) -> World {
    let ordered = world.ordered[..last as usize].to_vec();
    World { acked: ordered.len(), ordered, life: world.life + 9 }
}

fn is_over(result: Result<Vec<Txn>, FeedError>) {
    assert!(matches!(result, Err(FeedError::HistoryChanged)), "{result:?}");
}

/// A feed that stands at each place, with some of what follows read ahead into its memory.
fn standing(disk: &MemoryDisk, gauge: &ringkeeper_engine::log::Gauge) -> Vec<Feed<MemoryDisk>> {
    let mut portion = Portion::new();
    let mut stand = |after| {
        let mut feed = feed(disk, gauge, after).unwrap();
        let limit = PortionLimit { bytes: usize::MAX, records: 2 };
        feed.read(Zxid(END), limit, &mut portion).unwrap();
        feed
    };
    (0..=END).step_by(5).map(&mut stand).collect()
}

#[test]
fn cut_ends_the_feeds_of_before_and_later_ones_hand_out_what_stands_then() {
    for last in [1, 30, 43, 44, 45, 88, 100, END - 1] {
        let (disk, mut world) = (MemoryDisk::new(1), World::default());
        let mut server = history(&mut world, &disk);
        assert_eq!(world.acked as u64, END);
        let mut feeds = standing(&disk, &server.recovered.gauge);
        server.recovered.log.cut(Zxid(last), Zxid(1)).unwrap();
        let mut world = left(&world, last);
        for feed in &mut feeds {
            is_over(drain(feed, last, ALL));
        }
        let mut early = feed(&disk, &server.recovered.gauge, last).unwrap();
        for records in [1, 20, 2, 30] {
            world.flush(&mut server, records).unwrap();
        }
        assert!(
            drain(&mut early, world.acked as u64, ALL).unwrap() == world.ordered[early_at(last)..]
        );
        for after in 0..=world.acked {
            let mut feed = feed(&disk, &server.recovered.gauge, after as u64).unwrap();
            let txns = drain(&mut feed, world.acked as u64, ALL).unwrap();
            assert!(txns == world.ordered[after..], "{last} {after}");
        }
        feeds.iter_mut().for_each(|feed| is_over(drain(feed, world.acked as u64, ALL)));
    }
}

fn early_at(last: u64) -> usize {
    last as usize
}

/// Wherever the cut is, what it has done so far is neither handed out nor taken for damage.
#[test]
fn cut_under_way_at_any_operation_ends_feeds_and_refuses_new_ones() {
    let mut over = 0;
    for operation in 0.. {
        let (disk, mut world) = (MemoryDisk::new(1), World::default());
        let mut server = history(&mut world, &disk);
        let gauge = server.recovered.gauge.clone();
        let mut feeds = standing(&disk, &gauge);
        let before = disk.operations();
        disk.fail_at(before + operation, Fault::Crash);
        let done = server.recovered.log.cut(Zxid(70), Zxid(70)).is_ok();
        disk.process_death();
        // Until it has decided that it cuts, it has only read.
        let changed = matches!(feed(&disk, &gauge, 70), Err(FeedError::HistoryChanged));
        for feed in &mut feeds {
            let from = feed.after().0 as usize;
            match drain(feed, END, ALL) {
                Err(FeedError::HistoryChanged) => over += 1,
                Ok(txns) if !changed && !done => assert!(txns == world.ordered[from..]),
                other => panic!("{operation} {changed} {done}: {other:?}"),
            }
        }
        if done {
            break;
        }
    }
    assert!(over > 500, "{over}");
}

#[test]
fn cut_that_changes_nothing_leaves_feeds_alone() {
    let (disk, mut world) = (MemoryDisk::new(1), World::default());
    let mut server = history(&mut world, &disk);
    let mut feeds = standing(&disk, &server.recovered.gauge);
    assert_eq!(server.recovered.log.cut(Zxid(END), Zxid(1)).unwrap(), Zxid(END));
    server.recovered.log.cut(Zxid(9), Zxid(10)).unwrap_err();
    for feed in &mut feeds {
        let from = feed.after().0 as usize;
        assert!(drain(feed, END, ALL).unwrap() == world.ordered[from..]);
    }
}

#[test]
fn installed_state_ends_feeds_and_later_ones_reach_back_to_it_only() {
    for zxid in [40, 90, END, 500] {
        let (disk, mut world) = (MemoryDisk::new(1), World::default());
        let mut server = history(&mut world, &disk);
        world.snapshot(&server, 1).unwrap();
        world.flush(&mut server, 3).unwrap();
        let mut old = feed(&disk, &server.recovered.gauge, END).unwrap();
        let ordered: Vec<Txn> = (1..=zxid).map(|n| txn(n, 77)).collect();
        let mut leader = World { acked: ordered.len(), ordered, life: 77 };
        let directory = Identity::open(&disk, 3).unwrap().directory;
        leader.fill(Writer::begin_received(&disk, directory, &leader.meta()).unwrap()).unwrap();
        assert!(disk.names().contains(&RECEIVED.to_owned()));
        server.recovered.log.install(Zxid(zxid), Zxid(1)).unwrap();
        is_over(drain(&mut old, END + 3, ALL));
        let mut at_end = feed(&disk, &server.recovered.gauge, zxid).unwrap();
        leader.flush(&mut server, 60).unwrap();
        assert!(drain(&mut at_end, zxid + 60, ALL).unwrap() == leader.ordered[zxid as usize..]);
        for after in [0, zxid - 1] {
            let error = feed(&disk, &server.recovered.gauge, after).unwrap_err();
            let oldest = Zxid(zxid);
            assert!(matches!(error, FeedError::NotReached { oldest: o, .. } if o == oldest));
        }
    }
}

/// Transactions whose zxids are not those of their places.
struct Epochs {
    disk: MemoryDisk,
    recovered: ringkeeper_engine::log::Recovered<MemoryDisk>,
    ordered: Vec<Txn>,
}

impl Epochs {
    fn start() -> Epochs {
        let disk = MemoryDisk::new(1);
        let mut identity = Identity::open(&disk, 3).unwrap();
        let recovered =
            recover(&dirs(&disk), &mut identity, &settings(), &mut Each(|_| Ok(()))).unwrap();
        Epochs { disk, recovered, ordered: Vec::new() }
    }

    fn flush(&mut self, zxid: Zxid, bytes: usize) {
        let data = Some(vec![zxid.0 as u8; bytes].into());
        let body = TxnBody::SetData { path: "/a".into(), data, version: 1 };
        let next = Txn { session: SessionId(1), cxid: 1, zxid, time: Millis(0), body };
        let mut group = Group::new();
        group.push(&next);
        self.ordered.push(next);
        assert_eq!(self.recovered.log.flush(&mut group).unwrap(), zxid);
    }

    fn last(&self) -> Zxid {
        self.ordered.last().map_or(Zxid::ZERO, |txn| txn.zxid)
    }

    fn feed(&self, after: Zxid) -> Feed<MemoryDisk> {
        feed(&self.disk, &self.recovered.gauge, after.0).unwrap()
    }
}

/// A reader that has what this log has not is told so, and up to where both may be the same; with
/// segments that end at every place of the epochs.
#[test]
fn feed_behind_a_transaction_that_is_not_there_names_the_one_before_it() {
    let mut at_the_border = 0;
    for bytes in (400..3_000).step_by(37) {
        let mut log = Epochs::start();
        for epoch in 1..5 {
            (1..=5).for_each(|counter| log.flush(Zxid::new(epoch, counter), bytes));
            at_the_border +=
                usize::from(segments(&log.disk).contains(&format!("log.{epoch}00000001")));
        }
        for epoch in 0..5 {
            for counter in 0..8 {
                let after = Zxid::new(epoch, counter);
                let expected = log.ordered.iter().filter(|txn| txn.zxid > after);
                let expected: Vec<Txn> = expected.cloned().collect();
                let before = log.ordered.iter().rev().find(|txn| txn.zxid <= after);
                let before = before.map_or(Zxid::ZERO, |txn| txn.zxid);
                match drain(&mut log.feed(after), log.last().0, ALL) {
                    Ok(txns) => {
                        assert!(txns == expected);
                        // With nothing behind it, there is nothing to compare it with.
                        assert!(before == after || expected.is_empty(), "{after}");
                    }
                    Err(FeedError::Unknown { after: it, before: found }) => {
                        assert_eq!((it, found), (after, before));
                        assert!(before != after);
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
    assert!(at_the_border > 4, "{at_the_border}");
}

/// The empty segment that a feed has open makes way for a larger one of the same name, also where
/// others follow that one before the feed looks again.
#[test]
fn huge_records_are_handed_out_where_they_replace_an_empty_segment_and_elsewhere() {
    for later in [&[][..], &[10, 10], &[70_000, 300_000, 9, 15_000, 12_000]] {
        let mut log = Epochs::start();
        let mut from_start = log.feed(Zxid::ZERO);
        assert!(drain(&mut from_start, 0, ALL).unwrap().is_empty());
        for (at, bytes) in [100_000].iter().chain(later).enumerate() {
            log.flush(Zxid(at as u64 + 1), *bytes);
        }
        let limit = PortionLimit { bytes: 1_000, records: 9 };
        assert!(drain(&mut from_start, log.last().0, limit).unwrap() == log.ordered);
        for after in 0..=log.last().0 {
            let txns = drain(&mut log.feed(Zxid(after)), log.last().0, limit).unwrap();
            assert!(txns == log.ordered[after as usize..]);
        }
    }
}
