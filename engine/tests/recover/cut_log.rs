//! A member removes the end of its log because its leader's history ends earlier.

use std::io::ErrorKind;

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::{Epochs, Fault, Identity, Intent, MemoryDisk};
use ringkeeper_engine::log::{Fatal, LogCommand, LogEvent, Note, Refusal, read_log, recover};
use ringkeeper_engine::txn::Txn;

use crate::crashes::survives_power_loss;
use crate::world::{Server, State, World, dirs, open, repaired, settings};

/// Several segments, two snapshots and an early one.
fn history(world: &mut World, disk: &MemoryDisk) -> Server<MemoryDisk> {
    let mut server = world.start(disk).unwrap();
    for round in 0..24 {
        world.flush(&mut server, [1, 9, 4, 12][round % 4]).unwrap();
        if round == 9 {
            world.snapshot_only(&server).unwrap();
        }
        if round == 15 {
            world.early_snapshot(&server).unwrap();
        }
    }
    assert!(segments(disk).len() >= 4, "{:?}", segments(disk));
    server
}

fn segments(disk: &MemoryDisk) -> Vec<String> {
    disk.names().into_iter().filter(|name| name.starts_with("log.")).collect()
}

fn first(segment: &str) -> u64 {
    u64::from_str_radix(&segment[4..], 16).unwrap()
}

/// Transactions in the history above.
const ALL: u64 = 156;
/// Where its snapshot and its early snapshot are.
const SNAPSHOT: u64 = 62;
const EARLY: u64 = 104;

/// What a cut leaves of the world: later lives order other transactions.
fn left(world: &World, last: u64) -> World {
    let ordered = world.ordered[..last as usize].to_vec();
    World { acked: ordered.len(), ordered, life: world.life + 9 }
}

#[test]
fn log_cut_behind_any_transaction_holds_exactly_those_before_and_goes_on() {
    for last in SNAPSHOT..=ALL {
        let (disk, mut world) = (MemoryDisk::new(1), World::default());
        let mut server = history(&mut world, &disk);
        assert_eq!(world.ordered.len() as u64, ALL);
        let cut = server.recovered.log.cut(Zxid(last), Zxid(last)).unwrap();
        assert_eq!((cut, server.recovered.log.last()), (Zxid(last), Zxid(last)));
        let mut world = left(&world, last);
        disk.power_loss(|_| false);
        let reopened = disk.fork();
        let server_there = world.clone().start(&reopened).unwrap();
        assert_eq!(server_there.recovered.notes, []);
        // It goes on without a start as well, over what was cut off.
        for records in [1, 20, 2, 30] {
            world.flush(&mut server, records).unwrap();
        }
        disk.power_loss(|_| false);
        world.start(&disk).unwrap();
    }
}

#[test]
fn snapshots_behind_a_cut_go_and_others_stay() {
    for (last, snapshot, early) in
        [(SNAPSHOT, true, false), (EARLY - 1, true, false), (EARLY, true, true), (ALL, true, true)]
    {
        let (disk, mut world) = (MemoryDisk::new(1), World::default());
        let mut server = history(&mut world, &disk);
        server.recovered.log.cut(Zxid(last), Zxid::ZERO).unwrap();
        assert_eq!(disk.contents("snapshot.3e").is_some(), snapshot);
        assert_eq!(disk.contents("snapshot.early.tmp").is_some(), early, "{last}");
    }
    // From the beginning on, no snapshot is needed.
    let (disk, mut world) = (MemoryDisk::new(1), World::default());
    let mut server = history(&mut world, &disk);
    assert_eq!(server.recovered.log.cut(Zxid(7), Zxid(7)).unwrap(), Zxid(7));
    assert_eq!(disk.names(), ["log.1", "ringkeeper.meta"]);
    left(&world, 7).start(&disk).unwrap();
}

/// Wherever the process dies, with whatever part of what was not synced, the next start has the log
/// up to the cut and nothing else; before the intent is durable, it may have the whole of it.
#[test]
fn cut_ended_by_a_crash_at_any_operation_is_done_or_not_begun() {
    let mut places = vec![SNAPSHOT, SNAPSHOT + 1, 80, EARLY, 120, ALL - 1];
    // The last transaction of each segment, too: nothing has to be overwritten then.
    let (disk, mut world) = (MemoryDisk::new(1), World::default());
    drop(history(&mut world, &disk));
    let ends = segments(&disk).into_iter().map(|name| first(&name) - 1);
    places.extend(ends.filter(|last| (SNAPSHOT..ALL).contains(last)));
    assert!(places.len() > 7, "{places:?}");
    for last in places {
        let operations = {
            let (disk, mut world) = (MemoryDisk::new(1), World::default());
            let mut server = history(&mut world, &disk);
            let before = disk.operations();
            server.recovered.log.cut(Zxid(last), Zxid(SNAPSHOT)).unwrap();
            disk.operations() - before
        };
        let (mut finished, mut untouched) = (0, 0);
        for operation in 0..operations {
            let (disk, mut world) = (MemoryDisk::new(1), World::default());
            let mut server = history(&mut world, &disk);
            disk.fail_at(disk.operations() + operation, Fault::Crash);
            server.recovered.log.cut(Zxid(last), Zxid(SNAPSHOT)).unwrap_err();
            survives_power_loss(&disk, operation, |disk| {
                let begun = Identity::open(disk, 3).unwrap().intent;
                let (recovered, txns) = open(disk).unwrap_or_else(|refusal| panic!("{refusal}"));
                let resumed = recovered.notes.contains(&Note::Resumed(Intent::Cut(Zxid(last))));
                assert_eq!(resumed, begun.is_some());
                assert!(txns == world.ordered[..txns.len()]);
                assert!(!resumed || txns.len() as u64 == last, "{} of {last}", txns.len());
                assert!(txns.len() as u64 == last || txns.len() as u64 == ALL);
                finished += usize::from(resumed);
                untouched += usize::from(txns.len() as u64 == ALL);
                left(&world, txns.len() as u64).start(disk).unwrap();
                assert_eq!(Identity::open(disk, 3).unwrap().intent, None);
            });
        }
        assert!(finished > 20 && untouched > 5, "{finished} {untouched} of {operations}");
    }
}

/// The start that finishes it may end at any operation as well.
#[test]
fn cut_resumed_and_ended_again_at_any_operation_is_done() {
    let begun = |operation: u64| {
        let (disk, mut world) = (MemoryDisk::new(1), World::default());
        let mut server = history(&mut world, &disk);
        disk.fail_at(disk.operations() + operation, Fault::Crash);
        let result = server.recovered.log.cut(Zxid(80), Zxid(SNAPSHOT));
        (disk, world, result.is_ok())
    };
    let mut tried = 0;
    for first in 0.. {
        let (disk, world, done) = begun(first);
        if done {
            break;
        }
        disk.power_loss(|_| false);
        if Identity::open(&disk, 3).unwrap().intent.is_none() {
            continue;
        }
        for second in 0.. {
            let disk = disk.fork();
            disk.fail_at(disk.operations() + second, Fault::Crash);
            if open(&disk).is_ok() {
                break;
            }
            survives_power_loss(&disk, second, |disk| {
                let mut world = left(&world, 80);
                world.start(disk).unwrap_or_else(|refusal| panic!("{refusal}"));
                tried += 1;
            });
        }
    }
    assert!(tried > 500, "{tried}");
}

/// An error of the disk is final; the next start finishes what was begun.
#[test]
fn cut_ended_by_an_error_at_any_operation_stops_the_log() {
    for operation in 0.. {
        let (disk, mut world) = (MemoryDisk::new(1), World::default());
        let mut server = history(&mut world, &disk);
        disk.fail_at(disk.operations() + operation, Fault::Error(ErrorKind::Other));
        if server.recovered.log.cut(Zxid(80), Zxid(80)).is_ok() {
            assert!(operation > 10);
            break;
        }
        disk.process_death();
        let begun = Identity::open(&disk, 3).unwrap().intent.is_some();
        let txns = open(&disk).unwrap_or_else(|refusal| panic!("{refusal}")).1;
        // The last operations erase the intent.
        assert!(txns == world.ordered[..80] || (!begun && txns == world.ordered));
        if txns.len() == 80 {
            assert!(world.flush(&mut server, 1).is_err(), "the log takes no more");
        }
    }
}

#[test]
fn cut_of_what_is_committed_is_refused_and_changes_nothing() {
    let (disk, mut world) = (MemoryDisk::new(1), World::default());
    let mut server = history(&mut world, &disk);
    let before = disk.operations();
    let fatal = server.recovered.log.cut(Zxid(99), Zxid(100)).unwrap_err();
    assert!(matches!(fatal, Fatal::Committed { after: Zxid(99), committed: Zxid(100) }));
    let text = fatal.to_string();
    assert!(text.contains("the ensemble has lost what it acknowledged"), "{text}");
    assert_eq!(disk.operations(), before);
    world.flush(&mut server, 3).unwrap();
    world.start(&disk).unwrap();
}

#[test]
fn cut_without_anything_behind_it_changes_nothing() {
    let (disk, mut world) = (MemoryDisk::new(1), World::default());
    let mut server = history(&mut world, &disk);
    let before = disk.operations();
    for after in [Zxid(ALL), Zxid(ALL + 5), Zxid::new(4, 1)] {
        assert_eq!(server.recovered.log.cut(after, Zxid(3)).unwrap(), Zxid(ALL));
    }
    assert_eq!(disk.operations(), before);
}

/// The log was purged: what a start could begin from is behind the cut.
#[test]
fn cut_that_leaves_nothing_to_start_from_is_refused() {
    let (disk, mut world) = (MemoryDisk::new(1), World::default());
    let mut server = history(&mut world, &disk);
    server.recovered.purger.purge(1).unwrap();
    let fatal = server.recovered.log.cut(Zxid(SNAPSHOT - 1), Zxid::ZERO).unwrap_err();
    assert!(matches!(fatal, Fatal::Refused(Refusal::CutTooFar { .. })), "{fatal}");
    let cut = server.recovered.log.cut(Zxid(SNAPSHOT), Zxid::ZERO).unwrap();
    assert_eq!(cut, Zxid(SNAPSHOT));
    left(&world, SNAPSHOT).start(&disk).unwrap();
}

/// Snapshots at these transactions, and the log from the first of them on.
fn history_without_beginning(world: &mut World, disk: &MemoryDisk) -> Server<MemoryDisk> {
    let mut server = history(world, disk);
    for records in [9, 5] {
        world.snapshot_only(&server).unwrap();
        world.flush(&mut server, records).unwrap();
    }
    world.snapshot_only(&server).unwrap();
    server.recovered.purger.purge(4).unwrap();
    assert!(segments(disk).iter().all(|name| first(name) > 1), "{:?}", segments(disk));
    let snapshots = |name: &String| name.starts_with("snapshot.") && !name.ends_with(".tmp");
    assert_eq!(disk.names().into_iter().filter(snapshots).count(), 4);
    server
}

fn rot(disk: &MemoryDisk, snapshot: u64) {
    let name = format!("snapshot.{snapshot:x}");
    let mut bytes = disk.contents(&name).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    disk.put(&name, bytes);
}

fn files(disk: &MemoryDisk) -> Vec<(String, Vec<u8>)> {
    let names = disk.names().into_iter();
    names.map(|name| (name.clone(), disk.contents(&name).unwrap())).collect()
}

/// Found by the simulator, seed 22245: the snapshots behind a cut go with it, so one before it that
/// has rotted is found first, and the whole state is taken over from the leader instead.
#[test]
fn cut_behind_rotten_snapshots_only_is_too_far_and_changes_nothing() {
    let (disk, mut world) = (MemoryDisk::new(1), World::default());
    let mut server = history_without_beginning(&mut world, &disk);
    for rotten in [SNAPSHOT, ALL] {
        rot(&disk, rotten);
    }
    let before = files(&disk);
    let after = Zxid(ALL + 4);
    let fatal = server.recovered.log.cut(after, Zxid(SNAPSHOT)).unwrap_err();
    let Fatal::Refused(Refusal::CutTooFar { bad, .. }) = &fatal else { panic!("{fatal}") };
    let bad: Vec<&str> = bad.0.iter().map(|(file, _)| file.rsplit('/').next().unwrap()).collect();
    assert_eq!(bad, ["snapshot.9c", "snapshot.3e"], "the newest first");
    let command = LogCommand::Cut { after, committed: Zxid(SNAPSHOT) };
    let event = server.recovered.log.execute(command).unwrap();
    assert_eq!(event, LogEvent::CutTooFar(after));
    assert_eq!(files(&disk), before);
    assert_eq!(Identity::open(&disk, 3).unwrap().intent, None);
    world.flush(&mut server, 3).unwrap();
    world.start(&disk).unwrap();
}

#[test]
fn cut_behind_a_rotten_snapshot_and_an_older_whole_one_is_done() {
    let (disk, mut world) = (MemoryDisk::new(1), World::default());
    let mut server = history_without_beginning(&mut world, &disk);
    rot(&disk, ALL);
    let after = ALL + 4;
    assert_eq!(server.recovered.log.cut(Zxid(after), Zxid(after)).unwrap(), Zxid(after));
    let server = left(&world, after).start(&disk).unwrap();
    assert_eq!(server.recovered.snapshot, Some(Zxid(SNAPSHOT)));
}

/// What the disk does not give is not whole. The process may also die while it is read.
#[test]
fn cut_whose_snapshot_is_not_read_is_refused_and_changes_nothing() {
    let after = Zxid(ALL - 1);
    for fault in [Fault::Error(ErrorKind::Other), Fault::Crash] {
        let mut too_far = 0;
        for operation in 0.. {
            let (disk, mut world) = (MemoryDisk::new(1), World::default());
            let mut server = history_without_beginning(&mut world, &disk);
            disk.fail_at(disk.operations() + operation, fault);
            match server.recovered.log.cut(after, Zxid(SNAPSHOT)) {
                Err(Fatal::Refused(Refusal::CutTooFar { .. })) => too_far += 1,
                Err(_) => {}
                Ok(_) => break,
            }
            disk.process_death();
            let begun = Identity::open(&disk, 3).unwrap().intent.is_some();
            let txns = open(&disk).unwrap_or_else(|refusal| panic!("{refusal}")).1;
            let is_cut = txns == world.ordered[..after.0 as usize];
            assert!(is_cut || (!begun && txns == world.ordered), "{operation}");
        }
        assert!(too_far > 1, "{too_far}");
    }
}

/// Damage before the cut is found before anything is changed: while it is decided, and again by a
/// start that finishes it. A repair ends the log there, and the cut with it.
#[test]
fn cut_of_a_log_damaged_before_it_is_refused() {
    let (disk, mut world) = (MemoryDisk::new(1), World::default());
    let mut server = history(&mut world, &disk);
    let after = Zxid(120);
    let holding = segments(&disk)
        .into_iter()
        .filter_map(|name| (first(&name) <= after.0).then_some((first(&name), name)));
    let (_, name) = holding.max().unwrap();
    let mut damaged = disk.contents(&name).unwrap();
    damaged[8_300] ^= 1;
    let whole = disk.contents(&name).unwrap();
    disk.put(&name, damaged.clone());
    let fatal = server.recovered.log.cut(after, Zxid::ZERO).unwrap_err();
    assert!(matches!(fatal, Fatal::Refused(Refusal::Damaged { .. })), "{fatal}");
    assert_eq!(Identity::open(&disk, 3).unwrap().intent, None);

    disk.put(&name, whole);
    disk.fail_at(disk.operations() + 18, Fault::Crash);
    server.recovered.log.cut(after, Zxid::ZERO).unwrap_err();
    disk.power_loss(|_| false);
    assert_eq!(Identity::open(&disk, 3).unwrap().intent, Some(Intent::Cut(after)));
    disk.put(&name, damaged);
    let refusal = open(&disk).map(|_| ()).unwrap_err();
    assert!(matches!(refusal, Refusal::Damaged { .. }), "{refusal}");
    assert!(refusal.to_string().contains("the log was being cut behind 0x78"), "{refusal}");
    let txns = repaired(&disk);
    assert!(txns == world.ordered[..txns.len()] && (txns.len() as u64) < after.0);
    assert_eq!(Identity::open(&disk, 3).unwrap().intent, None);
}

/// Found by the simulator, seed 20595: a start reads the log behind the newest snapshot only, so a
/// bit that has rotted before it is met by the cut first. In the newest segment nothing follows
/// that would prove the damage, but the log knows where it ends.
#[test]
fn cut_within_the_newest_segment_takes_no_damage_for_the_end() {
    let (disk, mut world) = (MemoryDisk::new(1), World::default());
    let mut server = history(&mut world, &disk);
    let all = segments(&disk).into_iter().map(|name| (first(&name), name));
    let (newest, name) = all.max().unwrap();
    let last = server.recovered.log.last();
    assert!(newest + 2 < last.0, "it holds some records");
    let mut damaged = disk.contents(&name).unwrap();
    damaged[8_300] ^= 1;
    let whole = disk.contents(&name).unwrap();
    disk.put(&name, damaged);
    let after = Zxid(last.0 - 1);
    let fatal = server.recovered.log.cut(after, Zxid::ZERO).unwrap_err();
    assert!(matches!(fatal, Fatal::Refused(Refusal::Damaged { .. })), "{fatal}");
    assert!(fatal.to_string().contains(&format!("{last} was durable")), "{fatal}");
    assert_eq!(Identity::open(&disk, 3).unwrap().intent, None);
    disk.put(&name, whole);
    assert_eq!(server.recovered.log.cut(after, Zxid::ZERO).unwrap(), after);
}

/// Epochs: what is behind the last transaction that stays may be of a later one, and so may what
/// follows.
#[test]
fn log_cut_between_two_epochs_goes_on_in_a_third() {
    use ringkeeper_engine::log::Group;
    let disk = MemoryDisk::new(1);
    let mut txns: Vec<Txn> = Vec::new();
    let zxids = |epoch: u32, count: u32| (1..=count).map(move |n| Zxid::new(epoch, n));
    let push = |log: &mut ringkeeper_engine::log::Log<MemoryDisk>,
                txns: &mut Vec<Txn>,
                zxids: Vec<Zxid>| {
        let mut group = Group::new();
        for zxid in zxids {
            let txn = Txn { zxid, ..crate::world::txn(zxid.0, 1) };
            group.push(&txn);
            txns.push(txn);
        }
        log.flush(&mut group).unwrap();
    };
    let mut log = open(&disk).unwrap().0.log;
    for epoch in 1..=3 {
        push(&mut log, &mut txns, zxids(epoch, 40).collect());
    }
    // The leader's history has (2,7); that it does not know (2,90) makes no difference.
    assert_eq!(log.cut(Zxid::new(2, 90), Zxid::new(1, 40)).unwrap(), Zxid::new(2, 40));
    assert_eq!(log.cut(Zxid::new(2, 7), Zxid::new(1, 40)).unwrap(), Zxid::new(2, 7));
    txns.truncate(47);
    log.save_epochs(Epochs { promised: 5, current: 2 }).unwrap();
    push(&mut log, &mut txns, zxids(5, 40).collect());
    assert_eq!(log.cut(Zxid::new(4, 9), Zxid::new(2, 7)).unwrap(), Zxid::new(2, 7));
    txns.truncate(47);
    push(&mut log, &mut txns, zxids(6, 30).collect());
    disk.power_loss(|_| false);
    let identity = Identity::open(&disk, 3).unwrap();
    assert_eq!(identity.epochs, Epochs { promised: 5, current: 2 });
    let mut found = Vec::new();
    let last = read_log(&dirs(&disk), &identity, Zxid::ZERO, |txn| {
        found.push(txn);
        Ok(())
    });
    assert_eq!(last.unwrap(), Zxid::new(6, 30));
    assert!(found == txns);
    assert_eq!(identity.epochs.recovered(Zxid::new(6, 30)), Epochs { promised: 6, current: 6 });
}

/// Flushes that do not wait for the disk: the cut itself does.
#[test]
fn unsynced_log_is_cut_durably() {
    for last in [SNAPSHOT, 80, 120] {
        let (disk, mut world) = (MemoryDisk::new(1), World::default());
        disk.set_unsynced();
        let mut server = history(&mut world, &disk);
        server.recovered.log.seal().unwrap();
        server.recovered.log.cut(Zxid(last), Zxid(SNAPSHOT)).unwrap();
        disk.power_loss(|_| false);
        left(&world, last).start(&disk).unwrap();
    }
}

/// A state restored from before keeps its notes of what it was asked to do.
#[test]
fn recovery_leaves_the_epochs_as_they_are_noted() {
    let (disk, mut world) = (MemoryDisk::new(1), World::default());
    let mut server = history(&mut world, &disk);
    let epochs = Epochs { promised: 7, current: 6 };
    server.recovered.log.save_epochs(epochs).unwrap();
    server.recovered.log.cut(Zxid(80), Zxid(80)).unwrap();
    disk.power_loss(|_| false);
    let mut identity = Identity::open(&disk, 3).unwrap();
    assert_eq!((identity.epochs, identity.intent), (epochs, None));
    recover(&dirs(&disk), &mut identity, &settings(), &mut State::default()).unwrap();
    assert_eq!(Identity::open(&disk, 3).unwrap().epochs, epochs);
}
