//! What it costs to hand requests from a shard to the sequencer and answers back: on one thread,
//! between two that are awake, and between two that sleep whenever there is nothing to do.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ringkeeper_engine::request::{Answer, Origin, Outcome, Request, RequestKind, ShardMessage};
use ringkeeper_engine::sequencer::Caller;
use ringkeeper_engine::watch::ConnId;
use ringkeeper_engine::{SessionId, Zxid};
use ringkeeper_replication::node::MailboxLimits;
use ringkeeper_server::node::mailbox::{self, NodeEnd, ShardEnd};
use ringkeeper_server::node::waker::Waker;
use rustix::event::{PollFd, PollFlags, poll};

/// Requests of one sweep.
const BATCH: usize = 16;
const ORIGIN: Origin = Origin { shard: 0, conn: ConnId(1) };

/// Whether a thread without work sleeps.
#[derive(Clone, Copy, PartialEq)]
enum Idle {
    Spins,
    Sleeps,
}

fn requests() -> Vec<Request> {
    let caller = Caller { session: SessionId(1), cxid: 1, ids: Arc::from([]) };
    let request = || Request { origin: ORIGIN, caller: caller.clone(), kind: RequestKind::Sync };
    (0..BATCH).map(|_| request()).collect()
}

/// The sequencer's part: each request of a batch is answered.
fn answer(end: &mut NodeEnd) -> bool {
    let Some(batch) = end.receive() else { return false };
    for request in &batch {
        let answer = Answer { origin: request.origin, zxid: Zxid(1), outcome: Outcome::Synced };
        end.send(ShardMessage::Answer(answer));
    }
    end.publish();
    end.wake();
    true
}

fn ends(shard: &Arc<Waker>, sequencer: &Arc<Waker>) -> (ShardEnd, NodeEnd) {
    mailbox::pair(shard.clone(), sequencer.clone(), MailboxLimits::default().full)
}

fn waker() -> Arc<Waker> {
    Arc::new(Waker::new().expect("eventfds are there"))
}

/// Sleeps until somebody wakes this thread, unless there is work already.
fn sleep_unless(waker: &Waker, has_work: impl Fn() -> bool) {
    waker.about_to_sleep();
    if !has_work() {
        let mut fds = [PollFd::from_borrowed_fd(waker.fd(), PollFlags::IN)];
        let _ = poll(&mut fds, None);
        waker.drain();
    }
    waker.awake();
}

fn one_thread(c: &mut Criterion) {
    let both = waker();
    let (mut shard, mut sequencer) = ends(&both, &both);
    let mut group = c.benchmark_group("hand-off of 16 requests and answers");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("one thread", |b| {
        b.iter(|| {
            shard.send(&mut requests());
            assert!(answer(&mut sequencer));
            black_box(shard.receive()).expect("answers came");
        });
    });
    for (name, idle) in [("two threads that spin", Idle::Spins), ("two that sleep", Idle::Sleeps)] {
        group.bench_function(name, |b| two_threads(idle, |round| b.iter(round)));
    }
    group.finish();
}

/// Runs a sequencer beside a shard that makes rounds: a batch there, its answers back.
fn two_threads(idle: Idle, measure: impl FnOnce(&mut dyn FnMut())) {
    let (on_shard, on_sequencer, stop) = (waker(), waker(), AtomicBool::new(false));
    let (mut shard, mut sequencer) = ends(&on_shard, &on_sequencer);
    let has_stopped = || stop.load(Ordering::Acquire);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !has_stopped() {
                let worked = answer(&mut sequencer);
                if !worked && idle == Idle::Sleeps {
                    sleep_unless(&on_sequencer, || sequencer.has_requests() || has_stopped());
                } else if !worked {
                    std::hint::spin_loop();
                }
            }
        });
        measure(&mut || {
            shard.send(&mut requests());
            while shard.receive().map(black_box).is_none() {
                if idle == Idle::Sleeps {
                    sleep_unless(&on_shard, || shard.has_messages());
                } else {
                    std::hint::spin_loop();
                }
            }
        });
        stop.store(true, Ordering::Release);
        on_sequencer.wake();
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20);
    targets = one_thread
}
criterion_main!(benches);
