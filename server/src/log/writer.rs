//! The log writer thread: it owns the log and flushes one group at a time, while the next one
//! gathers. What waits between the threads is a [`FlushQueue`]; here are its lock, the thread and
//! the clock.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::Disk;
use ringkeeper_engine::log::{
    Completion, Fatal, Flush, FlushQueue, Generation, Group, Idle, Log, LogCommand, LogEvent, Task,
};

use super::command_note::CommandNote;
use super::done_count::{Done, DoneCount};
use crate::config::LogPriority;
use crate::log::sched::SchedTuner;
use crate::node::waker::Waker;
use crate::storage::exclusion::SnapshotExclusion;

pub use crate::log::stats::FlushStats;
pub use ringkeeper_engine::log::Joined;

/// What makes groups durable: the log, or something else in tests.
pub trait DurableLog: Send + 'static {
    /// Returns when the group is durable. An error stops the process: what the disk holds is
    /// not known any more, and a second try can succeed falsely.
    fn flush(&mut self, group: &mut Group) -> Result<Zxid, Fatal>;
    /// Called when there has been nothing to flush for a while, and at the end. From then on the
    /// last group can be told from one whose flush was cut short.
    fn seal(&mut self) -> Result<(), Fatal>;
    /// Returns when what the command says is durable. An error stops the process.
    fn execute(&mut self, command: LogCommand) -> Result<LogEvent, Fatal>;
}

impl DurableLog for Log<Disk> {
    fn flush(&mut self, group: &mut Group) -> Result<Zxid, Fatal> {
        Log::flush(self, group)
    }

    fn seal(&mut self) -> Result<(), Fatal> {
        Log::seal(self)
    }

    fn execute(&mut self, command: LogCommand) -> Result<LogEvent, Fatal> {
        Log::execute(self, command)
    }
}

/// The log of a server whose history may change. Such a change waits for the snapshot under way,
/// which gives way.
pub struct MemberLog {
    /// The log.
    pub log: Log<Disk>,
    /// Keeps snapshots away.
    pub exclusion: Arc<SnapshotExclusion>,
}

impl DurableLog for MemberLog {
    fn flush(&mut self, group: &mut Group) -> Result<Zxid, Fatal> {
        self.log.flush(group)
    }

    fn seal(&mut self) -> Result<(), Fatal> {
        self.log.seal()
    }

    fn execute(&mut self, command: LogCommand) -> Result<LogEvent, Fatal> {
        let _change = match command {
            LogCommand::Cut { .. } | LogCommand::Install { .. } => Some(self.exclusion.change()),
            LogCommand::Save(_) | LogCommand::MarkDiverged(_) | LogCommand::Adopt(_) => None,
        };
        self.log.execute(command)
    }
}

/// How long nothing has to be flushed before the log is sealed.
const IDLE: Duration = Duration::from_millis(200);

/// The node's end of the log writer.
pub struct LogWriter {
    shared: Arc<Shared>,
    /// Groups and commands given that [`LogWriter::poll`] has not returned. Where there are none, the lock
    /// is not needed to know the answer.
    submitted: u32,
    /// What it has done so far.
    pub stats: Arc<FlushStats>,
}

/// What both threads hold.
#[derive(Default)]
struct Shared {
    queue: Mutex<FlushQueue>,
    /// What is done and not polled, for a look without the lock.
    done: DoneCount,
    changed: Condvar,
}

impl LogWriter {
    /// Starts the thread. `waker` is woken whenever something has become durable, unless
    /// [`LogWriter::await_flush`] says otherwise.
    pub fn start(
        mut log: impl DurableLog,
        waker: Arc<Waker>,
        slow_us: u64,
        priority: LogPriority,
    ) -> std::io::Result<(LogWriter, JoinHandle<()>)> {
        let shared = Arc::new(Shared::default());
        let stats = Arc::new(FlushStats::new());
        let (counted, source) = (stats.clone(), shared.clone());
        let thread = std::thread::Builder::new().name("committer".into()).spawn(move || {
            let mut sched = SchedTuner::start(priority);
            let mut next = source.wait(&mut log);
            while let Some(task) = next {
                let (polled, what);
                // Order: the next task is taken before the node is woken, so that a node which
                // waits to submit a group finds that it can.
                ((polled, next), what) = match task {
                    Task::Flush(mut flush) => {
                        let done = flush_group(&mut log, &mut flush, &counted, slow_us);
                        (source.finished(flush, done), Done::Flush)
                    }
                    Task::Command(generation, command) => {
                        let event = execute(&mut log, command);
                        (source.executed(generation, event), Done::Command)
                    }
                };
                if polled && source.done.add(what) {
                    waker.wake();
                }
                sched.flushed();
                if next.is_none() {
                    next = source.wait(&mut log);
                }
            }
            seal(&mut log);
        })?;
        Ok((LogWriter { shared, submitted: 0, stats }, thread))
    }

    /// Whether something is under way, or was until [`LogWriter::poll`] is called.
    pub fn is_busy(&self) -> bool {
        self.submitted > 0
    }

    /// Says whether the end of a flush has to wake the node. Called before it looks at
    /// [`LogWriter::is_done`] a last time and sleeps.
    pub fn await_flush(&self, is_awaited: bool) {
        self.shared.done.await_flush(is_awaited);
    }

    /// Hands a group over and leaves an empty one. The first record of it was ordered at
    /// `since_us`. Only while no other one waits: see [`LogWriter::join`].
    pub fn submit(&mut self, group: &mut Group, since_us: u64) {
        self.queue().submit(group, since_us);
        self.submitted += 1;
        self.shared.changed.notify_one();
    }

    /// Adds a group to the one that waits while another is under way, and empties it.
    pub fn join(&mut self, group: &mut Group) -> Joined {
        if self.submitted == 0 { Joined::Nothing } else { self.queue().join(group) }
    }

    /// Gives a command; returns the generation in which its outcome is reported. One that begins a
    /// generation drops the group that waits.
    pub fn command(&mut self, command: LogCommand) -> Generation {
        let (generation, dropped) = {
            let mut queue = self.queue();
            let waited = queue.has_group();
            (queue.command(command), waited && !queue.has_group())
        };
        self.submitted = self.submitted + 1 - u32::from(dropped);
        self.shared.changed.notify_one();
        generation
    }

    /// Bytes of the group that waits.
    pub fn waiting_bytes(&self) -> usize {
        if self.submitted == 0 { 0 } else { self.queue().waiting_bytes() }
    }

    /// Whether [`LogWriter::poll`] would return something.
    pub fn is_done(&self) -> bool {
        self.shared.done.is_any()
    }

    /// What has become durable next.
    pub fn poll(&mut self) -> Option<Completion> {
        if !self.is_done() {
            return None;
        }
        let (flushed, ready) = {
            let mut queue = self.queue();
            (queue.poll()?, queue.is_ready())
        };
        self.shared.done.take();
        self.submitted -= 1;
        // The thread may have waited until fewer groups are left to poll.
        if ready {
            self.shared.changed.notify_one();
        }
        Some(flushed)
    }

    fn queue(&self) -> MutexGuard<'_, FlushQueue> {
        self.shared.queue.lock()
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.queue().close();
        self.shared.changed.notify_one();
    }
}

impl Shared {
    fn finished(&self, flush: Flush, (durable, micros): (Zxid, u64)) -> (bool, Option<Task>) {
        let mut queue = self.queue.lock();
        (queue.finished(flush, durable, micros), queue.take())
    }

    fn executed(&self, generation: Generation, event: LogEvent) -> (bool, Option<Task>) {
        let mut queue = self.queue.lock();
        (queue.executed(generation, event), queue.take())
    }

    /// Waits for the next task; `None` when the server stops.
    fn wait(&self, log: &mut impl DurableLog) -> Option<Task> {
        let mut queue = self.queue.lock();
        loop {
            if let Some(task) = queue.take() {
                return Some(task);
            }
            match queue.when_idle() {
                Idle::End => return None,
                Idle::Sleep => self.changed.wait(&mut queue),
                Idle::Wait => {
                    if self.changed.wait_for(&mut queue, IDLE).timed_out() && queue.idle() {
                        // A group that comes meanwhile waits for the seal, as for any flush.
                        MutexGuard::unlocked(&mut queue, || seal(log));
                    }
                }
            }
        }
    }
}

fn seal(log: &mut impl DurableLog) {
    if let Err(fatal) = log.seal() {
        crate::fatal::stop_on_log(&fatal);
    }
}

fn execute(log: &mut impl DurableLog, command: LogCommand) -> LogEvent {
    let note = CommandNote::of(&command);
    match log.execute(command) {
        Ok(event) => {
            note.log();
            event
        }
        Err(fatal) => crate::fatal::stop_on_log(&fatal),
    }
}

fn flush_group(
    log: &mut impl DurableLog,
    flush: &mut Flush,
    stats: &FlushStats,
    slow_us: u64,
) -> (Zxid, u64) {
    let start = Instant::now();
    let (bytes, records) = (flush.group.bytes() as u64, u64::from(flush.records));
    let durable = match log.flush(&mut flush.group) {
        Ok(durable) => durable,
        Err(fatal) => crate::fatal::stop_on_log(&fatal),
    };
    let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    stats.note(micros, bytes, records);
    if micros >= slow_us {
        stats.slow.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        tracing::warn!(
            ms = micros / 1_000,
            bytes,
            "making the log durable took long; every write waits for it"
        );
    }
    (durable, micros)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use ringkeeper_engine::device::Epochs;
    use ringkeeper_engine::limits;
    use ringkeeper_engine::log::Flushed;
    use ringkeeper_engine::txn::{Txn, TxnBody};
    use ringkeeper_engine::{Code, Millis, SessionId};

    use super::*;

    /// A log that reports each call, and finishes a flush when the test allows it.
    struct Stepped {
        begun: mpsc::Sender<Option<Zxid>>,
        go: mpsc::Receiver<()>,
    }

    impl DurableLog for Stepped {
        fn flush(&mut self, group: &mut Group) -> Result<Zxid, Fatal> {
            let last = group.last().expect("groups are not empty");
            self.begun.send(Some(last)).map_err(|_| Fatal::Failed)?;
            self.go.recv().map_err(|_| Fatal::Failed)?;
            Ok(last)
        }

        fn seal(&mut self) -> Result<(), Fatal> {
            // At the end of a test the receiver is gone.
            let _ = self.begun.send(None);
            Ok(())
        }

        fn execute(&mut self, command: LogCommand) -> Result<LogEvent, Fatal> {
            match command {
                LogCommand::Cut { after, .. } => Ok(LogEvent::Cut(after)),
                LogCommand::Install { zxid, .. } => Ok(LogEvent::Installed(zxid)),
                LogCommand::Save(epochs) => Ok(LogEvent::Saved(epochs)),
                LogCommand::MarkDiverged(zxid) => Ok(LogEvent::MarkedDiverged(zxid)),
                LogCommand::Adopt(ensemble) => Ok(LogEvent::Adopted(ensemble)),
            }
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
        let stepped = Stepped { begun: begin, go: allowed };
        let (log_writer, thread) =
            LogWriter::start(stepped, waker, u64::MAX, LogPriority::Normal).expect("a thread");
        Bench { log_writer, thread, begun, go }
    }

    impl Bench {
        /// The zxid of the next flush, skipping seals.
        fn next_flush(&self) -> Zxid {
            let mut begun = self.begun.iter();
            begun.find_map(|zxid| zxid).expect("the log writer lives")
        }

        fn poll(&mut self) -> Flushed {
            match self.completion().event {
                LogEvent::Flushed(flushed) => flushed,
                other => panic!("a flush is next, not {other:?}"),
            }
        }

        fn completion(&mut self) -> Completion {
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
    fn waiting_group_grows_and_is_flushed_without_a_poll() {
        let mut bench = start();
        bench.log_writer.submit(&mut group([1]), 10);
        assert_eq!(bench.next_flush(), Zxid(1));
        assert_eq!(bench.log_writer.join(&mut group([2])), Joined::Nothing);
        bench.log_writer.submit(&mut group([2]), 20);
        let mut more = group([3, 4]);
        assert_eq!((bench.log_writer.join(&mut more), more.records()), (Joined::Yes, 0));
        assert!(bench.log_writer.is_busy() && !bench.log_writer.is_done());
        bench.go.send(()).expect("the log writer lives");
        // The first one has not been polled.
        assert_eq!(bench.next_flush(), Zxid(4));
        assert_eq!(bench.log_writer.join(&mut group([5])), Joined::Nothing);
        assert_eq!(bench.log_writer.waiting_bytes(), 0);
        bench.go.send(()).expect("the log writer lives");
        let (one, two) = (bench.poll(), bench.poll());
        assert_eq!((one.durable, one.records, one.since_us), (Zxid(1), 1, 10));
        assert_eq!((two.durable, two.records, two.since_us), (Zxid(4), 3, 20));
        assert!(!bench.log_writer.is_busy());
    }

    #[test]
    fn waiting_group_at_its_bound_is_full() {
        let mut bench = start();
        bench.log_writer.submit(&mut group([1]), 0);
        bench.next_flush();
        bench.log_writer.submit(&mut group([2]), 0);
        let bytes = bench.log_writer.waiting_bytes();
        assert!(bytes > 0);
        let many = limits::GROUP_BYTES_MAX / bytes;
        let mut large = group(3..3 + many as u64);
        assert_eq!(bench.log_writer.join(&mut large), Joined::Full);
        assert_eq!(large.records() as usize, many);
        for zxid in 1..3 {
            bench.go.send(()).expect("the log writer lives");
            assert_eq!(bench.poll().durable, Zxid(zxid));
        }
    }

    #[test]
    fn submitted_group_is_durable_and_log_sealed_before_the_thread_ends() {
        let mut bench = start();
        bench.log_writer.submit(&mut group([1]), 0);
        bench.next_flush();
        bench.log_writer.submit(&mut group([2]), 0);
        bench.go.send(()).expect("the log writer lives");
        assert_eq!(bench.next_flush(), Zxid(2));
        drop(bench.log_writer);
        bench.go.send(()).expect("the log writer lives");
        bench.thread.join().expect("no panic");
        assert_eq!(bench.begun.iter().last(), Some(None), "the log is sealed at the end");
    }

    #[test]
    fn waiting_group_is_flushed_after_its_writer_is_dropped() {
        let mut bench = start();
        bench.log_writer.submit(&mut group([1]), 0);
        assert_eq!(bench.next_flush(), Zxid(1));
        bench.log_writer.submit(&mut group([2]), 0);
        drop(bench.log_writer);
        for _ in 0..2 {
            bench.go.send(()).expect("the log writer lives");
        }
        bench.thread.join().expect("no panic");
        let begun: Vec<_> = bench.begun.iter().collect();
        assert_eq!(begun, [Some(Zxid(2)), None], "it is durable before the log is sealed");
    }

    #[test]
    fn idle_log_is_sealed_and_goes_on() {
        let mut bench = start();
        for zxid in 1..3 {
            assert_eq!(bench.begun.recv(), Ok(None), "nothing has come for a while");
            bench.log_writer.submit(&mut group([zxid]), 0);
            assert_eq!(bench.begun.recv(), Ok(Some(Zxid(zxid))));
            bench.go.send(()).expect("the log writer lives");
            assert_eq!(bench.poll().durable, Zxid(zxid));
        }
    }

    #[test]
    fn cut_waits_for_the_flush_under_way_and_drops_the_group_that_waits() {
        let mut bench = start();
        bench.log_writer.submit(&mut group([1]), 0);
        bench.next_flush();
        bench.log_writer.submit(&mut group([2]), 0);
        let cut = LogCommand::Cut { after: Zxid(1), committed: Zxid(1) };
        assert_eq!(bench.log_writer.command(cut), Generation(1));
        assert!(bench.log_writer.is_busy() && bench.log_writer.waiting_bytes() == 0);
        bench.go.send(()).expect("the log writer lives");
        let first = bench.completion();
        assert!(matches!(first.event, LogEvent::Flushed(_)) && first.generation == Generation(0));
        let cut = Completion { generation: Generation(1), event: LogEvent::Cut(Zxid(1)) };
        assert_eq!(bench.completion(), cut);
        assert!(!bench.log_writer.is_busy(), "the group that waited is not counted any more");
        let epochs = Epochs { promised: 3, current: 2 };
        bench.log_writer.command(LogCommand::Save(epochs));
        assert_eq!(bench.completion().event, LogEvent::Saved(epochs));
        bench.log_writer.submit(&mut group([2]), 0);
        assert_eq!(bench.next_flush(), Zxid(2));
        bench.go.send(()).expect("the log writer lives");
        assert_eq!(bench.completion().generation, Generation(1));
    }
}
