//! Requests: how many may be in process, how long they may wait for that, and how many bytes the
//! large ones may have together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The limits of one server, and what its shards have in process together.
///
/// The default limits nothing.
#[derive(Clone, Debug, Default)]
pub struct RequestLimits {
    /// Requests in process from which on others are held back (`request_throttle_max_requests`).
    pub in_process_max: Option<usize>,
    /// Milliseconds after which a shard that holds requests back looks again
    /// (`request_throttle_stall_time`).
    pub stall_ms: i64,
    /// A held request that is stale is dropped, with its connection
    /// (`request_throttle_drop_stale`).
    pub drop_stale: bool,
    /// A request that was held for longer than its session's timeout is stale
    /// (`request_stale_latency_check`).
    pub stale_by_latency: bool,
    /// A request whose client is gone is stale (`request_stale_connection_check`).
    pub stale_by_connection: bool,
    /// Microseconds; a request that was held for longer is refused (`throttled_op_wait_time`).
    pub wait_us_max: Option<u64>,
    /// Bytes of a payload above which a request is large (`largeRequestThreshold`).
    pub large_from: Option<usize>,
    /// Bytes that all large requests in process may have together (`largeRequestMaxBytes`).
    pub large_bytes_max: usize,
    /// What is in process, on all shards.
    pub in_process: Arc<InProcess>,
}

/// What is in process on all shards together. But for what waits to be sent, it is only counted
/// where there is a limit.
#[derive(Debug, Default)]
pub struct InProcess {
    requests: AtomicUsize,
    large_bytes: AtomicUsize,
    unsent_bytes: AtomicUsize,
}

impl RequestLimits {
    /// Whether requests can be held back.
    pub fn holds(&self) -> bool {
        self.in_process_max.is_some()
    }

    /// Whether one more may be in process.
    ///
    /// Two shards may both find the last slot free: the limit protects the server and counts
    /// nothing exactly, in ZooKeeper either.
    pub fn admits_request(&self) -> bool {
        let in_process = self.in_process.requests.load(Relaxed);
        self.in_process_max.is_none_or(|max| in_process < max)
    }

    /// One more request is in process.
    pub fn begin(&self) {
        if self.holds() {
            self.in_process.requests.fetch_add(1, Relaxed);
        }
    }

    /// So many have ended.
    pub fn end(&self, count: usize) {
        if self.holds() {
            self.in_process.requests.fetch_sub(count, Relaxed);
        }
    }

    /// Bytes that wait to be sent in all connections, as the shards have told at the ends of their
    /// turns.
    pub fn unsent_bytes(&self) -> usize {
        self.in_process.unsent_bytes.load(Relaxed)
    }

    /// A shard has to send `now` bytes, and had told `before`.
    pub fn note_unsent(&self, before: usize, now: usize) {
        self.in_process.unsent_bytes.fetch_add(now.wrapping_sub(before), Relaxed);
    }

    fn is_large(&self, bytes: usize) -> bool {
        self.large_from.is_some_and(|from| bytes > from)
    }

    /// Whether a request of this size would be admitted, without admitting it.
    pub fn admits_bytes(&self, bytes: usize) -> bool {
        let taken = || self.in_process.large_bytes.load(Relaxed);
        !self.is_large(bytes) || taken().saturating_add(bytes) <= self.large_bytes_max
    }

    /// Admits a request of this size, if it fits.
    pub fn take_bytes(&self, bytes: usize) -> bool {
        if !self.is_large(bytes) {
            return true;
        }
        let before = self.in_process.large_bytes.fetch_add(bytes, Relaxed);
        let fits = before.saturating_add(bytes) <= self.large_bytes_max;
        if !fits {
            self.free_bytes(bytes);
        }
        fits
    }

    /// A request of this size that was admitted has ended.
    pub fn free_bytes(&self, bytes: usize) {
        if self.is_large(bytes) {
            self.in_process.large_bytes.fetch_sub(bytes, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_limited_by_default() {
        let limits = RequestLimits::default();
        (0..10).for_each(|_| limits.begin());
        assert!(
            limits.admits_request() && limits.admits_bytes(1 << 30) && limits.take_bytes(1 << 30)
        );
        assert_eq!(
            limits.in_process.requests.load(Relaxed),
            0,
            "nothing is counted without a limit"
        );
    }

    #[test]
    fn only_large_requests_share_their_bytes() {
        let limits = RequestLimits {
            large_from: Some(1_000),
            large_bytes_max: 3_000,
            ..RequestLimits::default()
        };
        assert!(limits.take_bytes(1_000) && limits.take_bytes(1_000), "these are not large");
        assert!(limits.take_bytes(1_001) && limits.take_bytes(1_999));
        assert!(!limits.admits_bytes(1_001) && !limits.take_bytes(1_001));
        assert!(limits.admits_bytes(1_000) && limits.take_bytes(1_000));
        limits.free_bytes(1_999);
        assert!(limits.take_bytes(1_500) && !limits.take_bytes(1_500));
        assert!(!limits.admits_bytes(usize::MAX));
    }

    #[test]
    fn shards_share_what_is_in_process() {
        let limits = RequestLimits { in_process_max: Some(2), ..RequestLimits::default() };
        let other_shard = limits.clone();
        limits.begin();
        other_shard.begin();
        assert!(!limits.admits_request() && !other_shard.admits_request());
        other_shard.end(1);
        assert!(limits.admits_request());
    }
}
