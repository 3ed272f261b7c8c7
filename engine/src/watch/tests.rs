//! Single rules, as observed on ZooKeeper.

use super::*;
use crate::wire::event::EventType::{self, *};

const A: ConnId = ConnId(1);
const B: ConnId = ConnId(2);

/// One connection's watches, under the letters of the tests below.
fn set(table: &mut WatchTable, conn: ConnId, path: &str, kinds: &str) {
    for kind in kinds.chars() {
        match kind {
            'd' => table.add_one_shot(conn, path, OneShot::Data),
            'c' => table.add_one_shot(conn, path, OneShot::Child),
            'p' => table.add(conn, path, WatchMode::Persistent),
            'r' => table.add(conn, path, WatchMode::PersistentRecursive),
            _ => unreachable!("no such watch"),
        }
    }
}

fn fire(table: &mut WatchTable, kind: ChangeKind, path: &str) -> Vec<(u32, EventType, String)> {
    let mut events = Vec::new();
    table.fire(kind, path, &mut |conn, event, path, subject| {
        assert_eq!(subject == Subject::Parent, event == NodeChildrenChanged);
        events.push((conn.0, event, path.to_owned()));
    });
    events
}

/// Fires delete, create, set, delete on `/q/a/b` and returns the events of each.
fn life(kinds: &[(&str, &str)]) -> [Vec<(EventType, String)>; 4] {
    use ChangeKind::*;
    let mut table = WatchTable::default();
    for (path, kinds) in kinds {
        set(&mut table, A, path, kinds);
    }
    [Deleted, Created, DataChanged, Deleted].map(|kind| {
        let events = fire(&mut table, kind, "/q/a/b");
        events.into_iter().map(|(_, event, path)| (event, path)).collect()
    })
}

fn events(events: &[(EventType, &str)]) -> Vec<(EventType, String)> {
    events.iter().map(|(event, path)| (*event, (*path).to_owned())).collect()
}

#[test]
fn a_deletion_fires_both_kinds_of_watches_in_one_event() {
    let gone = events(&[(NodeDeleted, "/q/a/b")]);
    assert_eq!(life(&[("/q/a/b", "dc")]), [gone.clone(), vec![], vec![], vec![]]);
    assert_eq!(life(&[("/q/a/b", "c")]), [gone, vec![], vec![], vec![]]);
}

#[test]
fn persistent_watches_survive_the_node() {
    let expected = [NodeDeleted, NodeCreated, NodeDataChanged, NodeDeleted]
        .map(|event| events(&[(event, "/q/a/b")]));
    for kinds in ["p", "pdc", "r", "rc", "pr"] {
        assert_eq!(life(&[("/q/a/b", kinds)]), expected, "{kinds}");
    }
    for root in ["/", "/q", "/q/a"] {
        assert_eq!(life(&[(root, "r"), ("/q/a/b", "dcpr")]), expected, "{root}");
    }
}

#[test]
fn a_connection_with_several_watches_gets_one_event_of_each_subject() {
    let kinds = [("/q", "r"), ("/q/a", "rpc"), ("/q/a/b", "p")];
    let parent = (NodeChildrenChanged, "/q/a");
    let expected = [
        events(&[(NodeDeleted, "/q/a/b"), parent]),
        events(&[(NodeCreated, "/q/a/b"), parent]),
        events(&[(NodeDataChanged, "/q/a/b")]),
        events(&[(NodeDeleted, "/q/a/b"), parent]),
    ];
    assert_eq!(life(&kinds), expected);
}

#[test]
fn recursive_watches_know_components_and_not_prefixes() {
    let none: [Vec<_>; 4] = Default::default();
    for path in ["", "/q/", "/q/a/b/c", "/q/a/", "q", "/qq", "/q/aa"] {
        assert_eq!(life(&[(path, "r")]), none, "{path:?}");
    }
}

#[test]
fn the_root_is_parent_and_node() {
    let mut table = WatchTable::default();
    set(&mut table, A, "/", "p");
    assert_eq!(fire(&mut table, ChangeKind::Created, "/x"), [(1, NodeChildrenChanged, "/".into())]);
    assert_eq!(fire(&mut table, ChangeKind::DataChanged, "/"), [(1, NodeDataChanged, "/".into())]);
    assert_eq!(fire(&mut table, ChangeKind::Created, "/x/y"), []);
}

#[test]
fn one_shots_fire_once_and_are_one_however_often_they_are_set() {
    let mut table = WatchTable::default();
    set(&mut table, A, "/q", "dddcc");
    set(&mut table, B, "/q", "d");
    let fired = table.fire(ChangeKind::DataChanged, "/q", &mut |_, _, _, _| {});
    assert_eq!(fired, Fired { node: 2, parent: 0 });
    assert_eq!(fire(&mut table, ChangeKind::DataChanged, "/q"), []);
    assert_eq!(fire(&mut table, ChangeKind::Created, "/q/z").len(), 1);
    assert_eq!(fire(&mut table, ChangeKind::Deleted, "/q/z"), []);
    assert!(table.is_empty());
}

/// What ZooKeeper answered for every mix of watches and every type of removal: whether there was
/// something to remove, and what was left.
#[test]
fn removal_takes_the_named_modes_and_leaves_the_others() {
    use WatcherType::*;
    let types = [
        ("c", Children),
        ("d", Data),
        ("cdpr", Any),
        ("p", Persistent),
        ("r", PersistentRecursive),
    ];
    for kinds in ["d", "c", "p", "r", "dc", "dp", "cp", "dr", "cr", "pr", "dcpr"] {
        for (removes, kind) in types {
            let mut table = WatchTable::default();
            set(&mut table, A, "/w", kinds);
            set(&mut table, B, "/w", "dcpr");
            let found = kinds.contains(|c| removes.contains(c));
            assert_eq!(table.contains(A, "/w", kind), found, "{kinds} {kind:?}");
            assert_eq!(table.remove(A, "/w", kind), found, "{kinds} {kind:?}");
            for (letter, other) in types {
                let left = kinds.contains(|c| letter.contains(c) && !removes.contains(c));
                assert_eq!(table.contains(A, "/w", other), left, "{kinds} {kind:?} {other:?}");
                assert!(table.contains(B, "/w", other));
            }
        }
    }
}

#[test]
fn a_recursive_watch_is_not_found_below_its_path() {
    let mut table = WatchTable::default();
    set(&mut table, A, "/w", "r");
    assert!(!table.contains(A, "/w/a", WatcherType::Any));
    assert!(!table.remove(A, "/w/a", WatcherType::Any));
}

#[test]
fn unknown_modes_and_types_are_refused() {
    assert_eq!(WatcherType::from_wire(3), Some(WatcherType::Any));
    assert_eq!([0, 6, 9, -1].map(WatcherType::from_wire), [None; 4]);
    assert_eq!(WatchMode::from_wire(1), Some(WatchMode::PersistentRecursive));
    assert_eq!([2, -1].map(WatchMode::from_wire), [None; 2]);
}

#[test]
fn counts_are_those_of_wchs() {
    let mut table = WatchTable::default();
    let counts = |table: &WatchTable| {
        (table.connections(), table.paths(), table.watches(), table.child_watches())
    };
    set(&mut table, A, "/w", "c");
    assert_eq!(counts(&table), (0, 0, 0, 1), "the child table is not in it");
    set(&mut table, A, "/w", "dpr");
    assert_eq!(counts(&table), (1, 1, 1, 1), "all modes of a path are one watch per table");
    set(&mut table, B, "/w", "d");
    assert_eq!(counts(&table), (2, 1, 2, 1));
    fire(&mut table, ChangeKind::DataChanged, "/w");
    assert_eq!(counts(&table), (2, 1, 1, 1), "whose watches have fired stays in it");
    assert_eq!(table.reported_connections(), [A, B]);
    assert!(table.remove(A, "/w", WatcherType::Any));
    assert_eq!(counts(&table), (1, 0, 0, 0), "who removes the last watch does not");
    table.drop_connection(B);
    table.drop_connection(B);
    assert_eq!(counts(&table), (0, 0, 0, 0));
}

#[test]
fn a_scan_can_be_taken_in_slices_while_watches_change() {
    let mut table = WatchTable::default();
    for at in 0..100 {
        set(&mut table, A, &format!("/p{at}"), "d");
    }
    let (mut seen, mut cursor) = (Vec::new(), Some(ScanCursor::default()));
    while let Some(from) = cursor {
        cursor = table.scan_paths(from, 7, &mut |path, conn| seen.push((path.to_owned(), conn)));
        let newest = seen.len() - 1;
        fire(&mut table, ChangeKind::DataChanged, &seen[newest].0);
    }
    assert_eq!(seen.len(), 100);
    assert_eq!(table.paths_of(A).count(), 100 - 15);
}

/// Long chains have an index; it must not be noticed.
#[test]
fn fan_out_grows_shrinks_and_grows_again() {
    let mut table = WatchTable::default();
    for round in 0..3 {
        for conn in 0..1_000 {
            set(&mut table, ConnId(conn), "/hot", "dc");
            set(&mut table, ConnId(conn), "/hot", "d");
        }
        for conn in (0..1_000).step_by(3) {
            assert!(table.remove(ConnId(conn), "/hot", WatcherType::Data));
            assert!(!table.remove(ConnId(conn), "/hot", WatcherType::Data));
        }
        for conn in (1..1_000).step_by(3) {
            table.drop_connection(ConnId(conn));
        }
        let fired = fire(&mut table, ChangeKind::DataChanged, "/hot");
        assert!(fired.into_iter().map(|event| event.0).eq((2..1_000).step_by(3)), "round {round}");
        assert_eq!(fire(&mut table, ChangeKind::Deleted, "/hot").len(), 667);
        assert!(table.is_empty());
    }
}

#[test]
fn events_do_not_depend_on_the_seed() {
    let fired = [0, 1, u64::MAX].map(|seed| {
        let mut table = WatchTable::new(seed);
        for conn in (0..50).rev() {
            set(&mut table, ConnId(conn), "/a", if conn % 2 == 0 { "r" } else { "d" });
            set(&mut table, ConnId(conn), &format!("/{conn}"), "d");
        }
        let mut paths = Vec::new();
        let mut visit = |path: &str, conn| paths.push((path.to_owned(), conn));
        assert_eq!(table.scan_paths(ScanCursor::default(), u32::MAX, &mut visit), None);
        (fire(&mut table, ChangeKind::Created, "/a"), paths, table.reported_connections())
    });
    assert_eq!(fired[0], fired[1]);
    assert_eq!(fired[0], fired[2]);
}

#[test]
fn a_dropped_connection_fires_nothing_and_is_swept_in_slices() {
    let mut table = WatchTable::default();
    for at in 0..10_000 {
        set(&mut table, A, &format!("/p{at}"), "d");
    }
    set(&mut table, A, "/", "r");
    set(&mut table, B, "/p9999", "d");
    table.drop_connection(A);
    assert!(!table.is_empty() && !table.sweep(1));
    assert_eq!(fire(&mut table, ChangeKind::DataChanged, "/p9998"), []);
    assert!(!table.contains(A, "/p9997", WatcherType::Any) && table.paths_of(A).next().is_none());
    let mut seen = Vec::new();
    table.scan_paths(ScanCursor::default(), u32::MAX, &mut |path, _| seen.push(path.to_owned()));
    assert_eq!((seen, table.connections()), (vec!["/p9999".to_owned()], 1));
    set(&mut table, A, "/again", "d");
    assert_eq!(fire(&mut table, ChangeKind::DataChanged, "/again").len(), 1);
    let before = table.watches();
    set(&mut table, A, "/again", "d");
    assert!(table.watches() < before, "each watch that comes takes some along");
    assert!(table.sweep(usize::MAX));
    assert_eq!((table.watches(), table.paths()), (2, 2));
}

#[test]
fn a_path_that_only_a_dropped_connection_watched_can_be_watched_again() {
    for watches in 1..10 {
        let mut table = WatchTable::default();
        for at in 0..watches {
            set(&mut table, A, &format!("/p{at}"), "dc");
        }
        table.drop_connection(A);
        for at in (0..watches).rev() {
            set(&mut table, B, &format!("/p{at}"), "d");
        }
        assert!(table.sweep(usize::MAX));
        for at in 0..watches {
            let events = fire(&mut table, ChangeKind::DataChanged, &format!("/p{at}"));
            assert_eq!(events.len(), 1, "{at} of {watches}");
        }
        assert!(table.is_empty());
    }
}
