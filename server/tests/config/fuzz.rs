//! Damaged configurations are read and explained; `engine/fuzz` runs the same without end.

use std::fs;
use std::path::Path;

use super::{config_target, properties_target};

/// Mutations of all seeds together, of each target.
const ROUNDS: u64 = 1_000;

/// Words that mean something, so that mutations reach what stands behind them.
const WORDS: [&str; 16] = [
    "\nserver.1=",
    "\nserver.",
    "\ndataDir=",
    "\nclientPort=",
    "=",
    ":",
    ";",
    "\\",
    "\\u",
    "-1",
    "99999999999999999999",
    "true",
    "observer",
    "\n",
    "\0",
    "\u{2028}",
];

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/fuzz/seeds").join(target);
    let entries = fs::read_dir(home).expect("the seeds are there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a seed can be read")).collect()
}

/// Xorshift: the same mutations in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(5) {
        let at = random.below(bytes.len() + 1);
        let end = at + random.below(20).min(bytes.len() - at);
        match random.below(5) {
            0 => drop(bytes.drain(at..end)),
            1 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            2 if at < bytes.len() => bytes[at] = random.below(256) as u8,
            _ => drop(bytes.splice(at..end, WORDS[random.below(WORDS.len())].bytes())),
        }
    }
}

fn fuzz(target: &str, run: impl Fn(&[u8]) + std::panic::RefUnwindSafe) {
    let seeds = seeds(target);
    seeds.iter().for_each(|seed| run(seed));
    for round in 1..=ROUNDS {
        let mut random = Random(round.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut bytes = seeds[random.below(seeds.len())].clone();
        mutate(&mut bytes, &mut random);
        let ran = std::panic::catch_unwind(|| run(&bytes));
        assert!(ran.is_ok(), "round {round} breaks it: {:?}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn damaged_properties_are_read() {
    fuzz("properties", properties_target::run);
}

#[test]
fn damaged_configurations_are_explained() {
    fuzz("config", config_target::run);
}
