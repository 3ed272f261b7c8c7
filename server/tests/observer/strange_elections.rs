//! Election ports: what is sent to the server's own, what voters send, and ports that are taken.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use ringkeeper_engine::wire::Put;
use ringkeeper_engine::wire::peer::{ElectionProtocol, InitialMessage};

use crate::ensemble::{Ensemble, Met, PATIENCE};
use crate::link::Link;

/// The server's own election port, once it listens: its first messages may come before.
fn dial(ensemble: &Ensemble) -> TcpStream {
    let until = Instant::now() + PATIENCE;
    let stream = loop {
        match TcpStream::connect((ensemble.host, 21_889)) {
            Ok(stream) => break stream,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
                assert!(Instant::now() < until, "it does not listen");
                std::thread::yield_now();
            }
        }
    };
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream
}

/// Sends bytes that make no sense, after which the server closes.
fn is_closed_after(ensemble: &Ensemble, bytes: &[u8]) {
    let mut stream = dial(ensemble);
    stream.write_all(bytes).expect("it is taken");
    is_closed(&mut stream);
}

/// Reads to the end, which has to come. What was not read makes it a reset.
fn is_closed(stream: &mut TcpStream) {
    let error = stream.read_to_end(&mut Vec::new()).err();
    let kind = error.as_ref().map(Error::kind);
    assert!(matches!(kind, None | Some(ErrorKind::ConnectionReset)), "{error:?}");
}

fn hello(sid: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let addresses = vec!["127.0.0.1:1".into()];
    InitialMessage { protocol: ElectionProtocol::V1, sid, addresses }.encode(&mut bytes);
    bytes
}

fn longs(numbers: &[i64], length: i32) -> Vec<u8> {
    let mut bytes = Vec::new();
    numbers.iter().for_each(|number| bytes.put_long(*number));
    bytes.put_int(length);
    bytes
}

#[test]
fn strangers_at_the_election_port_are_closed_and_a_leader_is_found() {
    let ensemble = Ensemble::of_server_1();
    let member = ensemble.start(&[("quorumCnxnTimeoutMs", "300")]);
    member.wait_line("INFO", 0);
    // As many as are served at a time, and more, none of which says a word. They are let go.
    let silent: Vec<TcpStream> = (0..20).map(|_| dial(&ensemble)).collect();
    silent.into_iter().for_each(|mut stream| is_closed(&mut stream));
    for _ in 0..3 {
        is_closed_after(&ensemble, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        is_closed_after(&ensemble, &longs(&[-65_530, 2], 4));
        is_closed_after(&ensemble, &longs(&[-65_536, 2], i32::MAX));
        is_closed_after(&ensemble, &longs(&[-65_536, 2], -1));
        is_closed_after(&ensemble, &hello(9));
        is_closed_after(&ensemble, &hello(-1));
        is_closed_after(&ensemble, &hello(1));
        let mut half = hello(2);
        half.truncate(22);
        let mut stream = dial(&ensemble);
        stream.write_all(&half).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        is_closed(&mut stream);
        let garbage = [hello(3), i32::MAX.to_be_bytes().to_vec()].concat();
        is_closed_after(&ensemble, &garbage);
    }
    ensemble.lead(5);
    member.wait_line("synchronized with server 5", 1);
    member.connect().close().unwrap();
    let said = member.count_lines("has connected to the election port");
    assert!((1..=24).contains(&said), "{:#?}", member.lines());
}

/// The connections that voters have opened are half open after that. They are given up when their
/// voters answer nothing, and not kept for as long as the system thinks that they may come back.
#[test]
fn voters_that_have_lost_their_power_are_dialled_until_they_are_back() {
    let ensemble = Ensemble::of_server_1();
    let member = ensemble.start(&[("quorumCnxnTimeoutMs", "400")]);
    ensemble.lead(5);
    member.wait_line("synchronized with server 5", 1);
    // Votes that nothing waits for, as voters send them to each other.
    ensemble.lead(5);
    member.connect().close().unwrap();
    ensemble.cut_power();
    ensemble.forget();
    for voter in [2, 3, 5] {
        ensemble.wait(|met| matches!(met, Met::Dialled(_, _)).then_some(voter));
    }
    ensemble.restore_power();
    ensemble.lead_next_epoch(2);
    member.wait_line("synchronized with server 2", 1);
}

/// A minority of the voters makes no sense; a connection of theirs is closed, which is said once.
#[test]
fn votes_that_make_no_sense_are_said_once_and_the_others_count() {
    let negative = (-5_i32).to_be_bytes().to_vec();
    let too_long = i32::MAX.to_be_bytes().to_vec();
    let mut no_state = 40_i32.to_be_bytes().to_vec();
    no_state.extend([9; 40]);
    let half = [0, 0, 0, 40, 0, 0];
    for garbage in [negative, too_long, no_state, half.to_vec()] {
        let ensemble = Ensemble::of_server_4();
        ensemble.lock().garbage.push((1, garbage.clone()));
        let member = ensemble.start(&[("quorumCnxnTimeoutMs", "200")]);
        // The connection is closed, and dialled again.
        for _ in 0..4 {
            ensemble.wait(|met| matches!(met, Met::Dialled(1, _)).then_some(()));
        }
        let said = member.count_lines("sends on the election port what is no notification");
        assert_eq!(said, usize::from(garbage.len() != half.len()), "{:#?}", member.lines());
        ensemble.lead(3);
        member.wait_line("synchronized with server 3", 1);
    }
}

#[test]
fn leader_that_does_not_listen_is_said_once_and_the_next_one_is_found() {
    let ensemble = Ensemble::with_deaf_voter_3();
    let member = ensemble.start(&[("leaderConnectDelayDuringRetryMs", "1")]);
    ensemble.lead(3);
    let sentence = "server 3 leads, and cannot be reached where it takes learners";
    member.wait_line(sentence, 1);
    assert!(member.ready().1.contains("looking for a leader"), "{:?}", member.ready());
    ensemble.lead(2);
    member.wait_line("synchronized with server 2", 1);
    assert_eq!(member.count_lines(sentence), 1, "{:#?}", member.lines());
}

/// The pause before the next link grows, and what repeats is not said again.
#[test]
fn leader_that_closes_at_once_again_and_again_is_said_once_and_tried_at_growing_intervals() {
    let ensemble = Ensemble::of_server_4();
    for _ in 0..6 {
        ensemble.script(Link::close);
    }
    let member = ensemble.start(&[("observer.election.DelayMs", "0")]);
    ensemble.lead(2);
    let since = Instant::now();
    (0..6).for_each(|_| ensemble.wait_gone());
    let took = since.elapsed();
    // 50 ms before the third link, and each time twice as long.
    assert!(took >= Duration::from_millis(50 + 100 + 200 + 400), "{took:?}");
    member.wait_line("synchronized with server 2", 1);
    let said = member.count_lines("the leader has closed the connection");
    assert_eq!(said, 1, "{:#?}", member.lines());
    member.connect().close().unwrap();
}

#[test]
fn election_port_that_is_taken_ends_the_server_after_its_attempts() {
    let ensemble = Ensemble::of_server_4();
    let _taken = TcpListener::bind((ensemble.host, 21_889)).expect("it is free");
    let since = Instant::now();
    let (status, said) = ensemble.start_in_vain(&[("electionPortBindRetry", "2")]);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(since.elapsed() >= Duration::from_secs(1), "it is tried twice");
    assert!(said.contains("cannot listen on the election port 21889"), "{said}");
    assert!(said.contains("it is tried again"), "{said}");
    let sentence = "tried 2 times; free the port, or correct the line server.4";
    assert!(said.lines().any(|it| it.starts_with("ringkeeper: stopped") && it.contains(sentence)));
}

/// With 0 it is tried for ever. Meanwhile voters with smaller numbers are found without it.
#[test]
fn election_port_that_becomes_free_is_listened_on() {
    let ensemble = Ensemble::of_server_4();
    let taken = TcpListener::bind((ensemble.host, 21_889)).expect("it is free");
    let member = ensemble.start(&[("electionPortBindRetry", "0")]);
    member.wait_line("cannot listen on the election port 21889", 1);
    ensemble.lead(2);
    member.wait_line("synchronized with server 2", 1);
    drop(taken);
    let until = Instant::now() + PATIENCE;
    while TcpStream::connect((ensemble.host, 21_889)).is_err() {
        assert!(Instant::now() < until, "{:#?}", member.lines());
    }
    assert_eq!(member.count_lines("cannot listen"), 1, "{:#?}", member.lines());
}
