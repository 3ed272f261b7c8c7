use std::sync::Arc;
use std::time::Duration;

use ringkeeper_engine::database::{CommitStatus, Interest};
use ringkeeper_engine::device::{Durability, Membership, Strategy};
use ringkeeper_engine::log::{Dirs, Group, OpenSettings, Opened, Settings, open};
use ringkeeper_engine::tree::Digest;
use ringkeeper_engine::txn::{CreateOp, CreateTxn, NodeKind, Txn, TxnBody};
use ringkeeper_engine::{Millis, SessionId, Zxid, zookeeper};
use ringkeeper_replication::leader::{FeedLimits, FeedPackets};
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
    let (link, last, upto) = (LinkId(link), Zxid(last), Zxid(LAST));
    FeedTask { link, last, upto, packets: FeedPackets::Proposals }
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
