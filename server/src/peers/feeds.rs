//! The threads of a leader that read what learners lack: from the log, or as a whole state.
//!
//! A task first gets a thread that looks at the log. If the learner needs a state, that thread
//! ends, and the task waits for one that may make a state: those are few, for each takes the memory
//! of one more tree. Tasks wait in order. A thread reads one piece ahead.
//!
//! Purges leave what is read: see [`LearnerFeed`]. A cut, or a state that is installed, cannot come
//! while this server leads: both are commands of a leader to its learner. If this server is a
//! learner by the time a thread ends, the thread fails, or reads what is gone; its link is gone
//! too, so nothing is sent of it. So [`crate::storage::exclusion`] is not taken here, and a change
//! of the history does not wait for a learner that is slow.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use crossbeam::channel::{Receiver, Sender, unbounded};
use ringkeeper_engine::device::Disk;
use ringkeeper_replication::leader::{
    FeedEvent, FeedPort, FeedSource, FeedTask, LearnerFeed, LearnerFeedError, LinkId, SyncPlan,
};

use crate::node::waker::Waker;

/// How many threads there are at a time. One of each at least.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FeedThreadLimits {
    /// That read the log (`leader.maxConcurrentDiffSyncs`).
    pub diffs: usize,
    /// That make a state (`leader.maxConcurrentSnapSyncs`).
    pub states: usize,
}

/// The node's end of the threads. Without it they end by themselves, and need not be waited for:
/// they change nothing.
pub struct FeedThreads {
    source: FeedSource<Disk>,
    most: FeedThreadLimits,
    waker: Arc<Waker>,
    /// Tasks that are not over, by link.
    active: BTreeMap<LinkId, Active>,
    diffs: Threads,
    states: Threads,
    /// Tasks that were begun: each has its number, for a link may have one after the other.
    begun: u64,
    /// What no thread could report.
    failed: VecDeque<(LinkId, FeedEvent)>,
    to_node: Sender<Report>,
    reports: Receiver<Report>,
}

/// A task that is not over.
struct Active {
    number: u64,
    /// The thread that has it, if one has.
    thread: Option<FeedThread>,
}

/// Threads of one kind.
#[derive(Default)]
struct Threads {
    running: usize,
    waiting: VecDeque<Numbered>,
}

#[derive(Clone, Copy)]
struct Numbered {
    number: u64,
    task: FeedTask,
}

/// What a thread may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum FeedKind {
    Diff,
    State,
}

/// The node's end of one thread.
struct FeedThread {
    requests: Sender<()>,
    is_stopped: Arc<AtomicBool>,
}

impl Drop for FeedThread {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }
}

/// What a thread reports.
enum Report {
    /// Something for the node.
    Event(u64, LinkId, FeedEvent),
    /// The task is for a thread that may make a state.
    NeedsState(Numbered),
    /// The thread is over, and has given its memory back.
    Ended(FeedKind),
}

/// A task on its thread.
struct Job {
    kind: FeedKind,
    numbered: Numbered,
    source: FeedSource<Disk>,
    requests: Receiver<()>,
    is_stopped: Arc<AtomicBool>,
    to_node: Sender<Report>,
    waker: Arc<Waker>,
}

impl FeedThreads {
    /// No thread runs. `waker` is woken when [`FeedPort::poll`] has something.
    pub fn new(source: FeedSource<Disk>, most: FeedThreadLimits, waker: Arc<Waker>) -> FeedThreads {
        let (to_node, reports) = unbounded();
        let most = FeedThreadLimits { diffs: most.diffs.max(1), states: most.states.max(1) };
        FeedThreads {
            source,
            most,
            waker,
            active: BTreeMap::new(),
            diffs: Threads::default(),
            states: Threads::default(),
            begun: 0,
            failed: VecDeque::new(),
            to_node,
            reports,
        }
    }

    /// Whether [`FeedPort::poll`] has something to look at.
    pub fn is_ready(&self) -> bool {
        !self.reports.is_empty() || !self.failed.is_empty()
    }

    /// Threads that run, also such as have been stopped and have not ended.
    pub fn running(&self) -> usize {
        self.diffs.running + self.states.running
    }

    fn threads(&mut self, kind: FeedKind) -> (&mut Threads, usize) {
        match kind {
            FeedKind::Diff => (&mut self.diffs, self.most.diffs),
            FeedKind::State => (&mut self.states, self.most.states),
        }
    }

    fn is_active(&self, link: LinkId, number: u64) -> bool {
        self.active.get(&link).is_some_and(|active| active.number == number)
    }

    /// Gives tasks that wait to threads, as many as there may be.
    fn dispatch(&mut self, kind: FeedKind) {
        loop {
            let (threads, most) = self.threads(kind);
            if threads.running >= most {
                return;
            }
            let Some(numbered) = threads.waiting.pop_front() else { return };
            if let Err(error) = self.start(kind, numbered) {
                let link = numbered.task.link;
                self.active.remove(&link);
                let why = format!("no thread can be started that reads the log: {error}");
                self.failed.push_back((link, FeedEvent::Failed(why)));
            }
        }
    }

    fn start(&mut self, kind: FeedKind, numbered: Numbered) -> io::Result<()> {
        let (to_thread, requests) = unbounded();
        let is_stopped = Arc::new(AtomicBool::new(false));
        let job = Job {
            kind,
            numbered,
            source: self.source.clone(),
            requests,
            is_stopped: is_stopped.clone(),
            to_node: self.to_node.clone(),
            waker: self.waker.clone(),
        };
        thread::Builder::new().name("peer-feed".into()).spawn(move || job.run())?;
        self.threads(kind).0.running += 1;
        let active = self.active.get_mut(&numbered.task.link);
        let active = active.expect("tasks that wait are active");
        active.thread = Some(FeedThread { requests: to_thread, is_stopped });
        Ok(())
    }

    fn on_report(&mut self, report: Report) -> Option<(LinkId, FeedEvent)> {
        match report {
            Report::Event(number, link, event) => {
                if !self.is_active(link, number) {
                    return None;
                }
                if let FeedEvent::Done | FeedEvent::Failed(_) = event {
                    self.active.remove(&link);
                }
                Some((link, event))
            }
            Report::NeedsState(numbered) => {
                let Numbered { number, task } = numbered;
                if self.is_active(task.link, number) {
                    let waiting = &mut self.states.waiting;
                    let at = waiting.partition_point(|other| other.number < number);
                    waiting.insert(at, numbered);
                    self.dispatch(FeedKind::State);
                }
                None
            }
            Report::Ended(kind) => {
                self.threads(kind).0.running -= 1;
                self.dispatch(kind);
                None
            }
        }
    }
}

impl FeedPort for FeedThreads {
    fn begin(&mut self, task: FeedTask) {
        self.begun += 1;
        let number = self.begun;
        let before = self.active.insert(task.link, Active { number, thread: None });
        assert!(before.is_none(), "a connection has one task at a time");
        self.diffs.waiting.push_back(Numbered { number, task });
        self.dispatch(FeedKind::Diff);
    }

    /// What comes of it is a piece. The end is reported as soon as it is known; so is a failure.
    fn request(&mut self, link: LinkId) {
        let thread = self.active.get(&link).and_then(|active| active.thread.as_ref());
        if let Some(FeedThread { requests, .. }) = thread {
            // A thread that has ended has said so.
            let _ = requests.send(());
        }
    }

    fn stop(&mut self, link: LinkId) {
        let Some(Active { number, .. }) = self.active.remove(&link) else { return };
        for threads in [&mut self.diffs, &mut self.states] {
            threads.waiting.retain(|waiting| waiting.number != number);
        }
    }

    fn poll(&mut self) -> Option<(LinkId, FeedEvent)> {
        loop {
            if let Some(failed) = self.failed.pop_front() {
                return Some(failed);
            }
            let report = self.reports.try_recv().ok()?;
            if let Some(event) = self.on_report(report) {
                return Some(event);
            }
        }
    }
}

impl Job {
    fn run(self) {
        self.read();
        self.report(Report::Ended(self.kind));
    }

    fn read(&self) {
        let Numbered { task, .. } = self.numbered;
        let mut feed = match LearnerFeed::open(&self.source, task) {
            Ok(feed) => feed,
            Err(error) => return self.event(FeedEvent::Failed(error.to_string())),
        };
        let plan = feed.plan();
        match plan {
            SyncPlan::Snap(_) if self.kind == FeedKind::Diff => {
                return self.report(Report::NeedsState(self.numbered));
            }
            SyncPlan::Snap(_) | SyncPlan::Diff | SyncPlan::Trunc(_) => {}
        }
        self.event(FeedEvent::Plan(plan));
        let (start, bytes) = (Instant::now(), self.hand_out(&mut feed));
        // Before the end is reported, for another state may be made then.
        drop(feed);
        if let Some(bytes) = bytes {
            let ms = start.elapsed().as_millis() as u64;
            tracing::debug!(
                link = task.link.0,
                ?plan,
                bytes,
                ms,
                "a learner was sent what it lacked"
            );
        }
    }

    /// Hands out piece by piece. Returns how many bytes that were, if it was all.
    fn hand_out(&self, feed: &mut LearnerFeed<Disk>) -> Option<usize> {
        let is_stopped = || self.is_stopped.load(Ordering::Relaxed);
        let mut bytes = 0;
        loop {
            match feed.next_piece(&is_stopped) {
                Ok(Some(piece)) => {
                    bytes += piece.len();
                    self.requests.recv().ok()?;
                    self.event(FeedEvent::Piece(piece));
                }
                Ok(None) => {
                    self.event(FeedEvent::Done);
                    return Some(bytes);
                }
                Err(LearnerFeedError::Stopped) => return None,
                Err(error) => {
                    self.event(FeedEvent::Failed(error.to_string()));
                    return None;
                }
            }
        }
    }

    fn event(&self, event: FeedEvent) {
        let Numbered { number, task } = self.numbered;
        self.report(Report::Event(number, task.link, event));
    }

    fn report(&self, report: Report) {
        // Without the node the server is about to end.
        if self.to_node.send(report).is_ok() {
            self.waker.wake();
        }
    }
}

#[cfg(test)]
mod tests;
