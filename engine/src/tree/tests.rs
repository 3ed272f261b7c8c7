//! The tree against the rules of ZooKeeper.

use super::testing::{Grown, open};
use super::*;
use crate::Millis;
use crate::txn::AclList;
use crate::wire::record::perms;
use crate::wire::{Acl, Id};

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

#[test]
fn the_digest_is_zookeepers() {
    // What a ZooKeeper 3.9.5 had after these changes, and what it called their digest.
    let mut tree = Tree::new(7);
    tree.keep_digest(Digest::Kept);
    let ms = |ms: i64| Millis(1_795_227_418_000 + ms);
    let new = |path, data, kind, zxid, time: i64, parent_cversion| NewNode {
        path,
        data,
        acl: Box::leak(Box::new(open())),
        kind,
        zxid: Zxid(zxid),
        time: ms(time),
        parent_cversion,
    };
    let persistent = NodeKind::Persistent;
    let a = tree.create(new("/a", Some(b"12345"), persistent, 2, 88, 1));
    let b = tree.create(new("/a/b", None, persistent, 3, 90, 1));
    let c = tree.create(new("/a/c", Some(b""), persistent, 4, 95, 2));
    tree.set_data(a, Some(b"xyz"), 1, Zxid(5), ms(97));
    let owner = NodeKind::Ephemeral(SessionId(0x0100_002b_f4aa_0000));
    tree.create(new("/e", Some(b"e"), owner, 6, 99, 2));
    tree.create(new("/cont", Some(b""), NodeKind::Container, 7, 100, 3));
    tree.create(new("/cont/x", Some("\u{e9}".as_bytes()), persistent, 8, 103, 1));
    tree.create(new("/ttl", Some(b"t"), NodeKind::Ttl(123_456), 9, 105, 4));
    tree.delete(b, Zxid(10));
    tree.set_acl(c, &AclList::from([Acl { perms: perms::READ, id: Id::anyone() }]), 1);
    tree.create(new("/zookeeper/q", Some(b"ignored"), persistent, 12, 110, 1));
    tree.create(new("/\u{e9}", Some(b"u"), persistent, 13, 117, 5));
    let zookeeper = tree.find("/zookeeper").unwrap();
    tree.set_data(zookeeper, Some(b"zk"), 1, Zxid(14), ms(118));
    tree.set_data(NodeId::ROOT, Some(b"root"), 1, Zxid(15), ms(120));
    assert_eq!(tree.digest(), 15_706_625_413);
    assert_eq!(tree.count_digest(), 15_706_625_413);
    tree.keep_digest(Digest::Off);
    assert_eq!(tree.digest(), 0);
    tree.keep_digest(Digest::Kept);
    assert_eq!(tree.digest(), 15_706_625_413);
}

#[test]
fn digest_is_that_of_all_nodes_however_often_it_is_settled() {
    for settled_every in [1, 7, u32::MAX] {
        let mut grown = Grown::new();
        grown.tree.keep_digest(Digest::Kept);
        for step in 1..2_000_u32 {
            // Slots are used again, and more nodes change between two settlements than may wait.
            let path = format!("/{}", (step.wrapping_mul(2_654_435_761) >> 16) % 600);
            match (grown.tree.find(&path), step % 3) {
                (None, _) => drop(grown.create(&path)),
                (Some(_), 0) => grown.delete(&path),
                (Some(_), _) => grown.set(&path, Some(&step.to_be_bytes())),
            }
            let counted = grown.tree.count_digest();
            assert_eq!(grown.tree.digest(), counted, "step {step}");
            if step % settled_every == 0 {
                grown.tree.settle_digest();
                assert_eq!(grown.tree.digest(), counted, "step {step}, settled");
            }
        }
    }
}

#[test]
fn a_tree_may_be_handed_between_threads() {
    fn is_shared<T: Send + Sync>(_: &T) {}
    is_shared(&Tree::new(1));
}

fn spent(grown: &Grown, now: i64, never_used_ms: i64) -> Vec<String> {
    let spent = grown.tree.spent(Millis(now), never_used_ms, 100);
    spent.iter().map(|path| path.to_string()).collect()
}

#[test]
fn containers_go_after_their_last_child() {
    let mut grown = Grown::new();
    grown.create_as("/used", NodeKind::Container, None); // at 10
    grown.create_as("/never", NodeKind::Container, None); // at 20
    assert_eq!(spent(&grown, i64::MAX, 0), [""; 0]);
    grown.create("/used/child");
    assert_eq!(spent(&grown, i64::MAX, 0), [""; 0]);
    grown.delete("/used/child");
    assert_eq!(spent(&grown, 0, 0), ["/used"]);
    assert_eq!(spent(&grown, 25, 5), ["/used"]);
    assert_eq!(spent(&grown, 26, 5), ["/used", "/never"]);
    grown.set("/never", None); // at 50
    assert_eq!(spent(&grown, 55, 5), ["/used"]);
    assert_eq!(grown.tree.spent(Millis(99), 5, 1).len(), 1);
    grown.delete("/used");
    grown.delete("/never");
    assert_eq!(spent(&grown, i64::MAX, 1), [""; 0]);
}

#[test]
fn ttl_nodes_go_when_their_time_is_over_and_they_have_no_child() {
    let mut grown = Grown::new();
    grown.create_as("/t", NodeKind::Ttl(100), None); // at 10
    grown.create_as("/u", NodeKind::Ttl(50), None); // at 20
    assert_eq!(spent(&grown, 70, 0), [""; 0]);
    assert_eq!(spent(&grown, 71, 0), ["/u"]);
    assert_eq!(spent(&grown, 111, 0), ["/u", "/t"]);
    grown.set("/t", None); // at 30
    assert_eq!(spent(&grown, 130, 0), ["/u"]);
    grown.create("/u/child");
    assert_eq!(spent(&grown, 131, 0), ["/t"]);
    grown.delete("/u/child");
    assert_eq!(spent(&grown, 131, 0), ["/u", "/t"]);
    grown.create_as("/long", NodeKind::Ttl(crate::limits::TTL_MS_MAX), None);
    assert_eq!(spent(&grown, i64::MAX, 0).len(), 3);
}
