//! Histograms in the forms that other tools read: interval logs (`.hlog`) and percentile
//! distributions (`.hgrm`) of HdrHistogram.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;

use crate::model::interval::Interval;
use crate::record::results::encode;

/// Histograms are of nanoseconds; these files show milliseconds.
const NANOS_PER_MS: f64 = 1e6;

/// An interval log, written while the load runs.
#[derive(Debug)]
pub(crate) struct HdrLog<W: Write = BufWriter<File>> {
    out: W,
    path: PathBuf,
    base: Option<SystemTime>,
    /// Begin of the run's measured time, from the base.
    offset: Duration,
    /// Length of the run's measured time, if that is known.
    length: Duration,
    /// The first failure to write, reported when the run is over.
    failure: Option<std::io::Error>,
}

impl HdrLog {
    pub(crate) fn create(path: &Path) -> Result<HdrLog> {
        let file =
            File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(HdrLog::new(BufWriter::new(file), path))
    }
}

impl<W: Write> HdrLog<W> {
    fn new(out: W, path: &Path) -> HdrLog<W> {
        let (offset, length) = (Duration::ZERO, Duration::MAX);
        HdrLog { out, path: path.into(), base: None, offset, length, failure: None }
    }

    /// A run's measured time begins.
    pub(crate) fn begin(&mut self, title: &str, started: SystemTime, length: Duration) {
        let head = match self.base {
            None => header(started),
            Some(_) => String::new(),
        };
        let base = *self.base.get_or_insert(started);
        self.offset = started.duration_since(base).unwrap_or(Duration::ZERO);
        self.length = length;
        self.put(&format!("{head}#[Run: {title}]\n"));
    }

    /// Adds what was answered within a second: a line for each kind of operation.
    pub(crate) fn add(&mut self, interval: &Interval) {
        let Ok(second) = u64::try_from(interval.second) else { return };
        let begin = Duration::from_secs(second);
        let left = self.length.saturating_sub(begin).min(Duration::from_secs(1));
        let length = if left.is_zero() { Duration::from_secs(1) } else { left };
        let (at, length) = ((self.offset + begin).as_secs_f64(), length.as_secs_f64());
        let mut text = String::new();
        for (kind, histogram) in interval.rows() {
            let max = histogram.max() as f64 / NANOS_PER_MS;
            let encoded = encode(histogram);
            let _ = writeln!(text, "Tag={},{at:.3},{length:.3},{max:.3},{encoded}", kind.name());
        }
        self.put(&text);
    }

    /// Whether everything was written.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.failure.take() {
            Some(error) => {
                Err(error).with_context(|| format!("cannot write {}", self.path.display()))
            }
            None => Ok(()),
        }
    }

    fn put(&mut self, text: &str) {
        let put = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        if let Err(error) = put {
            self.failure.get_or_insert(error);
        }
    }
}

fn header(started: SystemTime) -> String {
    let at = started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let date = crate::record::results::date(started);
    format!(
        "#[Logged by ringkeeper bench {}; values are nanoseconds]\n\
         #[Histogram log format version 1.3]\n\
         #[StartTime: {at:.3} (seconds since epoch), {date}]\n\
         #[BaseTime: {at:.3} (seconds since epoch)]\n\
         \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\
         \"Interval_Compressed_Histogram\"\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// A percentile distribution in milliseconds, as HdrHistogram's plotters read it.
pub(crate) fn percentiles(histogram: &Histogram<u64>) -> String {
    let mut out = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let mut seen = 0;
    for step in histogram.iter_quantiles(5) {
        seen += step.count_since_last_iteration();
        let value = step.value_iterated_to() as f64 / NANOS_PER_MS;
        let quantile = step.quantile_iterated_to().min(1.0);
        let _ = write!(out, "{value:>12.3} {quantile:>2.12} {seen:>10}");
        if quantile < 1.0 {
            let _ = write!(out, " {:>14.2}", 1.0 / (1.0 - quantile));
        }
        out.push('\n');
    }
    let (mean, deviation) = (histogram.mean() / NANOS_PER_MS, histogram.stdev() / NANOS_PER_MS);
    let max = histogram.max() as f64 / NANOS_PER_MS;
    let _ = writeln!(out, "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]");
    let _ = writeln!(out, "#[Max     = {max:>12.3}, Total count    = {:>12}]", histogram.len());
    let (buckets, subs) = (histogram.buckets(), histogram.distinct_values());
    let _ = writeln!(
        out,
        "#[Buckets = {buckets:>12}, SubBuckets     = {:>12}]",
        subs_of(buckets, subs)
    );
    out
}

/// Values are kept in one full bucket and in the upper halves of the others.
fn subs_of(buckets: u8, distinct: usize) -> usize {
    distinct * 2 / (usize::from(buckets) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kind::Kind;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    #[test]
    fn interval_log_parses_back() {
        let mut log = HdrLog::new(Vec::new(), Path::new("test.hlog"));
        let start = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_500);
        log.begin("get", start, Duration::from_millis(1_250));
        for (second, latency) in [(-1, 1_000), (0, 2_000_000), (1, 3_000_000)] {
            let mut interval = Interval::new(second);
            interval.record(Kind::Get, latency);
            interval.record(Kind::Set, 2 * latency);
            log.add(&interval);
        }
        log.begin("set", start + Duration::from_secs(10), Duration::MAX);
        log.check().unwrap();
        let entries: Result<Vec<_>, _> = IntervalLogIterator::new(&log.out).collect();
        let entries = entries.unwrap();
        let base = Duration::from_millis(1_700_000_000_500);
        assert!(entries.contains(&LogEntry::StartTime(base)), "{entries:?}");
        assert!(entries.contains(&LogEntry::BaseTime(base)), "{entries:?}");
        let lines: Vec<_> = entries
            .iter()
            .filter_map(|entry| match entry {
                LogEntry::Interval(one) => Some((
                    one.tag().unwrap().as_str(),
                    one.start_timestamp().as_millis(),
                    one.duration().as_millis(),
                    one.max(),
                )),
                LogEntry::StartTime(_) | LogEntry::BaseTime(_) => None,
            })
            .collect();
        let expected = [
            ("set", 0, 1_000, 4.0),
            ("get", 0, 1_000, 2.0),
            ("set", 1_000, 250, 6.0),
            ("get", 1_000, 250, 3.0),
        ];
        for ((tag, at, length, max), expected) in lines.iter().zip(expected) {
            assert_eq!((*tag, *at, *length), (expected.0, expected.1, expected.2));
            assert!((max - expected.3).abs() < 0.01, "{max}");
        }
        assert_eq!(lines.len(), expected.len());
    }

    #[test]
    fn percentile_file_ends_with_totals() {
        let mut histogram = crate::model::quantiles::histogram();
        (1..=100).for_each(|n| histogram.record(n * 1_000_000).unwrap());
        let text = percentiles(&histogram);
        let last: Vec<_> = text.lines().rev().take(4).collect();
        assert!(last[0].starts_with("#[Buckets = ") && last[0].ends_with("2048]"), "{text}");
        assert!(last[1].ends_with("Total count    =          100]"), "{text}");
        assert!(last[3].trim_start().starts_with("100."), "{text}");
        assert!(last[3].contains(" 1.000000000000        100"), "{text}");
    }
}
