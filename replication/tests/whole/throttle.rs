//! Limits of requests and of new connections, step by step.

use ringkeeper_engine::client::{Core, Options, Request};
use ringkeeper_engine::shard::{Phase, ThrottleCounters};
use ringkeeper_engine::throttle::{ConnectionLimits, RequestLimits};
use ringkeeper_engine::watch::ConnId;
use ringkeeper_engine::wire::Reader;
use ringkeeper_engine::wire::header::ReplyHeader;

use crate::server::{Server, ServerSettings};

const OK: i32 = 0;
const THROTTLED: i32 = -127;
const SET: Request<'_> = Request::SetData { path: "/", data: None, version: -1 };
const GET: Request<'_> = Request::GetData { path: "/", watch: false };

/// One client that looks at the headers of replies only.
struct Peer {
    core: Core<()>,
    conn: ConnId,
}

impl Peer {
    /// A connection whose handshake is sent.
    fn dial(server: &mut Server) -> Peer {
        let mut core = Core::new(Options { timeout_ms: 6_000, ..Options::default() });
        let mut bytes = Vec::new();
        core.connect(server.now.mono, &mut bytes);
        let conn = server.open(0);
        server.serve(0, std::iter::once((conn, &bytes[..])));
        Peer { core, conn }
    }

    fn connect(server: &mut Server) -> Peer {
        let mut peer = Peer::dial(server);
        settle(server);
        let bytes = peer.output(server);
        peer.core.receive(&mut &bytes[..]).expect("an answer");
        assert!(peer.is_open(server), "the session is open");
        peer
    }

    fn send(&mut self, server: &mut Server, requests: &[Request<'_>]) {
        let mut bytes = Vec::new();
        for request in requests {
            self.core.request(request, (), &mut bytes);
        }
        server.serve(0, std::iter::once((self.conn, &bytes[..])));
    }

    fn output(&self, server: &mut Server) -> Vec<u8> {
        let conn = server.shards[0].shard.conn_mut(self.conn);
        conn.map(|conn| std::mem::take(&mut conn.out)).unwrap_or_default()
    }

    /// Number and code of every reply that has come.
    fn replies(&self, server: &mut Server) -> Vec<(i32, i32)> {
        let bytes = self.output(server);
        let mut rest = &bytes[..];
        let mut replies = Vec::new();
        while let Some((length, tail)) = rest.split_first_chunk::<4>() {
            let (frame, tail) = tail.split_at(u32::from_be_bytes(*length) as usize);
            let header = ReplyHeader::read(&mut Reader::new(frame)).expect("a header");
            replies.push((header.xid, header.err));
            rest = tail;
        }
        replies
    }

    fn is_open(&self, server: &Server) -> bool {
        let conn = server.shards[0].shard.conn(self.conn);
        conn.is_some_and(|conn| conn.phase == Phase::Established)
    }
}

fn server(requests: RequestLimits) -> Server {
    Server::new(ServerSettings { requests, ..ServerSettings::default() })
}

/// One commit, from what waits on the shard to what it answers.
fn commit(server: &mut Server) {
    server.order(usize::MAX);
    server.sync();
    server.release();
    server.serve(0, std::iter::empty());
}

fn settle(server: &mut Server) {
    while !server.is_quiet() {
        commit(server);
    }
}

fn counters(server: &Server) -> ThrottleCounters {
    server.shards[0].shard.counters.throttle
}

fn version(server: &Server) -> i32 {
    server.db().tree.version(server.db().tree.find("/").expect("there is a root"))
}

#[test]
fn request_held_for_too_long_is_refused() {
    let wait_us_max = Some(5_000);
    let limits = RequestLimits { in_process_max: Some(1), wait_us_max, ..RequestLimits::default() };
    let mut server = server(limits);
    let mut peer = Peer::connect(&mut server);
    peer.send(&mut server, &[SET, GET, Request::Ping, SET, GET]);
    assert_eq!(server.shards[0].shard.held(), 4, "one is in process");
    assert_eq!(peer.replies(&mut server), []);
    server.pass(6);
    settle(&mut server);
    let refused = [(1, OK), (2, THROTTLED), (-2, OK), (3, THROTTLED), (4, THROTTLED)];
    assert_eq!(peer.replies(&mut server), refused);
    assert_eq!(
        (version(&server), server.history.len()),
        (1, 2),
        "a refusal takes no place in the log"
    );
    assert_eq!(counters(&server).throttled, 3);
    assert_eq!(server.shards[0].shard.outputs.waited_us, [0, 0, 6_000, 6_000, 6_000, 6_000]);
    peer.send(&mut server, &[SET, GET]);
    settle(&mut server);
    assert_eq!(peer.replies(&mut server), [(5, OK), (6, OK)]);
}

#[test]
fn a_refusal_waits_for_what_is_ahead_of_it() {
    let wait_us_max = Some(5_000);
    let limits = RequestLimits { in_process_max: Some(2), wait_us_max, ..RequestLimits::default() };
    let mut server = server(limits);
    let mut peer = Peer::connect(&mut server);
    peer.send(&mut server, &[SET]);
    server.order(usize::MAX);
    peer.send(&mut server, &[SET, GET]);
    server.order(usize::MAX);
    server.pass(6);
    server.sync();
    server.release();
    server.serve(0, std::iter::empty());
    assert_eq!(server.shards[0].shard.held(), 0);
    assert_eq!(peer.replies(&mut server), [(1, OK)], "the second write is not durable yet");
    settle(&mut server);
    assert_eq!(peer.replies(&mut server), [(2, OK), (3, THROTTLED)]);
}

/// What becomes of a write that was held back when its client went away.
fn abandoned(limits: RequestLimits) -> Server {
    let mut server = server(RequestLimits { in_process_max: Some(1), ..limits });
    let mut first = Peer::connect(&mut server);
    let mut second = Peer::connect(&mut server);
    first.send(&mut server, &[SET]);
    second.send(&mut server, &[SET, GET, SET]);
    server.shards[0].shard.lost(second.conn);
    assert!(server.shards[0].shard.conn(second.conn).is_some(), "something can still come for it");
    settle(&mut server);
    assert!(server.shards[0].shard.conn(second.conn).is_none(), "its id is free");
    assert_eq!(first.replies(&mut server), [(1, OK)]);
    assert_eq!((server.shards[0].shard.outstanding(), server.shards[0].shard.held()), (0, 0));
    server
}

#[test]
fn held_request_of_a_lost_connection_is_dropped() {
    let limits =
        RequestLimits { drop_stale: true, stale_by_connection: true, ..RequestLimits::default() };
    let server = abandoned(limits);
    let counters = counters(&server);
    assert_eq!((version(&server), counters.stale_dropped, counters.stale), (1, 1, 0));
}

#[test]
fn held_request_of_a_lost_connection_is_served_where_configured() {
    let limits = RequestLimits { stale_by_connection: true, ..RequestLimits::default() };
    let server = abandoned(limits);
    let throttle = counters(&server);
    assert_eq!((version(&server), throttle.stale_dropped, throttle.stale), (3, 0, 3));
    assert_eq!(throttle.stale_replies, 2);
    let server = abandoned(RequestLimits { drop_stale: true, ..RequestLimits::default() });
    assert_eq!((version(&server), counters(&server).stale), (3, 0), "nothing makes it stale");
}

#[test]
fn a_close_outlives_its_connection() {
    let limits = RequestLimits {
        in_process_max: Some(1),
        drop_stale: true,
        stale_by_connection: true,
        ..RequestLimits::default()
    };
    let mut server = server(limits);
    let mut first = Peer::connect(&mut server);
    let mut second = Peer::connect(&mut server);
    let session = second.core.session().id;
    first.send(&mut server, &[SET]);
    second.send(&mut server, &[Request::CloseSession]);
    server.shards[0].shard.lost(second.conn);
    assert!(server.knows(session));
    settle(&mut server);
    assert!(!server.knows(session), "its session is closed");
    assert!(server.shards[0].shard.conn(second.conn).is_none());
}

#[test]
fn connection_held_longer_than_its_session_lasts_is_closed() {
    let limits = RequestLimits {
        in_process_max: Some(1),
        drop_stale: true,
        stale_by_latency: true,
        ..RequestLimits::default()
    };
    let mut server = server(limits);
    let mut first = Peer::connect(&mut server);
    let mut second = Peer::connect(&mut server);
    first.send(&mut server, &[SET]);
    second.send(&mut server, &[SET]);
    server.skip(5_999);
    server.serve(0, std::iter::empty());
    second.send(&mut server, &[SET]);
    assert_eq!(server.shards[0].shard.held(), 2);
    server.skip(2);
    server.serve(0, std::iter::empty());
    assert!(server.has_closed(0, second.conn), "and what came behind the late request goes too");
    assert_eq!((server.shards[0].shard.held(), counters(&server).stale_dropped), (0, 1));
    settle(&mut server);
    assert_eq!((version(&server), first.replies(&mut server)), (1, vec![(1, OK)]));
}

#[test]
fn large_requests_share_their_bytes() {
    let limits = RequestLimits {
        large_from: Some(1_000),
        large_bytes_max: 3_000,
        ..RequestLimits::default()
    };
    let mut server = server(limits);
    let data = [0; 1_500];
    let large = Request::SetData { path: "/", data: Some(&data), version: -1 };
    let mut first = Peer::connect(&mut server);
    let mut second = Peer::connect(&mut server);
    first.send(&mut server, &[large, SET]);
    second.send(&mut server, &[SET, large, SET]);
    assert!(server.has_closed(0, second.conn) && first.is_open(&server));
    assert_eq!(counters(&server).large_rejected, 1);
    server.shards[0].shard.lost(second.conn);
    settle(&mut server);
    assert_eq!(first.replies(&mut server), [(1, OK), (2, OK)]);
    assert_eq!(version(&server), 3, "what was taken before is done");
    let mut third = Peer::connect(&mut server);
    third.send(&mut server, &[large]);
    settle(&mut server);
    assert_eq!(third.replies(&mut server), [(1, OK)], "the bytes are free again");
    server.serve(0, std::iter::once((third.conn, &3_001_u32.to_be_bytes()[..])));
    assert!(server.has_closed(0, third.conn), "its body is not even waited for");
    assert_eq!(counters(&server).large_rejected, 2);
}

#[test]
fn connection_without_a_token_is_closed() {
    let connections = ConnectionLimits {
        tokens_max: 1,
        fill_ms: 100,
        fill_count: 1,
        blue: None,
        open_weight: 1,
        renew_weight: 1,
        seed: 1,
    };
    let settings = ServerSettings { connections: Some(connections), ..ServerSettings::default() };
    let mut server = Server::new(settings);
    let first = Peer::connect(&mut server);
    let second = Peer::dial(&mut server);
    settle(&mut server);
    assert!(server.has_closed(0, second.conn) && second.output(&mut server).is_empty());
    assert_eq!(server.history.len(), 1, "no session was opened for it");
    assert!(first.is_open(&server));
    server.pass(101);
    Peer::connect(&mut server);
}
