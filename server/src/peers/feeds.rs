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
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use ringkeeper_engine::database::{CommitStatus, Interest};
    use ringkeeper_engine::device::{Durability, Membership, Strategy};
    use ringkeeper_engine::log::{Dirs, Group, OpenSettings, Opened, Settings, open};
    use ringkeeper_engine::tree::Digest;
    use ringkeeper_engine::txn::{CreateOp, CreateTxn, NodeKind, Txn, TxnBody};
    use ringkeeper_engine::{Millis, SessionId, Zxid, zookeeper};
    use ringkeeper_replication::leader::FeedLimits;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    const LAST: u64 = 400;
    const PIECE_BYTES: usize = 4_096;

    /// A leader in a real directory.
    struct Leader {
        opened: Opened<Disk>,
        dirs: Dirs<Disk>,
        _directory: tempfile::TempDir,
    }

    fn txn(zxid: u64) -> Txn {
        let acl = ringkeeper_engine::acl::open_list();
        let path: Arc<str> = format!("/n{zxid}").into();
        let (data, kind) = (Some(vec![7; 200].into()), NodeKind::Persistent);
        let op = CreateOp::Create;
        let create = CreateTxn { op, path, data, acl, kind, parent_cversion: zxid as i32 + 1 };
        let (session, time) = (SessionId(1), Millis(1));
        Txn { session, cxid: 1, zxid: Zxid(zxid), time, body: TxnBody::Create(create) }
    }

    impl Leader {
        fn new() -> Leader {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let disk = Disk::open(directory.path(), Strategy::Pwrite, Durability::Unsynced);
            let disk = disk.expect("a directory");
            let dirs = Dirs { snapshots: disk.clone(), log: disk };
            let settings = OpenSettings {
                membership: Membership::Member(1),
                autocreate: true,
                digest: Digest::Kept,
                seed: 5,
                log: Settings { segment_bytes: 64 << 10, ..Settings::default() },
            };
            let mut opened = open(&dirs, &settings, |_| ()).expect("an empty directory");
            opened.db.set_commit_status(CommitStatus::Committed);
            let mut group = Group::new();
            for zxid in 1..=LAST {
                opened.db.apply(&txn(zxid), Interest::None);
                group.push(&txn(zxid));
                opened.recovered.log.flush(&mut group).expect("a good disk");
            }
            Leader { opened, dirs, _directory: directory }
        }

        fn threads(&self, most: FeedThreadLimits) -> FeedThreads {
            let source = FeedSource {
                dirs: self.dirs.clone(),
                directory: self.opened.identity.directory,
                gauge: self.opened.recovered.gauge.clone(),
                seed: 5,
                limits: FeedLimits { piece_bytes: PIECE_BYTES, first_diff_bytes: 0 },
            };
            FeedThreads::new(source, most, Arc::new(Waker::new().expect("an eventfd")))
        }
    }

    /// The next event; sleeps as the node does.
    fn next(threads: &mut FeedThreads) -> (LinkId, FeedEvent) {
        next_where(threads, |threads| threads.poll())
    }

    fn next_where<T>(
        threads: &mut FeedThreads,
        mut look: impl FnMut(&mut FeedThreads) -> Option<T>,
    ) -> T {
        let waker = threads.waker.clone();
        loop {
            waker.about_to_sleep();
            if let Some(found) = look(threads) {
                waker.awake();
                return found;
            }
            let mut fds = [PollFd::from_borrowed_fd(waker.fd(), PollFlags::IN)];
            let timeout = Timespec::try_from(Duration::from_secs(60)).expect("it is short");
            assert_eq!(poll(&mut fds, Some(&timeout)), Ok(1), "no wake came");
            waker.awake();
            waker.drain();
        }
    }
    /// Requests all of what is planned for a link. Returns the bytes.
    fn all(threads: &mut FeedThreads, of: LinkId) -> Vec<u8> {
        let mut bytes = Vec::new();
        threads.request(of);
        loop {
            match next(threads) {
                (link, FeedEvent::Piece(piece)) if link == of => {
                    assert!(piece.len() <= 2 * PIECE_BYTES);
                    bytes.extend(piece);
                    threads.request(of);
                }
                (link, FeedEvent::Done) if link == of => return bytes,
                other => panic!("{other:?}"),
            }
        }
    }

    fn task(link: u64, last: u64) -> FeedTask {
        FeedTask { link: LinkId(link), last: Zxid(last), upto: Zxid(LAST) }
    }

    fn planned(threads: &mut FeedThreads) -> (LinkId, SyncPlan) {
        match next(threads) {
            (link, FeedEvent::Plan(plan)) => (link, plan),
            other => panic!("{other:?}"),
        }
    }

    fn all_end(threads: &mut FeedThreads) {
        next_where(threads, |threads| {
            assert!(threads.poll().is_none(), "what is over reports nothing");
            (threads.running() == 0).then_some(())
        });
    }

    #[test]
    fn learner_gets_its_plan_then_pieces_on_request_then_the_end() {
        let leader = Leader::new();
        let mut threads = leader.threads(FeedThreadLimits { diffs: 2, states: 2 });
        threads.begin(task(1, 100));
        assert_eq!(planned(&mut threads), (LinkId(1), SyncPlan::Diff));
        let diff = all(&mut threads, LinkId(1));
        // A proposal and a commit for each.
        let bytes = |zxid| {
            let mut bytes = Vec::new();
            txn(zxid).write(&mut bytes);
            bytes.len() + 40
        };
        assert_eq!(diff.len(), (101..=LAST).map(bytes).sum::<usize>());
        threads.begin(task(1, LAST));
        assert_eq!(planned(&mut threads), (LinkId(1), SyncPlan::Diff));
        assert!(all(&mut threads, LinkId(1)).is_empty());
        threads.begin(task(2, 0));
        assert_eq!(planned(&mut threads), (LinkId(2), SyncPlan::Snap(Zxid(LAST))));
        let state = all(&mut threads, LinkId(2));
        let loaded = zookeeper::load_stream(&state[..], Zxid(LAST), 3).expect("a state");
        let read = loaded.rebuild.finish(0).expect("a whole one");
        assert_eq!(read.tree.digest(), leader.opened.db.tree.digest());
        all_end(&mut threads);
    }

    #[test]
    fn states_beyond_those_allowed_wait_in_order_and_hold_up_no_diff() {
        let leader = Leader::new();
        let mut threads = leader.threads(FeedThreadLimits { diffs: 1, states: 1 });
        (1..=3).for_each(|link| threads.begin(task(link, 0)));
        threads.begin(task(4, 9));
        let first = [planned(&mut threads), planned(&mut threads)];
        let snap = SyncPlan::Snap(Zxid(LAST));
        assert!(first.contains(&(LinkId(1), snap)) && first.contains(&(LinkId(4), SyncPlan::Diff)));
        all(&mut threads, LinkId(4));
        // One that waits is given up; the others have their turns.
        threads.stop(LinkId(2));
        all(&mut threads, LinkId(1));
        assert_eq!(planned(&mut threads), (LinkId(3), snap));
        all(&mut threads, LinkId(3));
        all_end(&mut threads);
    }

    #[test]
    fn stopped_task_ends_its_thread_wherever_that_is_and_the_next_begins() {
        let leader = Leader::new();
        let mut threads = leader.threads(FeedThreadLimits { diffs: 1, states: 1 });
        for pieces in 0..4 {
            (1..=2).for_each(|link| threads.begin(task(link, 0)));
            assert_eq!(planned(&mut threads).0, LinkId(1));
            for _ in 0..pieces {
                threads.request(LinkId(1));
                assert!(matches!(next(&mut threads), (LinkId(1), FeedEvent::Piece(_))));
            }
            threads.request(LinkId(1));
            threads.stop(LinkId(1));
            assert_eq!(planned(&mut threads).0, LinkId(2));
            threads.stop(LinkId(2));
            // A request of what is over is nothing.
            threads.request(LinkId(2));
            all_end(&mut threads);
        }
    }

    #[test]
    fn threads_end_when_the_node_does() {
        let leader = Leader::new();
        let mut threads = leader.threads(FeedThreadLimits { diffs: 2, states: 2 });
        (1..=4).for_each(|link| threads.begin(task(link, 9 * (link % 2))));
        planned(&mut threads);
        let waker = threads.waker.clone();
        drop(threads);
        let start = Instant::now();
        while Arc::strong_count(&waker) > 1 {
            assert!(start.elapsed() < Duration::from_secs(60), "a thread goes on");
            thread::yield_now();
        }
    }

    #[test]
    fn log_that_is_cut_under_a_thread_is_reported_with_a_sentence() {
        let mut leader = Leader::new();
        let mut threads = leader.threads(FeedThreadLimits { diffs: 1, states: 1 });
        threads.begin(task(1, 5));
        assert_eq!(planned(&mut threads).1, SyncPlan::Diff);
        leader.opened.recovered.log.cut(Zxid(LAST - 1), Zxid::ZERO).expect("a good disk");
        threads.request(LinkId(1));
        let why = loop {
            match next(&mut threads) {
                (_, FeedEvent::Piece(_)) => threads.request(LinkId(1)),
                (_, FeedEvent::Failed(why)) => break why,
                other => panic!("{other:?}"),
            }
        };
        assert!(why.contains("does not lead any more"), "{why}");
        all_end(&mut threads);
    }
}
