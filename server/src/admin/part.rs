//! What one shard, or the sequencer, adds to a report.

use std::net::SocketAddr;

use ringkeeper_engine::shard::{
    Conn, Fired, Phase, ReplyBytes, Shard, ShardCounters, ThrottleCounters,
};
use ringkeeper_engine::{Millis, SessionId};

use super::job::ShardLatencies;
use super::latency::Latencies;
use super::watched::Watched;

/// A part of a report. Parts are put together by adding them up, so one that has nothing to say
/// about something is empty there.
#[derive(Default)]
pub(super) struct Part {
    /// Numbers.
    pub counts: Counts,
    /// Connections.
    pub conns: Vec<ConnLine>,
    /// Sessions, each with the monotonic moment at which its timeout is over if nothing is heard.
    pub sessions: Vec<(SessionId, Millis)>,
    /// Watches of the data table, as they were copied: a slice at a time.
    pub watched: Vec<Watched>,
    /// Everybody who has, or has had, a watch of the data table.
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

impl Part {
    /// Adds another part to this one.
    pub(super) fn add(&mut self, other: Part) {
        self.counts.add(&other.counts);
        append(&mut self.conns, other.conns);
        append(&mut self.sessions, other.sessions);
        append(&mut self.watched, other.watched);
        append(&mut self.watchers, other.watchers);
    }

    /// How much there is to be put into words, in lines.
    pub(super) fn lines(&self) -> usize {
        let watched: usize = self.watched.iter().map(Watched::len).sum();
        self.conns.len() + self.sessions.len() + self.watchers.len() + watched
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
        add_counters(&mut self.shard, &other.shard);
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

fn add_counters(sum: &mut ShardCounters, more: &ShardCounters) {
    sum.received += more.received;
    sum.sent += more.sent;
    sum.received_bytes += more.received_bytes;
    sum.auth_failed += more.auth_failed;
    sum.sessionless_expired += more.sessionless_expired;
    sum.connection_requests += more.connection_requests;
    sum.revalidations += more.revalidations;
    sum.dropped += more.dropped;
    add_throttle(&mut sum.throttle, more.throttle);
    sum.reply_bytes_sum += more.reply_bytes_sum;
    for (sum, more) in sum.notifications.iter_mut().zip(more.notifications) {
        *sum += more;
    }
    for (sum, more) in sum.fired.iter_mut().zip(more.fired) {
        *sum = add_fired(*sum, more);
    }
    sum.reply_bytes = add_reply_bytes(sum.reply_bytes, more.reply_bytes);
    sum.ops.add(&more.ops);
}

fn add_throttle(sum: &mut ThrottleCounters, more: ThrottleCounters) {
    sum.large_rejected += more.large_rejected;
    sum.waits += more.waits;
    sum.throttled += more.throttled;
    sum.stale += more.stale;
    sum.stale_dropped += more.stale_dropped;
    sum.stale_replies += more.stale_replies;
}

fn add_fired(one: Fired, two: Fired) -> Fired {
    if one.changes == 0 || two.changes == 0 {
        return if one.changes == 0 { two } else { one };
    }
    Fired {
        changes: one.changes + two.changes,
        watches: one.watches + two.watches,
        min: one.min.min(two.min),
        max: one.max.max(two.max),
    }
}

/// Nobody knows which of two shards replied last; the later part wins.
fn add_reply_bytes(one: Option<ReplyBytes>, two: Option<ReplyBytes>) -> Option<ReplyBytes> {
    let (Some(one), Some(two)) = (one, two) else { return one.or(two) };
    Some(ReplyBytes { last: two.last, min: one.min.min(two.min), max: one.max.max(two.max) })
}

impl ConnLine {
    /// What is shown of a connection now.
    pub(super) fn of(conn: &Conn, reads: bool) -> ConnLine {
        let attached = conn.attached.as_ref();
        let writes = !conn.out.is_empty();
        let waits = conn.phase != Phase::Word;
        ConnLine {
            peer: conn.peer,
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
    use super::*;

    #[test]
    fn counts_add_up() {
        let reply = |last, min, max| Some(ReplyBytes { last, min, max });
        let fired = |min, max| Fired { changes: 1, watches: max, min, max };
        let mut all = Part::default();
        for (bytes, fire) in [(reply(16, 16, 90), fired(3, 3)), (reply(20, 8, 20), fired(1, 1))] {
            let mut part = Part::default();
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
