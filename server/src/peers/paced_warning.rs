//! Warnings that anybody who can connect can cause: so many of them as the log should have.

use std::time::{Duration, Instant};

/// Between two of them.
const PAUSE: Duration = Duration::from_secs(10);

/// Warnings of one kind. The first one is said at once, and then one each ten seconds, with the
/// number of those that were left out.
#[derive(Default)]
pub(super) struct PacedWarning {
    next: Option<Instant>,
    left_out: u64,
}

impl PacedWarning {
    /// Warns, if it is time.
    pub(super) fn warn(&mut self, text: &str) {
        match self.take(Instant::now()) {
            None => tracing::debug!("{text}"),
            Some(0) => tracing::warn!("{text}"),
            Some(others) => tracing::warn!("{text}; and {others} others since the last such line"),
        }
    }

    /// How many were left out before this one; nothing if it is left out itself.
    fn take(&mut self, now: Instant) -> Option<u64> {
        if self.next.is_some_and(|next| now < next) {
            self.left_out += 1;
            return None;
        }
        self.next = Some(now + PAUSE);
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flood_leaves_one_line_each_pause_with_the_number_of_the_others() {
        let (mut paced, begin) = (PacedWarning::default(), Instant::now());
        assert_eq!(paced.take(begin), Some(0));
        for _ in 0..1_000 {
            assert_eq!(paced.take(begin + PAUSE / 2), None);
        }
        assert_eq!(paced.take(begin + PAUSE), Some(1_000));
        assert_eq!(paced.take(begin + PAUSE * 3), Some(0));
    }
}
