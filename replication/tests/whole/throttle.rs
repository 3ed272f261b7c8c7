//! Limits of requests and of new connections, step by step.

use ringkeeper_engine::client::{Core, Options, Request};
use ringkeeper_engine::shard::{Phase, ThrottleCounters};
use ringkeeper_engine::throttle::{ConnectionLimits, RequestLimits};
use ringkeeper_engine::watch::ConnId;
use ringkeeper_engine::wire::Reader;
use ringkeeper_engine::wire::header::ReplyHeader;

use crate::node::{Node, NodeSettings};

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
    fn dial(node: &mut Node) -> Peer {
        let mut core = Core::new(Options { timeout_ms: 6_000, ..Options::default() });
        let mut bytes = Vec::new();
        core.connect(node.now.mono, &mut bytes);
        let conn = node.open(0);
        node.serve(0, std::iter::once((conn, &bytes[..])));
        Peer { core, conn }
    }

    fn connect(node: &mut Node) -> Peer {
        let mut peer = Peer::dial(node);
        settle(node);
        let bytes = peer.output(node);
        peer.core.receive(&mut &bytes[..]).expect("an answer");
        assert!(peer.is_open(node), "the session is open");
        peer
    }

    fn send(&mut self, node: &mut Node, requests: &[Request<'_>]) {
        let mut bytes = Vec::new();
        for request in requests {
            self.core.request(request, (), &mut bytes);
        }
        node.serve(0, std::iter::once((self.conn, &bytes[..])));
    }

    fn output(&self, node: &mut Node) -> Vec<u8> {
        let conn = node.seats[0].shard.conn_mut(self.conn);
        conn.map(|conn| std::mem::take(&mut conn.out)).unwrap_or_default()
    }

    /// Number and code of every reply that has come.
    fn replies(&self, node: &mut Node) -> Vec<(i32, i32)> {
        let bytes = self.output(node);
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

    fn is_open(&self, node: &Node) -> bool {
        let conn = node.seats[0].shard.conn(self.conn);
        conn.is_some_and(|conn| conn.phase == Phase::Established)
    }
}

fn node(requests: RequestLimits) -> Node {
    Node::new(NodeSettings { requests, ..NodeSettings::default() })
}

/// One commit, from what waits on the shard to what it answers.
fn commit(node: &mut Node) {
    node.order(usize::MAX);
    node.sync();
    node.release();
    node.serve(0, std::iter::empty());
}

fn settle(node: &mut Node) {
    while !node.is_quiet() {
        commit(node);
    }
}

fn counters(node: &Node) -> ThrottleCounters {
    node.seats[0].shard.counters.throttle
}

fn version(node: &Node) -> i32 {
    node.db.tree.version(node.db.tree.find("/").expect("there is a root"))
}

#[test]
fn who_waits_for_too_long_is_refused() {
    let wait_us_max = Some(5_000);
    let limits = RequestLimits { in_process_max: Some(1), wait_us_max, ..RequestLimits::default() };
    let mut node = node(limits);
    let mut peer = Peer::connect(&mut node);
    peer.send(&mut node, &[SET, GET, Request::Ping, SET, GET]);
    assert_eq!(node.seats[0].shard.held(), 4, "one is in process");
    assert_eq!(peer.replies(&mut node), []);
    node.pass(6);
    settle(&mut node);
    let refused = [(1, OK), (2, THROTTLED), (-2, OK), (3, THROTTLED), (4, THROTTLED)];
    assert_eq!(peer.replies(&mut node), refused);
    assert_eq!((version(&node), node.history.len()), (1, 2), "a refusal takes no place in the log");
    assert_eq!(counters(&node).throttled, 3);
    assert_eq!(node.seats[0].shard.outputs.waited_us, [0, 0, 6_000, 6_000, 6_000, 6_000]);
    peer.send(&mut node, &[SET, GET]);
    settle(&mut node);
    assert_eq!(peer.replies(&mut node), [(5, OK), (6, OK)]);
}

#[test]
fn a_refusal_waits_for_what_is_ahead_of_it() {
    let wait_us_max = Some(5_000);
    let limits = RequestLimits { in_process_max: Some(2), wait_us_max, ..RequestLimits::default() };
    let mut node = node(limits);
    let mut peer = Peer::connect(&mut node);
    peer.send(&mut node, &[SET]);
    node.order(usize::MAX);
    peer.send(&mut node, &[SET, GET]);
    node.order(usize::MAX);
    node.pass(6);
    node.sync();
    node.release();
    node.serve(0, std::iter::empty());
    assert_eq!(node.seats[0].shard.held(), 0);
    assert_eq!(peer.replies(&mut node), [(1, OK)], "the second write is not durable yet");
    settle(&mut node);
    assert_eq!(peer.replies(&mut node), [(2, OK), (3, THROTTLED)]);
}

/// What becomes of a write that was held back when its client went away.
fn abandoned(limits: RequestLimits) -> Node {
    let mut node = node(RequestLimits { in_process_max: Some(1), ..limits });
    let mut first = Peer::connect(&mut node);
    let mut second = Peer::connect(&mut node);
    first.send(&mut node, &[SET]);
    second.send(&mut node, &[SET, GET, SET]);
    node.seats[0].shard.lost(second.conn);
    assert!(node.seats[0].shard.conn(second.conn).is_some(), "something can still come for it");
    settle(&mut node);
    assert!(node.seats[0].shard.conn(second.conn).is_none(), "its id is free");
    assert_eq!(first.replies(&mut node), [(1, OK)]);
    assert_eq!((node.seats[0].shard.outstanding(), node.seats[0].shard.held()), (0, 0));
    node
}

#[test]
fn what_nobody_waits_for_is_dropped() {
    let limits =
        RequestLimits { drop_stale: true, stale_by_connection: true, ..RequestLimits::default() };
    let node = abandoned(limits);
    let counters = counters(&node);
    assert_eq!((version(&node), counters.stale_dropped, counters.stale), (1, 1, 0));
}

#[test]
fn what_nobody_waits_for_is_done_where_the_settings_say_so() {
    let limits = RequestLimits { stale_by_connection: true, ..RequestLimits::default() };
    let node = abandoned(limits);
    let throttle = counters(&node);
    assert_eq!((version(&node), throttle.stale_dropped, throttle.stale), (3, 0, 3));
    assert_eq!(throttle.stale_replies, 2);
    let node = abandoned(RequestLimits { drop_stale: true, ..RequestLimits::default() });
    assert_eq!((version(&node), counters(&node).stale), (3, 0), "nothing makes it stale");
}

#[test]
fn a_close_outlives_its_connection() {
    let limits = RequestLimits {
        in_process_max: Some(1),
        drop_stale: true,
        stale_by_connection: true,
        ..RequestLimits::default()
    };
    let mut node = node(limits);
    let mut first = Peer::connect(&mut node);
    let mut second = Peer::connect(&mut node);
    let session = second.core.session().id;
    first.send(&mut node, &[SET]);
    second.send(&mut node, &[Request::CloseSession]);
    node.seats[0].shard.lost(second.conn);
    assert!(node.knows(session));
    settle(&mut node);
    assert!(!node.knows(session), "its session is closed");
    assert!(node.seats[0].shard.conn(second.conn).is_none());
}

#[test]
fn who_waits_longer_than_its_session_lasts_loses_its_connection() {
    let limits = RequestLimits {
        in_process_max: Some(1),
        drop_stale: true,
        stale_by_latency: true,
        ..RequestLimits::default()
    };
    let mut node = node(limits);
    let mut first = Peer::connect(&mut node);
    let mut second = Peer::connect(&mut node);
    first.send(&mut node, &[SET]);
    second.send(&mut node, &[SET]);
    node.now.mono.0 += 5_999;
    node.serve(0, std::iter::empty());
    second.send(&mut node, &[SET]);
    assert_eq!(node.seats[0].shard.held(), 2);
    node.now.mono.0 += 2;
    node.serve(0, std::iter::empty());
    assert!(node.has_closed(0, second.conn), "and what came behind the late request goes too");
    assert_eq!((node.seats[0].shard.held(), counters(&node).stale_dropped), (0, 1));
    settle(&mut node);
    assert_eq!((version(&node), first.replies(&mut node)), (1, vec![(1, OK)]));
}

#[test]
fn large_requests_share_their_bytes() {
    let limits = RequestLimits {
        large_from: Some(1_000),
        large_bytes_max: 3_000,
        ..RequestLimits::default()
    };
    let mut node = node(limits);
    let data = [0; 1_500];
    let large = Request::SetData { path: "/", data: Some(&data), version: -1 };
    let mut first = Peer::connect(&mut node);
    let mut second = Peer::connect(&mut node);
    first.send(&mut node, &[large, SET]);
    second.send(&mut node, &[SET, large, SET]);
    assert!(node.has_closed(0, second.conn) && first.is_open(&node));
    assert_eq!(counters(&node).large_rejected, 1);
    node.seats[0].shard.lost(second.conn);
    settle(&mut node);
    assert_eq!(first.replies(&mut node), [(1, OK), (2, OK)]);
    assert_eq!(version(&node), 3, "what was taken before is done");
    let mut third = Peer::connect(&mut node);
    third.send(&mut node, &[large]);
    settle(&mut node);
    assert_eq!(third.replies(&mut node), [(1, OK)], "the bytes are free again");
    node.serve(0, std::iter::once((third.conn, &3_001_u32.to_be_bytes()[..])));
    assert!(node.has_closed(0, third.conn), "its body is not even waited for");
    assert_eq!(counters(&node).large_rejected, 2);
}

#[test]
fn who_gets_no_token_is_closed() {
    let connections = ConnectionLimits {
        tokens_max: 1,
        fill_ms: 100,
        fill_count: 1,
        blue: None,
        open_weight: 1,
        renew_weight: 1,
        seed: 1,
    };
    let settings = NodeSettings { connections: Some(connections), ..NodeSettings::default() };
    let mut node = Node::new(settings);
    let first = Peer::connect(&mut node);
    let second = Peer::dial(&mut node);
    settle(&mut node);
    assert!(node.has_closed(0, second.conn) && second.output(&mut node).is_empty());
    assert_eq!(node.history.len(), 1, "no session was opened for it");
    assert!(first.is_open(&node));
    node.pass(101);
    Peer::connect(&mut node);
}
