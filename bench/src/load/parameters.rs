//! The parameters of one load.

use std::fmt::Write as _;
use std::str::FromStr;

use crate::load::keys::KeysDist;
use crate::load::sizes::Sizes;
use crate::load::workload::Workload;
use crate::model::clock::Nanos;
use crate::model::io::Io;
use crate::model::numbers::whole;
use crate::model::window::Basis;

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
    /// Its name in a scenario.
    pub name: Option<String>,
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
    pub value_bytes: Sizes,
    /// Nodes that are set and read.
    pub keys: u32,
    /// Which of them is next.
    pub keys_dist: KeysDist,
    /// Keys are the leaves of a tree of this shape, instead of two flat levels.
    pub tree: Option<Shape>,
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
    /// What carries the sockets.
    pub io: Io,
    /// Whether a lost connection is replaced, and its session taken up again.
    pub reconnect: bool,
    /// How often a server is killed and started again.
    pub kill_every: Option<Nanos>,
}

/// A tree: every node above the leaves has so many children.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shape {
    /// Levels.
    pub depth: u32,
    /// Children of each node.
    pub fan_out: u32,
}

impl Shape {
    /// Leaves at most.
    pub(crate) const LEAVES_MAX: u32 = 1_000_000;

    /// Leaves, unless there are too many.
    pub(crate) fn leaves(self) -> Option<u32> {
        let leaves = self.fan_out.checked_pow(self.depth)?;
        (1..=Shape::LEAVES_MAX).contains(&leaves).then_some(leaves)
    }

    /// The path of a node on a level, below `root`.
    pub(crate) fn path(self, root: &str, level: u32, mut number: u32) -> String {
        let mut names = Vec::new();
        for _ in 0..level {
            names.push(number % self.fan_out);
            number /= self.fan_out;
        }
        let names = names.iter().rev().map(|name| format!("/{name}"));
        format!("{root}{}", names.collect::<String>())
    }
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Shape, String> {
        let numbers = text.split_once('x').and_then(|(depth, fan_out)| {
            Some(Shape { depth: depth.parse().ok()?, fan_out: fan_out.parse().ok()? })
        });
        let legal = numbers.filter(|shape| shape.depth > 0 && shape.leaves().is_some());
        legal.ok_or_else(|| {
            format!("DEPTHxFAN-OUT with at most {} leaves is expected", Shape::LEAVES_MAX)
        })
    }
}

impl Load {
    /// What was asked for, in one line.
    pub(crate) fn title(&self) -> String {
        let plural = if self.connections == 1 { "" } else { "s" };
        let name = self.name.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
        let mut title =
            format!("{name}{} · {} connection{plural}", self.workload, self.connections);
        if self.workload.is_pipelined() {
            let _ = write!(title, " x {} in flight", self.pipeline);
        }
        if self.workload != Workload::Children && self.workload != Workload::Sessions {
            let _ = write!(title, " · {} B", self.value_bytes);
        }
        match self.rate {
            Some(rate) => {
                let _ = write!(title, " · open loop, {} per second", whole(rate));
            }
            None => title.push_str(" · closed loop"),
        }
        title
    }

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
