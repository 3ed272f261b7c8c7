//! One session of the table.

use super::{LastHeard, Owner};
use crate::Millis;

/// Later than every bucket.
pub(super) const NO_BUCKET: Millis = Millis(i64::MAX);

/// What is known of one session.
#[derive(Debug)]
pub struct Session {
    /// The timeout agreed, which a reconnect may change.
    pub timeout_ms: i32,
    /// The connection that owns it; `None` until one re-attaches it after a restart.
    pub owner: Option<Owner>,
    /// When its client sent something last.
    pub last_heard: LastHeard,
    /// Its end is decided but not yet committed: no connection can re-attach it.
    pub is_closing: bool,
    /// The bucket in which this session is examined next. Entries of other buckets are leftovers.
    pub(super) bucket: Millis,
}

impl Session {
    pub(super) fn new(timeout_ms: i32, now: Millis) -> Session {
        let (last_heard, bucket) = (LastHeard::new(now), NO_BUCKET);
        Session { timeout_ms, owner: None, last_heard, is_closing: false, bucket }
    }

    /// The end of the tick in which the session's time runs out.
    pub(super) fn deadline(&self, tick_ms: i64) -> Millis {
        let end = self.last_heard.get().0 + i64::from(self.timeout_ms);
        Millis((end.div_euclid(tick_ms) + 1) * tick_ms)
    }
}
