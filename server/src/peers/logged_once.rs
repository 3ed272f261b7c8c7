//! Failures that repeat are said once.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// Causes that are remembered. What is beyond is not said.
const CAUSES_MAX: usize = 1_024;

/// Which server it is about, -1 for none, and what failed.
pub(super) type Cause = (i64, &'static str);

/// What was said of each cause last. The same is not said again until it is forgotten.
#[derive(Default)]
pub(super) struct LoggedOnce {
    said: Mutex<BTreeMap<Cause, String>>,
}

impl LoggedOnce {
    /// Warns, unless the same was the last warning of this cause.
    pub(super) fn warn(&self, cause: Cause, text: &str) {
        if self.is_new(cause, text) {
            tracing::warn!("{text}");
        }
    }

    fn is_new(&self, cause: Cause, text: &str) -> bool {
        let mut said = self.said.lock();
        if said.get(&cause).is_some_and(|before| before == text) {
            return false;
        }
        let has_space = said.len() < CAUSES_MAX || said.contains_key(&cause);
        if has_space {
            said.insert(cause, text.to_owned());
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
        let said = LoggedOnce::default();
        assert!(said.is_new((1, "dial"), "refused"));
        assert!(!said.is_new((1, "dial"), "refused"));
        assert!(said.is_new((2, "dial"), "refused"));
        assert!(said.is_new((1, "dial"), "no route"));
        said.forget();
        assert!(said.is_new((1, "dial"), "no route"));
    }
}
