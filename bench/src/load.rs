//! The parameters of one load, and the names of the nodes it works on.

use std::net::SocketAddr;

use crate::clock::Nanos;
use crate::tally::Basis;
use crate::workload::Workload;

/// How the arrivals of an open loop are spaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Arrival {
    /// Evenly.
    Fixed,
    /// At random, as from many independent users.
    Poisson,
}

/// The parameters of one load.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Load {
    /// What the sessions do.
    pub workload: Workload,
    /// Sessions (fan-out: watchers; every thread has one more that writes).
    pub connections: u32,
    /// Requests that each session keeps in flight at most.
    pub pipeline: usize,
    /// Driver threads.
    pub threads: u32,
    /// Operations per second of an open loop; `None` is a closed loop.
    pub rate: Option<f64>,
    /// Spacing of an open loop.
    pub arrival: Arrival,
    /// Time before anything is measured.
    pub warmup: Nanos,
    /// Time measured.
    pub duration: Nanos,
    /// Operations measured, instead of a time.
    pub count: Option<u64>,
    /// Bytes of each value.
    pub value_bytes: usize,
    /// Nodes that are set and read.
    pub keys: u32,
    /// Children of the node that is listed.
    pub children: u32,
    /// Choices repeat with the seed.
    pub seed: u64,
    /// Session timeout to ask for.
    pub session_ms: i32,
    /// How long replies are waited for when time is up.
    pub grace: Nanos,
    /// Where in the tree the load works; it is left as it was found.
    pub path: String,
}

impl Load {
    /// Time measured at most.
    pub(crate) fn length(&self) -> Nanos {
        if self.count.is_some() { Nanos::MAX } else { self.duration }
    }

    /// Which operations are measured.
    pub(crate) fn basis(&self) -> Basis {
        match (self.rate, self.count) {
            (Some(_), _) => Basis::Intended,
            (None, Some(_)) => Basis::Started,
            (None, None) => Basis::Ended,
        }
    }
}

/// Servers to load, as one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Target {
    /// Name in reports.
    pub name: String,
    /// Sessions are spread over these.
    pub servers: Vec<SocketAddr>,
    /// Processes to account for; found by their ports on this host if empty.
    pub pids: Vec<u32>,
}

/// Names of the nodes of one run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Layout {
    /// Everything is below this node.
    pub run: String,
    /// The planted keys.
    pub keys: Vec<String>,
}

impl Layout {
    /// Keys below one node: lists of children stay small enough for every client.
    pub(crate) const KEYS_PER_PARENT: u32 = 1_000;

    /// The names of a run.
    pub(crate) fn new(path: &str, run: &str, keys: u32) -> Layout {
        let run = format!("{}/{run}", path.trim_end_matches('/'));
        let key = |key| format!("{run}/k{:03}/{key:06}", key / Layout::KEYS_PER_PARENT);
        let keys = (0..keys).map(key).collect();
        Layout { run, keys }
    }

    /// The node that says, by being ephemeral, that the run is alive.
    pub(crate) fn owner(run: &str) -> String {
        format!("{run}/owner")
    }

    /// The node whose children are listed.
    pub(crate) fn listed(&self) -> String {
        format!("{}/list", self.run)
    }

    /// The node under which one session creates.
    pub(crate) fn lane(&self, lane: u32) -> String {
        format!("{}/c{lane:04}", self.run)
    }

    /// The node that one thread's watchers watch.
    pub(crate) fn watched(&self, thread: u32) -> String {
        format!("{}/w{thread:03}", self.run)
    }
}
