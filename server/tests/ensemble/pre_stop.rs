//! `ringkeeper status --would-stop`: the check before a server is stopped.

use std::time::Instant;

use crate::program::ringkeeper;
use crate::three::{PATIENCE, Three};

/// Whether a server may be stopped, and what the check says.
fn check(three: &Three, id: u8) -> (bool, String) {
    let address = three.server(id).address.to_string();
    let output = ringkeeper(&["status", "--would-stop", "--server", &address]).output();
    let output = output.expect("the binary runs");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn wait_for(three: &Three, id: u8, may_stop: bool) {
    let until = Instant::now() + PATIENCE;
    loop {
        let (found, said) = check(three, id);
        if found == may_stop {
            return;
        }
        assert!(Instant::now() < until, "server {id}: {said}");
    }
}

#[test]
fn server_may_be_stopped_as_long_as_a_majority_is_left() {
    let mut three = Three::start(&[]);
    let leader = three.wait_leader();
    let others = three.others(leader);
    for id in [1, 2, 3] {
        wait_for(&three, id, true);
    }
    three.take(others[0]).kill();
    wait_for(&three, leader, false);
    wait_for(&three, others[1], false);
    // One that is stopped all the same says so.
    let (status, lines) = three.take(others[1]).terminate();
    assert!(status.success(), "{lines:#?}");
    let warning = "without this server 1 of 3 voters are left, and 2 are needed";
    assert!(lines.iter().any(|line| line.contains(warning)), "{lines:#?}");
    // Nobody is left to be lost.
    wait_for(&three, leader, false);
}
