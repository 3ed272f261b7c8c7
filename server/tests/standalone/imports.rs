//! Directories of Apache ZooKeeper 3.9.5, killed under load, and what it served when it was started
//! on them again.

use std::fs;
use std::path::{Path, PathBuf};

use ringkeeper_engine::SessionId;
use ringkeeper_engine::client::{Client, CreateMode, Options, Session};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::host::{Host, errors, finish, refused};
use crate::program::ringkeeper;

/// Everything may be read, clients keep the sessions that ZooKeeper gave them, and nothing goes by
/// itself.
const SETTINGS: &[&str] = &[
    "skipACL=yes",
    "ringkeeper.sessionPasswords=java",
    "znode.container.checkIntervalMs=100000000",
];
/// Nodes whose data are not taken over, or counted anew.
const UNLIKE: [&str; 2] = ["/zookeeper/config", "/zookeeper_stats"];

/// One of the recorded directories.
fn recorded(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/imports").join(name)
}

fn expected(name: &str) -> Value {
    let text = fs::read(recorded(name).join("expected.json")).expect("it is recorded");
    serde_json::from_slice(&text).expect("it is JSON")
}

/// A copy of a recorded directory, to damage.
struct Damaged {
    home: TempDir,
}

impl Damaged {
    fn of(name: &str) -> Damaged {
        let copy = Damaged { home: tempdir().unwrap() };
        fs::create_dir(copy.folder()).unwrap();
        for entry in fs::read_dir(recorded(name).join("version-2")).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), copy.folder().join(entry.file_name())).unwrap();
        }
        copy
    }

    fn folder(&self) -> PathBuf {
        self.home.path().join("version-2")
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let path = self.folder().join(name);
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
    }

    fn look(&self, more: &[&str]) -> Result<Value, String> {
        import(self.home.path(), &[&["--dry-run"][..], more].concat())
    }
}

/// Imports; what was found, or why not.
fn import(from: &Path, more: &[&str]) -> Result<Value, String> {
    let from = from.to_str().expect("a path in UTF-8");
    let output = finish(ringkeeper(&[&["import", "--json", "--from", from][..], more].concat()));
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout).expect("it is JSON")),
        false => Err(errors(&output)),
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// All of it serves what Apache served.
fn check(name: &str) {
    let expected = expected(name);
    let home = tempdir().unwrap();
    let to = home.path().join("to");
    let found = import(&recorded(name), &["--to", text(&to)]).unwrap();
    for (key, value) in expected["report"].as_object().unwrap() {
        assert_eq!(&found[key], value, "{key}");
    }
    assert_eq!(found["transactions"]["misfits"], 0);
    assert_eq!(found["digests"]["first_different"], Value::Null);
    assert!(found["digests"]["compared"].as_u64() > Some(0), "{found}");
    let host = Host::start(&to, SETTINGS);
    let mut client = host.connect();
    check_nodes(&mut client, &expected["nodes"]);
    check_sessions(&host, &expected["sessions"]);
    let (_, stat) = client.create2("/after", b"", CreateMode::Persistent).unwrap();
    let newest = |zxid: i64| assert!(zxid < stat.czxid, "{zxid:#x} before {:#x}", stat.czxid);
    let nodes = expected["nodes"].as_object().unwrap().values();
    nodes.for_each(|node| [0_usize, 1, 10].iter().for_each(|at| newest(long(&node["stat"][*at]))));
    // What was written after the import is there after a restart, like all that came with it.
    drop(host);
    let host = Host::start(&to, SETTINGS);
    assert!(host.connect().exists("/after").unwrap().is_some());
    drop(host);
    let again = import(&recorded(name), &["--to", text(&to)]).unwrap_err();
    assert!(again.contains("is not empty"), "{again}");
}

fn long(value: &Value) -> i64 {
    value.as_i64().expect("a number")
}

fn check_nodes(client: &mut Client, expected: &Value) {
    let mut left = expected.as_object().unwrap().clone();
    let mut waiting = vec![String::from("/")];
    while let Some(path) = waiting.pop() {
        let node = left.remove(&path).unwrap_or_else(|| panic!("{path} should not be there"));
        let (data, stat) = client.get(&path).unwrap();
        let is_unlike = UNLIKE.iter().any(|end| path.ends_with(end));
        let data = data.filter(|_| !is_unlike).map(|data| shown(&data));
        let length = if is_unlike { 0 } else { stat.data_length };
        let found = json!([
            stat.czxid,
            stat.mzxid,
            stat.ctime,
            stat.mtime,
            stat.version,
            stat.cversion,
            stat.aversion,
            stat.ephemeral_owner,
            length,
            stat.num_children,
            stat.pzxid
        ]);
        let (acl, _) = client.acl(&path).unwrap();
        let acl = acl.iter().filter(|acl| (acl.perms, &*acl.id.scheme) != (31, "world"));
        let acl: Vec<Value> = acl.map(|acl| json!([acl.perms, acl.id.scheme, acl.id.id])).collect();
        assert_eq!(json!({ "data": data, "stat": found, "acl": acl }), node, "{path}");
        let top = path.trim_end_matches('/');
        let names = client.children(&path).unwrap();
        waiting.extend(names.into_iter().map(|name| format!("{top}/{name}")));
    }
    assert!(left.is_empty(), "{:?} are missing", left.keys());
}

fn check_sessions(host: &Host, expected: &Value) {
    let mut taken = 0;
    for session in expected.as_array().unwrap() {
        let id = SessionId(long(&session[0]));
        let password = unhex(session[1].as_str().unwrap());
        let session_of_client = Session { id, password, ..Session::default() };
        let client = Client::resume(host.address, Options::default(), session_of_client);
        let found = client.and_then(|mut client| client.ephemerals("/")).ok();
        let found = found.map(|mut paths| {
            paths.sort();
            paths
        });
        assert_eq!(json!(found), session[2], "{id}");
        taken += usize::from(found.is_some());
    }
    assert!(taken > 0, "no session was left to take up");
}

/// As they are recorded: many zeros are written as their number.
fn shown(bytes: &[u8]) -> Value {
    let is_ballast = bytes.len() > 1_000 && bytes.iter().all(|byte| *byte == 0);
    if is_ballast { json!(bytes.len()) } else { json!(hex(bytes)) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> [u8; 16] {
    let byte = |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap();
    std::array::from_fn(byte)
}

#[test]
fn directory_with_a_gzip_fuzzy_snapshot_is_imported() {
    let transactions = &expected("fuzzy")["report"]["transactions"];
    assert!(transactions["left_to_log"].as_u64() > Some(0), "it is not fuzzy");
    assert!(transactions["missed"].as_u64() > Some(0), "it is not fuzzy");
    check("fuzzy");
}

#[test]
fn directory_with_its_first_snapshot_only_is_imported_from_the_log() {
    check("log");
}

#[test]
fn directory_of_an_ensemble_is_imported() {
    check("ensemble");
}

#[test]
fn snapshot_packed_with_snappy_is_imported() {
    check("snappy");
}

#[test]
fn dry_run_of_an_import_changes_nothing() {
    let copy = Damaged::of("fuzzy");
    let names = || {
        let entries = fs::read_dir(copy.folder()).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>()
    };
    let before = names();
    let found = copy.look(&[]).unwrap();
    assert_eq!(found["to"], Value::Null);
    assert_eq!(names(), before);
    // The folder itself is as good as what it lies in.
    let folder = import(&copy.folder(), &["--dry-run"]).unwrap();
    assert_eq!(folder["znodes"], found["znodes"]);
    let said = import(copy.home.path(), &[]).unwrap_err();
    assert!(said.contains("--to"), "{said}");
}

#[test]
fn start_in_a_directory_of_zookeeper_names_the_import_command() {
    let copy = Damaged::of("log");
    let said = refused(copy.home.path());
    let command = format!("ringkeeper import --from {}", text(copy.home.path()));
    assert!(said.contains(&command), "{said}");
}

#[test]
fn import_skips_a_bad_snapshot() {
    let copy = Damaged::of("log");
    let good = copy.look(&[]).unwrap();
    let newer =
        format!("snapshot.{}", good["last_zxid"].as_str().unwrap().trim_start_matches("0x"));
    fs::write(copy.folder().join(&newer), b"ZKSN\0\0\0\x02").unwrap();
    let found = copy.look(&[]).unwrap();
    let note = found["notes"][0].as_str().unwrap();
    assert!(note.starts_with(&newer) && note.contains("cut off at byte 8"), "{note}");
    assert_eq!(found["znodes"], good["znodes"]);
    assert_eq!(found["last_zxid"], good["last_zxid"]);
    copy.change("snapshot.0", |bytes| bytes.truncate(100));
    let said = copy.look(&[]).unwrap_err();
    assert!(said.contains("no snapshot") && said.contains("snapshot.0"), "{said}");
}

#[test]
fn import_cuts_off_a_torn_tail_and_refuses_damage() {
    let copy = Damaged::of("log");
    let good = copy.look(&[]).unwrap();
    let replayed = |found: &Value| found["transactions"]["replayed"].as_u64().unwrap();
    // Without the zeros, and without a piece of the last entry.
    copy.change("log.1", |bytes| bytes.truncate(bytes.len() - 64 - 5));
    let torn = copy.look(&[]).unwrap();
    assert_eq!(replayed(&torn) + 1, replayed(&good));
    let note = torn["notes"][0].as_str().unwrap();
    assert!(note.contains("cut short"), "{note}");
    // In the middle.
    copy.change("log.1", |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    });
    let said = copy.look(&[]).unwrap_err();
    assert!(said.contains("damaged at byte") && said.contains("--until"), "{said}");
    let until = said.rsplit("--until ").next().unwrap().trim();
    let part = copy.look(&["--until", until]).unwrap();
    assert_eq!(part["last_zxid"], until);
    assert!(replayed(&part) < replayed(&torn));
}

#[test]
fn import_with_a_missing_log_is_refused() {
    let copy = Damaged::of("fuzzy");
    let elsewhere = copy.home.path().join("elsewhere/version-2");
    fs::create_dir_all(&elsewhere).unwrap();
    let whole = copy.look(&[]).unwrap();
    for entry in fs::read_dir(copy.folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if name.to_str().unwrap().starts_with("log.") {
            fs::rename(&path, elsewhere.join(name)).unwrap();
        }
    }
    let said = copy.look(&[]).unwrap_err();
    assert!(said.contains("--from DIR,LOGDIR"), "{said}");
    let both = format!("{},{}", text(copy.home.path()), text(elsewhere.parent().unwrap()));
    let found = import(Path::new(&both), &["--dry-run"]).unwrap();
    assert_eq!(found["znodes"], whole["znodes"]);
    // The snapshot alone is no state.
    let said = copy.look(&["--without-log"]).unwrap_err();
    assert!(said.contains("but the log ends with"), "{said}");
}

/// What a server leaves that has written less than `snapCount`, where it made no snapshot at its
/// first start, as 3.4.
#[test]
fn import_takes_a_log_without_a_snapshot_from_the_first_transaction_on() {
    let copy = Damaged::of("log");
    let whole = copy.look(&[]).unwrap();
    fs::remove_file(copy.folder().join("snapshot.0")).unwrap();
    let found = copy.look(&[]).unwrap();
    for what in ["last_zxid", "znodes", "ephemerals", "bytes", "sessions", "digests", "orphans"] {
        assert_eq!(found[what], whole[what], "{what}");
    }
    assert_eq!(found["digests"]["first_different"], Value::Null);
    assert!(found["digests"]["compared"].as_u64().unwrap() > 10, "{found}");
    assert_eq!(found["snapshot"], Value::Null);
    let note = found["notes"][0].as_str().unwrap();
    assert!(note.contains("there is no snapshot") && note.contains("begins with 0x1"), "{note}");
    // A log that begins later lacks what came before.
    fs::rename(copy.folder().join("log.1"), copy.folder().join("log.9")).unwrap();
    let said = copy.look(&[]).unwrap_err();
    assert!(said.contains("the log begins with 0x9") && said.contains("is missing"), "{said}");
    // Its name is no proof.
    let other = Damaged::of("fuzzy");
    for entry in fs::read_dir(other.folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.starts_with("snapshot.") {
            fs::remove_file(&path).unwrap();
        }
    }
    let mut logs: Vec<_> =
        fs::read_dir(other.folder()).unwrap().map(|e| e.unwrap().path()).collect();
    logs.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with("log."));
    logs.sort();
    fs::rename(logs.last().unwrap(), other.folder().join("log.1")).unwrap();
    let said = other.look(&[]).unwrap_err();
    assert!(said.contains("does not go on") || said.contains("missing"), "{said}");
}

#[test]
fn import_from_a_directory_without_a_snapshot_is_refused() {
    let empty = tempdir().unwrap();
    let said = import(empty.path(), &["--dry-run"]).unwrap_err();
    assert!(said.contains("there is no version-2"), "{said}");
    let said = import(&empty.path().join("none"), &["--dry-run"]).unwrap_err();
    assert!(said.contains("is no directory"), "{said}");
    fs::create_dir(empty.path().join("version-2")).unwrap();
    let said = import(empty.path(), &["--dry-run"]).unwrap_err();
    assert!(said.contains("no snapshot"), "{said}");
}
