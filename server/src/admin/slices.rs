//! Reading a shard for a report, a slice at a time.

use ringkeeper_engine::SessionId;
use ringkeeper_engine::shard::{Conn, Phase, Shard, ShardCounters};
use ringkeeper_engine::watch::{ConnId, ScanCursor};

use super::latency::ShardLatencies;
use super::partial::{ConnLine, Counts, PartialReport};
use super::watched::Watched;

/// Connections, watched paths or sessions that are read in one turn: less than a millisecond's
/// work.
pub(super) const SLICE: u32 = 2_048;

/// Whether a part goes on with the next turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    /// There is more to do.
    More,
    /// The part is complete.
    Done,
}

/// How far a shard was read.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Cursor {
    slot: u32,
    scan: ScanCursor,
}

/// One slice: what is read, and what it is added to.
pub(super) struct Slice<'a> {
    /// The shard whose turn it is.
    pub shard: &'a mut Shard,
    /// Its latencies.
    pub latencies: &'a mut ShardLatencies,
    /// How many shards take part.
    pub shards: usize,
    /// How far the slices before this one came.
    pub cursor: &'a mut Cursor,
    /// What they have read.
    pub report: &'a mut PartialReport,
}

impl Slice<'_> {
    /// The numbers of the shard, once: they hold its histograms.
    pub(super) fn count(&mut self) -> Progress {
        if *self.cursor == Cursor::default() {
            self.report.counts = Counts::of(self.shard, self.latencies);
        }
        Progress::Done
    }

    /// The next connections.
    pub(super) fn list_conns(&mut self) -> Progress {
        if self.cursor.slot == 0 {
            self.report.conns.reserve(self.shard.conn_count());
        }
        for id in self.slots() {
            let open = self.shard.conn(id).filter(|conn| conn.phase != Phase::Lost);
            let line = open.map(|conn| ConnLine::of(conn, self.shard.wants_input(id)));
            self.report.conns.extend(line);
        }
        self.progress()
    }

    /// Resets the counters of the next connections.
    pub(super) fn reset_conns(&mut self) -> Progress {
        for id in self.slots() {
            if let Some(conn) = self.shard.conn_mut(id) {
                conn.stats.reset();
            }
        }
        self.progress()
    }

    /// Resets the counters of the shard. Those of its connections stay.
    pub(super) fn reset(&mut self) -> Progress {
        self.shard.counters = ShardCounters::default();
        self.latencies.clear();
        Progress::Done
    }

    /// The sessions with watches, also those whose watches are gone; then as
    /// [`Slice::list_watches`].
    pub(super) fn list_watchers(&mut self) -> Progress {
        if self.cursor.scan == ScanCursor::default() {
            let shard = &*self.shard;
            let watchers = shard.watches.reported_connections();
            self.report.watchers = watchers.into_iter().map(|conn| session(shard, conn)).collect();
        }
        self.list_watches()
    }

    /// The next watched paths.
    pub(super) fn list_watches(&mut self) -> Progress {
        let shard = &*self.shard;
        let mut watched = Watched::default();
        let next = shard.watches.scan_paths(self.cursor.scan, SLICE, &mut |path, conn| {
            watched.push(path, session(shard, conn));
        });
        self.report.watched.push(watched);
        match next {
            Some(next) => {
                self.cursor.scan = next;
                Progress::More
            }
            None => Progress::Done,
        }
    }

    /// The connections of this slice.
    fn slots(&mut self) -> impl Iterator<Item = ConnId> + use<> {
        let from = self.cursor.slot;
        self.cursor.slot = from.saturating_add(SLICE).min(self.shard.conn_slots());
        (from..self.cursor.slot).map(ConnId)
    }

    fn progress(&self) -> Progress {
        if self.cursor.slot < self.shard.conn_slots() { Progress::More } else { Progress::Done }
    }
}

fn session(shard: &Shard, conn: ConnId) -> SessionId {
    shard.conn(conn).map_or(SessionId::NONE, Conn::session)
}
