//! What was answered within one second of a run.

use hdrhistogram::Histogram;

use super::clock::{Nanos, SECOND};
use super::kind::Kind;
use super::quantiles::histogram;

/// Number of a second, from the end of the warm-up.
pub(crate) type SecondNumber = i64;

/// The second in which an instant lies.
pub(crate) fn second_of(at: Nanos, from: Nanos) -> SecondNumber {
    let offset = i128::from(at) - i128::from(from);
    let second = offset.div_euclid(i128::from(SECOND));
    SecondNumber::try_from(second).unwrap_or(SecondNumber::MAX)
}

/// What was answered within one second.
#[derive(Clone, Debug)]
pub(crate) struct Interval {
    pub second: SecondNumber,
    rows: [Option<Box<Histogram<u64>>>; Kind::COUNT],
    pub faults: u64,
}

impl Interval {
    pub(crate) fn new(second: SecondNumber) -> Interval {
        Interval { second, rows: [const { None }; Kind::COUNT], faults: 0 }
    }

    pub(crate) fn record(&mut self, kind: Kind, latency: Nanos) {
        self.row_mut(kind).saturating_record(latency);
    }

    /// Kinds with operations, and their times.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (Kind, &Histogram<u64>)> {
        Kind::all().filter_map(|kind| Some((kind, self.rows[kind.index()].as_deref()?)))
    }

    /// Times of several kinds as one.
    pub(crate) fn all_of(&self, kinds: &[Kind]) -> Histogram<u64> {
        let mut all = histogram();
        for (_, row) in self.rows().filter(|(kind, _)| kinds.contains(kind)) {
            all.add(row).expect("all histograms have the same bounds");
        }
        all
    }

    /// Adds what another thread saw in the same second.
    pub(crate) fn merge(&mut self, other: &Interval) {
        for (kind, theirs) in other.rows() {
            self.row_mut(kind).add(theirs).expect("all histograms have the same bounds");
        }
        self.faults += other.faults;
    }

    fn row_mut(&mut self, kind: Kind) -> &mut Histogram<u64> {
        self.rows[kind.index()].get_or_insert_with(|| Box::new(histogram()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_count_from_the_end_of_the_warm_up() {
        assert_eq!(second_of(5 * SECOND, 5 * SECOND), 0);
        assert_eq!(second_of(5 * SECOND - 1, 5 * SECOND), -1);
        assert_eq!(second_of(7 * SECOND - 1, 5 * SECOND), 1);
        assert_eq!(second_of(u64::MAX, 0), 18_446_744_073);
    }
}
