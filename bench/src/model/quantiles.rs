//! Latencies and processor time in a few figures.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::clock::Nanos;

/// A histogram of nanoseconds: three digits from 100 ns to ten minutes.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(100, 600_000_000_000, 3).expect("these bounds are legal")
}

/// Percentiles of latency, in microseconds.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Quantiles {
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    /// 99.9 %.
    #[serde(rename = "p99.9")]
    pub p999: f64,
    pub max: f64,
}

impl Quantiles {
    pub(crate) fn of(histogram: &Histogram<u64>) -> Quantiles {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Quantiles {
            mean: histogram.mean() / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: histogram.max() as f64 / 1e3,
        }
    }
}

/// Processor time and memory over the measured time.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// Microseconds of processor time per operation.
    pub cpu_us_per_op: f64,
    pub cpus: f64,
}

impl Usage {
    pub(crate) fn of(cpu_ns: u64, ops: u64, elapsed: Nanos) -> Usage {
        Usage {
            cpu_us_per_op: cpu_ns as f64 / 1e3 / ops.max(1) as f64,
            cpus: cpu_ns as f64 / elapsed.max(1) as f64,
        }
    }
}

/// How something was distributed, read off buckets: right to the width of one.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Distribution {
    pub p50: f64,
    pub p99: f64,
    /// The end of the highest bucket that is not empty: nothing was above.
    pub max: f64,
}

impl Distribution {
    pub(crate) fn times(self, factor: f64) -> Distribution {
        let Distribution { p50, p99, max } = self;
        Distribution { p50: p50 * factor, p99: p99 * factor, max: max * factor }
    }
}
