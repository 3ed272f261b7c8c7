//! What a server must not start from.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::{BadIdentity, Identity, MemoryDisk};
use ringkeeper_engine::log::{Proof, Refusal, repair_truncate};

use crate::world::{World, dirs, forget_notes, goes_on, open, repaired, settings};

/// Several segments and two snapshots.
fn world(seed: u64) -> (MemoryDisk, World) {
    world_of_life(seed, 0)
}

/// The same again with other contents.
fn world_of_life(seed: u64, life: u64) -> (MemoryDisk, World) {
    let (disk, mut world) = (MemoryDisk::new(seed), World { life, ..World::default() });
    let mut server = world.start(&disk).unwrap();
    for round in 0..30 {
        world.flush(&mut server, 5).unwrap();
        if round == 12 || round == 20 {
            world.snapshot_only(&server).unwrap();
        }
    }
    server.recovered.log.seal().unwrap();
    (disk, world)
}

fn segments(disk: &MemoryDisk) -> Vec<String> {
    let mut names: Vec<String> =
        disk.names().into_iter().filter(|name| name.starts_with("log.")).collect();
    names.sort_by_key(|name| u64::from_str_radix(&name[4..], 16).unwrap());
    assert!(names.len() >= 3);
    names
}

fn refusal(disk: &MemoryDisk) -> Refusal {
    let before = contents(disk);
    let refusal = open(disk).map(|_| ()).unwrap_err();
    assert!(contents(disk) == before, "a refusal changes nothing: {refusal}");
    refusal
}

fn contents(disk: &MemoryDisk) -> Vec<(String, Vec<u8>)> {
    disk.names().into_iter().map(|name| (name.clone(), disk.contents(&name).unwrap())).collect()
}

#[test]
fn missing_segment_is_a_gap() {
    let (disk, world) = world(1);
    disk.take("snapshot.41");
    disk.take("snapshot.69");
    let names = segments(&disk);
    for missing in &names[1..names.len() - 1] {
        let disk = disk.fork();
        disk.take(missing);
        assert!(matches!(refusal(&disk), Refusal::Gap { .. }));
        let left = repaired(&disk);
        assert!(left == world.ordered[..left.len()] && !left.is_empty());
    }
}

#[test]
fn log_without_its_begin_needs_a_snapshot() {
    let (disk, _) = world(1);
    let names = segments(&disk);
    disk.take(&names[0]);
    assert!(open(&disk.fork()).is_ok());
    disk.take("snapshot.41");
    disk.take("snapshot.69");
    let refusal = refusal(&disk);
    assert!(matches!(refusal, Refusal::NoBeginning { .. }), "{refusal}");
}

#[test]
fn snapshot_newer_than_the_log_is_refused() {
    let (disk, world) = world(1);
    let names = segments(&disk);
    for name in &names[1..] {
        disk.take(name);
    }
    let refused = refusal(&disk);
    assert!(matches!(refused, Refusal::NextMissing { .. }), "{refused}");
    assert!(repaired(&disk.fork()) == world.ordered[..0x69]);
    // Where the segment that is left says nothing of others, the snapshot does.
    let mut bytes = disk.contents(&names[0]).unwrap();
    forget_notes(&mut bytes);
    disk.put(&names[0], bytes);
    let refusal = refusal(&disk);
    assert!(matches!(refusal, Refusal::LogTooShort { .. }), "{refusal}");
    // The snapshot is newer than all that is left of the log, so the log begins anew behind it.
    let left = repaired(&disk);
    assert_eq!(left.len(), 0x69);
    assert!(left == world.ordered[..0x69]);
}

#[test]
fn missing_log_of_a_used_directory_is_refused_and_begun_anew_behind_a_snapshot() {
    let (disk, world) = world(1);
    segments(&disk).iter().for_each(|name| disk.take(name));
    let gone = refusal(&disk);
    assert!(matches!(gone, Refusal::LogGoneBehind { last: Zxid(0x69), .. }), "{gone}");
    assert!(gone.to_string().contains("ringkeeper log repair"), "{gone}");
    let identity = Identity::open(&disk, 3).unwrap();
    let began = repair_truncate(&dirs(&disk), &identity, &settings()).unwrap();
    assert_eq!((began.last, began.aside.len()), (Zxid(0x69), 0));
    let left = World { acked: 0x69, ordered: world.ordered[..0x69].to_vec(), life: 9 };
    goes_on(&left, &disk);
    let logs = disk.names().into_iter().filter(|name| name.starts_with("log."));
    logs.for_each(|name| disk.take(&name));
    disk.take("snapshot.41");
    disk.take("snapshot.69");
    assert!(matches!(refusal(&disk), Refusal::LogGone { .. }));
    let nothing = repair_truncate(&dirs(&disk), &identity, &settings()).unwrap_err();
    assert!(matches!(nothing, Refusal::LogGone { .. }), "{nothing}");
}

#[test]
fn damage_in_the_middle_is_refused_with_its_offset() {
    let (disk, world) = world(1);
    disk.take("snapshot.41");
    disk.take("snapshot.69");
    let names = segments(&disk);
    let mut bytes = disk.contents(&names[1]).unwrap();
    bytes[10_096] ^= 1;
    disk.put(&names[1], bytes);
    let refusal = refusal(&disk);
    let Refusal::Damaged { file, offset, last, why } = &refusal else { panic!("{refusal}") };
    assert!(file.ends_with(&names[1]) && *offset <= 10_096 && *offset > 9_096);
    assert!(matches!(why, Proof::LaterSegment(_)));
    let left = repaired(&disk);
    assert_eq!(left.len() as u64, last.0);
    assert!(left == world.ordered[..left.len()]);
}

/// A whole page of acknowledged flushes vanishes, and later ones are still there.
#[test]
fn lost_page_in_the_newest_segment_is_damage() {
    let (disk, _) = world(1);
    let names = segments(&disk);
    let newest = names.last().unwrap();
    let mut bytes = disk.contents(newest).unwrap();
    bytes[8_704..9_728].fill(0);
    disk.put(newest, bytes);
    let refusal = refusal(&disk);
    assert!(matches!(refusal, Refusal::Damaged { why: Proof::LaterGroup(_), .. }), "{refusal}");
}

#[test]
fn segment_of_another_directory_is_refused() {
    let (disk, _) = world(1);
    let (other, _) = world(2);
    let names = segments(&disk);
    disk.put(&names[1], other.contents(&names[1]).unwrap());
    assert!(matches!(refusal(&disk), Refusal::Stranger { .. }));
    // So is a segment under another one's name, and one that is there twice.
    let (disk, _) = world(1);
    disk.put(&names[1], disk.contents(&names[2]).unwrap());
    assert!(matches!(refusal(&disk), Refusal::Stranger { .. }));
    let (disk, _) = world(1);
    disk.put("log.2", disk.contents(&names[1]).unwrap());
    assert!(matches!(refusal(&disk), Refusal::Stranger { .. }));
}

/// A disk that brings old sectors back: every record is right by itself, but they are of two
/// histories.
#[test]
fn record_of_another_history_breaks_the_chain() {
    let (disk, _) = world(1);
    let (other, _) = world_of_life(1, 9);
    disk.take("snapshot.41");
    disk.take("snapshot.69");
    let names = segments(&disk);
    assert!(names == segments(&other));
    // The whole segment.
    let swapped = disk.fork();
    swapped.put(&names[0], other.contents(&names[0]).unwrap());
    let refused = refusal(&swapped);
    assert!(matches!(refused, Refusal::Damaged { why: Proof::LaterSegment(_), .. }), "{refused}");
    // The first sectors of it.
    let mut bytes = disk.contents(&names[0]).unwrap();
    let stranger = other.contents(&names[0]).unwrap();
    let first = 24 + u32::from_le_bytes(bytes[8_196..8_200].try_into().unwrap()) as usize;
    let first = 8_192..8_192 + first.next_multiple_of(8);
    assert!(bytes[first.clone()] != stranger[first.clone()]);
    bytes[first.clone()].copy_from_slice(&stranger[first]);
    disk.put(&names[0], bytes);
    let refused = refusal(&disk);
    assert!(matches!(refused, Refusal::Damaged { why: Proof::Chain, .. }), "{refused}");
}

#[test]
fn header_is_damaged_only_if_both_copies_are() {
    let (disk, world) = world(1);
    let name = &segments(&disk)[0];
    let mut bytes = disk.contents(name).unwrap();
    bytes[..512].fill(0xff);
    disk.put(name, bytes.clone());
    disk.take("snapshot.41");
    disk.take("snapshot.69");
    assert!(open(&disk.fork()).unwrap().1 == world.ordered);
    bytes[2_048..2_560].fill(0);
    disk.put(name, bytes);
    assert!(matches!(refusal(&disk), Refusal::Header { .. }));
}

#[test]
fn identity_of_another_server_or_damaged_is_refused() {
    let (disk, _) = world(1);
    let error = Identity::open(&disk, 4).unwrap_err();
    assert!(matches!(error, BadIdentity::OtherServer { owner: 3, server: 4, .. }), "{error}");
    let bytes = disk.contents("ringkeeper.meta").unwrap();
    for bit in 0..bytes.len() * 8 {
        let disk = disk.fork();
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        disk.put("ringkeeper.meta", bytes);
        assert!(Identity::open(&disk, 3).is_err(), "bit {bit}");
    }
    disk.take("ringkeeper.meta");
    assert!(matches!(Identity::open(&disk, 3).unwrap_err(), BadIdentity::Missing { .. }));
}

/// What an import does: a snapshot in a new directory, and no log yet.
#[test]
fn new_directory_starts_from_a_snapshot() {
    let (disk, world) = world(1);
    let fresh = MemoryDisk::new(9);
    fresh.put("ringkeeper.meta", disk.contents("ringkeeper.meta").unwrap());
    fresh.put("snapshot.69", disk.contents("snapshot.69").unwrap());
    assert!(matches!(refusal(&fresh), Refusal::LogGoneBehind { .. }), "it was used before");
    fresh.take("snapshot.69");
    fresh.take("ringkeeper.meta");
    // A directory of its own, with a snapshot that was written for it.
    let identity = Identity::open(&fresh, 3).unwrap();
    let mut started = World { acked: 0x69, ordered: world.ordered[..0x69].to_vec(), life: 1 };
    crate::world::write_snapshot(&started, &fresh, identity.directory).unwrap();
    let mut server = started.start(&fresh).unwrap();
    assert_eq!(server.recovered.snapshot, Some(Zxid(0x69)));
    started.flush(&mut server, 9).unwrap();
    fresh.power_loss(|_| false);
    started.start(&fresh).unwrap();
    // Without that snapshot the log has no beginning.
    fresh.take("snapshot.69");
    assert!(matches!(refusal(&fresh), Refusal::NoBeginning { prev: Zxid(0x69), .. }));
}

#[test]
fn purge_keeps_the_segments_of_the_oldest_kept_snapshot() {
    let (disk, mut world) = world(1);
    let server = world.start(&disk).unwrap();
    let before = segments(&disk);
    let feed = crate::feed::feed(&disk, &server.recovered.gauge, 0).unwrap();
    assert!(server.recovered.purger.purge(1).unwrap().segments.is_empty());
    assert!(!disk.names().contains(&"snapshot.41".to_owned()));
    drop(feed);
    let purged = server.recovered.purger.purge(1).unwrap();
    assert!(!purged.segments.is_empty() && purged.segments.len() < before.len());
    assert!(world.start(&disk).unwrap().recovered.snapshot == Some(Zxid(0x69)));
}

/// Wherever the oldest snapshot that is kept lies, the log goes on behind it.
#[test]
fn purge_keeps_every_record_behind_the_oldest_kept_snapshot() {
    let (disk, mut world) = (MemoryDisk::new(1), World::default());
    let mut server = world.start(&disk).unwrap();
    let mut purged = 0;
    for _ in 0..150 {
        world.flush(&mut server, 1).unwrap();
        world.snapshot_only(&server).unwrap();
        purged += server.recovered.purger.purge(2).unwrap().segments.len();
        let newest = format!("snapshot.{:x}", world.acked);
        let disk = disk.fork();
        disk.put(&newest, Vec::new());
        let (recovered, txns) = open(&disk).unwrap_or_else(|refusal| panic!("{refusal}"));
        assert!(txns == world.ordered && recovered.notes.len() == 1);
    }
    assert!(purged >= 2);
}
