//! Distributions of times and sizes, and how reports sum them up.

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use ringkeeper_engine::op::OpSpec;
use ringkeeper_engine::op::table::LatencyClass;
use ringkeeper_engine::shard::Replied;

/// The largest value that is told apart: a minute, in microseconds.
const VALUE_MAX: u64 = 60_000_000;
/// Digits that are right: one percent is better than anybody can read from a report.
const DIGITS: u8 = 2;

/// A distribution that one thread records. Times are in microseconds.
#[derive(Clone)]
pub struct Latencies {
    histogram: Histogram<u32>,
    count: u64,
    sum: u64,
    min: u64,
    max: u64,
}

/// What reports show of a distribution. Times are in milliseconds, as ZooKeeper's.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct Summary {
    /// The mean.
    pub avg: f64,
    /// The smallest value.
    pub min: u64,
    /// The largest.
    pub max: u64,
    /// How many there are.
    pub count: u64,
    /// All together.
    pub sum: u64,
    /// At the ranks of `PERCENTILES`; none where only the extremes are known.
    pub percentiles: Option<[u64; 5]>,
}

/// What [`Summary::percentiles`] are.
pub(super) const PERCENTILES: [f64; 5] = [50.0, 90.0, 95.0, 99.0, 99.9];

impl Latencies {
    /// Notes one value.
    #[inline]
    pub fn record(&mut self, value: u64) {
        self.histogram.saturating_record(value.max(1));
        self.count += 1;
        self.sum = self.sum.saturating_add(value);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.histogram.clear();
        (self.count, self.sum, self.min, self.max) = (0, 0, u64::MAX, 0);
    }

    /// Takes what another one has recorded along.
    pub fn add(&mut self, other: &Latencies) {
        // Both have the same bounds, so nothing can be out of them.
        let _ = self.histogram.add(&other.histogram);
        self.count += other.count;
        self.sum = self.sum.saturating_add(other.sum);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// How many values there are, and their sum.
    pub(super) fn count_and_sum(&self) -> (u64, u64) {
        (self.count, self.sum)
    }

    /// How many of the values are within each of these bounds, which ascend.
    pub(super) fn within(&self, bounds: &[u64]) -> Vec<u64> {
        within(&self.histogram, bounds)
    }

    /// The values as they are: for sizes.
    pub fn sizes(&self) -> Summary {
        self.scaled(1)
    }

    /// The values in milliseconds: for times.
    pub fn millis(&self) -> Summary {
        self.scaled(1_000)
    }

    fn scaled(&self, unit: u64) -> Summary {
        if self.count == 0 {
            return Summary::default();
        }
        Summary {
            avg: self.sum as f64 / unit as f64 / self.count as f64,
            min: self.min / unit,
            max: self.max / unit,
            count: self.count,
            sum: self.sum / unit,
            percentiles: Some(percentiles(&self.histogram).map(|at| at.min(self.max) / unit)),
        }
    }
}

/// The latencies of a shard.
#[derive(Default)]
pub(super) struct ShardLatencies {
    /// Of everything that is answered without a transaction.
    pub reads: Latencies,
    /// Of transactions.
    pub updates: Latencies,
    /// For how long requests were held back.
    pub held: Latencies,
}

impl ShardLatencies {
    /// Records a reply that leaves now.
    pub(super) fn note(&mut self, replied: Replied, now_us: u64) {
        let latency_us = now_us.saturating_sub(replied.since_us);
        match OpSpec::of(replied.op).latency {
            LatencyClass::Unmeasured => {}
            LatencyClass::Update => self.updates.record(latency_us),
            LatencyClass::Read => self.reads.record(latency_us),
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.reads.clear();
        self.updates.clear();
        self.held.clear();
    }
}

/// The values at [`PERCENTILES`].
pub(super) fn percentiles<C: hdrhistogram::Counter>(histogram: &Histogram<C>) -> [u64; 5] {
    PERCENTILES.map(|percent| histogram.value_at_percentile(percent))
}

impl Default for Latencies {
    fn default() -> Latencies {
        let histogram = Histogram::new_with_bounds(1, VALUE_MAX, DIGITS);
        let histogram = histogram.expect("the bounds are in order");
        Latencies { histogram, count: 0, sum: 0, min: u64::MAX, max: 0 }
    }
}

/// How many of the values are within each of these bounds, which ascend.
pub(super) fn within<C: hdrhistogram::Counter>(
    histogram: &Histogram<C>,
    bounds: &[u64],
) -> Vec<u64> {
    let mut counts = vec![0; bounds.len()];
    for recorded in histogram.iter_recorded() {
        let at = bounds.partition_point(|bound| *bound < recorded.value_iterated_to());
        if let Some(count) = counts.get_mut(at) {
            *count += recorded.count_since_last_iteration();
        }
    }
    let mut sum = 0;
    for count in &mut counts {
        sum += *count;
        *count = sum;
    }
    counts
}

/// A distribution that one thread records, once per batch, and that reports read.
#[derive(Default)]
pub struct Distribution(Mutex<Latencies>);

impl Distribution {
    /// Notes one value.
    pub fn record(&self, value: u64) {
        self.0.lock().record(value);
    }

    /// What was recorded so far.
    pub fn get(&self) -> Latencies {
        self.0.lock().clone()
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.0.lock().clear();
    }
}

/// A mean as Java shows it: up to four decimals, and at least one.
pub(super) fn decimal(value: f64) -> String {
    let text = format!("{value:.4}");
    let short = text.trim_end_matches('0');
    if short.ends_with('.') { format!("{short}0") } else { short.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_is_formatted_as_in_java() {
        for (value, text) in [
            (0.0, "0.0"),
            (0.428_571, "0.4286"),
            (1.25, "1.25"),
            (619.5, "619.5"),
            (7.0, "7.0"),
            (1_234.567_89, "1234.5679"),
        ] {
            assert_eq!(decimal(value), text);
        }
    }

    #[test]
    fn latencies_without_values_are_zero() {
        assert_eq!(Latencies::default().millis(), Summary::default());
    }

    #[test]
    fn times_are_summed_up_in_milliseconds() {
        let mut all = Latencies::default();
        for value in [400, 900, 1_100, 19_000] {
            all.record(value);
        }
        let summary = all.millis();
        assert_eq!((summary.min, summary.max, summary.count, summary.sum), (0, 19, 4, 21));
        assert_eq!(decimal(summary.avg), "5.35");
        assert_eq!(summary.percentiles, Some([0, 19, 19, 19, 19]));
        assert_eq!(all.sizes().percentiles.unwrap()[4], 19_000);
    }

    #[test]
    fn sum_of_two_latencies_equals_one_with_all_values() {
        let (mut one, mut two, mut both) = Default::default();
        for value in 0..1_000_u64 {
            let half: &mut Latencies = if value % 2 == 0 { &mut one } else { &mut two };
            half.record(value * 37);
            Latencies::record(&mut both, value * 37);
        }
        one.add(&two);
        assert_eq!(one.millis(), both.millis());
        one.clear();
        assert_eq!(one.millis(), Summary::default());
    }

    #[test]
    fn values_beyond_the_bounds_are_still_counted() {
        let mut all = Latencies::default();
        all.record(VALUE_MAX * 3);
        assert_eq!((all.millis().count, all.millis().max), (1, 180_000));
    }
}
