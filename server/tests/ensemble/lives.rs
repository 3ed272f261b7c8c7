//! Servers that are killed, wiped and started again lose nothing that was acknowledged.

use std::fs;
use std::time::Instant;

use crate::three::{PATIENCE, Three};

/// The number that a node holds.
fn number(data: Option<Vec<u8>>) -> u64 {
    let text = String::from_utf8(data.expect("it has data")).expect("digits");
    text.parse().expect("a number")
}

#[test]
fn leader_that_is_killed_is_followed_by_another_and_comes_back_and_no_client_of_others_notices() {
    let mut three = Three::start(&[]);
    let leader = three.wait_leader();
    let [one, _] = three.others(leader)[..] else { panic!("there are two") };
    let mut client = three.connect(one);
    let session = client.session().id;
    client.create("/n", b"0").unwrap();
    let mut acknowledged = 0;
    for count in 1..=600 {
        if count == 200 {
            three.take(leader).kill();
        }
        if count == 400 {
            three.launch(leader);
        }
        client.set("/n", count.to_string().as_bytes()).unwrap();
        acknowledged = count;
    }
    assert_eq!(client.session().id, session);
    let next = three.wait_leader();
    assert_ne!(next, leader, "one that comes back follows whoever leads");
    three.see("/n", acknowledged.to_string().as_bytes());
    let epoch = three.role(next).number("leader_epoch");
    assert_eq!(epoch, Some(2));
}

/// The loops of a node on a thread of its own, and of sockets on epoll, watch the links as well.
#[test]
fn leader_that_is_killed_is_followed_by_another_whatever_loop_its_node_runs_in() {
    for loops in [("ringkeeper.shards", "2"), ("ringkeeper.io", "epoll")] {
        let mut three = Three::start(&[loops]);
        let leader = three.wait_leader();
        let [one, _] = three.others(leader)[..] else { panic!("there are two") };
        let mut client = three.connect(one);
        client.create("/n", b"0").unwrap();
        for count in 1..=60 {
            if count == 30 {
                three.take(leader).kill();
            }
            client.set("/n", count.to_string().as_bytes()).unwrap();
        }
        three.launch(leader);
        three.wait_leader();
        three.see("/n", b"60");
        let (status, lines) = three.take(leader).terminate();
        assert!(status.success(), "{loops:?} {lines:#?}");
    }
}

/// Writes through the server that is killed: whatever it has acknowledged is there.
#[test]
fn writes_that_a_killed_leader_has_acknowledged_are_there() {
    let mut three = Three::start(&[]);
    let leader = three.wait_leader();
    let mut client = three.connect(leader);
    client.create("/n", b"0").unwrap();
    for count in 1..=50 {
        client.set("/n", count.to_string().as_bytes()).unwrap();
    }
    three.take(leader).kill();
    let next = three.wait_leader();
    let mut client = three.connect(next);
    assert_eq!(number(client.get("/n").unwrap().0), 50);
    client.set("/n", b"51").unwrap();
    three.launch(leader);
    three.wait_leader();
    three.see("/n", b"51");
}

#[test]
fn ensemble_that_was_killed_as_a_whole_has_everything_when_it_is_started_again() {
    let mut three = Three::start(&[]);
    let leader = three.wait_leader();
    let mut client = three.connect(leader);
    for number in 0..40 {
        client.create(&format!("/n{number}"), b"kept").unwrap();
    }
    for id in [1, 2, 3] {
        three.take(id).kill();
    }
    for id in [3, 1, 2] {
        three.launch(id);
    }
    let leader = three.wait_leader();
    for number in 0..40 {
        three.see(&format!("/n{number}"), b"kept");
    }
    assert_eq!(three.role(leader).number("leader_epoch"), Some(2));
}

/// Two of three are enough, and one is not: it serves nobody.
#[test]
fn server_without_a_quorum_does_not_serve_and_the_quorum_comes_back() {
    let mut three = Three::start(&[("syncLimit", "1"), ("tickTime", "500")]);
    let leader = three.wait_leader();
    let mut client = three.connect(leader);
    client.create("/n", b"1").unwrap();
    let others = three.others(leader);
    for id in &others {
        three.take(*id).kill();
    }
    let until = Instant::now() + PATIENCE;
    while three.role(leader).value("clients") != Some("none") {
        assert!(Instant::now() < until, "{:?}", three.role(leader));
    }
    let words = three.server(leader).word("srvr");
    assert!(words.starts_with("This ZooKeeper instance is not currently serving"), "{words}");
    three.launch(others[0]);
    three.wait_leader();
    three.see("/n", b"1");
}

/// Its log begins behind what a server without anything lacks, so the whole state is sent.
#[test]
fn follower_that_lost_its_disk_gets_the_whole_state() {
    let purges = [("snapCount", "10"), ("autopurge.snapRetainCount", "3")];
    let mut three = Three::start(&purges);
    let leader = three.wait_leader();
    let [wiped, _] = three.others(leader)[..] else { panic!("there are two") };
    let mut client = three.connect(leader);
    let large = vec![7; 200_000];
    client.create("/large", &large).unwrap();
    let first = three.data(leader).join("log.1");
    let until = Instant::now() + PATIENCE;
    while fs::exists(&first).unwrap() {
        assert!(Instant::now() < until, "{:?}", fs::read_dir(three.data(leader)));
        client.set("/large", &large).unwrap();
    }
    client.create("/last", b"last").unwrap();
    three.take(wiped).kill();
    three.wipe(wiped);
    three.launch(wiped);
    assert_eq!(three.wait_leader(), leader);
    three.see("/last", b"last");
    three.see("/large", &large);
    let role = three.role(wiped);
    assert_eq!(role.number("states_installed"), Some(1), "{role:?}");
}
