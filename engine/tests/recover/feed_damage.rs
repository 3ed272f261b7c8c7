//! Damage to a log that is read while it is written: found, named, and never handed out.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::{DirectoryId, Fault, Identity, MemoryDisk};
use ringkeeper_engine::log::{Feed, FeedError, Portion, PortionLimit, Proof, Refusal};

use crate::feed::{ALL, drain, feed, history, segments};
use crate::world::{Random, Server, World};

/// A log that is whole.
struct Written {
    disk: MemoryDisk,
    world: World,
    server: Server<MemoryDisk>,
    directory: DirectoryId,
}

fn written() -> Written {
    let (disk, mut world) = (MemoryDisk::new(1), World::default());
    let server = history(&mut world, &disk);
    let directory = Identity::open(&disk, 3).unwrap().directory;
    Written { disk, world, server, directory }
}

/// Reads all of a damaged copy, from the beginning: what is handed out is a beginning of what was
/// ordered. Returns the error and how much that was.
fn read(written: &Written, disk: &MemoryDisk) -> (usize, Option<Refusal>) {
    let Written { world, server, directory, .. } = written;
    let mut handed = 0;
    let mut feed = match Feed::open(disk, *directory, &server.recovered.gauge, Zxid(0)) {
        Ok(feed) => feed,
        Err(FeedError::Log(refusal)) => return (0, Some(refusal)),
        Err(error) => panic!("{error}"),
    };
    let limit = PortionLimit { bytes: 2_000, records: 50 };
    let mut portion = Portion::new();
    loop {
        match feed.read(Zxid(world.acked as u64), limit, &mut portion) {
            Ok(()) if portion.is_empty() => return (handed, None),
            Ok(()) => {
                for (zxid, payload) in portion.txns() {
                    let mut expected = Vec::new();
                    world.ordered[handed].write(&mut expected);
                    assert!(zxid.0 as usize == handed + 1 && payload == expected);
                    handed += 1;
                }
            }
            Err(FeedError::Log(refusal)) => {
                // Damage stays, and nothing more is handed out.
                let again = feed.read(Zxid(world.acked as u64), limit, &mut portion);
                let stays = again.is_err() && portion.is_empty();
                assert!(stays || matches!(refusal, Refusal::Disk(_)));
                return (handed, Some(refusal));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Where the records of a segment end.
fn end_of(bytes: &[u8]) -> usize {
    let header = ringkeeper_engine::log::header::Header::decode(bytes).unwrap();
    ringkeeper_engine::log::scan::scan(bytes, &header).end
}

#[test]
fn flipped_bit_anywhere_in_a_segment_is_damage_there_or_does_not_matter() {
    let written = written();
    let Written { disk, world, .. } = &written;
    let names = segments(disk);
    for name in [&names[1], names.last().unwrap()] {
        let whole = disk.contents(name).unwrap();
        let end = end_of(&whole);
        for at in 0..whole.len() {
            let copy = disk.fork();
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            copy.put(name, bytes);
            match read(&written, &copy) {
                (handed, None) => {
                    assert_eq!(handed, world.acked, "{name} {at}");
                    // Either copy of the header will do, the second block only saves time, and
                    // the seal at the end of the log is none of a feed's business.
                    assert!(!(8_192..end - 24).contains(&at), "{name} {at} of {end}");
                }
                (handed, Some(Refusal::Damaged { file, offset, last, .. })) => {
                    assert_eq!((file, last.0 as usize), (format!("memory/{name}"), handed));
                    assert!((8_192..end).contains(&at) && offset as usize <= at);
                }
                (_, Some(refusal)) => panic!("{name} {at}: {refusal}"),
            }
        }
    }
}

#[test]
fn hostile_bytes_in_any_segment_end_a_feed_with_damage_and_no_panic() {
    let written = written();
    let Written { disk, world, .. } = &written;
    let (names, mut random) = (segments(disk), Random::new(5));
    let (mut damaged, mut whole) = (0, 0);
    for round in 0..4_000 {
        let copy = disk.fork();
        copy.set_reading(1, [50, 3_000, 1 << 20][round % 3]);
        for _ in 0..1 + random.below(3) {
            let name = &names[random.below(names.len())];
            let mut bytes = copy.contents(name).unwrap();
            let at = random.below(bytes.len());
            let len = (1 + random.below(900)).min(bytes.len() - at);
            match random.below(5) {
                0 => bytes[at..at + len].fill(0),
                1 => bytes[at..at + len].fill(0xff),
                2 => bytes.truncate(at),
                3 => {
                    // Records that are right, elsewhere.
                    let from = random.below(bytes.len() - len + 1);
                    bytes.copy_within(from..from + len, at);
                }
                _ => {
                    bytes[at..at + len].iter_mut().for_each(|byte| *byte = random.below(256) as u8)
                }
            }
            copy.put(name, bytes);
        }
        match read(&written, &copy) {
            (handed, None) => {
                assert_eq!(handed, world.acked);
                whole += 1;
            }
            (handed, Some(_)) => {
                assert!(handed < world.acked);
                damaged += 1;
            }
        }
    }
    assert!(damaged > 1_000 && whole > 300, "{damaged} {whole}");
}

#[test]
fn missing_segment_is_a_gap_where_it_was() {
    let written = written();
    let Written { disk, world, .. } = &written;
    let names = segments(disk);
    for (at, name) in names.iter().enumerate() {
        let copy = disk.fork();
        copy.take(name);
        let first = |name: &str| usize::from_str_radix(&name[4..], 16).unwrap();
        if at == 0 {
            let oldest = first(&names[1]) as u64 - 1;
            let error = feed(&copy, &written.server.recovered.gauge, 0).unwrap_err();
            assert!(matches!(error, FeedError::NotReached { oldest: o, .. } if o.0 == oldest));
            continue;
        }
        let (handed, refusal) = read(&written, &copy);
        assert_eq!(handed, first(name) - 1);
        let Some(Refusal::Damaged { file, why, last, .. }) = refusal else { panic!("{refusal:?}") };
        assert_eq!((file, last.0 as usize), (format!("memory/{}", names[at - 1]), handed));
        match names.get(at + 1) {
            Some(next) => assert_eq!(why, Proof::LaterSegment(Zxid(first(next) as u64 - 1))),
            None => assert_eq!(why, Proof::Durable(Zxid(world.acked as u64))),
        }
    }
    for name in &names {
        disk.take(name);
    }
    let error = feed(disk, &written.server.recovered.gauge, 3).unwrap_err();
    assert!(matches!(error, FeedError::Log(Refusal::LogGone { .. })), "{error}");
}

/// An error of the disk is reported, and costs nothing that was good before it.
#[test]
fn feed_that_meets_an_error_of_the_disk_at_any_operation_goes_on_in_another_one() {
    let written = written();
    let Written { disk, world, .. } = &written;
    let copy = disk.fork();
    copy.set_reading(1, 2_000);
    assert_eq!(read(&written, &copy).0, world.acked);
    let operations = copy.operations() - disk.operations();
    let mut failed = 0;
    for operation in 0..operations {
        let copy = disk.fork();
        copy.set_reading(1, 2_000);
        copy.fail_at(copy.operations() + operation, Fault::Error(std::io::ErrorKind::Other));
        let (handed, refusal) = read(&written, &copy);
        assert!(matches!(refusal, Some(Refusal::Disk(_))), "{operation}: {refusal:?}");
        failed += 1;
        let mut rest = feed(&copy, &written.server.recovered.gauge, handed as u64).unwrap();
        let txns = drain(&mut rest, world.acked as u64, ALL).unwrap();
        assert!(txns == world.ordered[handed..]);
    }
    assert!(failed > 20, "{failed}");
}
