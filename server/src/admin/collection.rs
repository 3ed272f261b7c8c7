//! What a report collects from the shards and the node.

use ringkeeper_engine::shard::Shard;
use ringkeeper_engine::{Millis, SessionId};
use ringkeeper_replication::Replica;
use tokio::sync::oneshot;

use super::latency::ShardLatencies;
use super::partial::PartialReport;
use super::slices::{Cursor, Progress, SLICE, Slice};

/// What a report collects.
pub(super) struct Collection {
    /// Reads one slice of a shard. It is called once in a turn until it is done.
    pub shard: fn(&mut Slice<'_>) -> Progress,
    /// What the node adds.
    pub node: NodeShare,
    /// How much that may be.
    pub size: Size,
}

/// What the node adds to a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NodeShare {
    /// Nothing: it takes no part.
    None,
    /// That it answers.
    Presence,
    /// Every session, and when it would expire.
    Sessions,
}

/// How much memory a report takes, and how long its text is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Size {
    /// The same in every server.
    Fixed,
    /// It grows with connections, sessions or watches.
    List,
}

/// Numbers only.
pub(super) static COUNTS: Collection = Collection::fixed(|slice| slice.count());

/// Whether every thread answers.
pub(super) static PRESENCE: Collection =
    Collection { node: NodeShare::Presence, ..Collection::fixed(|_| Progress::Done) };

impl Collection {
    /// One of shards only, the same in every server.
    pub(super) const fn fixed(shard: fn(&mut Slice<'_>) -> Progress) -> Collection {
        Collection { shard, node: NodeShare::None, size: Size::Fixed }
    }

    /// One of shards only that lists something.
    pub(super) const fn list(shard: fn(&mut Slice<'_>) -> Progress) -> Collection {
        Collection { shard, node: NodeShare::None, size: Size::List }
    }
}

/// A part of a report, and where it goes when it is complete.
pub(super) struct Part {
    report: PartialReport,
    complete: oneshot::Sender<PartialReport>,
}

impl Part {
    fn new(complete: oneshot::Sender<PartialReport>) -> Part {
        Part { report: PartialReport::default(), complete }
    }

    /// Whether nothing waits for the report any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.complete.is_closed()
    }

    fn finish(self) {
        // The one that waited may have gone.
        let _ = self.complete.send(self.report);
    }
}

/// The part of one shard, while it is made.
pub(super) struct ShardJob {
    collection: &'static Collection,
    shards: usize,
    cursor: Cursor,
    pub(super) part: Part,
}

impl ShardJob {
    /// Nothing is done yet.
    pub(super) fn new(
        collection: &'static Collection,
        shards: usize,
        complete: oneshot::Sender<PartialReport>,
    ) -> ShardJob {
        ShardJob { collection, shards, cursor: Cursor::default(), part: Part::new(complete) }
    }

    /// How much it may be.
    pub(super) fn size(&self) -> Size {
        self.collection.size
    }

    /// Reads one slice. A report that nothing waits for any more is done.
    pub(super) fn step(&mut self, shard: &mut Shard, latencies: &mut ShardLatencies) -> Progress {
        if self.part.is_abandoned() {
            return Progress::Done;
        }
        let ShardJob { collection, shards, cursor, part } = self;
        let (shards, report) = (*shards, &mut part.report);
        (collection.shard)(&mut Slice { shard, latencies, shards, cursor, report })
    }

    /// Hands the part over.
    pub(super) fn finish(self) {
        self.part.finish();
    }
}

/// The part of the node, while it is made.
pub(super) struct NodeJob {
    share: NodeShare,
    after: Option<SessionId>,
    part: Part,
}

impl NodeJob {
    /// Nothing is done yet.
    pub(super) fn new(share: NodeShare, complete: oneshot::Sender<PartialReport>) -> NodeJob {
        NodeJob { share, after: None, part: Part::new(complete) }
    }

    /// Reads one slice. A report that nothing waits for any more is done.
    pub(super) fn step(&mut self, replica: &Replica) -> Progress {
        if self.part.is_abandoned() || self.share != NodeShare::Sessions {
            return Progress::Done;
        }
        let (table, sessions) = (replica.sessions(), &mut self.part.report.sessions);
        if self.after.is_none() {
            sessions.reserve(table.len());
        }
        let before = sessions.len();
        for (id, timeout_ms) in table.iter_after(self.after).take(SLICE as usize) {
            let heard = table.get(id).map_or(Millis(0), |session| session.last_heard.get());
            sessions.push((id, Millis(heard.0 + i64::from(timeout_ms))));
            self.after = Some(id);
        }
        let full = sessions.len() - before == SLICE as usize;
        if full { Progress::More } else { Progress::Done }
    }

    /// Hands the part over.
    pub(super) fn finish(self) {
        self.part.finish();
    }

    /// Hands another part over.
    #[cfg(test)]
    pub(super) fn finish_with(mut self, report: PartialReport) {
        self.part.report = report;
        self.finish();
    }
}
