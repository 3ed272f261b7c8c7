//! The fuzz target of these files on its seeds, whole and damaged.

use std::fs;
use std::path::Path;

use crate::fuzzy::sample_seed;
use crate::history::Random;
use crate::target;

#[test]
#[expect(clippy::disallowed_methods, reason = "the seeds are files")]
fn damaged_file_is_refused_or_read_without_panic() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/zookeeper");
    if std::env::var("UPDATE").is_ok_and(|value| value == "1") {
        fs::create_dir_all(&home).expect("the folder of the seeds can be made");
        for number in 0..4 {
            let path = home.join(format!("history-{number}"));
            fs::write(path, sample_seed(number)).expect("a seed can be written");
        }
    }
    let entries = fs::read_dir(home).expect("the seeds are there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let seeds: Vec<_> =
        paths.iter().map(|path| fs::read(path).expect("a seed can be read")).collect();
    assert!(!seeds.is_empty(), "there is no seed");
    seeds.iter().for_each(|seed| target::run(seed));
    for seed in 0..20_000 {
        let mut random = Random(seed);
        let mut bytes = random.of(&seeds).clone();
        for _ in 0..1 + random.below(6) {
            mutate(&mut bytes, &mut random);
        }
        let ran = std::panic::catch_unwind(|| target::run(&bytes));
        assert!(ran.is_ok(), "seed {seed}: it breaks");
    }
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    if bytes.is_empty() {
        return;
    }
    let at = random.below(bytes.len());
    let len = random.below(40).min(bytes.len() - at);
    let to = random.below(bytes.len());
    let fits = len.min(bytes.len() - to);
    match random.below(8) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.below(256) as u8,
        2 => bytes[at..at + len].fill(0),
        3 => bytes[at..at + len].fill(0xff),
        4 => bytes[at] = *random.of(b"/abc.\0\x01\x02\xff"),
        5 | 6 => bytes.copy_within(at..at + fits, to),
        _ => bytes.truncate(at),
    }
}
