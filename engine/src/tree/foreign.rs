//! Nodes out of snapshots of ZooKeeper's, which name paths and carry whole stats.

use super::image::Corrupt;
use super::node::{Change, NodeId};
use super::payload::{Parts, Payload};
use super::{BUILT_IN, NewNode, Tree};
use crate::txn::{AclList, NodeKind};
use crate::wire::Stat;
use crate::{Millis, Zxid, path};

/// A node as a snapshot of ZooKeeper's has it.
#[derive(Clone, Copy, Debug)]
pub struct ForeignNode<'a> {
    /// The full path; `""` is the root.
    pub path: &'a str,
    /// Null and empty differ.
    pub data: Option<&'a [u8]>,
    /// The access control list.
    pub acl: &'a AclList,
    /// The kind of node. The internal owner decides it, and whether extended types are in use.
    pub kind: NodeKind,
    /// The stat as it is stored: `cversion` counts the children ever created. What follows from
    /// the kind, the data and the children is not looked at.
    pub stat: &'a Stat,
}

impl Tree {
    /// Puts a node into a tree that is being made out of a snapshot of ZooKeeper's; parents come
    /// first. The nodes that every tree has are replaced, except that they stay persistent.
    /// After the last node, [`Tree::set_applied`] and [`Tree::recount_quotas`] complete the tree.
    pub fn put_foreign(&mut self, node: &ForeignNode<'_>) -> Result<NodeId, Corrupt> {
        let id = if node.path.is_empty() || BUILT_IN.contains(&node.path) {
            let id = self.find(node.path).expect("every tree has it");
            self.replace_built_in(id, node);
            id
        } else {
            self.create_foreign(node)?
        };
        let path = self.path_of(id);
        self.leave(id, &path);
        self.set_stat(id, node.stat);
        self.enter(id);
        Ok(id)
    }

    /// Raises a node's pzxid: what remains of the deletion of a child that a fuzzy snapshot of
    /// ZooKeeper's had no more.
    pub fn raise_pzxid(&mut self, id: NodeId, zxid: Zxid) {
        if self.store.pzxid(id) >= zxid {
            return;
        }
        let path = self.path_of(id);
        self.leave(id, &path);
        self.store.dir_mut(id).pzxid = zxid;
        self.enter(id);
    }

    /// Takes the data of a node away, which no stat shows.
    pub fn clear_foreign(&mut self, id: NodeId) {
        let path = self.path_of(id);
        self.leave(id, &path);
        self.replace_data(id, Some(b""));
        self.enter(id);
    }

    fn create_foreign(&mut self, node: &ForeignNode<'_>) -> Result<NodeId, Corrupt> {
        let refuse = |what| Err(Corrupt::Inconsistent(what));
        let parent = path::parent(node.path).filter(|_| path::is_valid(node.path));
        let Some(parent) = parent else { return refuse("a path is not one") };
        let Some(parent) = self.find(parent) else { return refuse("a parent is missing") };
        if matches!(self.kind(parent), NodeKind::Ephemeral(_)) {
            return refuse("an ephemeral node has a child");
        }
        if NodeKind::from_owner(node.kind.to_owner()) != node.kind {
            return refuse("an owner is not one");
        }
        if self.find(node.path).is_some() {
            return refuse("two nodes have the same path");
        }
        Ok(self.create(NewNode {
            path: node.path,
            data: node.data,
            acl: node.acl,
            kind: node.kind,
            zxid: Zxid::from_wire(node.stat.czxid),
            time: Millis(node.stat.ctime),
            // The parent's count came with the parent.
            parent_cversion: self.created_children(parent),
        }))
    }

    fn replace_built_in(&mut self, id: NodeId, node: &ForeignNode<'_>) {
        self.set_acl(id, node.acl, node.stat.aversion);
        let path = self.path_of(id);
        self.leave(id, &path);
        self.replace_data(id, node.data);
        self.enter(id);
    }

    fn set_stat(&mut self, id: NodeId, stat: &Stat) {
        let node = self.node_mut(id);
        (node.czxid, node.ctime) = (Zxid::from_wire(stat.czxid), Millis(stat.ctime));
        if node.payload.parts().aversion != stat.aversion {
            let parts = Parts { aversion: stat.aversion, ..node.payload.parts() };
            node.payload = Payload::new(&parts);
        }
        let mzxid = Zxid::from_wire(stat.mzxid);
        if (mzxid, stat.mtime, stat.version) != (node.czxid, stat.ctime, 0) {
            self.store.set_change(id, Change::new(mzxid, Millis(stat.mtime), stat.version));
        }
        let pzxid = Zxid::from_wire(stat.pzxid);
        if (pzxid, stat.cversion) != (Zxid::from_wire(stat.czxid), 0) || id == NodeId::ROOT {
            let dir = self.store.dir_mut(id);
            // ZooKeeper's count may have become negative, ours goes on from there.
            (dir.pzxid, dir.created) = (pzxid, u64::from(stat.cversion as u32));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Grown, Random, dump, random_quota, random_step};
    use super::*;

    #[test]
    fn a_tree_survives_the_way_through_foreign_nodes() {
        for seed in 0..20 {
            let mut random = Random(seed);
            let mut grown = Grown::new();
            grown.tree.keep_digest(super::super::Digest::Kept);
            for _ in 0..200 {
                let steps = match random.below(20) {
                    0 => random_quota(&mut random, &grown.tree),
                    _ => vec![random_step(&mut random, &grown.tree)],
                };
                steps.iter().for_each(|step| grown.take(step));
            }
            let before = dump(&grown.tree);
            let mut tree = Tree::new(seed);
            tree.keep_digest(super::super::Digest::Kept);
            for (path, node) in &before.nodes {
                let path = if path == "/" { "" } else { path };
                let stat = Stat { cversion: node.created, ..node.stat };
                let (data, acl, kind) = (node.data.as_deref(), &node.acl, node.kind);
                tree.put_foreign(&ForeignNode { path, data, acl, kind, stat: &stat }).unwrap();
            }
            tree.set_applied(grown.tree.applied());
            tree.recount_quotas();
            assert_eq!(dump(&tree), before, "seed {seed}");
        }
    }

    #[test]
    fn nodes_that_make_no_tree_are_refused() {
        let mut tree = Tree::new(1);
        let acl = super::super::testing::open();
        let mut put = |path, kind| {
            let stat = &Stat::default();
            tree.put_foreign(&ForeignNode { path, data: None, acl: &acl, kind, stat })
        };
        let ephemeral = NodeKind::Ephemeral(crate::SessionId(1));
        assert!(put("/a", ephemeral).is_ok());
        assert!(put("", ephemeral).is_ok());
        for path in ["/a", "/a/b", "/x/y", "a", "/", "/b/", "//"] {
            assert!(put(path, NodeKind::Persistent).is_err(), "{path}");
        }
        assert!(put("/b", NodeKind::Ephemeral(crate::SessionId(i64::MIN))).is_err());
        assert_eq!(tree.kind(NodeId::ROOT), NodeKind::Persistent);
    }
}
