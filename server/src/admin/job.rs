//! Making a part of a report, a slice at a time.

use std::collections::VecDeque;
use std::sync::Arc;

use ringkeeper_engine::shard::{Conn, Phase, Shard, ShardCounters, Word};
use ringkeeper_engine::watch::{ConnId, ScanCursor};
use ringkeeper_engine::{Millis, SessionId};
use ringkeeper_replication::Replica;

use super::gather::Gather;
use super::latency::Latencies;
use super::part::{ConnLine, Counts, Part};
use super::watched::Watched;

/// Connections, watched paths or sessions that are looked at in one turn: less than a
/// millisecond's work.
const SLICE: u32 = 2_048;

/// Whether a job goes on with the next turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    /// There is more to do.
    More,
    /// The part is complete.
    Done,
}

/// The latencies of a shard.
#[derive(Default)]
pub(super) struct ShardLatencies {
    /// Of everything that is answered without a transaction.
    pub reads: Latencies,
    /// Of transactions.
    pub updates: Latencies,
    /// For how long requests were held back.
    pub held: Latencies,
}

/// The part of a shard, while it is made.
pub(super) struct ShardJob {
    /// What it is for.
    pub gather: Arc<Gather>,
    /// What there is of it.
    pub part: Part,
    slot: u32,
    scan: ScanCursor,
}

impl ShardJob {
    /// Nothing is done yet.
    pub(super) fn new(gather: Arc<Gather>) -> ShardJob {
        ShardJob { gather, part: Part::default(), slot: 0, scan: ScanCursor::default() }
    }

    /// Does one slice.
    pub(super) fn step(&mut self, shard: &mut Shard, latencies: &mut ShardLatencies) -> Progress {
        match self.gather.word {
            Word::Srvr | Word::Mntr => self.count(shard, latencies),
            Word::Wchs => {
                self.count(shard, latencies);
                // A path that several shards watch is one path.
                if self.gather.shards > 1 { self.list_watches(shard) } else { Progress::Done }
            }
            Word::Stat => {
                self.count(shard, latencies);
                self.list_conns(shard)
            }
            Word::Cons | Word::Dump => self.list_conns(shard),
            Word::Crst => self.reset_conns(shard),
            Word::Srst => reset(shard, latencies),
            Word::Wchc | Word::Wchp => self.list_watches(shard),
            Word::Ruok | Word::Isro | Word::Hash | Word::TelnetClose => Progress::Done,
            Word::Gtmk | Word::Stmk(_) | Word::Pace => Progress::Done,
            Word::Conf | Word::Dirs | Word::Envi => Progress::Done,
        }
    }

    fn count(&mut self, shard: &Shard, latencies: &ShardLatencies) -> Progress {
        self.part.counts = Counts::of(shard, latencies);
        Progress::Done
    }

    fn list_conns(&mut self, shard: &Shard) -> Progress {
        if self.slot == 0 {
            self.part.conns.reserve(shard.conn_count());
        }
        for id in self.slots(shard) {
            let open = shard.conn(id).filter(|conn| conn.phase != Phase::Lost);
            let line = open.map(|conn| ConnLine::of(conn, shard.wants_input(id)));
            self.part.conns.extend(line);
        }
        self.progress(shard)
    }

    fn reset_conns(&mut self, shard: &mut Shard) -> Progress {
        for id in self.slots(shard) {
            if let Some(conn) = shard.conn_mut(id) {
                conn.stats.reset();
            }
        }
        self.progress(shard)
    }

    /// The connections of the next slice.
    fn slots(&mut self, shard: &Shard) -> impl Iterator<Item = ConnId> + use<> {
        let from = self.slot;
        self.slot = from.saturating_add(SLICE).min(shard.conn_slots());
        (from..self.slot).map(ConnId)
    }

    fn progress(&self, shard: &Shard) -> Progress {
        if self.slot < shard.conn_slots() { Progress::More } else { Progress::Done }
    }

    fn list_watches(&mut self, shard: &Shard) -> Progress {
        let session = |conn| shard.conn(conn).map_or(SessionId::NONE, Conn::session);
        if self.scan == ScanCursor::default() && self.gather.word == Word::Wchc {
            let watchers = shard.watches.reported_connections();
            self.part.watchers = watchers.into_iter().map(session).collect();
        }
        let mut watched = Watched::default();
        let next = shard.watches.scan_paths(self.scan, SLICE, &mut |path, conn| {
            watched.push(path, session(conn));
        });
        self.part.watched.push(watched);
        match next {
            Some(next) => {
                self.scan = next;
                Progress::More
            }
            None => Progress::Done,
        }
    }
}

/// The connections' own counters stay.
fn reset(shard: &mut Shard, latencies: &mut ShardLatencies) -> Progress {
    shard.counters = ShardCounters::default();
    latencies.reads.clear();
    latencies.updates.clear();
    latencies.held.clear();
    Progress::Done
}

/// The parts of the sequencer, while they are made.
#[derive(Default)]
pub(super) struct SessionJobs {
    queue: VecDeque<SessionJob>,
}

struct SessionJob {
    gather: Arc<Gather>,
    part: Part,
    after: Option<SessionId>,
}

impl SessionJobs {
    /// Takes a job in.
    pub(super) fn push(&mut self, gather: Arc<Gather>) {
        self.queue.push_back(SessionJob { gather, part: Part::default(), after: None });
    }

    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Does one slice. The answer is a part that is complete with it.
    pub(super) fn step(&mut self, replica: &Replica) -> Option<(Arc<Gather>, Part)> {
        let job = self.queue.front_mut()?;
        match job.step(replica) {
            Progress::More => None,
            Progress::Done => self.queue.pop_front().map(|job| (job.gather, job.part)),
        }
    }
}

impl SessionJob {
    fn step(&mut self, replica: &Replica) -> Progress {
        if self.gather.word == Word::Ruok {
            return Progress::Done;
        }
        let table = replica.sessions();
        if self.after.is_none() {
            self.part.sessions.reserve(table.len());
        }
        let before = self.part.sessions.len();
        for (id, timeout_ms) in table.iter_after(self.after).take(SLICE as usize) {
            let heard = table.get(id).map_or(Millis(0), |session| session.last_heard.get());
            self.part.sessions.push((id, Millis(heard.0 + i64::from(timeout_ms))));
            self.after = Some(id);
        }
        let full = self.part.sessions.len() - before == SLICE as usize;
        if full { Progress::More } else { Progress::Done }
    }
}
