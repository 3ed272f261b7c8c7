//! Bytes of a client, cut anywhere, against a whole server in memory.

use std::collections::BTreeSet;

use ringkeeper_engine::database::Interest;
use ringkeeper_engine::limits::{CONN_OUT_BYTES_HARD, CONN_PIPELINE_MAX};
use ringkeeper_engine::shard::Phase;
use ringkeeper_engine::watch::ConnId;
use ringkeeper_engine::wire::Reader;
use ringkeeper_engine::wire::connect::ConnectRequest;
use ringkeeper_engine::wire::header::{ReplyHeader, RequestHeader};
use ringkeeper_engine::wire::opcode::{op, xid};

use crate::server::{Server, ServerSettings, empty_database};

/// Small, so that frames that are too long are found soon.
const FRAME_BYTES_MAX: usize = 4_096;
/// Turns after which everything that was asked must be answered.
const TURNS_MAX: usize = 10_000;

/// The first byte says what stands before the rest and how the rest is cut into pieces.
pub fn run(data: &[u8]) {
    let Some((head, bytes)) = data.split_first() else { return };
    let mut server =
        Server::new(ServerSettings { frame_bytes_max: FRAME_BYTES_MAX, ..Default::default() });
    let conn = server.open(0);
    let mut sent = Vec::new();
    if head & 1 == 1 {
        connect().write_frame(&mut sent);
    }
    sent.extend_from_slice(bytes);
    let mut received = Vec::new();
    let mut pieces = u32::from(*head >> 1);
    let mut rest = &sent[..];
    while !rest.is_empty() {
        pieces = pieces.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        let count = if *head < 2 { rest.len() } else { 1 + (pieces >> 16) as usize % 97 };
        let (piece, tail) = rest.split_at(count.min(rest.len()));
        rest = tail;
        server.turn(conn, piece);
        check_bounds(&server, conn, piece.len());
        take_output(&mut server, conn, &mut received);
    }
    let is_open = settle(&mut server, conn, &mut received);
    check_replies(&sent, &received, is_open);
    server.shards[0].shard.lost(conn);
    check_log(&server);
    check_service(&mut server);
}

/// A handshake for a new session.
pub fn connect() -> ConnectRequest {
    ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: 0,
        timeout_ms: 10_000,
        session: 0,
        password: Some(vec![0; 16]),
        read_only: Some(false),
    }
}

/// Nothing that a client sends makes the server hold more than a frame and its bounds.
fn check_bounds(server: &Server, conn: ConnId, piece: usize) {
    let Some(conn) = server.shards[0].shard.conn(conn) else { return };
    assert!(conn.input.len() <= 4 + FRAME_BYTES_MAX + piece, "{} of input", conn.input.len());
    assert!(conn.out.len() <= CONN_OUT_BYTES_HARD, "{} of output", conn.out.len());
    assert!(conn.pipeline.len() <= CONN_PIPELINE_MAX, "{} requests", conn.pipeline.len());
}

fn take_output(server: &mut Server, conn: ConnId, received: &mut Vec<u8>) {
    if let Some(conn) = server.shards[0].shard.conn_mut(conn) {
        received.append(&mut conn.out);
    }
}

/// Lets everything come to rest; says whether the connection is still open then.
fn settle(server: &mut Server, conn: ConnId, received: &mut Vec<u8>) -> bool {
    for _ in 0..TURNS_MAX {
        server.turn(conn, &[]);
        take_output(server, conn, received);
        let shard = &server.shards[0].shard;
        let Some(at) = shard.conn(conn) else { return false };
        if server.is_quiet() && at.pipeline.is_empty() && at.phase != Phase::Opening {
            assert_eq!(shard.outstanding(), 0, "requests are counted as under way");
            return at.phase == Phase::Established;
        }
    }
    panic!("something waits for ever");
}

/// Replies come in the order of the requests; on an open connection each request has one.
fn check_replies(sent: &[u8], received: &[u8], is_open: bool) {
    let mut requests = frames(sent);
    let connected = requests.next().is_some_and(|first| ConnectRequest::read(first).is_ok());
    let mut replies = frames(received);
    if !connected || replies.next().is_none() {
        return;
    }
    let requests: Vec<&[u8]> = requests.collect();
    let headers =
        requests.iter().map_while(|frame| RequestHeader::read(&mut Reader::new(frame)).ok());
    let headers: Vec<RequestHeader> = headers.collect();
    if headers.iter().any(|header| header.xid == xid::NOTIFICATION) {
        return;
    }
    let is_aside = |header: &RequestHeader| matches!(header.op, op::AUTH | op::SASL);
    let (aside, due): (Vec<RequestHeader>, Vec<RequestHeader>) =
        headers.into_iter().partition(is_aside);
    // Requests of both kinds may have the same number, so that a reply may belong to either: what
    // is kept is every count of answered ones that is possible so far.
    let mut answered = BTreeSet::from([(0, 0)]);
    for reply in replies {
        let reply = ReplyHeader::read(&mut Reader::new(reply)).expect("replies have a header");
        if reply.xid == xid::NOTIFICATION {
            continue;
        }
        let is_next = |header: Option<&RequestHeader>| {
            let xid = header.map(|h| if h.op == op::PING { xid::PING } else { h.xid });
            xid == Some(reply.xid)
        };
        let to_aside = answered.iter().filter(|(first, _)| is_next(aside.get(*first)));
        let to_due = answered.iter().filter(|(_, second)| is_next(due.get(*second)));
        let next = to_aside.map(|(first, second)| (first + 1, *second));
        let next: BTreeSet<(usize, usize)> =
            next.chain(to_due.map(|(first, second)| (*first, second + 1))).collect();
        assert!(!next.is_empty(), "reply {} after {answered:?} of {aside:?}, {due:?}", reply.xid);
        answered = next;
    }
    let complete = answered.iter().any(|(_, second)| *second == due.len());
    assert!(!is_open || complete, "{answered:?} of {due:?} have replies");
}

/// The payloads of the whole frames in a stream, as far as their lengths are allowed.
fn frames(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        let (frame, rest) = rest.split_at_checked(length).filter(|_| length > 0)?;
        bytes = rest;
        Some(frame)
    })
}

/// A restart would bring back the very tree that was served.
fn check_log(server: &Server) {
    let mut db = empty_database();
    for txn in &server.history {
        db.apply(txn, Interest::None);
    }
    assert_eq!(db.tree.digest(), server.db().tree.digest(), "the log gives another tree");
}

/// Whatever one client has done, another one is served.
fn check_service(server: &mut Server) {
    let conn = server.open(0);
    let mut bytes = Vec::new();
    connect().write_frame(&mut bytes);
    bytes.extend_from_slice(b"\0\0\0\x0e\0\0\0\x07\0\0\0\x03\0\0\0\x01/\0");
    let mut received = Vec::new();
    server.turn(conn, &bytes);
    settle(server, conn, &mut received);
    let reply = frames(&received).nth(1).expect("a new client is served");
    let header = ReplyHeader::read(&mut Reader::new(reply)).expect("replies have a header");
    assert_eq!((header.xid, header.err), (7, 0), "exists(/) is never refused");
}
