//! Replays the golden protocol scripts in `tests/golden` against a server, byte for byte.
//!
//! Every script gets a fresh server. By default that is this package's binary; a real ZooKeeper
//! is checked the same way, to prove that the scripts say what it does:
//!
//! ```text
//! RINGKEEPER_GOLDEN_COMMAND='/opt/zookeeper/bin/zkServer.sh start-foreground' \
//!     cargo test -p ringkeeper --test golden
//! ```
//!
//! The path of a zoo.cfg is appended to the command. `RINGKEEPER_GOLDEN_ONLY=quota` runs the
//! scripts whose names contain that text, `RINGKEEPER_GOLDEN_JOBS=2` sets how many at a time.
//!
//! All scripts run in the mode that the server chooses. In each other mode (several shards, epoll,
//! no io_uring) every fourth script runs, so that each script is played twice; all of them do with
//! `RINGKEEPER_GOLDEN_ALL_MODES=1`.

#[path = "golden/host.rs"]
mod host;
#[path = "golden/mode.rs"]
mod mode;
#[path = "golden/pattern.rs"]
mod pattern;
#[path = "golden/play.rs"]
mod play;
#[path = "program/polluted_host.rs"]
mod polluted_host;
mod program;
#[path = "golden/script.rs"]
mod script;
#[path = "golden/without_ring.rs"]
mod without_ring;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use host::Target;
use mode::Mode;
use script::{Script, Side};

const JOBS: usize = 4;

#[test]
fn every_script_replays() {
    let target = Target::from_env(Mode::Defaults);
    let scripts = scripts();
    assert!(!scripts.is_empty(), "no golden script was found");
    replay(&target, &scripts);
}

#[test]
fn two_shards() {
    replay_share(Mode::Shards);
}

#[test]
fn epoll() {
    replay_share(Mode::Epoll);
}

#[test]
fn two_shards_over_epoll() {
    replay_share(Mode::ShardsEpoll);
}

#[test]
fn without_io_uring() {
    replay_share(Mode::WithoutRing);
}

#[test]
fn scripts_replay_on_a_polluted_host() {
    polluted_host::run_again(&["two_shards_over_epoll"]);
}

fn replay(target: &Target, scripts: &[PathBuf]) {
    let failures = play_all(target, scripts);
    let count = failures.len();
    assert!(count == 0, "{count} of {} failed\n\n{}", scripts.len(), failures.join("\n\n"));
}

/// The share of the scripts that a mode other than the default has to play.
fn replay_share(mode: Mode) {
    let target = Target::from_env(mode);
    if target.side == Side::Apache {
        println!("SKIPPED: {mode:?} is a mode of Ringkeeper, another server is checked");
        return;
    }
    let all = env::var("RINGKEEPER_GOLDEN_ALL_MODES").is_ok_and(|value| value == "1");
    let place = Mode::OTHERS.iter().position(|other| *other == mode).expect("no default");
    let scripts = scripts();
    let mine = |index: usize| all || index % Mode::OTHERS.len() == place;
    let share: Vec<PathBuf> =
        scripts.into_iter().enumerate().filter(|(i, _)| mine(*i)).map(|(_, path)| path).collect();
    replay(&target, &share);
}

/// The scripts of the directory, sorted, so that a run can be compared with the one before.
fn scripts() -> Vec<PathBuf> {
    let only = env::var("RINGKEEPER_GOLDEN_ONLY").unwrap_or_default();
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let entries = fs::read_dir(&home).expect("the golden directory can be read");
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a directory entry can be read").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "txt"))
        .filter(|path| path.file_stem().is_some_and(|n| n.to_string_lossy().contains(&only)))
        .collect();
    found.sort();
    found
}

fn play_all(target: &Target, scripts: &[PathBuf]) -> Vec<String> {
    let next = Mutex::new(scripts.iter());
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..jobs() {
            scope.spawn(|| {
                loop {
                    let taken = next.lock().expect("no worker panics").next();
                    let Some(path) = taken else { return };
                    if let Err(failure) = play_one(target, path) {
                        failures.lock().expect("no worker panics").push(failure);
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().expect("no worker panics");
    failures.sort();
    failures
}

fn jobs() -> usize {
    env::var("RINGKEEPER_GOLDEN_JOBS").ok().and_then(|n| n.parse().ok()).unwrap_or(JOBS)
}

fn play_one(target: &Target, path: &Path) -> Result<(), String> {
    let name = path.file_name().expect("a script has a name").to_string_lossy().into_owned();
    let text = fs::read_to_string(path).map_err(|e| format!("{name}: {e}"))?;
    let script = Script::parse(&text, target.side).map_err(|e| format!("{name}:{e}"))?;
    let host = target.start(&script.config).map_err(|e| format!("{name}: {e}"))?;
    play::play(&script, host.address)
        .map_err(|failure| format!("{name}:{failure}\n  server log: {}", host.log_tail()))
}
