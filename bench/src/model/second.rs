//! One second of a run, and what happened to the server in its course.

use serde::{Deserialize, Serialize};

use super::quantiles::{Distribution, Quantiles};

/// One second of a run.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Second {
    /// Its begin, in seconds from the end of the warm-up.
    pub at_s: f64,
    /// How much of it was measured; the last one may be shorter.
    pub length_s: f64,
    pub ops: u64,
    pub ops_per_s: f64,
    pub faults: u64,
    /// Whether the measured time was over: late replies.
    pub late: bool,
    pub latency_us: Quantiles,
    /// Processors that the driver kept busy.
    pub driver_cpus: Option<f64>,
    /// Processors that the servers kept busy.
    pub server_cpus: Option<f64>,
    /// Syncs of the log, if the server counts them.
    #[serde(default)]
    pub syncs: Option<u64>,
    /// Records that one sync made durable, on average.
    #[serde(default)]
    pub records_per_sync: Option<f64>,
    /// Milliseconds that one sync took, on average.
    #[serde(default)]
    pub sync_ms: Option<f64>,
    /// How long its commits took, in milliseconds, if the server has such metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_ms: Option<Distribution>,
    /// How many records they held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_records: Option<Distribution>,
}

/// Something that happened to the server in the course of a run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Event {
    /// Seconds from the end of the warm-up.
    pub at_s: f64,
    /// `snapshot`, `slow fsync`, `election`, `restart` or `role`.
    pub kind: String,
    pub text: String,
}
