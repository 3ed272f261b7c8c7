//! `ringkeeper log`: what was written can be read, and what is damaged can be cut off.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use tempfile::tempdir;

use crate::host::{Host, errors, finish, refused, start};
use crate::program::ringkeeper;

fn log(command: &str, home: &Path, more: &[&str]) -> (Option<i32>, String) {
    let mut arguments = vec!["log", command, home.to_str().unwrap()];
    arguments.extend(more);
    let output = finish(ringkeeper(&arguments));
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &errors(&output);
    (output.status.code(), said)
}

/// The one segment of a small log.
fn segment(home: &Path) -> PathBuf {
    let mut entries = fs::read_dir(home).unwrap().map(|entry| entry.unwrap().path());
    entries.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("log.")).unwrap()
}

#[test]
fn a_damaged_log_is_refused_then_repaired() {
    let home = tempdir().unwrap();
    let host = Host::start(home.path(), &[]);
    let mut client = host.connect();
    for path in ["/good", "/spoiled", "/behind"] {
        client.create(path, path.as_bytes()).unwrap();
    }
    host.kill();
    let (code, said) = log("dump", home.path(), &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.lines().next().unwrap().contains("createSession"), "{said}");
    assert!(said.contains("create /good") && said.contains("create /behind"), "{said}");
    let (_, json) = log("dump", home.path(), &["--json", "--from", "0x3"]);
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!((&first["path"], &first["zxid"]), (&"/spoiled".into(), &"0x3".into()));
    assert!(log("repair", home.path(), &[]).1.contains("Nothing is wrong"));

    let mut bytes = fs::read(segment(home.path())).unwrap();
    let at = bytes.windows(8).position(|window| window == b"/spoiled").unwrap();
    bytes[at] ^= 0xff;
    fs::write(segment(home.path()), bytes).unwrap();
    let said = refused(home.path());
    assert!(said.contains("is damaged") && said.contains("ringkeeper log repair"), "{said}");
    let (code, said) = log("dump", home.path(), &[]);
    assert!(
        code == Some(1) && said.contains("create /good") && !said.contains("/behind"),
        "{said}"
    );

    let (code, said) = log("repair", home.path(), &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("ends the log with 0x2") && said.contains("--yes"), "{said}");
    refused(home.path());
    let (code, said) = log("repair", home.path(), &["--yes"]);
    assert_eq!(code, Some(0), "{said}");
    let host = Host::start(home.path(), &[]);
    assert_eq!(host.connect().children("/").unwrap(), ["good", "zookeeper"]);
    let (code, said) = log("repair", home.path(), &["--yes"]);
    assert!(code == Some(1) && said.contains("is in use"), "{said}");
}

#[test]
fn log_commands_on_a_foreign_directory_change_nothing() {
    let home = tempdir().unwrap();
    for command in ["dump", "repair"] {
        let (code, said) = log(command, home.path(), &[]);
        assert_eq!(code, Some(1));
        assert!(said.contains("is not the data directory of a Ringkeeper"), "{said}");
    }
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

/// The kernel's answer to a store into a page that has no file behind it is SIGBUS, and so it is
/// on XFS when the disk is gone.
#[test]
fn a_mapped_log_that_loses_its_file_ends_the_server_with_the_reason() {
    let home = tempdir().unwrap();
    let said = home.path().join("said");
    let data = home.path().join("data");
    let mut command = start(&data, &["ringkeeper.log.device=mmap"]);
    command.stderr(File::create(&said).unwrap());
    let host = Host::run(command);
    let mut client = host.connect();
    client.create("/kept", b"").unwrap();
    File::options().write(true).open(segment(&data)).unwrap().set_len(0).unwrap();
    let refused = client.create("/lost", b"").expect_err("there is no file to write it to");
    assert!(refused.code().is_none(), "the connection ends without an answer: {refused}");
    assert_eq!(host.ended().code(), Some(70));
    let said = fs::read_to_string(said).unwrap();
    assert!(said.contains("SIGBUS") && said.contains("cut the file short"), "{said}");
}
