//! What a leader has sent and its node has not taken.

use std::collections::VecDeque;

use ringkeeper_engine::Zxid;

use crate::LeaderEvent;

/// What an event takes in memory besides its payload.
const EVENT_BYTES: usize = 128;

/// Events on their way to the node, and how far the node and its log are with the transactions
/// among them.
#[derive(Debug)]
pub(super) struct LeaderEvents {
    queue: VecDeque<(LeaderEvent, usize)>,
    bytes: usize,
    /// Events with transactions in the queue.
    waiting: usize,
    /// The last transaction that the node has taken.
    taken: Zxid,
    /// The last one that is on the disk.
    durable: Zxid,
}

impl LeaderEvents {
    /// None, behind a log that is on the disk.
    pub(super) fn new(last: Zxid) -> LeaderEvents {
        let (queue, bytes, waiting) = (VecDeque::new(), 0, 0);
        LeaderEvents { queue, bytes, waiting, taken: last, durable: last }
    }

    /// Adds an event. Its transaction came in so many bytes.
    pub(super) fn push(&mut self, event: LeaderEvent, payload_bytes: usize) {
        let bytes = payload_bytes + EVENT_BYTES;
        self.waiting += usize::from(event.learned().is_some());
        self.bytes += bytes;
        self.queue.push_back((event, bytes));
    }

    /// The node takes the next one.
    pub(super) fn pop(&mut self) -> Option<LeaderEvent> {
        let (event, bytes) = self.queue.pop_front()?;
        self.bytes -= bytes;
        if let Some(last) = event.learned() {
            self.waiting -= 1;
            self.taken = last;
        }
        Some(event)
    }

    /// Whether a transaction is among them.
    pub(super) fn has_learned(&self) -> bool {
        self.waiting > 0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// What they take in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether all that came over links that have ended was taken and is on the disk.
    pub(super) fn is_at_rest(&self) -> bool {
        let is_end = |event: &LeaderEvent| matches!(event, LeaderEvent::Lost | LeaderEvent::Cut(_));
        self.taken == self.durable && self.queue.iter().all(|(event, _)| is_end(event))
    }

    /// The log is on the disk up to here.
    pub(super) fn flushed(&mut self, durable: Zxid) {
        self.durable = durable;
    }

    /// The log was cut or begun anew, and ends here.
    pub(super) fn reset(&mut self, last: Zxid) {
        assert!(self.waiting == 0, "the log changes before what was sent is in it");
        (self.taken, self.durable) = (last, last);
    }

    /// The node has learned the transactions that it has taken up to here, and not those behind:
    /// one of them is wrong.
    pub(super) fn give_back(&mut self, learned: Zxid) {
        assert!(learned <= self.taken, "{learned} is learned, and {} was taken", self.taken);
        self.taken = learned;
    }

    /// Drops what need not be learned. What happened to the log stays.
    pub(super) fn drop_learned(&mut self) {
        self.retain(|event| matches!(event, LeaderEvent::Cut(_)));
        self.waiting = 0;
    }

    /// The node's state was replaced: it need not hear of cuts before.
    pub(super) fn drop_cuts(&mut self) {
        self.retain(|event| !matches!(event, LeaderEvent::Cut(_)));
    }

    fn retain(&mut self, is_kept: impl Fn(&LeaderEvent) -> bool) {
        self.queue.retain(|(event, _)| is_kept(event));
        self.bytes = self.queue.iter().map(|(_, bytes)| bytes).sum();
    }
}
