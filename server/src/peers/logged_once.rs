//! Failures that repeat are said once, and again when they come back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Causes that are remembered. What is beyond is not said.
const CAUSES_MAX: usize = 1_024;

/// Which server it is about, -1 for none, and what failed.
pub(super) type Cause = (i64, &'static str);

/// A cause that has not failed for so long has worked meanwhile.
const QUIET: Duration = Duration::from_secs(60);

/// What was said of each cause last. The same is not said again until it is forgotten, or has not
/// happened for a minute.
#[derive(Default)]
pub(super) struct LoggedOnce {
    said: Mutex<BTreeMap<Cause, Said>>,
}

/// What was said, and when the same has happened last.
struct Said {
    what: String,
    last: Instant,
}

impl LoggedOnce {
    /// Warns, unless the same was the last warning of this cause.
    pub(super) fn warn(&self, cause: Cause, text: &str) {
        self.warn_of(cause, text, text);
    }

    /// Warns, unless the last warning of this cause was about the same, whatever it said.
    pub(super) fn warn_of(&self, cause: Cause, what: &str, text: &str) {
        if self.is_new(cause, what, Instant::now()) {
            tracing::warn!("{text}");
        }
    }

    fn is_new(&self, cause: Cause, what: &str, now: Instant) -> bool {
        let mut said = self.said.lock();
        if let Some(before) = said.get_mut(&cause)
            && before.what == what
        {
            let passed = now.saturating_duration_since(before.last);
            before.last = now;
            return passed >= QUIET;
        }
        let has_space = said.len() < CAUSES_MAX || said.contains_key(&cause);
        if has_space {
            said.insert(cause, Said { what: what.to_owned(), last: now });
        }
        has_space
    }

    /// Everything is well: what fails from now on is new.
    pub(super) fn forget(&self) {
        self.said.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_is_said_once_until_it_changes_or_all_is_well() {
        let (said, now) = (LoggedOnce::default(), Instant::now());
        assert!(said.is_new((1, "dial"), "refused", now));
        assert!(!said.is_new((1, "dial"), "refused", now));
        assert!(said.is_new((2, "dial"), "refused", now));
        assert!(said.is_new((1, "dial"), "no route", now));
        said.forget();
        assert!(said.is_new((1, "dial"), "no route", now));
    }

    #[test]
    fn failure_that_goes_on_is_said_once_and_again_when_it_comes_back() {
        let (said, begin) = (LoggedOnce::default(), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert!(said.is_new((-1, "quorum port"), "no descriptors", at(0)));
        for seconds in (50..=500).step_by(50) {
            assert!(!said.is_new((-1, "quorum port"), "no descriptors", at(seconds)));
        }
        assert!(said.is_new((-1, "quorum port"), "no descriptors", at(560)));
    }
}
