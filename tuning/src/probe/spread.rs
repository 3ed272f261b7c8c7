//! Times as a few percentiles.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Nanoseconds up to a minute.
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are in order")
}

/// Percentiles, in microseconds.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) p50: f64,
    /// One in ten takes longer.
    pub(crate) p90: f64,
    /// One in a hundred takes longer.
    pub(crate) p99: f64,
    /// One in a thousand takes longer.
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Reads a histogram of nanoseconds.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Spread {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Spread {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: histogram.max() as f64 / 1e3,
        }
    }
}
