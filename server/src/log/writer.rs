//! The log writer thread: it owns the log and makes one group durable at a time, while the next
//! one gathers.
//!
//! One more group may be handed over while one is under way. It grows until the log writer takes
//! it, which it does by itself: between two flushes the device does not wait for another thread to
//! wake up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, bounded};
use parking_lot::{Condvar, Mutex};
use ringkeeper_engine::log::Group;
use ringkeeper_engine::{Zxid, limits};
use ringkeeper_replication::node::{Flushed, Joined};

use crate::admin::Distribution;
use crate::config::LogPriority;
use crate::log::sched::Rank;
use crate::node::waker::Waker;

/// What makes groups durable. The log does; tests may use something else.
pub trait DurableLog: Send + 'static {
    /// Returns when the group is durable. An error stops the process: what the disk holds is
    /// not known any more, and a second try can succeed falsely.
    fn flush(&mut self, group: &mut Group) -> Result<Zxid, String>;
    /// Called when there has been nothing to commit for a while, and at the end: what was
    /// committed last can be told from a commit that was cut short from then on.
    fn seal(&mut self) -> Result<(), String>;
}

/// How long nothing has to be committed before the log is sealed.
const IDLE: Duration = Duration::from_millis(200);

/// Histograms of the log writer, shared with the reports.
#[derive(Default)]
pub struct FlushStats {
    /// Commits made.
    pub commits: AtomicU64,
    /// Records committed.
    pub records: AtomicU64,
    /// Bytes committed.
    pub bytes: AtomicU64,
    /// Commits that took longer than `fsync.warningthresholdms`.
    pub slow: AtomicU64,
    /// Records of one commit.
    pub batch: Distribution,
    /// Microseconds of all commits.
    pub micros_sum: AtomicU64,
    /// The shortest and longest commit, microseconds.
    pub micros_min: AtomicU64,
    /// See [`FlushStats::micros_min`].
    pub micros_max: AtomicU64,
    /// Distribution of the commit times, microseconds.
    pub histogram: parking_lot::Mutex<Option<hdrhistogram::Histogram<u64>>>,
}

/// The sequencer's end of the log writer.
pub struct LogWriter {
    place: Arc<Place>,
    done: Receiver<Done>,
    spare: Vec<Group>,
    /// Groups handed over whose end [`LogWriter::poll`] has not told of.
    handed: u32,
    /// What it has done so far.
    pub stats: Arc<FlushStats>,
}

/// A group that is durable, and its memory for the next one.
struct Done {
    group: Group,
    flushed: Flushed,
}

/// Where the next group waits for the log writer.
#[derive(Default)]
struct Place {
    next: Mutex<Next>,
    changed: Condvar,
}

#[derive(Default)]
struct Next {
    group: Option<(Group, u64)>,
    /// The server stops: there will be no other one.
    over: bool,
}

impl LogWriter {
    /// Starts the thread. `waker` is woken whenever a group has become durable.
    pub fn start(
        mut log: impl DurableLog,
        waker: Arc<Waker>,
        slow_us: u64,
        priority: LogPriority,
    ) -> std::io::Result<(LogWriter, JoinHandle<()>)> {
        let place = Arc::new(Place::default());
        let (finished, done) = bounded(DONE_MAX);
        let stats = Arc::new(FlushStats::new());
        let counted = stats.clone();
        let source = place.clone();
        let thread = std::thread::Builder::new().name("committer".into()).spawn(move || {
            let mut rank = Rank::take(priority);
            let mut next = source.wait(&mut log);
            while let Some((mut group, since_us)) = next {
                let records = group.records();
                let (durable, micros) = commit(&mut log, &mut group, &counted, slow_us);
                group.clear();
                // Order: the place is empty before the sequencer is woken, so that one which
                // waits for it to be finds it so.
                next = source.take();
                // A sequencer that is gone hears of nothing, but what it handed over is committed.
                let flushed = Flushed { durable, records, since_us, micros };
                if finished.send(Done { group, flushed }).is_ok() {
                    waker.wake();
                }
                rank.committed();
                if next.is_none() {
                    next = source.wait(&mut log);
                }
            }
            seal(&mut log);
        })?;
        let spare = (0..GROUPS).map(|_| Group::new()).collect();
        Ok((LogWriter { place, done, spare, handed: 0, stats }, thread))
    }

    /// Whether a group is under way, or was until [`LogWriter::poll`] is asked.
    pub fn is_busy(&self) -> bool {
        self.handed > 0
    }

    /// Hands a group over and puts an empty one in its place. The first record of it was ordered
    /// at `since_us`. Only while no other one waits: see [`LogWriter::join`].
    pub fn submit(&mut self, group: &mut Group, since_us: u64) {
        let empty = self.spare.pop().unwrap_or_default();
        let full = std::mem::replace(group, empty);
        let before = self.place.next.lock().group.replace((full, since_us));
        assert!(before.is_none(), "one group waits at a time");
        self.place.changed.notify_one();
        self.handed += 1;
    }

    /// Adds a group to the one that waits while another is under way, and empties it.
    pub fn join(&mut self, group: &mut Group) -> Joined {
        let mut next = self.place.next.lock();
        match &mut next.group {
            None => Joined::Nothing,
            Some((waiting, _)) if waiting.bytes() + group.bytes() > limits::GROUP_BYTES_MAX => {
                Joined::Full
            }
            Some((waiting, _)) => {
                waiting.append(group);
                Joined::Yes
            }
        }
    }

    /// Bytes of the group that waits.
    pub fn waiting_bytes(&self) -> usize {
        self.place.next.lock().group.as_ref().map_or(0, |(group, _)| group.bytes())
    }

    /// Whether a group has become durable that [`LogWriter::poll`] has not told of.
    pub fn is_done(&self) -> bool {
        !self.done.is_empty()
    }

    /// The next group that has become durable.
    pub fn poll(&mut self) -> Option<Flushed> {
        let Done { group, flushed } = self.done.try_recv().ok()?;
        self.handed -= 1;
        if self.spare.len() < GROUPS {
            self.spare.push(group);
        }
        Some(flushed)
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.place.next.lock().over = true;
        self.place.changed.notify_one();
    }
}

/// Groups between the two threads: one under way, one that waits, and one that is durable.
const GROUPS: usize = 3;
/// Groups that are durable and that the sequencer has not heard of; the log writer waits beyond.
const DONE_MAX: usize = 4;

impl Place {
    fn take(&self) -> Option<(Group, u64)> {
        self.next.lock().group.take()
    }

    /// Waits for the next group; `None` when the server stops.
    fn wait(&self, log: &mut impl DurableLog) -> Option<(Group, u64)> {
        let mut next = self.next.lock();
        let mut idle = false;
        loop {
            if let Some(group) = next.group.take() {
                return Some(group);
            }
            if next.over {
                return None;
            }
            if idle {
                self.changed.wait(&mut next);
            } else if self.changed.wait_for(&mut next, IDLE).timed_out() {
                idle = true;
                // A group that comes meanwhile waits for the seal, as for any commit.
                parking_lot::MutexGuard::unlocked(&mut next, || seal(log));
            }
        }
    }
}

fn seal(log: &mut impl DurableLog) {
    if let Err(reason) = log.seal() {
        crate::fatal::stop(&reason);
    }
}

fn commit(
    log: &mut impl DurableLog,
    group: &mut Group,
    stats: &FlushStats,
    slow_us: u64,
) -> (Zxid, u64) {
    let start = std::time::Instant::now();
    let (bytes, records) = (group.bytes() as u64, u64::from(group.records()));
    let durable = match log.flush(group) {
        Ok(durable) => durable,
        Err(reason) => crate::fatal::stop(&reason),
    };
    let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    stats.note(micros, bytes, records);
    if micros >= slow_us {
        stats.slow.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            ms = micros / 1_000,
            bytes,
            "making the log durable took long; every write waits for it"
        );
    }
    (durable, micros)
}

impl FlushStats {
    fn new() -> FlushStats {
        let histogram = hdrhistogram::Histogram::new_with_bounds(1, 60_000_000, 2).ok();
        FlushStats {
            micros_min: AtomicU64::new(u64::MAX),
            histogram: parking_lot::Mutex::new(histogram),
            ..FlushStats::default()
        }
    }

    /// The commit times so far. A copy: nobody may read at leisure while the log writer, which runs
    /// before everybody else, waits for the lock.
    pub(crate) fn times(&self) -> Option<hdrhistogram::Histogram<u64>> {
        self.histogram.lock().clone()
    }

    fn note(&self, micros: u64, bytes: u64, records: u64) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.records.fetch_add(records, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.batch.record(records);
        self.micros_sum.fetch_add(micros, Ordering::Relaxed);
        self.micros_min.fetch_min(micros, Ordering::Relaxed);
        self.micros_max.fetch_max(micros, Ordering::Relaxed);
        if let Some(histogram) = self.histogram.lock().as_mut() {
            histogram.saturating_record(micros.max(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use ringkeeper_engine::txn::{Txn, TxnBody};
    use ringkeeper_engine::{Code, Millis, SessionId};

    use super::*;

    /// A log that says what it does, and makes a group durable when it is told to.
    struct Told {
        begun: mpsc::Sender<Option<Zxid>>,
        go: mpsc::Receiver<()>,
    }

    impl DurableLog for Told {
        fn flush(&mut self, group: &mut Group) -> Result<Zxid, String> {
            let last = group.last().expect("groups are not empty");
            self.begun.send(Some(last)).map_err(|error| error.to_string())?;
            self.go.recv().map_err(|error| error.to_string())?;
            Ok(last)
        }

        fn seal(&mut self) -> Result<(), String> {
            // A test that is over does not listen.
            let _ = self.begun.send(None);
            Ok(())
        }
    }

    struct Bench {
        log_writer: LogWriter,
        thread: JoinHandle<()>,
        begun: mpsc::Receiver<Option<Zxid>>,
        go: mpsc::Sender<()>,
    }

    fn start() -> Bench {
        let (begin, begun) = mpsc::channel();
        let (go, allowed) = mpsc::channel();
        let waker = Arc::new(Waker::new().expect("an eventfd"));
        let told = Told { begun: begin, go: allowed };
        let (log_writer, thread) =
            LogWriter::start(told, waker, u64::MAX, LogPriority::Normal).expect("a thread");
        Bench { log_writer, thread, begun, go }
    }

    impl Bench {
        /// The zxid of the next commit, over all times at which the log rests.
        fn next_commit(&self) -> Zxid {
            let mut begun = self.begun.iter();
            begun.find_map(|zxid| zxid).expect("the log_writer lives")
        }

        fn poll(&mut self) -> Flushed {
            loop {
                match self.log_writer.poll() {
                    Some(done) => return done,
                    None => std::thread::yield_now(),
                }
            }
        }
    }

    fn group(zxids: impl IntoIterator<Item = u64>) -> Group {
        let mut group = Group::new();
        for zxid in zxids {
            let body = TxnBody::Error(Code::NoNode);
            let (session, zxid, time) = (SessionId(1), Zxid(zxid), Millis(1));
            group.push(&Txn { session, cxid: 1, zxid, time, body });
        }
        group
    }

    #[test]
    fn a_group_that_waits_grows_and_is_begun_without_being_asked_for() {
        let mut bench = start();
        bench.log_writer.submit(&mut group([1]), 10);
        assert_eq!(bench.next_commit(), Zxid(1));
        assert_eq!(bench.log_writer.join(&mut group([2])), Joined::Nothing);
        bench.log_writer.submit(&mut group([2]), 20);
        let mut more = group([3, 4]);
        assert_eq!((bench.log_writer.join(&mut more), more.records()), (Joined::Yes, 0));
        assert!(bench.log_writer.is_busy() && !bench.log_writer.is_done());
        bench.go.send(()).expect("the log_writer lives");
        // Nobody has asked what became of the first one.
        assert_eq!(bench.next_commit(), Zxid(4));
        assert_eq!(bench.log_writer.join(&mut group([5])), Joined::Nothing);
        assert_eq!(bench.log_writer.waiting_bytes(), 0);
        bench.go.send(()).expect("the log_writer lives");
        let (one, two) = (bench.poll(), bench.poll());
        assert_eq!((one.durable, one.records, one.since_us), (Zxid(1), 1, 10));
        assert_eq!((two.durable, two.records, two.since_us), (Zxid(4), 3, 20));
        assert!(!bench.log_writer.is_busy());
    }

    #[test]
    fn a_group_that_waits_has_a_bound() {
        let mut bench = start();
        bench.log_writer.submit(&mut group([1]), 0);
        bench.next_commit();
        bench.log_writer.submit(&mut group([2]), 0);
        let bytes = bench.log_writer.waiting_bytes();
        assert!(bytes > 0);
        let many = limits::GROUP_BYTES_MAX / bytes;
        let mut large = group(3..3 + many as u64);
        assert_eq!(bench.log_writer.join(&mut large), Joined::Full);
        assert_eq!(large.records() as usize, many);
        for zxid in 1..3 {
            bench.go.send(()).expect("the log_writer lives");
            assert_eq!(bench.poll().durable, Zxid(zxid));
        }
    }

    #[test]
    fn what_was_handed_over_is_committed_before_the_end() {
        let mut bench = start();
        bench.log_writer.submit(&mut group([1]), 0);
        bench.next_commit();
        bench.log_writer.submit(&mut group([2]), 0);
        bench.go.send(()).expect("the log_writer lives");
        assert_eq!(bench.next_commit(), Zxid(2));
        drop(bench.log_writer);
        bench.go.send(()).expect("the log_writer lives");
        bench.thread.join().expect("no panic");
        assert_eq!(bench.begun.iter().last(), Some(None), "the log is sealed at the end");
    }

    #[test]
    fn a_group_that_waits_is_committed_though_the_sequencer_is_gone() {
        let mut bench = start();
        bench.log_writer.submit(&mut group([1]), 0);
        assert_eq!(bench.next_commit(), Zxid(1));
        bench.log_writer.submit(&mut group([2]), 0);
        drop(bench.log_writer);
        for _ in 0..2 {
            bench.go.send(()).expect("the log_writer lives");
        }
        bench.thread.join().expect("no panic");
        let begun: Vec<_> = bench.begun.iter().collect();
        assert_eq!(begun, [Some(Zxid(2)), None], "it is durable before the log is sealed");
    }

    #[test]
    fn the_log_rests_when_nothing_comes_and_goes_on() {
        let mut bench = start();
        for zxid in 1..3 {
            assert_eq!(bench.begun.recv(), Ok(None), "nothing has come for a while");
            bench.log_writer.submit(&mut group([zxid]), 0);
            assert_eq!(bench.begun.recv(), Ok(Some(Zxid(zxid))));
            bench.go.send(()).expect("the log_writer lives");
            assert_eq!(bench.poll().durable, Zxid(zxid));
        }
    }
}
