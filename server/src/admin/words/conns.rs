//! `cons` and `crst`: every connection on one line, and their counters reset.

use std::fmt::Write;
use std::net::SocketAddr;

use ringkeeper_engine::SessionId;
use ringkeeper_engine::op::OpSpec;
use ringkeeper_engine::shard::ConnStats;

use super::{Answer, Text, Word};
use crate::admin::collection::Collection;
use crate::admin::partial::{ConnLine, PartialReport};

pub(super) static CONS: Word =
    Word::new(b"cons", Answer::Report(&CONNECTIONS, Text::Long(|_, report| cons(report))));
pub(super) static CRST: Word = Word::new(
    b"crst",
    Answer::Report(&RESET, Text::Short(|_, _| "Connection stats reset.\n".to_owned())),
);

/// The connections.
pub(in crate::admin) static CONNECTIONS: Collection = Collection::list(|slice| slice.list_conns());
/// Resets the counters of the connections.
pub(in crate::admin) static RESET: Collection = Collection::fixed(|slice| slice.reset_conns());

/// The text of `cons`.
fn cons(report: &PartialReport) -> String {
    let mut text = String::with_capacity(report.conns.len() * 192 + 1);
    for conn in report.conns_of_port() {
        full(conn, &mut text);
    }
    text.push('\n');
    text
}

/// The line of a connection in `stat`.
pub(super) fn brief(conn: &ConnLine, text: &mut String) {
    begin(conn, text).expect("writing to a string cannot fail");
    text.push_str(")\n");
}

fn full(conn: &ConnLine, text: &mut String) {
    let written = begin(conn, text).and_then(|()| session(conn, text));
    written.expect("writing to a string cannot fail");
    text.push_str(")\n");
}

fn begin(conn: &ConnLine, text: &mut String) -> std::fmt::Result {
    let stats = &conn.stats;
    write!(
        text,
        " /{}[{:x}](queued={},recved={},sent={}",
        address(conn.peer),
        conn.interest,
        conn.queued,
        stats.received,
        stats.sent
    )
}

fn session(conn: &ConnLine, text: &mut String) -> std::fmt::Result {
    if conn.session == SessionId::NONE {
        return Ok(());
    }
    let stats = &conn.stats;
    write!(
        text,
        ",sid={},lop={},est={},to={}",
        conn.session,
        OpSpec::of(stats.last_op).short,
        stats.established.0,
        conn.timeout_ms
    )?;
    if stats.last_cxid >= 0 {
        write!(text, ",lcxid=0x{:x}", stats.last_cxid)?;
    }
    write!(
        text,
        ",lzxid=0x{:x},lresp={},llat={},minlat={},avglat={},maxlat={}",
        stats.last_zxid,
        stats.last_response,
        stats.last_latency,
        min_latency(stats),
        avg_latency(stats),
        stats.max_latency
    )
}

/// The shortest latency of a connection; 0 before the first.
pub(in crate::admin) fn min_latency(stats: &ConnStats) -> i64 {
    if stats.replies == 0 { 0 } else { stats.min_latency }
}

/// The mean latency of a connection.
pub(in crate::admin) fn avg_latency(stats: &ConnStats) -> i64 {
    stats.total_latency / stats.replies.max(1)
}

/// Clients of a socket for both families are shown as what they are.
pub(in crate::admin) fn address(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}

#[cfg(test)]
pub(in crate::admin) mod tests {
    use ringkeeper_engine::Millis;
    use ringkeeper_engine::wire::opcode::op;

    use super::*;

    /// A connection as a ZooKeeper showed it.
    pub(in crate::admin) fn line(port: u16, interest: u8, session: SessionId) -> ConnLine {
        let stats = ConnStats {
            established: Millis(1_795_227_465_622),
            received: 3,
            sent: 3,
            last_op: op::PING,
            last_cxid: 1,
            last_zxid: 0x133,
            last_response: 2_928_656,
            last_latency: 0,
            min_latency: 0,
            max_latency: 1,
            total_latency: 1,
            replies: 3,
        };
        ConnLine {
            port: ringkeeper_engine::shard::Port::Client,
            peer: ([127, 0, 0, 1], port).into(),
            interest,
            queued: 0,
            stats,
            session,
            timeout_ms: 30_000,
            heard: Millis(0),
        }
    }

    #[test]
    fn cons_is_as_zookeepers() {
        let session = SessionId(0x100_002c_a9e9_0002);
        let conns = vec![line(49_614, 0, SessionId::NONE), line(49_570, 1, session)];
        let text = " /127.0.0.1:49614[0](queued=0,recved=3,sent=3)\n \
                    /127.0.0.1:49570[1](queued=0,recved=3,sent=3,sid=0x100002ca9e90002,lop=PING,\
                    est=1795227465622,to=30000,lcxid=0x1,lzxid=0x133,lresp=2928656,llat=0,\
                    minlat=0,avglat=0,maxlat=1)\n\n";
        assert_eq!(cons(&PartialReport { conns, ..PartialReport::default() }), text);
    }

    #[test]
    fn after_a_reset_there_is_no_cxid() {
        let mut conn = line(1, 1, SessionId(0x10));
        conn.stats.reset();
        let text = cons(&PartialReport { conns: vec![conn], ..PartialReport::default() });
        let end = "recved=0,sent=0,sid=0x10,lop=NA,est=1795227465622,to=30000,\
                   lzxid=0xffffffffffffffff,lresp=0,llat=0,minlat=0,avglat=0,maxlat=0)\n\n";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn cons_without_connections_is_an_empty_line() {
        assert_eq!(cons(&PartialReport::default()), "\n");
    }

    #[test]
    fn mapped_addresses_are_shown_as_version_four() {
        let peer = "[::ffff:10.1.2.3]:80".parse().unwrap();
        assert_eq!(address(peer).to_string(), "10.1.2.3:80");
    }
}
