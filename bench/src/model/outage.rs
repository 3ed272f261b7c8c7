//! Connections that were lost, servers that were killed, and what became of it.

use serde::{Deserialize, Serialize};

/// What was lost and came back.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Outages {
    pub disconnects: u64,
    /// Sessions that were re-attached on another connection.
    pub reattached: u64,
    /// Times that the ephemeral node of such a session was looked for and was there.
    #[serde(default)]
    pub ephemerals_kept: u64,
    /// Requests that were in flight on a lost connection: their outcome is unknown.
    pub unknown: u64,
    pub kills: u64,
    /// Seconds from each kill to the first server that answers again as one that leads.
    pub down_s: Vec<f64>,
    /// Each kill.
    #[serde(default)]
    pub each: Vec<Kill>,
}

/// A server that was killed. What is not known did not happen before the load was over.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Kill {
    /// Seconds from the end of the warm-up.
    pub at_s: f64,
    pub server: String,
    pub pid: Option<u32>,
    /// The server that led then.
    pub successor: Option<String>,
    pub leader_s: Option<f64>,
    /// The longest time without an acknowledged write from here to the next kill; none where
    /// nothing is written.
    pub no_writes_s: Option<f64>,
    /// Seconds until the server itself served again.
    pub back_s: Option<f64>,
}

impl Outages {
    pub(crate) fn merge(&mut self, other: &Outages) {
        self.disconnects += other.disconnects;
        self.reattached += other.reattached;
        self.ephemerals_kept += other.ephemerals_kept;
        self.unknown += other.unknown;
        self.kills += other.kills;
        self.down_s.extend_from_slice(&other.down_s);
        self.each.extend_from_slice(&other.each);
    }
}
