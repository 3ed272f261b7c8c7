//! What is reported of connections that the server ends.

use super::*;
use crate::request::CloseCause;
use crate::shard::{ClientEnd, EndedClient};

fn ends(shard: &mut Shard) -> Vec<(SessionId, ClientEnd)> {
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let ended = std::mem::take(&mut shard.outputs.ended);
    ended
        .into_iter()
        .map(|EndedClient { peer: found, session, end }| {
            assert_eq!(found, peer);
            (session, end)
        })
        .collect()
}

#[test]
fn connection_that_is_ended_is_reported_once_with_its_session_and_the_reason() {
    let db = Database::new(Tree::new(0), []);
    let mut shard = shard();
    let id = established(&mut shard, at(&db, 0));
    shard.received(id, &u32::MAX.to_be_bytes(), at(&db, 1));
    let length = ClientEnd::FrameLength(u32::MAX as usize);
    assert_eq!(ends(&mut shard), [(SessionId(7), length)]);
    shard.received(id, &u32::MAX.to_be_bytes(), at(&db, 2));
    shard.lost(id);
    assert!(ends(&mut shard).is_empty());

    let id = established(&mut shard, at(&db, 0));
    send(&mut shard, id, Sent::Exists { path: "/a", watch: false }, at(&db, 1));
    shard.end_input(id);
    shard.lost(id);
    assert!(ends(&mut shard).is_empty(), "who goes by itself is no matter of the log");
}

#[test]
fn session_that_ends_elsewhere_has_expired_or_moved_and_one_that_its_client_ends_has_not() {
    let alive = Database::new(Tree::new(0), [(SessionId(7), 4_000)]);
    let gone = Database::new(Tree::new(0), []);
    let close = |id, cause| ShardMessage::CloseConnection(id, SessionId(7), cause);
    let mut shard = shard();
    for (db, cause, end) in [
        (&alive, CloseCause::NotOwner, ClientEnd::Moved),
        (&alive, CloseCause::Unconfirmed, ClientEnd::Unconfirmed),
        (&gone, CloseCause::NotOwner, ClientEnd::Expired),
        (&gone, CloseCause::Unconfirmed, ClientEnd::Expired),
    ] {
        let id = established(&mut shard, at(db, 0));
        shard.deliver(close(id, cause), at(db, 1));
        assert_eq!(ends(&mut shard), [(SessionId(7), end)]);
    }
    let id = established(&mut shard, at(&alive, 0));
    send(&mut shard, id, Sent::CloseSession, at(&alive, 1));
    shard.deliver(close(id, CloseCause::NotOwner), at(&gone, 2));
    assert!(ends(&mut shard).is_empty());
}

#[test]
fn session_that_cannot_be_had_is_reported_as_wanted_and_why() {
    let alive = Database::new(Tree::new(0), [(SessionId(9), 4_000)]);
    let gone = Database::new(Tree::new(0), []);
    let mut shard = shard();
    for (db, outcome, end) in [
        (&alive, Outcome::Gone, ClientEnd::WrongPassword),
        (&gone, Outcome::Gone, ClientEnd::SessionGone),
        (&gone, Outcome::Unavailable, ClientEnd::NotServing),
    ] {
        let id = open(&mut shard);
        let mut bytes = Vec::new();
        ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: 0,
            timeout_ms: 4_000,
            session: 9,
            password: None,
            read_only: None,
        }
        .write_frame(&mut bytes);
        shard.received(id, &bytes, at(db, 0));
        shard.resume_stalled(at(db, 0));
        answer(&mut shard, id, outcome, at(db, 1));
        assert_eq!(ends(&mut shard), [(SessionId(9), end)]);
    }
    let id = open(&mut shard);
    connect(&mut shard, id, Zxid(5), at(&gone, 2));
    assert_eq!(ends(&mut shard), [(SessionId::NONE, ClientEnd::Ahead(Zxid(5)))]);
    let late = open(&mut shard);
    shard.tick(Now { wall: Millis(0), mono: Millis(2_000) });
    assert_eq!(ends(&mut shard), [(SessionId::NONE, ClientEnd::NoSession)]);
    assert_eq!(shard.conn(late).expect("open").phase, Phase::Closing);
}

#[test]
fn connections_that_are_closed_together_are_counted_and_not_listed() {
    let db = Database::new(Tree::new(0), []);
    let mut shard = shard();
    for _ in 0..3 {
        established(&mut shard, at(&db, 0));
    }
    assert_eq!(shard.changes_lost(), 3);
    assert_eq!(shard.changes_lost(), 0, "they are closed");
    assert!(ends(&mut shard).is_empty());
}
