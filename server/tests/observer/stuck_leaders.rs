//! A leader that pings and does not read: nothing that is sent to it arrives.

use std::thread;
use std::time::{Duration, Instant};

use ringkeeper_engine::client::{Client, Request};

use crate::ensemble::{Ensemble, PATIENCE};
use crate::history::create;

const WRITES: usize = 40;
/// More than the sockets of both sides hold, all together.
const WRITE_BYTES: usize = 512 << 10;
/// What the server may need for the writes beside what it has anyway: requests on their way to the
/// node, as they wait for their answer, as they are to be sent (a buffer that doubles), and what
/// the allocator keeps.
const GROWN_BYTES_MAX: u64 = 7 * (WRITES * WRITE_BYTES) as u64;

/// Writes of one connection, one behind the other, and their answers.
fn write_all(client: &mut Client, path: &str) {
    client.set_patience(PATIENCE);
    let data = vec![7; WRITE_BYTES];
    for _ in 0..WRITES {
        client.queue(&Request::SetData { path, data: Some(&data), version: -1 });
    }
    client.flush().unwrap();
    for version in 1..=WRITES {
        let answer = client.receive().unwrap().accepted().unwrap();
        let stat = answer.body().stat().unwrap();
        assert_eq!(usize::try_from(stat.version), Ok(version), "each is executed once");
    }
}

/// Reads go on, the link is given up after `syncLimit`, and the next leader gets the writes.
fn stuck(settings: &[(&str, &str)]) {
    let ensemble = Ensemble::of_server_4();
    ensemble.lock().history.write(create("/a", b"0"));
    ensemble.lock().history.write(create("/b", b"0"));
    let usual = [("tickTime", "500"), ("syncLimit", "4"), ("initLimit", "120")];
    let held = [("ringkeeper.leaderlessMs", "60000")];
    let member = ensemble.start(&[&usual[..], &held, settings].concat());
    ensemble.lead(2);
    let (mut writer, mut reader) = (member.connect(), member.connect());
    let before = member.resident_bytes();
    ensemble.jam_leader();
    let since = Instant::now();
    let writing = thread::spawn(move || write_all(&mut writer, "/a"));
    let sentence = "the leader has read nothing for 2";
    let mut reads = 0;
    while member.count_lines(sentence) == 0 {
        assert!(since.elapsed() < PATIENCE, "{:#?}", member.lines());
        assert_eq!(reader.get("/b").unwrap().0.as_deref(), Some(&b"0"[..]));
        reads += 1;
    }
    assert!(since.elapsed() >= Duration::from_secs(2) && reads > 100, "{reads}");
    let grown = member.resident_bytes().saturating_sub(before);
    assert!(grown < GROWN_BYTES_MAX, "{grown}");
    assert!(!writing.is_finished(), "nothing has answered it");
    ensemble.wait_gone();
    ensemble.lead_next_epoch(3);
    writing.join().expect("all of it is written");
    assert_eq!(reader.set("/b", b"1").unwrap().version, 1);
    assert_eq!(member.count_lines("synchronized with server 3 by DIFF"), 1);
    assert_eq!(member.count_lines(sentence), 1, "{:#?}", member.lines());
}

#[test]
fn leader_that_pings_and_reads_nothing_is_given_up_and_blocks_no_reads() {
    stuck(&[]);
}

#[test]
fn leader_that_pings_and_reads_nothing_blocks_no_reads_on_several_shards_either() {
    stuck(&[("ringkeeper.shards", "2"), ("ringkeeper.io", "epoll")]);
}
