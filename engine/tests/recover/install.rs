//! A member takes over a state because its leader's log does not reach back to its own.

use std::io::ErrorKind;

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::{Directory, Fault, Identity, Intent, MemoryDisk, Sink};
use ringkeeper_engine::log::{Fatal, Note, Refusal};
use ringkeeper_engine::snapshot::{RECEIVED, Writer};

use crate::crashes::survives_power_loss;
use crate::world::{Server, World, open};

/// What the member had: several segments, snapshots, and an early one.
fn member(world: &mut World, disk: &MemoryDisk) -> Server<MemoryDisk> {
    let mut server = world.start(disk).unwrap();
    for round in 0..12 {
        world.flush(&mut server, [1, 9, 4, 12][round % 4]).unwrap();
        if round == 3 || round == 6 {
            world.snapshot_only(&server).unwrap();
        }
        if round == 10 {
            world.early_snapshot(&server).unwrap();
        }
    }
    server.recovered.preparer.step().unwrap();
    server
}

const OWN: u64 = 78;

/// What the leader has: another history, up to this zxid.
fn leader(zxid: u64) -> World {
    let ordered: Vec<_> = (1..=zxid).map(|n| crate::world::txn(n, 77)).collect();
    World { acked: ordered.len(), ordered, life: 77 }
}

/// Receives the state of a leader.
fn receive(disk: &MemoryDisk, leader: &World) {
    let identity = Identity::open(disk, 3).unwrap();
    leader.fill(Writer::begin_received(disk, identity.directory, &leader.meta()).unwrap()).unwrap();
}

/// A member that has received a state at this zxid.
fn received(zxid: u64) -> (MemoryDisk, World, Server<MemoryDisk>, World) {
    let (disk, mut world) = (MemoryDisk::new(1), World::default());
    let server = member(&mut world, &disk);
    assert_eq!(world.ordered.len() as u64, OWN);
    let leader = leader(zxid);
    receive(&disk, &leader);
    (disk, world, server, leader)
}

#[test]
fn installed_state_replaces_everything_and_goes_on() {
    // Earlier than its own end, at a zxid of one of its own snapshots, and later.
    for zxid in [30, 40, 53, OWN, 500] {
        let (disk, _, mut server, mut leader) = received(zxid);
        server.recovered.log.install(Zxid(zxid), Zxid(14)).unwrap();
        assert_eq!(server.recovered.log.last(), Zxid(zxid));
        disk.power_loss(|_| false);
        let names = disk.names();
        let kept = |name: &&String| !name.starts_with("spare.");
        let expected =
            [format!("log.{:x}", zxid + 1), "ringkeeper.meta".into(), format!("snapshot.{zxid:x}")];
        assert_eq!(names.iter().filter(kept).collect::<Vec<_>>(), expected.each_ref());
        let there = leader.clone().start(&disk.fork()).unwrap();
        assert_eq!(
            (there.recovered.snapshot, there.recovered.replayed.records),
            (Some(Zxid(zxid)), 0)
        );
        for records in [1, 20, 2, 30] {
            leader.flush(&mut server, records).unwrap();
        }
        leader.snapshot(&server, 1).unwrap();
        disk.power_loss(|_| false);
        leader.start(&disk).unwrap();
    }
}

/// Wherever the process dies, with whatever part of what was not synced, the old state is there as
/// a whole, or the new one.
#[test]
fn install_ended_by_a_crash_at_any_operation_is_done_or_not_begun() {
    for zxid in [40, 200] {
        let (mut finished, mut untouched) = (0, 0);
        for operation in 0.. {
            let (disk, world, mut server, leader) = received(zxid);
            server.recovered.log.mark_diverged(Zxid(35)).unwrap();
            disk.fail_at(disk.operations() + operation, Fault::Crash);
            if server.recovered.log.install(Zxid(zxid), Zxid(40)).is_ok() {
                assert!(operation > 40, "{operation}");
                disk.power_loss(|_| false);
                assert_eq!(Identity::open(&disk, 3).unwrap().diverged, None);
                break;
            }
            survives_power_loss(&disk, operation, |disk| {
                let begun = Identity::open(disk, 3).unwrap().intent;
                let (recovered, txns) = open(disk).unwrap_or_else(|refusal| panic!("{refusal}"));
                let resumed = recovered.notes.contains(&Note::Resumed(Intent::Install(Zxid(zxid))));
                assert_eq!(resumed, begun.is_some());
                assert!(txns == leader.ordered || (!resumed && txns == world.ordered));
                // The note goes with the state that it is about, and not before.
                let diverged = Identity::open(disk, 3).unwrap().diverged;
                assert_eq!(diverged, (txns == world.ordered).then_some(Zxid(35)));
                finished += usize::from(resumed);
                untouched += usize::from(txns == world.ordered);
                assert!(disk.contents(RECEIVED).is_none());
                let mut world = if txns == leader.ordered { leader.clone() } else { world.clone() };
                let mut server = world.start(disk).unwrap();
                world.flush(&mut server, 3).unwrap();
                disk.power_loss(|_| false);
                world.start(disk).unwrap();
            });
        }
        assert!(finished > 20 && untouched > 20, "{finished} {untouched}");
    }
}

/// The start that finishes it may end at any operation as well.
#[test]
fn install_resumed_and_ended_again_at_any_operation_is_done() {
    let mut tried = 0;
    for first in (0..).step_by(3) {
        let (disk, _, mut server, leader) = received(200);
        disk.fail_at(disk.operations() + first, Fault::Crash);
        if server.recovered.log.install(Zxid(200), Zxid(40)).is_ok() {
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
                leader.clone().start(disk).unwrap_or_else(|refusal| panic!("{refusal}"));
                tried += 1;
            });
        }
    }
    assert!(tried > 500, "{tried}");
}

/// Whoever received it may have left it to the install to make file and name durable.
#[test]
fn state_received_without_a_sync_is_durable_when_it_is_installed() {
    for operation in 0.. {
        let (disk, world, mut server, leader) = received(100);
        let bytes = disk.contents(RECEIVED).unwrap();
        disk.take(RECEIVED);
        disk.create("incoming").unwrap().write(&bytes).unwrap();
        disk.rename("incoming", RECEIVED).unwrap();
        disk.fail_at(disk.operations() + operation, Fault::Crash);
        let done = server.recovered.log.install(Zxid(100), Zxid(78)).is_ok();
        survives_power_loss(&disk, operation, |disk| {
            let txns = open(disk).unwrap_or_else(|refusal| panic!("{refusal}")).1;
            assert!(txns == leader.ordered || (!done && txns == world.ordered));
        });
        if done {
            break;
        }
    }
}

/// Nothing that was received is taken for a state before it was taken over.
#[test]
fn received_state_without_an_intent_is_removed_by_a_start() {
    let (disk, mut world, server, _) = received(200);
    drop(server);
    world.start(&disk).unwrap();
    assert!(disk.contents(RECEIVED).is_none());
}

#[test]
fn install_of_a_damaged_or_missing_state_is_refused_and_changes_nothing() {
    let (disk, mut world, mut server, leader) = received(100);
    let whole = disk.contents(RECEIVED).unwrap();
    let refused = |server: &mut Server<MemoryDisk>, zxid| {
        let fatal = server.recovered.log.install(Zxid(zxid), Zxid(40)).unwrap_err();
        assert!(matches!(&fatal, Fatal::Refused(Refusal::Received { .. })), "{fatal}");
        assert_eq!(Identity::open(&disk, 3).unwrap().intent, None);
        fatal.to_string()
    };
    for at in (0..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        disk.put(RECEIVED, bytes);
        refused(&mut server, 100);
    }
    disk.put(RECEIVED, whole);
    refused(&mut server, 99);
    disk.take(RECEIVED);
    let text = refused(&mut server, 100);
    assert!(text.contains("received at 0x64 cannot be used (it is not there)"), "{text}");
    world.flush(&mut server, 1).unwrap();
    receive(&disk, &leader);
    let fatal = server.recovered.log.install(Zxid(100), Zxid(101)).unwrap_err();
    assert!(matches!(fatal, Fatal::Committed { .. }), "{fatal}");
    world.start(&disk).unwrap();
}

/// What was received is on the disk and whole, or the old state is kept: a sync that failed without
/// a word is not believed.
#[test]
fn install_ended_by_an_error_at_any_operation_stops_the_log() {
    for operation in 0.. {
        let (disk, mut world, mut server, leader) = received(100);
        disk.fail_at(disk.operations() + operation, Fault::Error(ErrorKind::Other));
        if server.recovered.log.install(Zxid(100), Zxid(78)).is_ok() {
            assert!(operation > 40, "{operation}");
            break;
        }
        disk.process_death();
        let begun = Identity::open(&disk, 3).unwrap().intent.is_some();
        let txns = open(&disk).unwrap_or_else(|refusal| panic!("{refusal}")).1;
        // The last operations erase the intent.
        assert!(txns == leader.ordered || (!begun && txns == world.ordered));
        if txns == leader.ordered {
            assert!(world.flush(&mut server, 1).is_err(), "the log takes no more");
        }
    }
}

/// Removed by hand while it was taken over: neither state is there, and that is said.
#[test]
fn install_that_lost_what_it_received_is_refused_by_a_start() {
    let (disk, _, mut server, _) = received(100);
    let probe = disk.fork();
    let mut at = 0;
    // The first operation behind the intent.
    while Identity::open(&probe, 3).unwrap().intent.is_none() {
        let (disk, _, mut server, _) = received(100);
        disk.fail_at(disk.operations() + at, Fault::Crash);
        server.recovered.log.install(Zxid(100), Zxid(78)).unwrap_err();
        disk.power_loss(|_| false);
        probe.put("ringkeeper.meta", disk.contents("ringkeeper.meta").unwrap());
        at += 1;
    }
    disk.fail_at(disk.operations() + at - 1, Fault::Crash);
    server.recovered.log.install(Zxid(100), Zxid(78)).unwrap_err();
    disk.power_loss(|_| false);
    disk.take(RECEIVED);
    let refusal = open(&disk).map(|_| ()).unwrap_err();
    assert!(matches!(refusal, Refusal::Received { .. }), "{refusal}");
    assert!(refusal.to_string().contains("start on an empty directory"), "{refusal}");
    assert!(disk.names().iter().filter(|name| name.starts_with("log.")).count() > 1);
}
