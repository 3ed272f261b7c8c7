//! What one learner that lags behind is sent, read from the leader's disk.
//!
//! It runs beside the thread that writes the log and the one that takes snapshots and purges, and
//! keeps from being purged what it still needs: see [`Feed`] and [`PurgeHold`].
//!
//! A transaction goes out as its record stands in the log. That is what a proposal carries, but for
//! the digest that leaders of ZooKeeper's append: it is optional for who reads it. A log of ours
//! has none, whoever the transactions came from: the node encodes what it logs.
//!
//! # The memory of a state
//!
//! A snapshot of ours is in the order of the tree's memory, and a learner wants parents before
//! their children. So the tree is made, beside the one that is served, and written from there in
//! pieces; the bytes are never there as a whole. At its peak one learner that gets a state costs
//! the memory of one more tree. The number of states that are sent at a time bounds that
//! (`leader.maxConcurrentSnapSyncs`).

use std::fmt;

use ringkeeper_engine::database::Database;
use ringkeeper_engine::device::{Directory, DirectoryId};
use ringkeeper_engine::log::{
    Dirs, Feed, FeedError, Gauge, Portion, PortionLimit, PurgeHold, reload_unless,
};
use ringkeeper_engine::zookeeper::StateWriter;
use ringkeeper_engine::{Zxid, snapshot};

use super::plan::{LogReach, sync_plan};
use super::transcode::{committed_bytes, put_committed, put_inform};
use super::{FeedPackets, FeedTask, SyncPlan};

/// Transactions of one piece. A record that is as short as can be gets a few bytes longer when it
/// becomes a proposal and a commit.
const PIECE_RECORDS: usize = 4_096;

/// What is read at once from a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FeedLimits {
    /// Bytes of a piece, about. One transaction that is longer is a piece of its own.
    pub piece_bytes: usize,
    /// Bytes of the whole log, up to which a learner that has nothing gets that. Where it is
    /// longer, a state has fewer bytes, as far as is known. With 0, the default, it always gets a
    /// state: one that reports nothing may have what it does not trust, and takes nothing else.
    pub first_diff_bytes: usize,
}

impl Default for FeedLimits {
    fn default() -> FeedLimits {
        FeedLimits { piece_bytes: 256 << 10, first_diff_bytes: 0 }
    }
}

/// The disk of a leader.
#[derive(Clone, Debug)]
pub struct FeedSource<D> {
    /// The directories.
    pub dirs: Dirs<D>,
    /// Whose they are.
    pub directory: DirectoryId,
    /// That of the log.
    pub gauge: Gauge,
    /// What keys the hash tables of a state.
    pub seed: u64,
    /// Bounds.
    pub limits: FeedLimits,
}

/// Why a feed has failed. The learner has to begin anew.
#[derive(Debug)]
pub enum LearnerFeedError {
    /// The log cannot be read any further: it was cut or purged, or the disk has failed.
    Log(FeedError),
    /// It is not wanted any more.
    Stopped,
}

impl fmt::Display for LearnerFeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LearnerFeedError::Log(FeedError::HistoryChanged) => {
                f.write_str("this server does not lead any more, and its log was cut or replaced")
            }
            LearnerFeedError::Log(error @ FeedError::NotReached { .. }) => {
                write!(f, "the log was purged while it was read: {error}")
            }
            LearnerFeedError::Log(error) => write!(f, "the log cannot be sent: {error}"),
            LearnerFeedError::Stopped => f.write_str("it is not wanted any more"),
        }
    }
}

impl std::error::Error for LearnerFeedError {}

impl From<FeedError> for LearnerFeedError {
    fn from(error: FeedError) -> LearnerFeedError {
        LearnerFeedError::Log(error)
    }
}

/// Reads what a learner lacks, from its plan to the last piece.
pub struct LearnerFeed<D: Directory> {
    source: FeedSource<D>,
    plan: SyncPlan,
    upto: Zxid,
    packets: FeedPackets,
    stage: Stage<D>,
    portion: Portion,
}

enum Stage<D: Directory> {
    /// Transactions are sent.
    Log(Box<Feed<D>>),
    /// The state at a transaction is to be made.
    Load {
        at: Zxid,
        _hold: PurgeHold,
    },
    /// A state is sent.
    State(Box<SentState>),
    Done,
}

struct SentState {
    state: Database,
    writer: StateWriter,
}

impl<D: Directory> LearnerFeed<D> {
    /// Chooses the plan: a look at one place of the log, or at a short log as a whole.
    ///
    /// A state is that at the end of the task, or that of the newest snapshot, if it is later: a
    /// task may have waited, and what is before the newest snapshot may be gone.
    pub fn open(
        source: &FeedSource<D>,
        task: FeedTask,
    ) -> Result<LearnerFeed<D>, LearnerFeedError> {
        let FeedTask { last, upto, packets, .. } = task;
        // What is found is still there when it is to be read.
        let hold = source.gauge.hold_purges();
        let reach = source.reach(last, upto)?;
        let (plan, from) = sync_plan(last, upto, reach);
        let (plan, stage) = match plan {
            SyncPlan::Snap(at) => {
                let at = source.newest_snapshot()?.max(at);
                (SyncPlan::Snap(at), Stage::Load { at, _hold: hold })
            }
            SyncPlan::Diff | SyncPlan::Trunc(_) if from >= upto => (plan, Stage::Done),
            SyncPlan::Diff | SyncPlan::Trunc(_) => (plan, Stage::Log(Box::new(source.feed(from)?))),
        };
        let (source, portion) = (source.clone(), Portion::new());
        Ok(LearnerFeed { source, plan, upto, packets, stage, portion })
    }

    /// What the learner is sent. Behind DIFF and TRUNC come transactions, in the packets of the
    /// task; behind SNAP comes the state, and nothing.
    pub fn plan(&self) -> SyncPlan {
        self.plan
    }

    /// Reads the next piece; at the end there is none. The first piece of a state takes as long as
    /// the state has nodes, and `is_stopped` is called now and then, to end that. A feed that has
    /// failed is of no more use.
    pub fn next_piece(
        &mut self,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<Option<Vec<u8>>, LearnerFeedError> {
        loop {
            if is_stopped() {
                return Err(LearnerFeedError::Stopped);
            }
            let piece_bytes = self.source.limits.piece_bytes;
            let piece = match &mut self.stage {
                Stage::Log(feed) => {
                    let limit = PortionLimit { bytes: piece_bytes, records: PIECE_RECORDS };
                    feed.read(self.upto, limit, &mut self.portion)?;
                    (!self.portion.is_empty()).then(|| packets(&self.portion, self.packets))
                }
                Stage::Load { at, .. } => {
                    let at = *at;
                    self.load(at, is_stopped)?;
                    continue;
                }
                Stage::State(sent) => sent.writer.next_piece(&sent.state, piece_bytes),
                Stage::Done => None,
            };
            if piece.is_none() {
                // The tree is freed here, and not while the last piece is on its way.
                self.stage = Stage::Done;
            }
            return Ok(piece);
        }
    }

    /// Purges go on when the state is in memory.
    fn load(&mut self, at: Zxid, is_stopped: &dyn Fn() -> bool) -> Result<(), LearnerFeedError> {
        let FeedSource { dirs, directory, gauge, seed, .. } = &self.source;
        let state = reload_unless(dirs, (*directory, gauge), *seed, at, is_stopped)?;
        let state = state.ok_or(LearnerFeedError::Stopped)?;
        let writer = StateWriter::new(&state);
        self.stage = Stage::State(Box::new(SentState { state, writer }));
        Ok(())
    }
}

impl<D: Directory> FeedSource<D> {
    fn feed(&self, after: Zxid) -> Result<Feed<D>, FeedError> {
        Feed::open(&self.dirs.log, self.directory, &self.gauge, after)
    }

    /// What the log says about the last transaction of a learner.
    fn reach(&self, last: Zxid, upto: Zxid) -> Result<LogReach, FeedError> {
        if last >= upto {
            return Ok(LogReach::Has);
        }
        match self.find(last, upto) {
            Ok(()) if last == Zxid::ZERO => self.reach_of_all(upto),
            Ok(()) => Ok(LogReach::Has),
            Err(FeedError::NotReached { .. }) => Ok(LogReach::BeginsLater),
            Err(FeedError::Unknown { before, .. }) if last.counter() == 0 => {
                let begins = self.next_behind(before, upto)? == Some(Zxid(last.0 + 1));
                let begins_epoch = LogReach::BeginsEpoch { before };
                Ok(if begins { begins_epoch } else { LogReach::Lacks { before } })
            }
            Err(FeedError::Unknown { before, .. }) => Ok(LogReach::Lacks { before }),
            Err(error) => Err(error),
        }
    }

    /// Whether what follows a transaction can be read.
    fn find(&self, last: Zxid, upto: Zxid) -> Result<(), FeedError> {
        self.next_behind(last, upto).map(drop)
    }

    fn next_behind(&self, after: Zxid, upto: Zxid) -> Result<Option<Zxid>, FeedError> {
        let mut portion = Portion::new();
        let limit = PortionLimit { bytes: 0, records: 1 };
        self.feed(after)?.read(upto, limit, &mut portion)?;
        Ok(portion.range().map(|(first, _)| first))
    }

    /// Whether a learner that has nothing gets the log, which has everything: if it is short.
    fn reach_of_all(&self, upto: Zxid) -> Result<LogReach, FeedError> {
        let (mut feed, mut portion, mut bytes) = (self.feed(Zxid::ZERO)?, Portion::new(), 0);
        let limit = PortionLimit { bytes: self.limits.piece_bytes, records: PIECE_RECORDS };
        loop {
            feed.read(upto, limit, &mut portion)?;
            bytes += portion.bytes().len();
            if bytes > self.limits.first_diff_bytes {
                return Ok(LogReach::BeginsLater);
            }
            if portion.is_empty() {
                return Ok(LogReach::Has);
            }
        }
    }

    fn newest_snapshot(&self) -> Result<Zxid, FeedError> {
        let entries = self.dirs.snapshots.list()?;
        let names = entries.iter().filter_map(|entry| snapshot::parse_name(&entry.name));
        Ok(names.max().unwrap_or_default())
    }
}

fn packets(portion: &Portion, packets: FeedPackets) -> Vec<u8> {
    let bytes = committed_bytes(portion.bytes().len(), portion.records());
    let mut piece = Vec::with_capacity(bytes);
    let put = match packets {
        FeedPackets::Proposals => put_committed,
        FeedPackets::Informs => put_inform,
    };
    portion.txns().for_each(|(zxid, txn)| put(zxid, txn, &mut piece));
    piece
}
