//! What a shard counts.

use crate::op::OpSpec;
use crate::op::table::{ROWS, row_of};

/// Counters of a shard; they only grow, apart from resets of the latencies.
#[derive(Clone, Debug, Default)]
pub struct ShardCounters {
    /// Packets received.
    pub received: u64,
    /// Packets sent.
    pub sent: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Failed authentications.
    pub auth_failed: u64,
    /// Connections closed because their handshake took too long.
    pub sessionless_expired: u64,
    /// Requests to open or re-attach a session.
    pub connection_requests: u64,
    /// Requests to re-attach a session.
    pub revalidations: u64,
    /// Notifications sent, by event type (index 1 to 4).
    pub notifications: [u64; 5],
    /// Watches that one change fired, by event type (index 1 to 4).
    pub fired: [Fired; 5],
    /// Connections that went away while their session was open.
    pub dropped: u64,
    /// What the limits of requests did.
    pub throttle: ThrottleCounters,
    /// Bytes of the last, smallest and largest reply.
    pub reply_bytes: Option<ReplyBytes>,
    /// Bytes of all replies.
    pub reply_bytes_sum: u64,
    /// Requests by operation.
    pub ops: OpCounts,
}

/// What the limits of requests did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ThrottleCounters {
    /// Connections closed because large requests had too many bytes together.
    pub large_rejected: u64,
    /// Times at which the first held request had to wait on.
    pub waits: u64,
    /// Requests refused because they were held for too long.
    pub throttled: u64,
    /// Stale requests that were served.
    pub stale: u64,
    /// Connections of which a stale request, and what came behind it, was dropped.
    pub stale_dropped: u64,
    /// Replies to connections that were gone.
    pub stale_replies: u64,
}

impl ThrottleCounters {
    fn add(&mut self, more: ThrottleCounters) {
        self.large_rejected += more.large_rejected;
        self.waits += more.waits;
        self.throttled += more.throttled;
        self.stale += more.stale;
        self.stale_dropped += more.stale_dropped;
        self.stale_replies += more.stale_replies;
    }
}

/// How many watches changes fired. Only changes that fired one count.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Fired {
    /// Changes.
    pub changes: u64,
    /// Watches of all of them.
    pub watches: u64,
    /// The fewest of one.
    pub min: u64,
    /// The most of one.
    pub max: u64,
}

impl Fired {
    fn add(&mut self, more: Fired) {
        self.min = match (self.changes, more.changes) {
            (_, 0) => self.min,
            (0, _) => more.min,
            (_, _) => self.min.min(more.min),
        };
        self.max = self.max.max(more.max);
        self.changes += more.changes;
        self.watches += more.watches;
    }

    pub(super) fn note(&mut self, watches: u64) {
        self.min = if self.changes == 0 { watches } else { self.min.min(watches) };
        self.max = self.max.max(watches);
        self.changes += 1;
        self.watches += watches;
    }
}

/// Bytes of replies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplyBytes {
    /// Of the last reply.
    pub last: u64,
    /// Of the smallest.
    pub min: u64,
    /// Of the largest.
    pub max: u64,
}

impl ReplyBytes {
    /// Those of two shards. Which of them replied last is not known; the second one counts.
    fn and(self, more: ReplyBytes) -> ReplyBytes {
        let (min, max) = (self.min.min(more.min), self.max.max(more.max));
        ReplyBytes { last: more.last, min, max }
    }
}

impl ShardCounters {
    /// Adds the counters of another shard.
    pub fn add(&mut self, more: &ShardCounters) {
        self.received += more.received;
        self.sent += more.sent;
        self.received_bytes += more.received_bytes;
        self.auth_failed += more.auth_failed;
        self.sessionless_expired += more.sessionless_expired;
        self.connection_requests += more.connection_requests;
        self.revalidations += more.revalidations;
        self.dropped += more.dropped;
        self.throttle.add(more.throttle);
        self.reply_bytes_sum += more.reply_bytes_sum;
        for (sum, more) in self.notifications.iter_mut().zip(more.notifications) {
            *sum += more;
        }
        self.fired.iter_mut().zip(more.fired).for_each(|(sum, more)| sum.add(more));
        self.reply_bytes = match (self.reply_bytes, more.reply_bytes) {
            (Some(one), Some(two)) => Some(one.and(two)),
            (one, two) => one.or(two),
        };
        self.ops.add(&more.ops);
    }

    pub(super) fn count_reply_bytes(&mut self, bytes: u64) {
        self.reply_bytes_sum += bytes;
        let first = ReplyBytes { last: bytes, min: bytes, max: bytes };
        let seen = self.reply_bytes.get_or_insert(first);
        seen.last = bytes;
        seen.min = seen.min.min(bytes);
        seen.max = seen.max.max(bytes);
    }
}

/// Requests by operation: one counter for each row of the table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpCounts([u64; ROWS]);

impl Default for OpCounts {
    fn default() -> OpCounts {
        OpCounts([0; ROWS])
    }
}

impl OpCounts {
    /// Counts one request.
    pub fn note(&mut self, code: i32) {
        self.0[row_of(code)] += 1;
    }

    /// Adds the counts of another shard.
    pub fn add(&mut self, more: &OpCounts) {
        self.0.iter_mut().zip(more.0).for_each(|(sum, more)| *sum += more);
    }

    /// The operations that were requested, and how often each of them.
    pub fn iter(&self) -> impl Iterator<Item = (&'static OpSpec, u64)> {
        OpSpec::ALL.iter().zip(self.0).filter(|(_, count)| *count > 0)
    }
}
