//! Saying that a quota is exceeded, without saying it with every write.

use std::collections::BTreeMap;

use ringkeeper_engine::tree::{QuotaExcess, QuotaLimit, QuotaOf};

/// Milliseconds between two messages about the quota of one path.
const SAY_MS: i64 = 1_000;
/// Paths that are told apart; more than these are forgotten all together.
const PATHS_MAX: usize = 1_024;

/// What was said about which quota.
#[derive(Default, Debug)]
pub(crate) struct QuotaLog {
    said: BTreeMap<String, Said>,
}

#[derive(Debug)]
struct Said {
    at_ms: i64,
    /// Excesses since then.
    more: u64,
}

impl QuotaLog {
    /// Says that a quota is exceeded, if that was not said a moment ago. The time is monotonic.
    pub(crate) fn note(&mut self, limit: QuotaLimit, excess: &QuotaExcess, now_ms: i64) {
        let Some(more) = self.is_due(&excess.prefix, now_ms) else { return };
        let what = match excess.of {
            QuotaOf::Count => "nodes",
            QuotaOf::Bytes => "bytes",
        };
        let (would_be, most, path) = (excess.would_be, excess.limit, &*excess.prefix);
        match limit {
            QuotaLimit::Hard => tracing::warn!(
                path,
                would_be,
                most,
                more,
                "quota exceeded: a write was refused, since {path} may have {most} {what}"
            ),
            QuotaLimit::Soft => tracing::warn!(
                path,
                would_be,
                most,
                more,
                "quota exceeded: {path} should not have more than {most} {what}"
            ),
        }
    }

    /// Whether to speak about this path now; then with the number of excesses that went unsaid.
    fn is_due(&mut self, path: &str, now_ms: i64) -> Option<u64> {
        if let Some(said) = self.said.get_mut(path) {
            if now_ms - said.at_ms < SAY_MS {
                said.more += 1;
                return None;
            }
            said.at_ms = now_ms;
            return Some(std::mem::take(&mut said.more));
        }
        if self.said.len() >= PATHS_MAX {
            self.said.clear();
        }
        self.said.insert(path.to_owned(), Said { at_ms: now_ms, more: 0 });
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warning_of_a_quota_is_limited_to_one_a_second_and_path() {
        let mut log = QuotaLog::default();
        assert_eq!(log.is_due("/a", 0), Some(0));
        assert_eq!((log.is_due("/a", 1), log.is_due("/a", 999)), (None, None));
        assert_eq!(log.is_due("/b", 999), Some(0));
        assert_eq!(log.is_due("/a", 1_000), Some(2));
        assert_eq!(log.is_due("/a", 2_000), Some(0));
    }

    #[test]
    fn not_more_paths_are_kept_than_fit() {
        let mut log = QuotaLog::default();
        for number in 0..5_000 {
            assert_eq!(log.is_due(&format!("/{number}"), 0), Some(0));
            assert!(log.said.len() <= PATHS_MAX);
        }
    }
}
