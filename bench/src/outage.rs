//! Connections that were lost, servers that were killed, and what became of it.

use serde::{Deserialize, Serialize};

use crate::text::{grouped, latency};

/// What was lost and came back.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Outages {
    /// Connections that were lost.
    pub disconnects: u64,
    /// Sessions that were taken up again on another connection.
    pub reattached: u64,
    /// Requests that were in flight on a lost connection: nobody knows whether they were done.
    pub unknown: u64,
    /// Servers killed.
    pub kills: u64,
    /// Seconds from each kill to the first server that answers again as one that serves.
    pub down_s: Vec<f64>,
}

impl Outages {
    /// Adds what another thread saw.
    pub(crate) fn merge(&mut self, other: &Outages) {
        self.disconnects += other.disconnects;
        self.reattached += other.reattached;
        self.unknown += other.unknown;
        self.kills += other.kills;
        self.down_s.extend_from_slice(&other.down_s);
    }

    /// For people: nothing if nothing was lost.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        if self.kills > 0 {
            let times = if self.kills == 1 { "once" } else { "times" };
            let count = if self.kills == 1 { String::new() } else { grouped(self.kills) + " " };
            let down = self.down_s.iter().map(|down| latency(down * 1e6));
            let down = down.collect::<Vec<_>>().join(", ");
            out = format!("killed   {count}{times}; a server served again after {down}\n");
        }
        if self.disconnects > 0 {
            out += &format!(
                "lost     {} connections; {} times a session was taken up again; {} requests were \
                 in flight and may or may not have been carried out\n",
                grouped(self.disconnects),
                grouped(self.reattached),
                grouped(self.unknown)
            );
        }
        out
    }
}
