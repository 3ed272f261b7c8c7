//! A log that is read while it is written: whatever the writer has done and wherever it is, a feed
//! hands out what was ordered behind its beginning, up to the durable end, and nothing else.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::{Directory, Fault, Identity, MemoryDisk};
use ringkeeper_engine::log::{Feed, FeedError, Gauge, Group, Portion, PortionLimit, TxnChunk};
use ringkeeper_engine::txn::Txn;

use crate::world::{Random, Server, World};

pub(crate) const ALL: PortionLimit = PortionLimit { bytes: usize::MAX, records: usize::MAX };

/// A feed behind a transaction of the log.
pub(crate) fn feed<D: Directory>(
    disk: &D,
    gauge: &Gauge,
    after: u64,
) -> Result<Feed<D>, FeedError> {
    let directory = Identity::open(disk, 3).unwrap().directory;
    Feed::open(disk, directory, gauge, Zxid(after))
}

/// Everything that is there up to the durable end, in portions.
pub(crate) fn drain<D: Directory>(
    feed: &mut Feed<D>,
    durable: u64,
    limit: PortionLimit,
) -> Result<Vec<Txn>, FeedError> {
    let (mut txns, mut portion) = (Vec::new(), Portion::new());
    loop {
        let last = feed.after();
        feed.read(Zxid(durable), limit, &mut portion)?;
        let Some((first, end)) = portion.range() else { return Ok(txns) };
        assert!(first.may_follow(last) && end == feed.after() && end.0 <= durable);
        assert!(portion.records() == 1 || portion.bytes().len() <= limit.bytes);
        assert!(portion.records() <= limit.records.max(1));
        let before = txns.len();
        for (zxid, payload) in portion.txns() {
            let txn = Txn::read(payload).unwrap();
            assert_eq!(txn.zxid, zxid);
            txns.push(txn);
        }
        assert_eq!(txns.len() - before, portion.records());
    }
}

/// Several segments, some of a file that was used before, with seals and large groups.
pub(crate) fn history(world: &mut World, disk: &MemoryDisk) -> Server<MemoryDisk> {
    let mut server = world.start(disk).unwrap();
    for round in 0..16 {
        world.flush(&mut server, [1, 9, 4, 30][round % 4]).unwrap();
        if round % 3 == 0 {
            server.recovered.log.seal().unwrap();
        }
        server.recovered.preparer.step().unwrap();
    }
    assert!(segments(disk).len() >= 4, "{:?}", segments(disk));
    server
}

pub(crate) fn segments(disk: &MemoryDisk) -> Vec<String> {
    let names = disk.names().into_iter();
    let mut names: Vec<String> = names.filter(|name| name.starts_with("log.")).collect();
    names.sort_by_key(|name| u64::from_str_radix(&name[4..], 16).unwrap());
    names
}

#[test]
fn feed_from_any_transaction_to_any_durable_one_hands_out_what_lies_between() {
    let (disk, mut world) = (MemoryDisk::new(1), World::default());
    let server = history(&mut world, &disk);
    let gauge = &server.recovered.gauge;
    let limits = [
        ALL,
        PortionLimit { bytes: 0, records: 1 },
        PortionLimit { bytes: 2_000, records: 7 },
        PortionLimit { bytes: 1, records: usize::MAX },
    ];
    for (round, piece_bytes) in [64, 4_096, 1 << 20].into_iter().enumerate() {
        disk.set_reading(1, piece_bytes);
        for after in 0..=world.acked {
            for durable in (after..=world.acked).step_by(1 + (after * 7 + round) % 23) {
                let limit = limits[(after + durable + round) % limits.len()];
                let mut feed = feed(&disk, gauge, after as u64).unwrap();
                let txns = drain(&mut feed, durable as u64, limit).unwrap();
                assert!(txns == world.ordered[after..durable], "{after} {durable}");
                // It goes on from there.
                let rest = drain(&mut feed, world.acked as u64, limit).unwrap();
                assert!(rest == world.ordered[durable..], "{after} {durable}");
            }
        }
    }
}

/// What is handed out is what the writer was given, frame for frame.
#[test]
fn bytes_of_a_portion_are_those_of_the_group_that_was_flushed() {
    let (disk, mut world) = (MemoryDisk::new(1), World::default());
    let server = history(&mut world, &disk);
    let mut portion = Portion::new();
    let mut feed = feed(&disk, &server.recovered.gauge, 0).unwrap();
    feed.read(Zxid(world.acked as u64), ALL, &mut portion).unwrap();
    let mut group = Group::new();
    world.ordered.iter().for_each(|txn| group.push(txn));
    let (handed, given) = (TxnChunk::of_portion(&portion), TxnChunk::of_group(&group));
    assert!(handed.is_some() && handed == given);
    for (txn, (_, payload)) in world.ordered.iter().zip(portion.txns()) {
        let mut written = Vec::new();
        txn.write(&mut written);
        assert!(payload == written);
    }
}

#[test]
fn reader_that_is_ahead_of_the_durable_end_gets_nothing_until_the_log_has_more() {
    let (disk, mut world) = (MemoryDisk::new(1), World::default());
    let mut server = history(&mut world, &disk);
    let end = world.acked as u64;
    let mut ahead = feed(&disk, &server.recovered.gauge, end + 2).unwrap();
    assert!(drain(&mut ahead, end, ALL).unwrap().is_empty());
    world.flush(&mut server, 5).unwrap();
    assert!(drain(&mut ahead, end + 5, ALL).unwrap() == world.ordered[end as usize + 2..]);
}

/// One step of a writer, and of what purges behind it.
fn step(world: &mut World, server: &mut Server<MemoryDisk>, step: usize) -> Result<(), String> {
    match step % 8 {
        0 => server.recovered.log.seal().map_err(|fatal| fatal.to_string()),
        3 => server.recovered.preparer.step().map(|_| ()).map_err(|fatal| fatal.to_string()),
        6 => world.snapshot(server, 1),
        _ => world.flush(server, [3, 1, 17, 5, 30][step % 5]),
    }
}

struct Reader {
    feed: Feed<MemoryDisk>,
    limit: PortionLimit,
    /// Whether it reads to the end each time, or one portion.
    greedy: bool,
}

impl Reader {
    fn read(&mut self, world: &World) {
        let from = self.feed.after().0 as usize;
        if self.greedy {
            let txns = drain(&mut self.feed, world.acked as u64, self.limit).unwrap();
            assert!(txns == world.ordered[from..world.acked]);
            return;
        }
        let mut portion = Portion::new();
        self.feed.read(Zxid(world.acked as u64), self.limit, &mut portion).unwrap();
        let txns: Vec<Txn> = portion.txns().map(|(_, txn)| Txn::read(txn).unwrap()).collect();
        assert!(txns == world.ordered[from..from + txns.len()]);
        assert_eq!(txns.is_empty(), from == world.acked);
    }
}

/// A feed behind `after` is there, or the log does not reach so far back any more.
fn opened(disk: &MemoryDisk, server: &Server<MemoryDisk>, after: u64) -> Option<Feed<MemoryDisk>> {
    let first = u64::from_str_radix(&segments(disk)[0][4..], 16).unwrap();
    match feed(disk, &server.recovered.gauge, after) {
        Ok(feed) => {
            assert!(after + 1 >= first, "{after} is behind {first}");
            Some(feed)
        }
        Err(FeedError::NotReached { after: behind, oldest }) => {
            assert_eq!((behind.0, oldest.0), (after, first - 1));
            assert!(after + 1 < first);
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Feeds that begin at each step, some slow and some fast, see each step of a writer whose segments
/// end at every offset, and of purges between any two of them.
#[test]
fn feeds_beside_a_writer_that_switches_and_purges_lose_nothing() {
    let mut refused = 0;
    for lead in 0..40 {
        let (disk, mut world) = (MemoryDisk::new(1), World::default());
        disk.set_reading(1, [100, 1_000, 9_000][lead % 3]);
        let mut server = world.start(&disk).unwrap();
        if lead > 0 {
            world.flush(&mut server, lead).unwrap();
        }
        let mut readers: Vec<Reader> = Vec::new();
        for number in 0..40 {
            let oldest = if number % 16 < 12 { 0 } else { world.acked as u64 / 3 };
            for after in [oldest, world.acked as u64 / 2, world.acked as u64] {
                let Some(feed) = opened(&disk, &server, after) else {
                    refused += 1;
                    continue;
                };
                let limit = PortionLimit { bytes: 3_000, records: 1 + number % 20 };
                readers.push(Reader { feed, limit, greedy: number % 2 == 0 });
            }
            step(&mut world, &mut server, number).unwrap();
            readers.iter_mut().for_each(|reader| reader.read(&world));
            match number % 16 {
                // The next step but one purges; what it may take depends on who is still there.
                4 => drop(readers.drain(..readers.len() / 2)),
                12 => readers.clear(),
                _ => {}
            }
        }
    }
    assert!(refused > 500 && refused < 2_000, "{refused}");
}

/// The writer stands still at every operation of every step, and everything it has under way can be
/// seen: that is nothing to its feeds. Then it dies for good.
#[test]
fn writer_stopped_at_any_operation_is_read_up_to_what_it_has_acknowledged() {
    let mut random = Random::new(7);
    for operation in 0.. {
        let (disk, mut world) = (MemoryDisk::new(1), World::default());
        disk.set_reading(1, 1_000);
        let mut server = history(&mut world, &disk);
        let gauge = server.recovered.gauge.clone();
        let acked = world.acked as u64;
        let feeds: Vec<u64> = vec![0, acked - 45, acked - 1, acked];
        let mut feeds: Vec<Feed<MemoryDisk>> =
            feeds.into_iter().map(|after| feed(&disk, &gauge, after).unwrap()).collect();
        let mut portion = Portion::new();
        feeds[1]
            .read(Zxid(acked), PortionLimit { bytes: 9_999, records: 3 }, &mut portion)
            .unwrap();
        disk.fail_at(disk.operations() + operation, Fault::Crash);
        let done = (0..16).try_for_each(|number| step(&mut world, &mut server, number)).is_ok();
        disk.process_death();
        feeds.extend(opened(&disk, &server, acked / 2));
        feeds.push(feed(&disk, &gauge, acked - 1).unwrap());
        for feed in &mut feeds {
            let from = feed.after().0 as usize;
            let txns = drain(feed, world.acked as u64, ALL).unwrap();
            assert!(txns == world.ordered[from..world.acked], "{operation}");
        }
        if done {
            assert!(operation > 40, "{operation}");
            return;
        }
        disk.power_loss(|_| random.coin());
        let server = world.start(&disk).unwrap();
        for after in 0..=world.acked {
            let Some(mut feed) = opened(&disk, &server, after as u64) else { continue };
            let txns = drain(&mut feed, world.acked as u64, ALL).unwrap();
            assert!(txns == world.ordered[after..], "{operation} {after}");
        }
    }
}

/// Without syncs, too, where the segments have no waypoints and a start goes on in a new one.
#[test]
fn feed_of_a_log_that_does_not_wait_for_the_disk_hands_out_everything() {
    let (disk, mut world) = (MemoryDisk::new(1), World::default());
    disk.set_unsynced();
    history(&mut world, &disk);
    disk.process_death();
    let mut server = world.start(&disk).unwrap();
    world.flush(&mut server, 50).unwrap();
    for after in 0..=world.acked {
        let mut feed = feed(&disk, &server.recovered.gauge, after as u64).unwrap();
        let txns = drain(&mut feed, world.acked as u64, ALL).unwrap();
        assert!(txns == world.ordered[after..]);
    }
}

/// Wherever a purge fails, a feed either reads all of the log or begins behind what the purge was
/// about to take, also where that is there yet.
#[test]
fn segment_that_a_purge_has_begun_to_take_is_not_read() {
    let (mut whole, mut refused, mut there_yet) = (0, 0, 0);
    for operation in 0.. {
        let (disk, mut world) = (MemoryDisk::new(1), World::default());
        let mut server = history(&mut world, &disk);
        world.snapshot_only(&server).unwrap();
        disk.fail_at(disk.operations() + operation, Fault::Error(std::io::ErrorKind::Other));
        let done = server.recovered.purger.purge(1).is_ok();
        disk.fail_at(u64::MAX, Fault::Crash);
        let oldest = match feed(&disk, &server.recovered.gauge, 0) {
            Ok(mut feed) => {
                assert!(drain(&mut feed, world.acked as u64, ALL).unwrap() == world.ordered);
                whole += 1;
                0
            }
            Err(FeedError::NotReached { oldest, .. }) => {
                refused += 1;
                let first = segments(&disk).remove(0);
                there_yet += usize::from(first != format!("log.{:x}", oldest.0 + 1));
                oldest.0
            }
            Err(error) => panic!("{error}"),
        };
        world.flush(&mut server, 60).unwrap();
        for after in oldest..=world.acked as u64 {
            let mut feed = feed(&disk, &server.recovered.gauge, after).unwrap();
            let txns = drain(&mut feed, world.acked as u64, ALL).unwrap();
            assert!(txns == world.ordered[after as usize..]);
        }
        if done {
            break;
        }
    }
    assert!(whole > 1 && refused > 5 && there_yet > 1, "{whole} {refused} {there_yet}");
}
