//! The rings between the shards and the node. A batch is one item, so a sweep costs one push and at
//! most one wake.
//!
//! Requests have a bounded ring: where it is full they stay with their shard, which stops reading
//! its sockets. Messages to a shard have a queue whose bounds the node keeps, because a shard that
//! does not take them must not hold up others: [`ringkeeper_replication::node::MailboxLimits`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam::queue::SegQueue;
use parking_lot::Mutex;
use ringkeeper_engine::request::{Request, ShardMessage};
use ringkeeper_replication::node::ChangesLost;
use rtrb::{Consumer, Producer, RingBuffer};

use crate::node::waker::Waker;

/// Batches of requests that fit between two threads. A shard bounds its requests by count; this
/// only bounds how finely they may be cut.
const BATCHES: usize = 256;

/// A shard's end.
pub struct ShardEnd {
    requests: Producer<Vec<Request>>,
    messages: Arc<Messages>,
    node: Arc<Waker>,
    /// Batches in the mailbox from which on the node orders no request.
    full: usize,
}

/// The node's end for one shard.
pub struct NodeEnd {
    requests: Consumer<Vec<Request>>,
    messages: Arc<Messages>,
    shard: Arc<Waker>,
    /// Messages of the critical section under way.
    batch: Vec<ShardMessage>,
    published: u64,
}

/// What lies between the two ends, from the node to the shard.
#[derive(Default)]
struct Messages {
    batches: SegQueue<Vec<ShardMessage>>,
    waiting: AtomicUsize,
    /// Whether changes were not sent that the shard's watches may concern.
    changes_lost: AtomicBool,
    /// Why; of several reasons the first.
    lost_because: Mutex<Option<ChangesLost>>,
    /// Whether the shard wants to hear of changes.
    interest: AtomicBool,
}

/// Both ends of the rings between one shard and the node. `full` is that of the node's
/// [`ringkeeper_replication::node::MailboxLimits`]: batches in the mailbox from which on it waits.
pub fn pair(shard: Arc<Waker>, node: Arc<Waker>, full: usize) -> (ShardEnd, NodeEnd) {
    let (to_node, requests) = RingBuffer::new(BATCHES);
    let messages = Arc::new(Messages::default());
    let end = ShardEnd { requests: to_node, messages: messages.clone(), node, full };
    let other = NodeEnd { requests, messages, shard, batch: Vec::new(), published: 0 };
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
        self.node.wake();
    }

    /// The next batch of messages. A node that waits until this shard has caught up is woken.
    ///
    /// Order: the count goes down before the look at whether the node sleeps, and the node says
    /// that it sleeps before it looks at the count, so one of the two sees the other.
    pub fn receive(&mut self) -> Option<Vec<ShardMessage>> {
        let batch = self.messages.batches.pop()?;
        let before = self.messages.waiting.fetch_sub(1, Ordering::SeqCst);
        if before == self.full {
            self.node.wake();
        }
        Some(batch)
    }

    /// Whether messages wait.
    pub fn has_messages(&self) -> bool {
        !self.messages.batches.is_empty()
    }

    /// Why changes were lost since the last call, if they were. Order: called with the shard's read
    /// guard held, before the messages are taken: the answers among them belong to states whose
    /// changes may be missing.
    pub fn take_changes_lost(&self) -> Option<ChangesLost> {
        let lost = &self.messages.changes_lost;
        if !lost.load(Ordering::Acquire) || !lost.swap(false, Ordering::AcqRel) {
            return None;
        }
        // The reason was there before the flag.
        let because = self.messages.lost_because.lock().take();
        Some(because.unwrap_or(ChangesLost::ShardBehind))
    }

    /// Says whether the shard holds watches. Order: called while the shard's read guard is held,
    /// so no change can slip between a registration and this.
    pub fn publish_interest(&self, interest: bool) {
        if self.messages.interest.load(Ordering::Relaxed) != interest {
            self.messages.interest.store(interest, Ordering::Release);
        }
    }
}

impl NodeEnd {
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
        self.messages.interest.load(Ordering::Acquire)
    }

    /// Adds to the batch of the critical section under way.
    pub fn send(&mut self, message: ShardMessage) {
        self.batch.push(message);
    }

    /// Notes that the shard is not told of a change.
    pub fn lose_changes(&mut self, why: ChangesLost) {
        self.messages.lost_because.lock().get_or_insert(why);
        self.messages.changes_lost.store(true, Ordering::Release);
    }

    /// Puts the batch into the mailbox.
    pub fn publish(&mut self) {
        if !self.batch.is_empty() {
            self.published += 1;
            self.messages.waiting.fetch_add(1, Ordering::SeqCst);
            self.messages.batches.push(std::mem::take(&mut self.batch));
        }
    }

    /// Batches that the shard has not taken.
    pub fn waiting(&self) -> usize {
        self.messages.waiting.load(Ordering::SeqCst)
    }

    /// Batches that were ever published.
    pub fn published(&self) -> u64 {
        self.published
    }

    /// Wakes the shard if messages wait, or if it has connections to close.
    pub fn wake(&self) {
        if self.waiting() > 0 || self.messages.changes_lost.load(Ordering::Acquire) {
            self.shard.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use ringkeeper_engine::SessionId;
    use ringkeeper_engine::watch::ConnId;
    use rustix::event::{PollFd, PollFlags, poll};

    use ringkeeper_engine::request::CloseCause;

    use super::*;

    fn is_woken(waker: &Waker) -> bool {
        let mut fds = [PollFd::from_borrowed_fd(waker.fd(), PollFlags::IN)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut fds, Some(&now)).expect("an eventfd can be polled") > 0
    }

    /// Not the default: the threshold is what the ends were made with.
    const FULL: usize = 3;

    fn ends() -> (ShardEnd, NodeEnd, Arc<Waker>) {
        let waker = || Arc::new(Waker::new().expect("an eventfd"));
        let node = waker();
        let (shard, end) = pair(waker(), node.clone(), FULL);
        (shard, end, node)
    }

    fn publish(node: &mut NodeEnd) {
        node.send(ShardMessage::CloseConnection(ConnId(0), SessionId(1), CloseCause::NotOwner));
        node.publish();
    }

    #[test]
    fn full_mailbox_wakes_the_sleeping_node_when_the_shard_catches_up() {
        let (mut shard, mut node, waker) = ends();
        (0..FULL + 1).for_each(|_| publish(&mut node));
        waker.about_to_sleep();
        shard.receive().expect("batches wait");
        assert!(!is_woken(&waker), "it is still full");
        shard.receive().expect("batches wait");
        assert!(is_woken(&waker) && node.waiting() == FULL - 1);
        assert_eq!(node.published(), FULL as u64 + 1);
    }

    #[test]
    fn lost_changes_are_reported_once() {
        let (shard, mut node, _) = ends();
        assert_eq!(shard.take_changes_lost(), None);
        node.lose_changes(ChangesLost::StateReplaced);
        node.lose_changes(ChangesLost::Leaderless);
        assert_eq!(shard.take_changes_lost(), Some(ChangesLost::StateReplaced));
        assert_eq!(shard.take_changes_lost(), None);
    }
}
