//! SIGTERM, whatever the observer is doing.

use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use ringkeeper_engine::client::{Client, Error, Options, Request};
use ringkeeper_engine::wire::opcode::op;

use crate::ensemble::{Ensemble, Met, PATIENCE, Requests};
use crate::history::create;
use crate::link::put_snap;
use crate::member::Member;

fn ends_within_a_second(member: Member) {
    let (status, took) = member.terminate();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(1), "{took:?}");
}

/// How long a member takes to stop that waits for its leader's answers: two seconds, and its end.
const ANSWER_WAIT: Range<Duration> = Duration::from_millis(1_900)..Duration::from_secs(3);

const SHARDS: [&str; 2] = ["1", "2"];

#[test]
fn observer_that_looks_for_a_leader_ends_within_a_second() {
    for shards in SHARDS {
        let ensemble = Ensemble::of_server_4();
        let member = ensemble.start(&[("ringkeeper.shards", shards)]);
        ensemble.wait(|met| matches!(met, Met::Dialled(..)).then_some(()));
        ends_within_a_second(member);
    }
}

#[test]
fn observer_whose_voters_cannot_be_reached_ends_within_a_second() {
    let ensemble = Ensemble::with_deaf_voter_3();
    let member = ensemble.start(&[]);
    ensemble.lead(3);
    ensemble.wait(|met| matches!(met, Met::Dialled(3, _)).then_some(()));
    ends_within_a_second(member);
}

#[test]
fn observer_that_agrees_on_an_epoch_ends_within_a_second() {
    for shards in SHARDS {
        let ensemble = Ensemble::of_server_4();
        ensemble.script(|link| {
            link.discover()?;
            link.be_silent()
        });
        let member = ensemble.start(&[("ringkeeper.shards", shards)]);
        ensemble.lead(2);
        ensemble.wait_offer();
        ends_within_a_second(member);
        ensemble.wait_gone();
    }
}

/// Half of a state has come.
#[test]
fn observer_that_takes_a_state_over_ends_within_a_second() {
    for shards in SHARDS {
        let ensemble = Ensemble::of_server_4();
        for number in 0..200 {
            ensemble.lock().history.write(create(&format!("/n{number}"), &[b'x'; 10_000]));
        }
        ensemble.script(|link| {
            link.discover()?;
            let mut bytes = Vec::new();
            put_snap(&link.shared.lock(), &mut bytes);
            link.send_bytes(&bytes[..bytes.len() / 2])?;
            link.be_silent()
        });
        let member = ensemble.start(&[("ringkeeper.shards", shards)]);
        ensemble.lead(2);
        ensemble.wait_offer();
        while !member.ready().1.contains("1.0 MB received") {
            assert!(member.count_lines("has ended") == 0, "{:#?}", member.lines());
        }
        ends_within_a_second(member);
        ensemble.wait_gone();
    }
}

#[test]
fn observer_that_serves_clients_ends_within_a_second() {
    for shards in SHARDS {
        let ensemble = Ensemble::of_server_4();
        let member = ensemble.start(&[("ringkeeper.shards", shards)]);
        ensemble.lead(2);
        let mut client = member.connect();
        client.create("/a", b"").unwrap();
        ends_within_a_second(member);
        assert!(matches!(client.receive(), Err(Error::Closed)));
        ensemble.wait_gone();
        let member = ensemble.start(&[]);
        let mut client = member.resume(client.session()).expect("its session lives");
        assert!(client.exists("/a").unwrap().is_some());
    }
}

/// The answer of a leader is waited for, for two seconds: it may be on its way. A write that no
/// leader answers does not hold up the end for longer. Its client hears nothing of it.
#[test]
fn observer_with_writes_that_wait_ends_after_two_seconds() {
    for (shards, keeps_leader) in [("1", true), ("1", false), ("2", true), ("2", false)] {
        let ensemble = Ensemble::of_server_4();
        ensemble.lock().history.write(create("/a", b""));
        let settings = [("ringkeeper.shards", shards), ("ringkeeper.leaderlessMs", "60000")];
        let member = ensemble.start(&settings);
        ensemble.lead(2);
        let mut client = member.connect();
        ensemble.lock().requests = Requests::Held;
        client.queue(&Request::SetData { path: "/a", data: None, version: -1 });
        client.flush().unwrap();
        ensemble.wait_request(op::SET_DATA);
        if !keeps_leader {
            ensemble.lose_leader();
            member.wait_line("the leader has closed the connection", 1);
        }
        let (status, took) = member.terminate();
        assert_eq!(status.code(), Some(0));
        assert!(ANSWER_WAIT.contains(&took), "{took:?}");
        assert!(matches!(client.receive(), Err(Error::Closed)));
    }
}

/// Nor does a client that waits for its session.
#[test]
fn observer_with_clients_that_wait_for_a_leader_ends_within_a_second() {
    for shards in SHARDS {
        let ensemble = Ensemble::of_server_4();
        let member = ensemble.start(&[("ringkeeper.shards", shards)]);
        let address = member.address;
        let waiting = thread::spawn(move || Client::connect(address, Options::default()));
        let until = Instant::now() + PATIENCE;
        let metrics = || member.get("/metrics").text();
        while !metrics().contains("\nnum_alive_connections 1") {
            assert!(Instant::now() < until, "{}", metrics());
        }
        ends_within_a_second(member);
        assert!(matches!(waiting.join().unwrap(), Err(Error::Closed)));
    }
}
