//! The names of the nodes that a load works on.

use std::fmt::Write as _;

use crate::load::args::Load;
use crate::load::shape::Shape;
use crate::load::workload::Script;
use crate::model::op::Op;

/// Names of the nodes of one run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Layout {
    /// Everything is below this node.
    pub run: String,
    /// The nodes between it and the keys, parents first.
    pub inner: Vec<String>,
    pub keys: Vec<String>,
}

impl Layout {
    /// Keys below one node: lists of children stay small enough for every client.
    pub(crate) const KEYS_PER_PARENT: u32 = 1_000;

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
    pub(crate) fn push_created(op: Op, path: &mut String) {
        let letter = if Script::is_lasting(op) { "" } else { "e" };
        write!(path, "{letter}{:08}", op.seq << 1 >> 1).expect("writing to a String cannot fail");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tree_keys_are_its_leaves() {
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
