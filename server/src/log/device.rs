//! The strategy with which the log is written to its disk.
//!
//! Performance machinery: a reader may skip this file on first reading; see
//! `docs/understand/performance.md`.
//!
//! A start never waits for a measurement: it uses the result that was kept for this disk, or the
//! default strategy. A disk that was not measured yet is measured in a quiet moment while the
//! server runs, and the result is used from the next segment on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use ringkeeper_engine::device::{
    Disk, DiskError, Measured, ProbeReport, Strategy, default_strategy, probe_while,
};
use ringkeeper_engine::log::Gauge;

use crate::config::{LogDevice, Settings};

/// How long a measurement takes, pauses not counted.
const PROBE_TIME: Duration = Duration::from_millis(600);
/// How long nothing must have been flushed before one begins.
const QUIET: Duration = Duration::from_millis(1_000);

/// The strategy that a start uses.
pub(crate) struct StrategyChoice {
    pub(crate) strategy: Strategy,
    /// For the banner.
    pub(crate) words: String,
    /// Whether the disk is to be measured.
    pub(crate) unmeasured: bool,
}

impl StrategyChoice {
    /// By the setting, or by what was measured.
    pub(crate) fn choose(settings: &Settings) -> Result<StrategyChoice, DiskError> {
        let strategy = match settings.log_device {
            LogDevice::Auto => return StrategyChoice::measured(&settings.data_log_dir),
            LogDevice::Direct => Strategy::Direct,
            LogDevice::Mmap => Strategy::Mmap,
            LogDevice::Uring => Strategy::Uring,
            LogDevice::Pwrite => Strategy::Pwrite,
        };
        let words = format!("{strategy}, as ringkeeper.log.device says");
        Ok(StrategyChoice { strategy, words, unmeasured: false })
    }

    fn measured(path: &Path) -> Result<StrategyChoice, DiskError> {
        if let Some(report) = ProbeReport::load(path)? {
            tracing::debug!("log device {}: {}", report.chosen, report.why);
            let words = format!(
                "{} (measured; fdatasync p50 {} us, p99 {} us)",
                report.chosen, report.fdatasync_p50_us, report.fdatasync_p99_us
            );
            return Ok(StrategyChoice { strategy: report.chosen, words, unmeasured: false });
        }
        let (strategy, sampled) = default_strategy(path);
        let took = sampled.as_ref().map_or(String::new(), latency);
        let until = "the default strategy until a quiet moment to measure the disk";
        let words = format!("{strategy} ({took}{until})");
        Ok(StrategyChoice { strategy, words, unmeasured: true })
    }
}

/// What a short look found. A few flushes have no slowest one in a hundred.
fn latency(Measured { flushes, p50_us, p99_us, .. }: &Measured) -> String {
    match *flushes {
        1 => format!("one fsync took {p50_us} us; "),
        2..100 => format!("{flushes} fsyncs, the median {p50_us} us; "),
        _ => format!("fsync p50 {p50_us} us, p99 {p99_us} us; "),
    }
}

/// The thread that measures the disk of the log, once.
pub(crate) struct LogProbe {
    /// The log's directory.
    pub(crate) path: PathBuf,
    /// The disk whose strategy is changed.
    pub(crate) disk: Disk,
    /// How much was flushed: nothing is, while it is quiet.
    pub(crate) gauge: Gauge,
    /// Set when the server stops.
    pub(crate) stop: Arc<AtomicBool>,
}

impl LogProbe {
    pub(crate) fn start(self) -> io::Result<JoinHandle<()>> {
        Builder::new().name("log-probe".into()).spawn(move || self.run())
    }

    fn run(self) {
        while self.wait_for_quiet() {
            let before = self.gauge.stats().flushes;
            let still = || !self.stops() && self.gauge.stats().flushes == before;
            match probe_while(&self.path, PROBE_TIME, still) {
                Ok(Some(report)) => return self.adopt(&report),
                // A write came in between: the measurement is void.
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(
                        "the disk of the log cannot be measured, and {} stays in use: {error}",
                        self.disk.strategy()
                    );
                    return;
                }
            }
        }
    }

    fn stops(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// Returns when nothing was flushed for a while; `false` when the server stops.
    fn wait_for_quiet(&self) -> bool {
        let mut before = None;
        while !self.stops() {
            let flushes = Some(self.gauge.stats().flushes);
            if flushes == before {
                return true;
            }
            before = flushes;
            std::thread::park_timeout(QUIET);
        }
        false
    }

    fn adopt(&self, report: &ProbeReport) {
        let before = self.disk.strategy();
        self.disk.set_strategy(report.chosen);
        if let Err(error) = report.save(&self.path) {
            tracing::warn!("what was measured will be measured again at the next start: {error}");
        }
        if report.chosen == before {
            tracing::info!("the disk of the log was measured: {before} stays ({})", report.why);
        } else {
            tracing::info!(
                "the disk of the log was measured: {} from the next segment on, instead of \
                 {before} ({})",
                report.chosen,
                report.why
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use ringkeeper_engine::device::Load;

    use super::*;

    #[test]
    fn few_flushes_have_no_percentiles() {
        let measured = |flushes| Measured {
            strategy: Strategy::Pwrite,
            bytes: 4_096,
            load: Load::Quiet,
            flushes,
            p50_us: 900,
            p99_us: 2_000,
            written_bytes: None,
        };
        assert_eq!(latency(&measured(1)), "one fsync took 900 us; ");
        assert_eq!(latency(&measured(7)), "7 fsyncs, the median 900 us; ");
        assert_eq!(latency(&measured(100)), "fsync p50 900 us, p99 2000 us; ");
    }
}
