//! Quotas that requests exceed, as ordering finds them.

use std::collections::BTreeMap;

use crate::path;
use crate::tree::{QuotaExcess, QuotaLimit};

/// Notes that are kept between two looks; what is more is counted only.
const KEPT_MAX: usize = 64;

/// Quotas that requests would have exceeded, or have.
#[derive(Default, Debug)]
pub struct QuotaNotes {
    /// What was exceeded, the first ones.
    pub excesses: Vec<(QuotaLimit, QuotaExcess)>,
    /// Requests that were refused, by the first component of their paths.
    pub refused: BTreeMap<Box<str>, u64>,
}

impl QuotaNotes {
    /// Whether there are no notes.
    pub fn is_empty(&self) -> bool {
        self.excesses.is_empty() && self.refused.is_empty()
    }

    pub(crate) fn note(&mut self, limit: QuotaLimit, excess: QuotaExcess) {
        if limit == QuotaLimit::Hard {
            let namespace = path::namespace(&excess.prefix);
            *self.refused.entry(namespace.into()).or_default() += 1;
        }
        if self.excesses.len() < KEPT_MAX {
            self.excesses.push((limit, excess));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::QuotaOf;

    #[test]
    fn refusals_are_all_counted() {
        let mut notes = QuotaNotes::default();
        for limit in [QuotaLimit::Soft, QuotaLimit::Hard] {
            for _ in 0..100 {
                let prefix = "/a/b".to_owned();
                let excess = QuotaExcess { prefix, of: QuotaOf::Count, limit: 1, would_be: 2 };
                notes.note(limit, excess);
            }
        }
        assert_eq!(notes.excesses.len(), KEPT_MAX);
        assert_eq!(notes.refused, BTreeMap::from([("a".into(), 100)]));
    }
}
