//! Random damage: refused or survived, never a panic.

use ringkeeper_engine::device::{Identity, MemoryDisk};
use ringkeeper_engine::log::header::Header;
use ringkeeper_engine::log::{Each, recover, repair_truncate, scan};

use crate::world::{Random, World, dirs, live, settings};

fn try_to_start(disk: &MemoryDisk) {
    let Ok(mut identity) = Identity::open(disk, 3) else { return };
    let copy = disk.fork();
    let _ = recover(&dirs(disk), &mut identity.clone(), &settings(), &mut Each(|_| Ok(())));
    if repair_truncate(&dirs(&copy), &identity, &settings()).is_ok() {
        let started = recover(&dirs(&copy), &mut identity, &settings(), &mut Each(|_| Ok(())));
        assert!(started.is_ok(), "repaired, and yet: {}", started.err().unwrap());
    }
}

pub(crate) fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..1 + random.below(8) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        let len = random.below(600).min(bytes.len() - at);
        let to = random.below(bytes.len());
        let fits = len.min(bytes.len() - to);
        match random.below(7) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.below(256) as u8,
            2 => bytes[at..at + len].fill(0),
            3 => bytes[at..at + len].fill(0xff),
            4 => bytes[at..at + len].iter_mut().for_each(|byte| *byte = random.below(256) as u8),
            5 => bytes.copy_within(at..at + fits, to),
            _ => bytes.truncate(at),
        }
    }
}

#[test]
fn mutated_directory_never_panics() {
    let (disk, mut world) = (MemoryDisk::new(1), World::default());
    live(&mut world, &disk, 30).unwrap();
    for seed in 0..4_000 {
        let mut random = Random::new(seed);
        let disk = disk.fork();
        let names = disk.names();
        for _ in 0..1 + random.below(3) {
            let name = &names[random.below(names.len())];
            match random.below(20) {
                0 => disk.take(name),
                1 => {
                    let other = &names[random.below(names.len())];
                    disk.put(other, disk.contents(name).unwrap_or_default());
                }
                _ => {
                    let mut bytes = disk.contents(name).unwrap_or_default();
                    mutate(&mut bytes, &mut random);
                    disk.put(name, bytes);
                }
            }
        }
        try_to_start(&disk);
    }
}

#[test]
fn random_file_never_panics() {
    for seed in 0..500 {
        let mut random = Random::new(seed);
        let disk = MemoryDisk::new(seed);
        let _ = Identity::open(&disk, 3).unwrap();
        for name in ["log.1", "log.30", "snapshot.7", "spare.1", "making.x", "snapshot.9.tmp"] {
            let len = random.below(20_000);
            disk.put(name, (0..len).map(|_| random.below(256) as u8).collect());
        }
        try_to_start(&disk);
    }
}

#[test]
fn scan_of_random_bytes_never_panics() {
    let (disk, mut world) = (MemoryDisk::new(1), World::default());
    live(&mut world, &disk, 9).unwrap();
    let name = disk.names().into_iter().find(|name| name.starts_with("log.")).unwrap();
    let segment = disk.contents(&name).unwrap();
    let header = Header::decode(&segment).unwrap();
    for seed in 0..20_000 {
        let mut random = Random::new(seed);
        let mut bytes = segment.clone();
        mutate(&mut bytes, &mut random);
        let found = scan::scan(&bytes, &header);
        scan::judge_tail(&bytes, &header, found.end);
        let _ = Header::decode(&bytes);
    }
}
