//! One kind of operation: counts, percentiles, and the whole histogram.

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

use crate::model::clock::{Nanos, SECOND};
use crate::model::quantiles::Quantiles;
use crate::record::tally::Row;

/// Percentiles of the curve: closer and closer to 100, as in `.hgrm` files.
const CURVE_TICKS_PER_HALF: u32 = 5;

/// One kind of operation of a run.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Operation {
    /// Name, or `total`.
    pub op: String,
    pub ops: u64,
    pub ops_per_s: f64,
    pub errors: u64,
    /// Latency: from the intended start in an open loop.
    pub latency_us: Quantiles,
    /// Latency from the sending, in an open loop.
    pub service_us: Option<Quantiles>,
    /// Percentiles and microseconds, in rising order, up to the slowest.
    pub curve: Vec<(f64, f64)>,
    /// All latencies in nanoseconds: a compressed HdrHistogram V2, in Base64.
    pub hdr: String,
}

impl Operation {
    /// What was timed of one kind, within so long.
    pub(crate) fn new(name: &str, row: &Row, elapsed: Nanos) -> Operation {
        Operation {
            op: name.to_string(),
            ops: row.response.len(),
            ops_per_s: row.in_time as f64 * SECOND as f64 / elapsed.max(1) as f64,
            errors: row.errors,
            latency_us: Quantiles::of(&row.response),
            service_us: row.service.as_ref().map(Quantiles::of),
            curve: curve(&row.response),
            hdr: encode(&row.response),
        }
    }

    pub(crate) fn histogram(&self) -> Result<Histogram<u64>> {
        let what = || format!("the histogram of {:?}", self.op);
        let bytes = STANDARD.decode(&self.hdr).with_context(what)?;
        let mut deserializer = Deserializer::new();
        let read = deserializer.deserialize(&mut &bytes[..]);
        read.map_err(|error| anyhow::anyhow!("{error:?}")).with_context(what)
    }
}

/// A compressed histogram in Base64.
pub(crate) fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    serializer.serialize(histogram, &mut bytes).expect("memory takes every histogram");
    STANDARD.encode(bytes)
}

fn curve(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    let mut curve: Vec<(f64, f64)> = Vec::new();
    if histogram.is_empty() {
        return curve;
    }
    for step in histogram.iter_quantiles(CURVE_TICKS_PER_HALF) {
        // Ten digits are enough, and short numbers are read back exactly.
        let percentile = (step.quantile_iterated_to().min(1.0) * 1e10).round() / 1e8;
        let us = step.value_iterated_to().min(histogram.max()) as f64 / 1e3;
        if curve.last().is_none_or(|(last, _)| *last < percentile) {
            curve.push((percentile, us));
        }
    }
    curve
}

#[cfg(test)]
impl Operation {
    /// An operation whose latencies spread around a median.
    pub(crate) fn sample(op: &str, rate: f64, median_us: f64) -> Operation {
        let mut times = crate::model::quantiles::histogram();
        for step in 1..=1_000_u32 {
            let stretch = 1.0 / (1.0 - f64::from(step - 1) / 1_000.0);
            times.saturating_record((median_us * 500.0 * stretch) as u64);
        }
        Operation {
            op: op.into(),
            ops: times.len(),
            ops_per_s: rate,
            errors: 0,
            latency_us: Quantiles::of(&times),
            service_us: None,
            curve: curve(&times),
            hdr: encode(&times),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histogram_survives_encoding() {
        let operation = Operation::sample("get", 10.0, 100.0);
        let histogram = operation.histogram().unwrap();
        assert_eq!(histogram.len(), 1_000);
        assert_eq!(Quantiles::of(&histogram), operation.latency_us);
        let broken = Operation { hdr: "AAAA".into(), ..operation };
        assert!(broken.histogram().unwrap_err().to_string().contains("get"));
    }

    #[test]
    fn curves_rise_to_the_slowest() {
        let operation = Operation::sample("get", 10.0, 100.0);
        let rising = |a: &(f64, f64), b: &(f64, f64)| a.0 < b.0 && a.1 <= b.1;
        assert!(operation.curve.is_sorted_by(rising), "{:?}", operation.curve);
        let (percentile, us) = *operation.curve.last().unwrap();
        assert_eq!(percentile, 100.0);
        assert_eq!(us, operation.latency_us.max);
        assert!(curve(&crate::model::quantiles::histogram()).is_empty());
    }
}
