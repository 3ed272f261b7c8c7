//! The fuzz targets of the disk on their seeds, whole and damaged; `engine/fuzz` runs the same
//! functions without end.

use std::fs;
use std::path::Path;

use crate::fuzz::mutate;
use crate::target;
use crate::world::Random;

#[expect(clippy::disallowed_methods, reason = "the seeds are files")]
fn fuzz(name: &str, rounds: u64, run: fn(&[u8])) {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let entries = fs::read_dir(home).expect("the seeds are there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let seeds: Vec<_> =
        paths.iter().map(|path| fs::read(path).expect("a seed can be read")).collect();
    assert!(!seeds.is_empty(), "{name} has no seed");
    seeds.iter().for_each(|seed| run(seed));
    for seed in 0..rounds {
        let mut random = Random::new(seed);
        let mut bytes = seeds[random.below(seeds.len())].clone();
        mutate(&mut bytes, &mut random);
        let ran = std::panic::catch_unwind(|| run(&bytes));
        assert!(ran.is_ok(), "{name}, seed {seed}: it breaks");
    }
}

#[test]
fn damaged_segment_is_judged_without_panic() {
    fuzz("segment", 5_000, target::segment);
}

#[test]
fn damaged_directory_is_refused_or_repaired() {
    fuzz("directory", 1_000, target::directory);
}

#[test]
fn damaged_snapshot_is_refused() {
    fuzz("snapshot", 20_000, target::tree);
}
