//! The parameters of one load, and the names of the nodes it works on.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::str::FromStr;

use crate::model::clock::Nanos;
use crate::load::keys::KeysDist;
use crate::servers::kill::Keeper;
use crate::drive::rt::Io;
use crate::load::sizes::Sizes;
use crate::record::tally::Basis;
use crate::load::workload::{Op, Script, Workload};

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
    fn path(self, root: &str, level: u32, mut number: u32) -> String {
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
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Name in reports.
    pub name: String,
    /// Sessions are spread over these.
    pub servers: Vec<SocketAddr>,
    /// Processes to account for; found by their ports on this host if empty.
    pub pids: Vec<u32>,
    /// Who starts them again when they are killed.
    pub keeper: Keeper,
}

/// Names of the nodes of one run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Layout {
    /// Everything is below this node.
    pub run: String,
    /// The nodes between it and the keys, parents first.
    pub inner: Vec<String>,
    /// The planted keys.
    pub keys: Vec<String>,
}

impl Layout {
    /// Keys below one node: lists of children stay small enough for every client.
    pub(crate) const KEYS_PER_PARENT: u32 = 1_000;

    /// The names of a run.
    pub(crate) fn new(load: &Load, run: &str) -> Layout {
        let run = format!("{}/{run}", load.path.trim_end_matches('/'));
        let keys = if load.workload.needs_keys() { load.keys } else { 0 };
        let mut layout = Layout { inner: Vec::new(), keys: Vec::new(), run };
        match load.tree.filter(|_| keys > 0) {
            None => layout.plan_flat(keys),
            Some(shape) => layout.plan_tree(shape),
        }
        layout
    }

    fn plan_flat(&mut self, keys: u32) {
        let parents = keys.div_ceil(Layout::KEYS_PER_PARENT);
        let parent = |parent: u32| format!("{}/k{parent:03}", self.run);
        let key = |key| format!("{}/{key:06}", parent(key / Layout::KEYS_PER_PARENT));
        (self.inner, self.keys) =
            ((0..parents).map(parent).collect(), (0..keys).map(key).collect());
    }

    fn plan_tree(&mut self, shape: Shape) {
        let root = format!("{}/tree", self.run);
        for level in 0..shape.depth {
            let nodes = shape.fan_out.pow(level);
            self.inner.extend((0..nodes).map(|node| shape.path(&root, level, node)));
        }
        let leaves = shape.leaves().unwrap_or(0);
        self.keys = (0..leaves).map(|leaf| shape.path(&root, shape.depth, leaf)).collect();
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

    /// The node below which sessions show that they live.
    pub(crate) fn presences(&self) -> String {
        format!("{}/present", self.run)
    }

    /// The node by which one session shows it.
    pub(crate) fn presence(&self, lane: u32) -> String {
        format!("{}/{lane:04}", self.presences())
    }

    /// The node that one thread's watchers watch.
    pub(crate) fn watched(&self, thread: u32) -> String {
        format!("{}/w{thread:03}", self.run)
    }

    /// The node below it that is set, where the whole branch is watched.
    pub(crate) fn watched_child(&self, thread: u32) -> String {
        format!("{}/child", self.watched(thread))
    }

    /// The node under which contenders queue.
    pub(crate) fn queue(&self, queue: u32) -> String {
        format!("{}/q{queue:04}", self.run)
    }

    /// Appends the name of a node that a session makes.
    pub(crate) fn push_made(op: Op, path: &mut String) {
        let letter = if Script::is_lasting(op) { "" } else { "e" };
        write!(path, "{letter}{:08}", op.seq << 1 >> 1).expect("writing to a String cannot fail");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_the_leaves_of_a_tree() {
        let shape: Shape = "2x3".parse().unwrap();
        let mut layout = Layout { run: "/r".into(), inner: Vec::new(), keys: Vec::new() };
        layout.plan_tree(shape);
        assert_eq!(layout.inner, ["/r/tree", "/r/tree/0", "/r/tree/1", "/r/tree/2"]);
        assert_eq!((layout.keys.len(), layout.keys[5].as_str()), (9, "/r/tree/1/2"));
        for bad in ["", "3", "0x5", "2x0", "20x10", "9x9x9"] {
            assert!(bad.parse::<Shape>().is_err(), "{bad}");
        }
    }
}
