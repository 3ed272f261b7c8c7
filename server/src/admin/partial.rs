//! What one shard, or the node, adds to a report.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ringkeeper_engine::shard::{Conn, Phase, Port, Shard, ShardCounters};
use ringkeeper_engine::{Millis, SessionId};

use super::latency::{Latencies, ShardLatencies};
use super::watched::Watched;

/// A part of a report, or all of it: parts are added up. What a report does not need is empty.
#[derive(Default)]
pub(super) struct PartialReport {
    /// Numbers.
    pub counts: Counts,
    /// Connections.
    pub conns: Vec<ConnLine>,
    /// The port where a client has requested it; none over HTTP.
    pub port: Option<Port>,
    /// Sessions, each with the monotonic moment at which its timeout is over if nothing is heard.
    pub sessions: Vec<(SessionId, Millis)>,
    /// Watches of the data table, as they were copied: a slice at a time.
    pub watched: Vec<Watched>,
    /// The sessions that have, or have had, a watch of the data table.
    pub watchers: Vec<SessionId>,
}

/// The numbers of one shard, or of all.
#[derive(Clone, Default)]
pub(super) struct Counts {
    /// The shard's own counters.
    pub shard: ShardCounters,
    /// Connections.
    pub conns: u64,
    /// Requests under way.
    pub outstanding: u64,
    /// Watches of both tables.
    pub watches: u64,
    /// Watches of the data table.
    pub data_watches: u64,
    /// Paths with a watch of the data table.
    pub watched_paths: u64,
    /// Connections with a watch of the data table.
    pub watching_conns: u64,
    /// Latencies of everything that is answered without a transaction.
    pub reads: Latencies,
    /// Latencies of transactions.
    pub updates: Latencies,
    /// For how long requests were held back.
    pub held: Latencies,
}

/// What is shown of one connection.
#[derive(Clone, Debug)]
pub(super) struct ConnLine {
    /// The other side.
    pub peer: SocketAddr,
    /// The port that it has connected to.
    pub port: Port,
    /// What its socket is waited for: 1 to read, 4 to write.
    pub interest: u8,
    /// Requests whose replies are due.
    pub queued: usize,
    /// Counters.
    pub stats: ringkeeper_engine::shard::ConnStats,
    /// The session; none is 0.
    pub session: SessionId,
    /// Its timeout.
    pub timeout_ms: i32,
    /// When it was heard of last, monotonic clock.
    pub heard: Millis,
}

impl PartialReport {
    /// The connections of the port where the report was requested, as ZooKeeper lists them.
    pub(super) fn conns_of_port(&self) -> impl Iterator<Item = &ConnLine> {
        self.conns.iter().filter(|conn| self.port.is_none_or(|port| conn.port == port))
    }

    /// Adds another part to this one.
    pub(super) fn add(&mut self, other: PartialReport) {
        self.counts.add(&other.counts);
        append(&mut self.conns, other.conns);
        append(&mut self.sessions, other.sessions);
        append(&mut self.watched, other.watched);
        append(&mut self.watchers, other.watchers);
    }

    /// The watched paths with their watchers, in order.
    pub(super) fn watches_by_path(&self) -> BTreeMap<&str, Vec<SessionId>> {
        let mut paths: BTreeMap<&str, Vec<SessionId>> = BTreeMap::new();
        for (path, sessions) in self.watched.iter().flat_map(Watched::iter) {
            paths.entry(path).or_default().extend_from_slice(sessions);
        }
        paths
    }

    /// The watchers with their paths, also those whose watches are gone.
    pub(super) fn watches_by_session(&self) -> BTreeMap<SessionId, Vec<&str>> {
        let mut watchers: BTreeMap<SessionId, Vec<&str>> = BTreeMap::new();
        for session in &self.watchers {
            watchers.entry(*session).or_default();
        }
        for (path, sessions) in self.watched.iter().flat_map(Watched::iter) {
            for session in sessions {
                watchers.entry(*session).or_default().push(path);
            }
        }
        watchers
    }
}

/// The first of several parts is not copied.
fn append<T>(to: &mut Vec<T>, mut from: Vec<T>) {
    if to.is_empty() { *to = from } else { to.append(&mut from) }
}

impl Counts {
    /// The numbers of a shard.
    pub(super) fn of(shard: &Shard, latencies: &ShardLatencies) -> Counts {
        let watches = &shard.watches;
        Counts {
            shard: shard.counters.clone(),
            conns: shard.conn_count() as u64,
            outstanding: shard.outstanding() as u64,
            watches: (watches.watches() + watches.child_watches()) as u64,
            data_watches: watches.watches() as u64,
            watched_paths: watches.paths() as u64,
            watching_conns: watches.connections() as u64,
            reads: latencies.reads.clone(),
            updates: latencies.updates.clone(),
            held: latencies.held.clone(),
        }
    }

    fn add(&mut self, other: &Counts) {
        self.shard.add(&other.shard);
        self.conns += other.conns;
        self.outstanding += other.outstanding;
        self.watches += other.watches;
        self.data_watches += other.data_watches;
        self.watched_paths += other.watched_paths;
        self.watching_conns += other.watching_conns;
        self.reads.add(&other.reads);
        self.updates.add(&other.updates);
        self.held.add(&other.held);
    }

    /// All latencies.
    pub(super) fn latencies(&self) -> Latencies {
        let mut all = self.reads.clone();
        all.add(&self.updates);
        all
    }
}

impl ConnLine {
    /// What is shown of a connection now.
    pub(super) fn of(conn: &Conn, reads: bool) -> ConnLine {
        let attached = conn.attached.as_ref();
        let writes = !conn.out.is_empty();
        let waits = conn.phase != Phase::Word;
        ConnLine {
            peer: conn.peer,
            port: conn.port,
            interest: u8::from(waits && reads) | if waits && writes { 4 } else { 0 },
            queued: conn.pipeline.len() + conn.held,
            stats: conn.stats.clone(),
            session: conn.session(),
            timeout_ms: attached.map_or(0, |attached| attached.timeout_ms),
            heard: attached.map_or(conn.accepted, |attached| attached.last_heard.get()),
        }
    }
}

#[cfg(test)]
mod tests {
    use ringkeeper_engine::shard::{Fired, ReplyBytes};

    use super::*;

    #[test]
    fn counts_add_up() {
        let reply = |last, min, max| Some(ReplyBytes { last, min, max });
        let fired = |min, max| Fired { changes: 1, watches: max, min, max };
        let mut all = PartialReport::default();
        for (bytes, fire) in [(reply(16, 16, 90), fired(3, 3)), (reply(20, 8, 20), fired(1, 1))] {
            let mut part = PartialReport::default();
            part.counts.shard.reply_bytes = bytes;
            part.counts.shard.fired[1] = fire;
            part.counts.shard.ops.note(4);
            part.counts.conns = 5;
            part.counts.reads.record(1_000);
            all.add(part);
        }
        let counts = &all.counts;
        assert_eq!(counts.shard.reply_bytes, reply(20, 8, 90));
        assert_eq!(counts.shard.fired[1], Fired { changes: 2, watches: 4, min: 1, max: 3 });
        let ops: Vec<_> = counts.shard.ops.iter().map(|(op, count)| (op.code, count)).collect();
        assert_eq!((counts.conns, ops), (10, vec![(4, 2)]));
        assert_eq!(counts.latencies().millis().count, 2);
    }
}
