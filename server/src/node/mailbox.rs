//! Bounded rings between the shards and the sequencer. A batch is one item, so a sweep costs one
//! push and at most one wake.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use ringkeeper_engine::request::{Request, ShardMessage};
use rtrb::{Consumer, Producer, RingBuffer};

use crate::node::waker::Waker;

/// Batches that fit between two threads. A shard bounds its requests by count; this only bounds
/// how finely they may be cut.
const BATCHES: usize = 256;

/// A shard's end.
pub struct ShardEnd {
    requests: Producer<Vec<Request>>,
    deliveries: Consumer<Vec<ShardMessage>>,
    /// Whether the shard wants to hear of changes.
    interest: Arc<AtomicBool>,
    sequencer: Arc<Waker>,
}

/// The sequencer's end for one shard.
pub struct SequencerEnd {
    requests: Consumer<Vec<Request>>,
    deliveries: Producer<Vec<ShardMessage>>,
    interest: Arc<AtomicBool>,
    shard: Arc<Waker>,
    /// Deliveries of the hold under way.
    outbox: Vec<ShardMessage>,
}

/// Both ends of the rings between one shard and the sequencer.
pub fn pair(shard: Arc<Waker>, sequencer: Arc<Waker>) -> (ShardEnd, SequencerEnd) {
    let (to_sequencer, requests) = RingBuffer::new(BATCHES);
    let (deliveries, from_sequencer) = RingBuffer::new(BATCHES);
    let interest = Arc::new(AtomicBool::new(false));
    let end = ShardEnd {
        requests: to_sequencer,
        deliveries: from_sequencer,
        interest: interest.clone(),
        sequencer,
    };
    let other = SequencerEnd { requests, deliveries, interest, shard, outbox: Vec::new() };
    (end, other)
}

impl ShardEnd {
    /// Sends the requests of a sweep. Where the ring is full they stay for the next one.
    pub fn send(&mut self, requests: &mut Vec<Request>) {
        if requests.is_empty() || self.requests.is_full() {
            return;
        }
        let batch = std::mem::take(requests);
        self.requests.push(batch).expect("there was room a line above");
        self.sequencer.wake();
    }

    /// The next batch of deliveries. A sequencer that waits for room is told that there is some.
    ///
    /// Order: the room is made before the look at how full it was, and the sequencer says that it
    /// sleeps before it looks for room, so one of the two sees the other.
    pub fn receive(&mut self) -> Option<Vec<ShardMessage>> {
        let batch = self.deliveries.pop().ok()?;
        fence(Ordering::SeqCst);
        if self.deliveries.slots() + 1 >= BATCHES {
            self.sequencer.wake();
        }
        Some(batch)
    }

    /// Whether deliveries wait.
    pub fn has_mail(&self) -> bool {
        !self.deliveries.is_empty()
    }

    /// Says whether the shard holds watches. Order: called while the shard's read guard is held,
    /// so no change can slip between a registration and this.
    pub fn publish_interest(&self, interest: bool) {
        if self.interest.load(Ordering::Relaxed) != interest {
            self.interest.store(interest, Ordering::Release);
        }
    }
}

impl SequencerEnd {
    /// The next batch of requests.
    pub fn receive(&mut self) -> Option<Vec<Request>> {
        self.requests.pop().ok()
    }

    /// Whether requests wait.
    pub fn has_requests(&self) -> bool {
        !self.requests.is_empty()
    }

    /// Whether the shard wants to hear of changes.
    pub fn has_interest(&self) -> bool {
        self.interest.load(Ordering::Acquire)
    }

    /// Whether a hold may begin: its deliveries make one batch.
    pub fn has_room(&self) -> bool {
        !self.deliveries.is_full()
    }

    /// Adds to the batch of the hold under way.
    pub fn post(&mut self, delivery: ShardMessage) {
        self.outbox.push(delivery);
    }

    /// Puts the batch into the mailbox. Order: before the write guard is released, so that no
    /// reader can see a state whose deliveries are not in its mailbox.
    pub fn publish(&mut self) {
        if !self.outbox.is_empty() {
            let batch = std::mem::take(&mut self.outbox);
            self.deliveries.push(batch).expect("room was reserved before the guard was taken");
        }
    }

    /// Wakes the shard if mail waits.
    pub fn wake(&self) {
        if self.deliveries.slots() < BATCHES {
            self.shard.wake();
        }
    }
}
