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

#[path = "golden/host.rs"]
mod host;
#[path = "golden/pattern.rs"]
mod pattern;
#[path = "golden/play.rs"]
mod play;
#[path = "golden/script.rs"]
mod script;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use host::Target;
use script::Script;

const JOBS: usize = 4;

#[test]
fn every_script_replays() {
    let target = Target::from_env();
    let scripts = scripts();
    assert!(!scripts.is_empty(), "no golden script was found");
    let failures = play_all(&target, &scripts);
    let count = failures.len();
    assert!(count == 0, "{count} of {} failed\n\n{}", scripts.len(), failures.join("\n\n"));
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
