//! The committer thread: it owns the log and makes one group durable at a time, while the next
//! one gathers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::Priority;
use ringkeeper_engine::log::Group;

use crate::admin::Distribution;
use crate::config::LogPriority;
use crate::waker::Waker;

/// What makes groups durable. The log does; tests may use something else.
pub trait Durable: Send + 'static {
    /// Returns when the group is durable. An error stops the process: what the disk holds is
    /// not known any more, and a second try can succeed falsely.
    fn commit(&mut self, group: &mut Group) -> Result<Zxid, String>;
    /// Called when there has been nothing to commit for a while, and at the end: what was
    /// committed last can be told from a commit that was cut short from then on.
    fn rest(&mut self) -> Result<(), String>;
}

/// How long nothing has to be committed before the log is sealed.
const IDLE: Duration = Duration::from_millis(200);

/// Histograms of the committer, shared with the reports.
#[derive(Default)]
pub struct CommitStats {
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
    /// See [`CommitStats::micros_min`].
    pub micros_max: AtomicU64,
    /// Distribution of the commit times, microseconds.
    pub histogram: parking_lot::Mutex<Option<hdrhistogram::Histogram<u64>>>,
}

/// The sequencer's end of the committer.
pub struct Committer {
    groups: Sender<Group>,
    done: Receiver<(Group, Zxid)>,
    spare: Option<Group>,
    in_flight: bool,
    /// What it has done so far.
    pub stats: Arc<CommitStats>,
}

impl Committer {
    /// Starts the thread. `waker` is woken whenever a group has become durable.
    pub fn start(
        mut log: impl Durable,
        waker: Arc<Waker>,
        slow_us: u64,
        priority: LogPriority,
    ) -> std::io::Result<(Committer, JoinHandle<()>)> {
        let (groups, to_do) = bounded::<Group>(1);
        let (finished, done) = bounded(1);
        let stats = Arc::new(CommitStats::new());
        let counted = stats.clone();
        let thread = std::thread::Builder::new().name("committer".into()).spawn(move || {
            if priority == LogPriority::High {
                raise();
            }
            while let Some(mut group) = next(&mut log, &to_do) {
                let durable = commit(&mut log, &mut group, &counted, slow_us);
                group.clear();
                if finished.send((group, durable)).is_err() {
                    break;
                }
                waker.wake();
            }
            rest(&mut log);
        })?;
        let committer =
            Committer { groups, done, spare: Some(Group::new()), in_flight: false, stats };
        Ok((committer, thread))
    }

    /// Whether a group is under way.
    pub fn is_busy(&self) -> bool {
        self.in_flight
    }

    /// Hands a group over and puts an empty one in its place. Only while not busy.
    pub fn submit(&mut self, group: &mut Group) {
        assert!(!self.in_flight, "one commit at a time");
        let empty = self.spare.take().expect("the spare group is here while nothing is under way");
        let full = std::mem::replace(group, empty);
        self.groups.send(full).expect("the committer only ends with the process");
        self.in_flight = true;
    }

    /// Whether a group has become durable that [`Committer::poll`] has not told of.
    pub fn is_done(&self) -> bool {
        !self.done.is_empty()
    }

    /// The zxid up to which the log has become durable since the last call.
    pub fn poll(&mut self) -> Option<Zxid> {
        let (group, durable) = self.done.try_recv().ok()?;
        self.spare = Some(group);
        self.in_flight = false;
        Some(durable)
    }
}

/// Gets this thread the processor as soon as a commit is there or durable: it blocks in between, so
/// it holds up nobody for long, and every write waits for it.
fn raise() {
    match Priority::raise() {
        Priority::Usual => tracing::info!(
            "the log's thread is scheduled as all others: ringkeeper.log.priority=high is not \
             allowed here (CAP_SYS_NICE, or LimitRTPRIO=1 of the service); with other work on the \
             processor, writes take longer"
        ),
        raised => tracing::debug!("the priority of the log's thread is {raised}"),
    }
}

/// Waits for the next group; `None` when the server stops.
fn next(log: &mut impl Durable, to_do: &Receiver<Group>) -> Option<Group> {
    match to_do.recv_timeout(IDLE) {
        Err(RecvTimeoutError::Timeout) => {
            rest(log);
            to_do.recv().ok()
        }
        group => group.ok(),
    }
}

fn rest(log: &mut impl Durable) {
    if let Err(reason) = log.rest() {
        crate::fatal::stop(&reason);
    }
}

fn commit(log: &mut impl Durable, group: &mut Group, stats: &CommitStats, slow_us: u64) -> Zxid {
    let start = std::time::Instant::now();
    let (bytes, records) = (group.bytes() as u64, u64::from(group.records()));
    let durable = match log.commit(group) {
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
    durable
}

impl CommitStats {
    fn new() -> CommitStats {
        let histogram = hdrhistogram::Histogram::new_with_bounds(1, 60_000_000, 2).ok();
        CommitStats {
            micros_min: AtomicU64::new(u64::MAX),
            histogram: parking_lot::Mutex::new(histogram),
            ..CommitStats::default()
        }
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
