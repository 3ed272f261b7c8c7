//! What a learner does whose log could not be cut, because nothing whole that could be read reaches
//! back to the cut.
//!
//! The reason may be a disk that does not give a snapshot now and gives it later. So the log, which
//! is as it was, is offered again a few times. Then nothing is offered, so that the state comes as
//! a whole; a server without an offer has no vote, so where no leader brings a state within a
//! while the log is offered again. Pauses grow.

/// Cuts that may fail in a row before the whole state is wanted.
const RETRIES: u32 = 3;
/// Milliseconds for which a leader is searched for its state, the first time and at most.
const PAUSE_MS: i64 = 1_000;
const PAUSE_MS_MAX: i64 = 32_000;

/// How often a cut has failed, and what follows from that.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct CutRetry {
    failures: u32,
    /// The log is offered again.
    is_log_offered: bool,
}

impl CutRetry {
    /// A cut has failed once more.
    pub(super) fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
        self.is_log_offered = self.failures <= RETRIES;
    }

    /// No state came: the next cut may work.
    pub(super) fn offer_log(&mut self) {
        self.is_log_offered = self.failures > 0;
    }

    /// Whether the log is offered although a cut has failed.
    pub(super) fn is_log_offered(self) -> bool {
        self.is_log_offered
    }

    /// For how long a state is waited for, milliseconds; none where the log is offered.
    pub(super) fn pause_ms(self) -> Option<i64> {
        let is_waiting = self.failures > RETRIES && !self.is_log_offered;
        let times = self.failures.saturating_sub(RETRIES + 1).min(10);
        is_waiting.then_some((PAUSE_MS << times).min(PAUSE_MS_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_is_offered_some_times_and_then_in_growing_pauses() {
        let mut retry = CutRetry::default();
        assert!(!retry.is_log_offered() && retry.pause_ms().is_none());
        retry.offer_log();
        assert!(!retry.is_log_offered(), "no cut has failed");
        for _ in 0..RETRIES {
            retry.failed();
            assert!(retry.is_log_offered() && retry.pause_ms().is_none());
        }
        let mut pauses = Vec::new();
        for _ in 0..8 {
            retry.failed();
            assert!(!retry.is_log_offered());
            pauses.extend(retry.pause_ms());
            retry.offer_log();
            assert!(retry.is_log_offered() && retry.pause_ms().is_none());
        }
        assert_eq!(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 32_000, 32_000]);
    }
}
