//! Starts that must not succeed, and what they say.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use tempfile::tempdir;

use crate::host::{Host, errors, finish, refused, start};
use crate::program::ringkeeper;

#[test]
fn two_servers_do_not_share_a_directory() {
    let home = tempdir().unwrap();
    let host = Host::start(home.path(), &[]);
    let said = refused(home.path());
    assert!(said.contains("is in use"), "{said}");
    assert!(said.contains(&format!("(process {})", host.pid())), "{said}");
    assert!(host.connect().exists("/").unwrap().is_some(), "the first one is not disturbed");
}

#[test]
fn a_directory_of_zookeeper_is_left_alone() {
    let home = tempdir().unwrap();
    fs::create_dir(home.path().join("version-2")).unwrap();
    let said = refused(home.path());
    assert!(said.contains("version-2") && said.contains("empty directory"), "{said}");
    let left = fs::read_dir(home.path()).unwrap().count();
    assert_eq!(left, 1, "nothing was written there");
}

/// Root may write everywhere, so where root runs the tests another user runs the server.
#[test]
fn a_directory_that_cannot_be_written_is_refused() {
    const UNPRIVILEGED: u32 = 65_534;
    let home = tempdir().unwrap();
    let closed = home.path().join("closed");
    fs::create_dir(&closed).unwrap();
    for (path, mode) in [(home.path(), 0o755), (&closed, 0o555)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut command = start(&closed, &[]);
    if rustix::process::geteuid().is_root() {
        command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
    }
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => {
            eprintln!("SKIPPED: nobody but root may run the server where it lies: {error}");
            return;
        }
    };
    let said = errors(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("give it to the user that runs the server"), "{said}");
    assert_eq!(fs::read_dir(&closed).unwrap().count(), 0);
}

#[test]
fn a_bad_configuration_is_refused_with_file_and_line() {
    let home = tempdir().unwrap();
    let file = home.path().join("zoo.cfg");
    fs::write(&file, "dataDir=/nowhere\nclientPort=2181\ntickTime=fast\nserver.1=a\n").unwrap();
    let output = finish(ringkeeper(&["start", file.to_str().unwrap()]));
    assert_eq!(output.status.code(), Some(2));
    let said = errors(&output);
    let line = format!("{}:3: tickTime: \"fast\" is not a number", file.display());
    assert!(said.contains(&line), "{said}");
}

#[test]
fn output_to_a_closed_pipe_is_no_error() {
    let mut child = ringkeeper(&["settings"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
