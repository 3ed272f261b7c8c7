//! What a server does on a disk that is full: a file system of its own, which needs no root where
//! the system lets everybody have one.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use ringkeeper_engine::Code;
use ringkeeper_engine::client::{Client, Error, Options};
use tempfile::tempdir;

use crate::host::{Host, errors, start};

const PATIENCE: Duration = Duration::from_secs(20);
static DATA: [u8; 20_000] = [7; 20_000];

/// The command, in a mount namespace of its own in which `place` is an empty disk of 32 MiB.
fn on_a_small_disk(place: &Path, inner: &Command) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "/bin/sh", "-c"]);
    command.arg("mount -t tmpfs -o size=32m none \"$0\" && exec \"$@\"").arg(place);
    command.arg(inner.get_program()).args(inner.get_args());
    // The shell has to find `mount`.
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command
}

/// Whether there can be such a disk here.
fn is_possible(place: &Path) -> bool {
    let tried = on_a_small_disk(place, &Command::new("true")).output();
    let possible = tried.as_ref().is_ok_and(|output| output.status.success());
    if !possible {
        let why = tried.map_or_else(|error| error.to_string(), |output| errors(&output));
        eprintln!("SKIPPED: no file system of its own for a test: {}", why.trim());
    }
    possible
}

/// Takes all space of the disk, as that process sees it.
fn fill(host: &Host, place: &Path) -> PathBuf {
    let seen = format!("/proc/{}/root{}/filler", host.pid(), place.display());
    let mut filler = File::create(&seen).unwrap();
    let mut size = 1 << 20;
    while size >= 512 {
        if filler.write_all(&vec![0; size]).is_err() {
            size /= 2;
        }
    }
    seen.into()
}

/// Waits until the log has its reserve: twelve segments of 1 MiB.
fn wait_for_reserve(host: &Host, data: &Path) {
    let seen = format!("/proc/{}/root{}", host.pid(), data.display());
    let since = Instant::now();
    let spare = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with("spare.");
    while fs::read_dir(&seen).unwrap().map(Result::unwrap).filter(spare).count() < 12 {
        assert!(since.elapsed() < PATIENCE, "the reserve is not made");
    }
}

/// Writes until that is refused; returns how many were acknowledged.
fn write_until_refused(client: &mut Client, from: usize) -> usize {
    for number in from..10_000 {
        match client.create(&format!("/node{number}"), &DATA) {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.code(), Some(Code::SystemError), "{error}");
                return number;
            }
        }
    }
    panic!("a full disk refuses nothing")
}

fn write_again(client: &mut Client, number: usize) {
    let since = Instant::now();
    while let Err(error) = client.create(&format!("/node{number}"), &DATA) {
        assert!(matches!(error, Error::Refused(_)), "{error}");
        assert!(since.elapsed() < PATIENCE, "writes do not come back: {error}");
    }
}

#[test]
fn full_disk_refuses_writes_until_there_is_space_and_serves_reads() {
    let home = tempdir().unwrap();
    if !is_possible(home.path()) {
        return;
    }
    let definitions = ["ringkeeper.reserveMb=12", "ringkeeper.log.device=pwrite"];
    let data = home.path().join("data");
    let host = Host::run(on_a_small_disk(home.path(), &start(&data, &definitions)));
    let mut client = host.connect();
    let other = host.connect();
    client.create("/before", b"").unwrap();
    wait_for_reserve(&host, &data);
    let filler = fill(&host, home.path());
    let kept = write_until_refused(&mut client, 0);
    assert!(kept > 0, "the log has a reserve");
    // Sessions still end, nobody new comes in, and who is there is served.
    other.close().unwrap();
    assert!(Client::connect(host.address, Options::default()).is_err());
    assert_eq!(client.get("/node0").unwrap().0.as_deref(), Some(&DATA[..]));
    client.ping().unwrap();
    fs::remove_file(&filler).unwrap();
    write_again(&mut client, kept);
    // Again, by its own log.
    let all = write_until_refused(&mut client, kept + 1);
    for number in [0, kept - 1, kept, all - 1] {
        assert!(client.exists(&format!("/node{number}")).unwrap().is_some(), "{number}");
    }
    assert!(client.exists(&format!("/node{all}")).unwrap().is_none(), "it was refused");
    let (status, _) = host.terminate();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn first_start_on_a_full_disk_is_refused_with_the_reason() {
    let home = tempdir().unwrap();
    if !is_possible(home.path()) {
        return;
    }
    let inner = start(&home.path().join("data"), &[]);
    let mut full = Command::new("/bin/sh");
    full.args(["-c", "head -c 64m /dev/zero > \"$0\"/filler 2>/dev/null; exec \"$@\""]);
    full.arg(home.path()).arg(inner.get_program()).args(inner.get_args());
    let output = on_a_small_disk(home.path(), &full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = errors(&output);
    assert!(said.contains("No space left") && said.contains("make some space"), "{said}");
}
