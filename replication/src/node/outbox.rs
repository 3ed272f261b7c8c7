//! Messages to the shards, and what becomes of those to a shard that does not take them.
//!
//! A shard that is behind slows all clients down: no request is ordered while many batches wait for
//! it, so that it can catch up. A shard that has stopped (its thread is paused, or hangs) delays
//! only its own clients: it is not waited for once it has taken nothing for a while. Answers to its
//! requests still queue up, at most one for each request that it has in flight. Changes for its
//! watches have no such bound. Beyond a second limit they are given up, and its connections are
//! closed when it runs again: their clients set their watches again and learn what they missed.

use ringkeeper_engine::database::Interest;
use ringkeeper_engine::request::{Answer, Outcome, ShardMessage};

use super::{ChangesLost, ShardPort};

/// How far a shard may be behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MailboxLimits {
    /// Batches in its mailbox from which on no request is ordered.
    pub full: usize,
    /// Batches from which on it gets no changes any more.
    pub changes_max: usize,
    /// Microseconds without progress after which a shard with a full mailbox counts as stopped.
    pub stopped_us: u64,
}

impl Default for MailboxLimits {
    fn default() -> MailboxLimits {
        let full = 256;
        MailboxLimits { full, changes_max: 64 * full, stopped_us: 1_000_000 }
    }
}

/// Where [`super::Node`] sends messages, for one critical section.
pub(crate) struct Outbox<'a, S> {
    shards: &'a mut S,
    limits: MailboxLimits,
    /// Bytes of replies to reads.
    pub(super) read_bytes: usize,
}

impl<'a, S: ShardPort> Outbox<'a, S> {
    /// Nothing is sent yet.
    pub(super) fn new(shards: &'a mut S, limits: MailboxLimits) -> Outbox<'a, S> {
        Outbox { shards, limits, read_bytes: 0 }
    }

    /// Whether any shard holds a watch, or is about to.
    pub(crate) fn interest(&self) -> Interest {
        let any = (0..self.shards.count()).any(|shard| self.is_interested(shard));
        if any { Interest::Watched } else { Interest::None }
    }

    /// Sends an answer, or the end of a connection.
    pub(crate) fn send(&mut self, shard: u16, message: ShardMessage) {
        if let ShardMessage::Answer(Answer { outcome: Outcome::Read(reply), .. }) = &message {
            self.read_bytes += reply.body.len();
        }
        self.shards.send(usize::from(shard), message);
    }

    /// Sends changes to every shard that holds watches.
    pub(crate) fn send_changes(&mut self, message: impl Fn() -> ShardMessage) {
        for shard in 0..self.shards.count() {
            if !self.is_interested(shard) {
                continue;
            }
            if self.shards.waiting(shard) < self.limits.changes_max {
                self.shards.send(shard, message());
            } else {
                self.shards.lose_changes(shard, ChangesLost::ShardBehind);
            }
        }
    }

    fn is_interested(&self, shard: usize) -> bool {
        self.shards.interest(shard) == Interest::Watched
    }
}

/// Which shards take their messages.
pub(super) struct Backpressure {
    shards: Vec<Progress>,
    limits: MailboxLimits,
    now_us: u64,
}

/// How far a shard has come.
#[derive(Clone, Copy, Debug)]
struct Progress {
    /// Batches that it has taken.
    taken: u64,
    /// When it was seen to take one, or to have none.
    moved_us: u64,
}

impl Backpressure {
    /// No shard is behind.
    pub(super) fn new(shards: usize, limits: MailboxLimits, now_us: u64) -> Backpressure {
        let shards = vec![Progress { taken: 0, moved_us: now_us }; shards];
        Backpressure { shards, limits, now_us }
    }

    /// Looks at how far the shards have come.
    pub(super) fn note(&mut self, ports: &impl ShardPort, now_us: u64) {
        self.now_us = now_us;
        for (shard, progress) in self.shards.iter_mut().enumerate() {
            let waiting = ports.waiting(shard);
            let taken = ports.published(shard) - waiting as u64;
            if taken > progress.taken || waiting == 0 {
                *progress = Progress { taken, moved_us: now_us };
            }
        }
    }

    /// Whether requests have to wait until a shard has caught up, as of the last look.
    pub(super) fn holds(&self, ports: &impl ShardPort) -> bool {
        self.shards.iter().enumerate().any(|(shard, progress)| {
            let stopped = self.now_us.saturating_sub(progress.moved_us) >= self.limits.stopped_us;
            ports.waiting(shard) >= self.limits.full && !stopped
        })
    }
}
