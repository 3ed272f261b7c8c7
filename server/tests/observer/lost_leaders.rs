//! The leader of an observer is lost: clients stay, reads go on, and writes wait for the next one.

use std::time::{Duration, Instant};

use ringkeeper_engine::client::{Client, Create, CreateMode, Error, Request};
use ringkeeper_engine::wire::Acl;
use ringkeeper_engine::wire::opcode::op;

use crate::ensemble::{Ensemble, Met, PATIENCE, Requests};
use crate::history::{create, set};
use crate::member::Member;

/// Clients are held for longer than any test takes.
const HELD: &[(&str, &str)] = &[("ringkeeper.leaderlessMs", "60000")];

/// A server with a client, and with these settings.
fn served(ensemble: &Ensemble, definitions: &[(&str, &str)]) -> (Member, Client) {
    ensemble.lock().history.write(create("/a", b"0"));
    let member = ensemble.start(definitions);
    ensemble.lead(2);
    let mut client = member.connect();
    client.set_patience(PATIENCE);
    ensemble.wait_request(op::CREATE_SESSION);
    (member, client)
}

/// Sends a write that makes another node each time it is executed.
fn queue_write(client: &mut Client) {
    let acl = &[Acl::open()];
    let mode = CreateMode::PersistentSequential;
    client.queue(&Request::Create(Create { path: "/n-", data: None, acl, mode }));
    client.flush().unwrap();
}

fn writes_seen(ensemble: &Ensemble) -> usize {
    ensemble.count(|met| matches!(met, Met::Request(request) if request.op == op::CREATE))
}

/// The answer to the one write, and what it has done.
fn is_written_once(client: &mut Client) {
    let answer = client.receive().unwrap().accepted().unwrap();
    let path = answer.body().path().unwrap().into_owned();
    let nodes = client.children("/").unwrap();
    let made: Vec<&String> = nodes.iter().filter(|name| name.starts_with("n-")).collect();
    assert_eq!(made.len(), 1, "{nodes:?}");
    assert_eq!(path, format!("/{}", made[0]));
}

/// A leader that has not executed the write is lost in this way.
fn lost(lose: impl Fn(&Ensemble), sentence: &str) {
    lost_in(&Ensemble::of_server_4(), HELD, lose, sentence);
}

fn lost_in(
    ensemble: &Ensemble,
    settings: &[(&str, &str)],
    lose: impl Fn(&Ensemble),
    sentence: &str,
) {
    let (member, mut client) = served(ensemble, settings);
    let mut reader = member.connect();
    ensemble.lock().requests = Requests::Held;
    queue_write(&mut client);
    ensemble.wait_request(op::CREATE);
    lose(ensemble);
    member.wait_line(sentence, 1);
    assert_eq!(reader.get("/a").unwrap().0.as_deref(), Some(&b"0"[..]), "reads go on");
    assert!(member.ready().0);
    let (_, text) = member.status();
    assert!(text.contains("reads only") && text.contains("looking for a leader"), "{text}");
    ensemble.lead_next_epoch(3);
    is_written_once(&mut client);
    assert_eq!(writes_seen(ensemble), 2, "once for each leader");
    assert_eq!(reader.set("/a", b"1").unwrap().version, 1);
    assert_eq!(member.count_lines("synchronized with server 3 by DIFF"), 1);
}

#[test]
fn write_that_a_closed_leader_has_not_executed_is_sent_to_the_next_one() {
    lost(Ensemble::lose_leader, "the leader has closed the connection");
}

#[test]
fn write_that_a_reset_leader_has_not_executed_is_sent_to_the_next_one() {
    lost(Ensemble::reset_leader, "the connection has failed");
}

#[test]
fn leader_that_is_silent_for_sync_limit_is_given_up() {
    let ensemble = Ensemble::of_server_4();
    let settings = [("tickTime", "500"), ("syncLimit", "2"), ("initLimit", "120"), HELD[0]];
    let since = Instant::now();
    lost_in(&ensemble, &settings, Ensemble::silence_leader, "the leader has been silent for 1");
    assert!(since.elapsed() >= Duration::from_secs(1));
}

/// Its answer comes with the next leader's history, and the write is not sent again.
#[test]
fn write_that_a_lost_leader_has_executed_is_answered_and_not_sent_again() {
    let ensemble = Ensemble::of_server_4();
    let (_member, mut client) = served(&ensemble, HELD);
    ensemble.lock().requests = Requests::Held;
    queue_write(&mut client);
    let request = ensemble.wait_request(op::CREATE);
    ensemble.lock().history.request(&request);
    ensemble.lose_leader();
    ensemble.wait_gone();
    ensemble.lead_next_epoch(3);
    is_written_once(&mut client);
    assert_eq!(writes_seen(&ensemble), 1);
}

#[test]
fn connections_are_closed_when_no_leader_is_found_in_time() {
    let ensemble = Ensemble::of_server_4();
    let (member, mut client) = served(&ensemble, &[("ringkeeper.leaderlessMs", "300")]);
    client.set("/a", b"1").unwrap();
    let since = Instant::now();
    ensemble.lose_leader();
    queue_write(&mut client);
    assert!(matches!(client.receive(), Err(Error::Closed)));
    assert!(since.elapsed() >= Duration::from_millis(300));
    member.wait_ready(false);
    assert!(!member.status().0);
    ensemble.lead_next_epoch(1);
    let session = client.session();
    let mut client = member.resume(session).expect("its session lives");
    ensemble.wait(|met| match met {
        Met::Revalidate(revalidated, _) => (*revalidated == session.id).then_some(()),
        _ => None,
    });
    assert_eq!(client.get("/a").unwrap().0.as_deref(), Some(&b"1"[..]));
    member.wait_ready(true);
    let nodes = client.children("/").unwrap();
    assert_eq!(nodes, ["a", "zookeeper"], "what was not answered may be lost, and is");
}

/// Watches and reads of many changes of leaders, each with something new.
#[test]
fn client_outlives_many_leaders_on_several_shards() {
    let ensemble = Ensemble::of_server_4();
    let settings = [HELD[0], ("ringkeeper.shards", "2"), ("ringkeeper.io", "epoll")];
    let (_member, mut client) = served(&ensemble, &settings);
    for epoch in 2..6_u8 {
        client.get_watch("/a").unwrap();
        ensemble.lose_leader();
        ensemble.wait_gone();
        ensemble.lead_next_epoch(1 + epoch % 3);
        ensemble.write(set("/a", &[epoch]));
        assert!(client.wait_event(PATIENCE).unwrap().is_some());
        assert_eq!(client.get("/a").unwrap().0, Some(vec![epoch]));
    }
}
