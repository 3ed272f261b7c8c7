//! Where errands for reports are handed from thread to thread, and where their texts are made.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU16, AtomicU64, Ordering::Relaxed};

use crossbeam::queue::SegQueue;
use parking_lot::Mutex;
use ringkeeper_engine::request::Origin;
use ringkeeper_engine::shard::Word;
use ringkeeper_engine::watch::ConnId;

use super::desk::Desk;
use super::facts::ServerFacts;
use super::gather::{Caller, Gather};
use super::host::{Host, dir_bytes};
use super::numbers::{self, Numbers, Totals};
use super::part::Part;
use super::places::{Place, Places};
use super::reporters::Reporters;
use super::sequencer_desk::SequencerDesk;
use super::words::conf::DirBytes;
use super::words::dump::{Ephemerals, Times};
use super::words::srvr::Standing;
use super::words::{self, TRACE_MASK};
use crate::log::writer::FlushStats;
use crate::node::observer::Gauges;
use crate::node::view::View;
use crate::node::waker::Waker;
use crate::shards::ConnectionLimiter;
use crate::storage::snapshots::SnapshotStats;

/// Lines of a report up to which it is put into words on the spot.
const LINES_ON_THE_SPOT: usize = 256;
/// Ephemeral nodes that are looked at under one hold of the database's guard.
const EPHEMERALS_SLICE: usize = 1_024;

/// What reports draw from.
pub struct HubParts {
    /// What does not change.
    pub facts: ServerFacts,
    /// The database.
    pub view: Arc<View>,
    /// Numbers of the sequencer.
    pub gauges: Arc<Gauges>,
    /// Numbers of the log.
    pub commits: Arc<FlushStats>,
    /// Numbers of snapshots.
    pub snapshots: Arc<SnapshotStats>,
    /// Numbers of connections that were turned away.
    pub limiter: Arc<ConnectionLimiter>,
    /// Lines that the audit log has lost, where there is one.
    pub audit_lost: Option<Arc<AtomicU64>>,
    /// What wakes each shard, in their order.
    pub shards: Vec<Arc<Waker>>,
    /// What wakes the sequencer's thread; `None` where it shares that of the first shard.
    pub sequencer: Option<Arc<Waker>>,
}

/// The place between the threads. There is one per server.
pub struct Hub {
    pub(super) facts: ServerFacts,
    pub(super) view: Arc<View>,
    pub(super) gauges: Arc<Gauges>,
    pub(super) commits: Arc<FlushStats>,
    pub(super) snapshots: Arc<SnapshotStats>,
    pub(super) limiter: Arc<ConnectionLimiter>,
    pub(super) audit_lost: Option<Arc<AtomicU64>>,
    /// `stmk` sets it and `gtmk` shows it; nothing else looks at it.
    pub(super) trace_mask: AtomicI64,
    /// The port for clients; 0 until it is bound.
    client_port: AtomicU16,
    /// What the counters said when they were reset last.
    reset_at: Mutex<Totals>,
    shards: Vec<Seat>,
    sequencer: Option<Seat>,
    reporters: Reporters,
    places: Places,
}

/// Where errands for one thread wait.
struct Seat {
    inbox: SegQueue<Errand>,
    waker: Arc<Waker>,
}

/// Something that a thread is asked to do.
pub(super) enum Errand {
    /// Add the shard's part.
    Part(Arc<Gather>),
    /// Add the sequencer's part.
    Sessions(Arc<Gather>),
    /// A word that has waited may be asked now.
    Turn(ConnId, Word, Place),
    /// Hand the text to whoever asked. The place is free when that is done.
    Text(ConnId, Vec<u8>, Option<Place>),
}

impl Seat {
    fn new(waker: Arc<Waker>) -> Seat {
        Seat { inbox: SegQueue::new(), waker }
    }

    /// Order: the push comes before the wake, see [`Waker::about_to_sleep`].
    fn push(&self, errand: Errand) {
        self.inbox.push(errand);
        self.waker.wake();
    }
}

impl Hub {
    /// Puts the parts together.
    pub fn new(parts: HubParts) -> Arc<Hub> {
        assert!(!parts.shards.is_empty(), "a server has shards");
        Arc::new(Hub {
            facts: parts.facts,
            view: parts.view,
            gauges: parts.gauges,
            commits: parts.commits,
            snapshots: parts.snapshots,
            limiter: parts.limiter,
            audit_lost: parts.audit_lost,
            trace_mask: AtomicI64::new(TRACE_MASK),
            client_port: AtomicU16::new(0),
            reset_at: Mutex::default(),
            shards: parts.shards.into_iter().map(Seat::new).collect(),
            sequencer: parts.sequencer.map(Seat::new),
            reporters: Reporters::default(),
            places: Places::default(),
        })
    }

    /// Where long texts are made.
    pub(super) fn reporters(&self) -> &Reporters {
        &self.reporters
    }

    /// The places of reports.
    pub(super) fn places(&self) -> &Places {
        &self.places
    }

    /// Tells a connection's shard that its word has a place now.
    pub(super) fn call(&self, origin: Origin, word: Word, place: Place) {
        self.shards[usize::from(origin.shard)].push(Errand::Turn(origin.conn, word, place));
    }

    /// Says which port is really bound.
    pub fn listens_on(&self, port: u16) {
        self.client_port.store(port, Relaxed);
    }

    /// The desk of one shard. Each shard takes its own, once.
    pub fn desk(self: &Arc<Hub>, shard: u16) -> Desk {
        assert!(usize::from(shard) < self.shards.len(), "there is no shard {shard}");
        Desk::new(self.clone(), shard)
    }

    /// The desk of the sequencer, where it has a thread of its own.
    pub fn sequencer_desk(self: &Arc<Hub>) -> Option<SequencerDesk> {
        self.sequencer.as_ref().map(|_| SequencerDesk::new(self.clone()))
    }

    /// The next errand of a shard.
    pub(super) fn shard_errand(&self, shard: u16) -> Option<Errand> {
        self.shards[usize::from(shard)].inbox.pop()
    }

    /// Whether errands wait for a shard.
    pub(super) fn shard_has_errands(&self, shard: u16) -> bool {
        !self.shards[usize::from(shard)].inbox.is_empty()
    }

    /// The next errand of the sequencer's thread.
    pub(super) fn sequencer_errand(&self) -> Option<Errand> {
        self.sequencer.as_ref()?.inbox.pop()
    }

    /// Whether errands wait for the sequencer's thread.
    pub(super) fn sequencer_has_errands(&self) -> bool {
        self.sequencer.as_ref().is_some_and(|seat| !seat.inbox.is_empty())
    }

    /// Asks everybody for their part of a report.
    pub(super) fn ask(&self, word: Word, caller: Caller) {
        let sequencer = matches!(word, Word::Dump | Word::Ruok);
        let gather = Gather::new(word, caller, self.shards.len(), usize::from(sequencer));
        if sequencer {
            let seat = self.sequencer.as_ref().unwrap_or(&self.shards[0]);
            seat.push(Errand::Sessions(gather.clone()));
        }
        for seat in &self.shards {
            seat.push(Errand::Part(gather.clone()));
        }
    }

    /// Adds a part to a report, and has its text made when it is complete.
    pub(super) fn add(self: &Arc<Hub>, gather: &Gather, part: Part) {
        let (origin, place, parts) = match gather.add(part) {
            None => return,
            Some((Caller::Conn(origin, place), parts)) => (origin, place, parts),
            Some((Caller::Http(caller), parts)) => {
                // Who does not wait any more has gone.
                let _ = caller.send(parts);
                return;
            }
        };
        let word = gather.word;
        let lines = parts.iter().map(Part::lines).sum::<usize>() + self.more_lines(word);
        let make = move |hub: &Hub| {
            let mut all = Part::default();
            parts.into_iter().for_each(|part| all.add(part));
            hub.text(word, &all)
        };
        if lines <= LINES_ON_THE_SPOT && word != Word::Mntr {
            self.post(origin, make(self), Some(place));
        } else {
            self.aside(origin, Some(place), make);
        }
    }

    /// Lines that are not in the parts.
    fn more_lines(&self, word: Word) -> usize {
        if word != Word::Dump {
            return 0;
        }
        usize::try_from(self.view.read().tree.ephemerals_count()).unwrap_or(usize::MAX / 2)
    }

    /// Makes a text on a thread that may take its time.
    pub(super) fn aside(
        self: &Arc<Hub>,
        origin: Origin,
        place: Option<Place>,
        make: impl FnOnce(&Hub) -> String + Send + 'static,
    ) {
        let started = self.reporters.give(self, move |hub| hub.post(origin, make(hub), place));
        if let Err(error) = started {
            tracing::warn!("a report could not be made: {error}");
            self.post(origin, String::new(), None);
        }
    }

    /// Hands a text to the shard whose connection asked for it.
    fn post(&self, origin: Origin, text: String, place: Option<Place>) {
        let text = Errand::Text(origin.conn, text.into_bytes(), place);
        self.shards[usize::from(origin.shard)].push(text);
    }

    /// The text of a word about the whole server.
    fn text(&self, word: Word, part: &Part) -> String {
        let version = &self.facts.version;
        match word {
            Word::Srvr => words::srvr::srvr(version, self.standing(), part),
            Word::Stat => words::srvr::stat(version, self.standing(), part),
            Word::Mntr => self.monitor(part),
            Word::Cons => words::conns::cons(part),
            Word::Crst => "Connection stats reset.\n".to_owned(),
            Word::Srst => {
                self.reset();
                "Server stats reset.\n".to_owned()
            }
            Word::Dump => words::dump::dump(part, &self.ephemerals(), self.times()),
            Word::Wchs => words::watches::summary(part),
            Word::Wchc => words::watches::by_session(part),
            Word::Wchp => words::watches::by_path(part),
            Word::Conf => words::conf::conf(&self.facts, self.client_port(), self.dir_bytes()),
            Word::Dirs => words::conf::dirs(self.dir_bytes()),
            Word::Envi => words::envi::envi(version, &Host::look()),
            Word::Ruok | Word::Isro | Word::Hash | Word::TelnetClose => String::new(),
            Word::Pace => self.pace(),
            Word::Gtmk | Word::Stmk(_) => String::new(),
        }
    }

    /// How commits are paced.
    pub(super) fn pace(&self) -> String {
        let commits = self.commits.flushes.load(Relaxed);
        words::pace::pace(&self.gauges.pace.lock(), commits)
    }

    /// A word that needs nobody's part, but time.
    pub(super) fn look_up(self: &Arc<Hub>, word: Word, origin: Origin) {
        self.aside(origin, None, move |hub| hub.text(word, &Part::default()));
    }

    pub(super) fn standing(&self) -> Standing {
        let db = self.view.read();
        Standing {
            applied: db.applied(),
            nodes: db.tree.node_count(),
            ephemerals: db.tree.ephemerals_count(),
            data_bytes: db.tree.approximate_data_size(),
        }
    }

    pub(super) fn times(&self) -> Times {
        Times {
            now: self.facts.clock.now(),
            tick_ms: self.facts.tick_ms,
            handshake_ms: self.facts.handshake_ms,
        }
    }

    pub(super) fn dir_bytes(&self) -> DirBytes {
        let facts = &self.facts;
        DirBytes { data: dir_bytes(&facts.data_dir), log: dir_bytes(&facts.data_log_dir) }
    }

    /// The ephemeral nodes, a slice under each hold of the guard.
    pub(super) fn ephemerals(&self) -> Ephemerals {
        let sessions: Vec<_> = self.view.read().tree.ephemeral_sessions().collect();
        let mut ephemerals = Ephemerals::new();
        for session in sessions {
            let mut paths = Vec::new();
            loop {
                let before = paths.len();
                let db = self.view.read();
                let slice = db.tree.ephemerals(session).skip(before).take(EPHEMERALS_SLICE);
                paths.extend(slice.map(|id| db.tree.path_of(id)));
                if paths.len() - before < EPHEMERALS_SLICE {
                    break;
                }
            }
            // The session may have ended meanwhile.
            if !paths.is_empty() {
                ephemerals.insert(session, paths);
            }
        }
        ephemerals
    }

    fn monitor(&self, part: &Part) -> String {
        words::mntr::mntr(&self.numbers(part))
    }

    /// All numbers since the last reset.
    pub(super) fn numbers(&self, part: &Part) -> Numbers {
        let before = *self.reset_at.lock();
        Numbers::of(self, &part.counts, before)
    }

    /// The port for clients.
    pub(super) fn client_port(&self) -> u16 {
        self.client_port.load(Relaxed)
    }

    pub(super) fn reset(&self) {
        *self.reset_at.lock() = Totals::of(self);
        numbers::clear(self);
    }
}
