//! An observer on an empty directory finds the leader, takes its state over, and serves clients.

use std::time::Duration;

use ringkeeper_engine::client::{CreateMode, Error, Session};
use ringkeeper_engine::session::Passwords;
use ringkeeper_engine::wire::event::EventType;
use ringkeeper_engine::wire::opcode::op;
use ringkeeper_engine::{SessionId, Zxid};

use crate::ensemble::{Ensemble, Met, PATIENCE};
use crate::history::{OTHER_SESSION, create, set};
use crate::member::Member;

/// From the start to the first session.
fn join(ensemble: &Ensemble, definitions: &[(&str, &str)]) -> Member {
    {
        let mut state = ensemble.lock();
        state.history.open(OTHER_SESSION, 30_000);
        state.history.write(create("/a", b"1"));
    }
    let member = ensemble.start(definitions);
    let (ready, why) = member.ready();
    assert!(!ready && why.contains("looking for a leader"), "{why}");
    assert_eq!(member.get("/live").status, 200);
    let (serves, text) = member.status();
    let reason = "does not serve: observer";
    assert!(!serves && text.contains(reason) && text.contains("looking for a leader"), "{text}");
    ensemble.lead(2);
    let (sid, version) = ensemble.wait(|met| match met {
        Met::ObserverInfo(Zxid::ZERO, sid, version) => Some((*sid, *version)),
        _ => None,
    });
    assert_eq!((sid, version), (ensemble.own.into(), 0));
    let offer = ensemble.wait(|met| match met {
        Met::AckEpoch(last, current) => Some((*last, *current)),
        _ => None,
    });
    assert_eq!(offer, (Zxid::ZERO, Some(0)));
    member
}

/// What clients do over an observer.
fn serve_clients(ensemble: &Ensemble, member: &Member) {
    let mut client = member.connect();
    let opened = ensemble.wait_request(op::CREATE_SESSION);
    let session = client.session().id;
    assert_eq!((opened.session, opened.identities), (session, None));
    assert_eq!(session.0 >> 56, i64::from(ensemble.own));
    member.wait_ready(true);

    assert_eq!(client.get_watch("/a").unwrap().0.as_deref(), Some(&b"1"[..]));
    ensemble.write(set("/a", b"2"));
    let event = client.wait_event(PATIENCE).unwrap().expect("the change is seen");
    assert_eq!((event.kind, &*event.path), (EventType::NodeDataChanged, "/a"));
    assert_eq!(client.get("/a").unwrap().0.as_deref(), Some(&b"2"[..]));

    client.auth("digest", b"user:word").unwrap();
    client.create_mode("/b", b"b", CreateMode::Ephemeral).unwrap();
    let written = ensemble.wait_request(op::CREATE);
    assert_eq!(written.session, session);
    let schemes: Vec<String> =
        written.identities.expect("a write has some").into_iter().map(|id| id.scheme).collect();
    assert_eq!(schemes, ["ip", "digest"]);
    assert_eq!(client.exists("/b").unwrap().map(|stat| stat.ephemeral_owner), Some(session.0));
    client.set_version("/b", b"", 7).unwrap_err();
    ensemble.wait_request(op::SET_DATA);
    assert_eq!(client.sync("/").unwrap(), "/");
    ensemble.wait_request(op::SYNC);

    ensemble.wait(|met| match met {
        Met::Ping(touched) => touched.iter().find(|(touched, _)| *touched == session).map(|_| ()),
        _ => None,
    });
    client.close().unwrap();
    ensemble.wait_request(op::CLOSE_SESSION);
    assert!(!ensemble.lock().history.has_session(session));
    let mut other = member.connect();
    assert!(other.exists("/b").unwrap().is_none(), "it went with its session");
    other.close().unwrap();
}

/// Sessions of another server come with its password, and the leader knows which of them live.
fn move_sessions(ensemble: &Ensemble, member: &Member) {
    let session = |id| Session { id, password: Passwords::Java.of(id), last_zxid: 0 };
    let mut moved = member.resume(session(OTHER_SESSION)).expect("it lives");
    let valid = |met: &Met| match met {
        Met::Revalidate(session, timeout_ms) => Some((*session, *timeout_ms)),
        _ => None,
    };
    assert_eq!(ensemble.wait(valid), (OTHER_SESSION, 10_000));
    assert_eq!(moved.session().id, OTHER_SESSION);
    moved.set("/a", b"3").unwrap();
    let ended = SessionId(OTHER_SESSION.0 + 1);
    assert!(matches!(member.resume(session(ended)), Err(Error::Expired)));
    assert_eq!(ensemble.wait(valid).0, ended);
    let mut wrong = session(OTHER_SESSION);
    wrong.password[0] ^= 1;
    assert!(matches!(member.resume(wrong), Err(Error::Expired)));
    moved.close().unwrap();
    assert!(!ensemble.lock().history.has_session(OTHER_SESSION));
}

/// What the server says of itself.
fn report(ensemble: &Ensemble, member: &Member) {
    assert!(member.word("srvr").contains("\nMode: observer\n"));
    let (serves, text) = member.status();
    assert!(serves && text.contains("observer") && text.contains("following server 2"), "{text}");
    let config = member.connect().get("/zookeeper/config").unwrap().0.expect("it has data");
    let config = String::from_utf8(config).unwrap();
    assert_eq!(config.lines().count(), 5, "{config}");
    assert!(config.contains(&format!("server.{}={}", ensemble.own, ensemble.host)), "{config}");
    let leader = member.get("/commands/leader");
    assert_eq!(leader.json()["leader_id"], 2, "{leader:?}");
    assert_eq!(leader.header("content-type"), Some("application/json"));
}

fn joined(ensemble: &Ensemble, definitions: &[(&str, &str)]) {
    let member = join(ensemble, definitions);
    serve_clients(ensemble, &member);
    move_sessions(ensemble, &member);
    report(ensemble, &member);
    assert_eq!(member.count_lines("synchronized with server 2 by SNAP"), 1);
    assert_eq!(member.count_lines(" WARN server"), 0, "{:#?}", member.lines());
    let (status, took) = member.terminate();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn observer_with_the_largest_number_serves_over_io_uring() {
    joined(&Ensemble::of_server_4(), &[("ringkeeper.io", "auto"), ("ringkeeper.shards", "1")]);
}

#[test]
fn observer_with_the_largest_number_serves_over_epoll() {
    joined(&Ensemble::of_server_4(), &[("ringkeeper.io", "epoll"), ("ringkeeper.shards", "1")]);
}

#[test]
fn observer_with_several_shards_serves_over_io_uring() {
    joined(&Ensemble::of_server_4(), &[("ringkeeper.shards", "3")]);
}

#[test]
fn observer_with_several_shards_serves_over_epoll() {
    joined(&Ensemble::of_server_4(), &[("ringkeeper.io", "epoll"), ("ringkeeper.shards", "3")]);
}

/// The voters close what they are dialled with, and dial back.
#[test]
fn observer_with_the_smallest_number_is_dialled_back_and_serves() {
    let ensemble = Ensemble::of_server_1();
    joined(&ensemble, &[]);
    let address: Box<str> = format!("{}:21889", ensemble.host).into();
    for voter in [2, 3, 5] {
        let dialled = |met: &Met| match met {
            Met::Dialled(dialled, hello) => {
                *dialled == voter && hello.sid == 1 && hello.addresses == [address.clone()]
            }
            _ => false,
        };
        assert!(ensemble.count(dialled) > 0, "{voter}");
    }
}

/// A leader that has ordered nothing has a state at the beginning of its epoch.
#[test]
fn observer_of_an_empty_ensemble_serves() {
    let ensemble = Ensemble::of_server_4();
    let member = ensemble.start(&[]);
    ensemble.lead(3);
    let mut client = member.connect();
    assert_eq!(client.children("/").unwrap(), ["zookeeper"]);
    assert_eq!(client.create("/first", b"").unwrap(), "/first");
    ensemble.lose_leader();
    ensemble.lead_next_epoch(1);
    assert_eq!(client.create("/second", b"").unwrap(), "/second");
    assert_eq!(ensemble.lock().history.last().epoch(), 2);
}
