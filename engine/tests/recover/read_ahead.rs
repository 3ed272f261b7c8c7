//! A recovery that reads ahead on a thread of its own finds exactly what one without threads finds,
//! whatever the pieces are that it reads.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::{Fault, Identity, MemoryDisk};
use ringkeeper_engine::log::{Recovered, Refusal, Replay, recover};
use ringkeeper_engine::snapshot::Start;
use ringkeeper_engine::txn::Txn;

use crate::world::{Random, State, World, dirs, live, open, settings};

/// A whole segment at once, on this thread.
const WHOLE: (usize, usize) = (1, 1 << 20);

fn reading(disk: &MemoryDisk, (threads, piece_bytes): (usize, usize)) -> MemoryDisk {
    let disk = disk.fork();
    disk.set_reading(threads, piece_bytes);
    disk
}

/// Everything that a recovery says, and everything that it leaves on the disk.
#[derive(PartialEq, Debug)]
struct Outcome {
    result: Result<String, String>,
    txns: Vec<Txn>,
    files: Vec<(String, Option<Vec<u8>>)>,
}

fn outcome(disk: &MemoryDisk) -> Outcome {
    let mut replayed = State::default();
    let mut identity = Identity::open(disk, 3).unwrap();
    let result = recover(&dirs(disk), &mut identity, &settings(), &mut replayed)
        .map(|Recovered { last, snapshot, replayed, notes, .. }| {
            format!("{last} {snapshot:?} {replayed:?} {notes:?}")
        })
        .map_err(|refusal| refusal.to_string());
    let files = disk.names().into_iter().map(|name| (name.clone(), disk.contents(&name)));
    Outcome { result, txns: replayed.txns, files: files.collect() }
}

/// A directory that something happened to, or nothing.
fn random_directory(random: &mut Random, seed: u64) -> MemoryDisk {
    let disk = MemoryDisk::new(seed);
    if random.below(8) == 0 {
        disk.set_unsynced();
    }
    let mut world = World::default();
    for _ in 0..1 + random.below(3) {
        disk.fail_at(disk.operations() + 20 + random.below(400) as u64, Fault::Crash);
        let rounds = 5 + random.below(40);
        // It ends where the power fails; what matters is what is on the disk then.
        let _ = live(&mut world, &disk, rounds);
        disk.power_loss(|_| random.coin());
        world.acked = 0;
    }
    let logs: Vec<String> =
        disk.names().into_iter().filter(|name| name.starts_with("log.")).collect();
    for _ in 0..random.below(3) {
        let Some(name) = logs.get(random.below(logs.len().max(1))) else { break };
        let mut bytes = disk.contents(name).unwrap();
        let at = random.below(bytes.len());
        match random.below(3) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at..].iter_mut().take(512).for_each(|byte| *byte = 0),
            _ => bytes[at..].iter_mut().take(2_000).for_each(|byte| *byte ^= 0x55),
        }
        disk.put(name, bytes);
    }
    disk
}

#[test]
fn random_history_recovers_the_same_on_any_thread_count() {
    let (mut good, mut refused) = (0, 0);
    for seed in 1..=150 {
        let mut random = Random::new(seed);
        let disk = random_directory(&mut random, seed);
        let expected = outcome(&reading(&disk, WHOLE));
        *if expected.result.is_ok() { &mut good } else { &mut refused } += 1;
        for threads in [1, 2, 3] {
            let piece_bytes = [1, 7, 24, 100, 999, 4_096, 5_003, 30_000][random.below(8)];
            let found = outcome(&reading(&disk, (threads, piece_bytes)));
            assert!(
                found == expected,
                "seed {seed}, {threads} threads, {piece_bytes} bytes: {:?} instead of {:?}",
                found.result,
                expected.result
            );
        }
    }
    assert!(good > 30 && refused > 15, "{good} {refused}");
}

/// Several segments, and all of it in the log.
fn long_log() -> (MemoryDisk, World) {
    let (disk, mut world) = (MemoryDisk::new(4), World::default());
    let mut server = world.start(&disk).unwrap();
    for _ in 0..40 {
        world.flush(&mut server, 10).unwrap();
        server.recovered.preparer.step().unwrap();
    }
    server.recovered.log.seal().unwrap();
    assert!(disk.names().iter().filter(|name| name.starts_with("log.")).count() > 4);
    (disk, world)
}

/// Refuses a transaction, or does what a bug would do.
struct Until<F>(State, F);

impl<F: FnMut(&Txn) -> Result<(), String>> Replay for Until<F> {
    fn begin(&mut self, start: Start<'_>) -> Result<(), String> {
        self.0.begin(start)
    }
    fn block(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.0.block(bytes)
    }
    fn end(&mut self) -> Result<(), String> {
        self.0.end()
    }
    fn begin_empty(&mut self) {
        self.0.begin_empty();
    }
    fn txn(&mut self, txn: Txn) -> Result<(), String> {
        (self.1)(&txn)?;
        self.0.txn(txn)
    }
}

#[test]
fn apply_error_stops_the_reader() {
    let (disk, _) = long_log();
    for threads in [1, 2] {
        // In small pieces: what is left unread is many operations.
        let disk = reading(&disk, (threads, 300));
        let mut identity = Identity::open(&disk, 3).unwrap();
        let before = disk.operations();
        let mut replay = Until(State::default(), |txn: &Txn| {
            if txn.zxid.0 == 9 { Err("it is the ninth".to_owned()) } else { Ok(()) }
        });
        let refusal = recover(&dirs(&disk), &mut identity, &settings(), &mut replay);
        let Err(Refusal::Replay { file, zxid, why }) = refusal else { panic!("it was refused") };
        assert!(file.ends_with("log.1") && zxid.0 == 9 && why == "it is the ninth");
        assert_eq!(replay.0.txns.len(), 8);
        let read = disk.operations() - before;
        assert!(read < 100, "{read} operations of some hundred");
    }
}

#[test]
fn read_error_is_reported_after_the_records_before_it() {
    let (disk, world) = long_log();
    let before = reading(&disk, (1, 2_000));
    let first = before.operations();
    open(&before).unwrap();
    for number in first..before.operations() {
        for threads in [1, 2] {
            let disk = reading(&disk, (threads, 2_000));
            disk.fail_at(number, Fault::Error(std::io::ErrorKind::Other));
            let mut state = State::default();
            let Ok(mut identity) = Identity::open(&disk, 3) else { continue };
            let ended = recover(&dirs(&disk), &mut identity, &settings(), &mut state);
            assert!(matches!(ended, Err(Refusal::Disk(_))), "operation {number}");
            assert!(state.txns == world.ordered[..state.txns.len()]);
        }
    }
}

#[test]
fn damage_found_ahead_is_reported_in_log_order() {
    let (disk, world) = long_log();
    let mut names: Vec<String> =
        disk.names().into_iter().filter(|name| name.starts_with("log.")).collect();
    names.sort_by_key(|name| u64::from_str_radix(&name[4..], 16).unwrap());
    let mut bytes = disk.contents(&names[2]).unwrap();
    bytes[10_000] ^= 1;
    disk.put(&names[2], bytes);
    for threads in [1, 2] {
        let disk = reading(&disk, (threads, 1_000));
        let mut identity = Identity::open(&disk, 3).unwrap();
        let mut state = State::default();
        let refusal = recover(&dirs(&disk), &mut identity, &settings(), &mut state);
        let Err(Refusal::Damaged { file, offset, last, .. }) = refusal else { panic!("damaged") };
        assert!(file.ends_with(&names[2]) && offset <= 10_000 && offset > 9_000);
        // Every good transaction before it was applied, and none behind it.
        assert_eq!(last.0, state.txns.len() as u64);
        assert!(last < Zxid(u64::MAX) && state.txns == world.ordered[..state.txns.len()]);
    }
}

#[test]
fn apply_panic_ends_the_reader() {
    let (disk, _) = long_log();
    for threads in [1, 2] {
        let disk = reading(&disk, (threads, 300));
        let mut identity = Identity::open(&disk, 3).unwrap();
        let mut replay = Until(State::default(), |txn: &Txn| {
            assert!(txn.zxid.0 < 9, "a bug");
            Ok(())
        });
        let run = AssertUnwindSafe(|| {
            recover(&dirs(&disk), &mut identity, &settings(), &mut replay).map(|_| ())
        });
        assert!(catch_unwind(run).is_err());
    }
}
