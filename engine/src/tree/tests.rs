//! The tree against the rules of ZooKeeper.

use super::*;
use crate::Millis;
use crate::wire::record::perms;
use crate::wire::{Acl, Id};

fn open() -> AclList {
    AclList::from([Acl::open()])
}

/// A tree whose every change takes the next zxid, at a time of ten times that.
struct Grown {
    tree: Tree,
    zxid: u64,
}

impl Grown {
    fn new() -> Grown {
        Grown { tree: Tree::new(42), zxid: 0 }
    }

    fn create(&mut self, path: &str) -> NodeId {
        self.create_as(path, NodeKind::Persistent, Some(b"data"))
    }

    fn create_as(&mut self, path: &str, kind: NodeKind, data: Option<&[u8]>) -> NodeId {
        self.zxid += 1;
        let parent = self.at(crate::path::parent(path).unwrap());
        let parent_cversion = self.tree.created_children(parent).wrapping_add(1);
        let (zxid, time) = (Zxid(self.zxid), Millis(self.zxid as i64 * 10));
        let acl = &open();
        self.tree.create(NewNode { path, data, acl, kind, zxid, time, parent_cversion })
    }

    fn delete(&mut self, path: &str) {
        self.zxid += 1;
        self.tree.delete(self.at(path), Zxid(self.zxid));
    }

    fn set(&mut self, path: &str, data: Option<&[u8]>) {
        self.zxid += 1;
        let id = self.at(path);
        let version = self.tree.version(id).wrapping_add(1);
        self.tree.set_data(id, data, version, Zxid(self.zxid), Millis(self.zxid as i64 * 10));
    }

    fn at(&self, path: &str) -> NodeId {
        self.tree.find(path).unwrap_or_else(|| panic!("{path} is missing"))
    }

    fn stat(&self, path: &str) -> Stat {
        self.tree.stat(self.at(path))
    }
}

#[test]
fn a_fresh_tree_is_zookeepers() {
    let tree = Tree::new(1);
    let stat = |path| tree.stat(tree.find(path).unwrap());
    let zero = Stat::default();
    assert_eq!(stat("/"), Stat { cversion: -1, num_children: 1, ..zero });
    assert_eq!(stat("/zookeeper"), Stat { cversion: -2, num_children: 2, ..zero });
    assert_eq!(stat("/zookeeper/quota"), zero);
    assert_eq!(stat("/zookeeper/config"), Stat { aversion: -1, ..zero });
    let config = tree.find("/zookeeper/config").unwrap();
    assert_eq!(**tree.acl(config), [Acl { perms: perms::READ, id: Id::anyone() }]);
    assert_eq!(**tree.acl(NodeId::ROOT), [Acl::open()]);
    assert_eq!(tree.data(config), Some(&b""[..]));
    assert_eq!((tree.node_count(), tree.approximate_data_size()), (5, 44));
    assert_eq!(tree.descendants(NodeId::ROOT), 3);
}

#[test]
fn paths_that_name_nothing() {
    let mut grown = Grown::new();
    grown.create("/a");
    grown.create("/a/b");
    assert_eq!(grown.tree.find(""), Some(NodeId::ROOT));
    assert_eq!(grown.tree.find("/"), Some(NodeId::ROOT));
    for path in ["a", "/a/", "//", "//a", "/a//b", "/b", "/a/b/c", "/ab", "a/b", " "] {
        assert_eq!(grown.tree.find(path), None, "{path:?}");
    }
    assert_eq!(grown.tree.path_of(grown.at("/a/b")), "/a/b");
    assert_eq!(grown.tree.path_of(NodeId::ROOT), "/");
}

#[test]
fn a_stat_follows_every_change() {
    let mut grown = Grown::new();
    grown.create("/a");
    let born = Stat { czxid: 1, mzxid: 1, ctime: 10, mtime: 10, pzxid: 1, ..Stat::default() };
    assert_eq!(grown.stat("/a"), Stat { data_length: 4, ..born });
    assert_eq!((grown.stat("/").pzxid, grown.stat("/").cversion), (1, 0));
    grown.create("/a/b");
    grown.create("/a/c");
    grown.delete("/a/b");
    let parent = Stat { pzxid: 4, cversion: 3, num_children: 1, data_length: 4, ..born };
    assert_eq!(grown.stat("/a"), parent);
    grown.set("/a", None);
    let set = Stat { mzxid: 5, mtime: 50, version: 1, data_length: 0, ..parent };
    assert_eq!(grown.stat("/a"), set);
    assert_eq!(grown.tree.data(grown.at("/a")), None);
    grown.tree.set_acl(grown.at("/a"), &open(), 1);
    assert_eq!(grown.stat("/a"), Stat { aversion: 1, ..set });
}

#[test]
fn owners_are_shown_for_ephemeral_nodes_only() {
    let mut grown = Grown::new();
    grown.create_as("/e", NodeKind::Ephemeral(SessionId(77)), None);
    grown.create_as("/c", NodeKind::Container, None);
    grown.create_as("/t", NodeKind::Ttl(5), None);
    assert_eq!(["/e", "/c", "/t"].map(|path| grown.stat(path).ephemeral_owner), [77, 0, 0]);
    assert_eq!(grown.tree.kind(grown.at("/t")), NodeKind::Ttl(5));
}

#[test]
fn sequence_numbers_count_creations_of_any_kind() {
    let mut grown = Grown::new();
    let p = grown.create("/p");
    assert_eq!(grown.tree.created_children(p), 0);
    for n in 1..=3 {
        grown.create("/p/x");
        grown.delete("/p/x");
        assert_eq!(grown.tree.created_children(p), n);
    }
    grown.delete("/p");
    let p = grown.create("/p");
    assert_eq!(grown.tree.created_children(p), 0);
}

#[test]
fn children_come_in_order_and_leave_from_anywhere() {
    let mut grown = Grown::new();
    let p = grown.create("/p");
    for name in ["a", "b", "c", "d"] {
        grown.create(&format!("/p/{name}"));
    }
    let names = |grown: &Grown| grown.tree.children(p).collect::<Vec<_>>().join("");
    assert_eq!(names(&grown), "abcd");
    grown.delete("/p/b");
    assert_eq!(names(&grown), "acd");
    grown.delete("/p/a");
    grown.create("/p/a");
    assert_eq!(names(&grown), "cda");
    grown.delete("/p/a");
    grown.delete("/p/c");
    grown.delete("/p/d");
    assert_eq!((names(&grown), grown.tree.child_count(p)), (String::new(), 0));
}

#[test]
fn totals_of_a_subtree() {
    let mut grown = Grown::new();
    for path in ["/a", "/a/b", "/a/b/c", "/a/b/d", "/z"] {
        grown.create(path);
    }
    let totals = |grown: &Grown, path: &str| {
        let id = grown.at(path);
        (grown.tree.descendants(id), grown.tree.subtree_bytes(id))
    };
    assert_eq!(totals(&grown, "/"), (8, 20));
    assert_eq!(totals(&grown, "/a"), (3, 16));
    grown.set("/a/b/d", Some(b"longer"));
    grown.delete("/a/b/c");
    assert_eq!(totals(&grown, "/a"), (2, 14));
    assert_eq!(totals(&grown, "/a/b/d"), (0, 6));
    assert_eq!(grown.tree.approximate_data_size(), 44 + 2 + 4 + 6 + 2 + 18);
}

#[test]
fn paths_are_measured_in_utf16_units() {
    let mut grown = Grown::new();
    grown.create_as("/\u{e9}\u{4e2d}", NodeKind::Persistent, None);
    assert_eq!(grown.tree.approximate_data_size(), 44 + 3);
    grown.delete("/\u{e9}\u{4e2d}");
    assert_eq!(grown.tree.approximate_data_size(), 44);
}

#[test]
fn ephemerals_are_listed_by_session() {
    let mut grown = Grown::new();
    for (path, session) in [("/a", 1), ("/b", 2), ("/c", 1)] {
        grown.create_as(path, NodeKind::Ephemeral(SessionId(session)), None);
    }
    let paths = |grown: &Grown, session| {
        let ids = grown.tree.ephemerals(SessionId(session));
        ids.map(|id| grown.tree.path_of(id)).collect::<Vec<_>>()
    };
    assert_eq!(paths(&grown, 1), ["/a", "/c"]);
    assert_eq!(grown.tree.ephemeral_sessions().collect::<Vec<_>>(), [SessionId(1), SessionId(2)]);
    assert_eq!(grown.tree.ephemerals_count(), 3);
    grown.delete("/b");
    grown.delete("/a");
    assert_eq!(paths(&grown, 1), ["/c"]);
    assert_eq!(grown.tree.ephemeral_sessions().collect::<Vec<_>>(), [SessionId(1)]);
    assert_eq!(grown.tree.ephemerals_count(), 1);
}
