//! The table against a model that is too simple to be wrong.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::wire::event::EventType;

const CONNS: u32 = 24;
const PATHS: [&str; 9] =
    ["/", "/a", "/a/b", "/a/b/c", "/a/b/d", "/a/x", "/b", "/b/b", "/zookeeper/quota"];
const TYPES: [WatcherType; 5] = [
    WatcherType::Children,
    WatcherType::Data,
    WatcherType::Any,
    WatcherType::Persistent,
    WatcherType::PersistentRecursive,
];

#[derive(Clone, Debug)]
enum Step {
    AddOneShot(u32, usize, OneShot),
    Add(u32, usize, WatchMode),
    Fire(ChangeKind, usize),
    Remove(u32, usize, WatcherType),
    Drop(u32),
    /// So that chains get long enough for an index.
    AddForAll(usize, OneShot),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (conn, path) = (0..CONNS, 0..PATHS.len());
    let kind = prop_oneof![Just(OneShot::Data), Just(OneShot::Child)];
    let mode = prop_oneof![Just(WatchMode::Persistent), Just(WatchMode::PersistentRecursive)];
    let change = prop_oneof![
        Just(ChangeKind::Created),
        Just(ChangeKind::Deleted),
        Just(ChangeKind::DataChanged)
    ];
    let step = prop_oneof![
        6 => (conn.clone(), path.clone(), kind.clone())
            .prop_map(|(conn, path, kind)| Step::AddOneShot(conn, path, kind)),
        3 => (conn.clone(), path.clone(), mode)
            .prop_map(|(conn, path, mode)| Step::Add(conn, path, mode)),
        4 => (change, path.clone()).prop_map(|(kind, path)| Step::Fire(kind, path)),
        4 => (conn.clone(), path.clone(), proptest::sample::select(&TYPES[..]))
            .prop_map(|(conn, path, kind)| Step::Remove(conn, path, kind)),
        1 => conn.prop_map(Step::Drop),
        1 => (path, kind).prop_map(|(path, kind)| Step::AddForAll(path, kind)),
    ];
    prop::collection::vec(step, 1..120)
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Mode {
    OneShot,
    Persistent,
    Recursive,
}

/// ZooKeeper's two tables, as sets.
#[derive(Default)]
struct Model {
    data: BTreeSet<(String, ConnId, Mode)>,
    child: BTreeSet<(String, ConnId, Mode)>,
    reported: BTreeSet<ConnId>,
}

impl Model {
    fn insert(&mut self, table: Table, path: &str, conn: ConnId, mode: Mode) {
        let entry = (path.to_owned(), conn, mode);
        match table {
            Table::Data => {
                self.reported.insert(conn);
                self.data.insert(entry)
            }
            Table::Child => self.child.insert(entry),
        };
    }

    fn fire_set(
        set: &mut BTreeSet<(String, ConnId, Mode)>,
        path: &str,
        fired: &mut BTreeSet<ConnId>,
    ) {
        set.retain(|(at, conn, mode)| {
            let exact = at == path;
            let above = *mode == Mode::Recursive
                && (at == "/" || path.strip_prefix(at).is_some_and(|rest| rest.starts_with('/')));
            if exact || above {
                fired.insert(*conn);
            }
            !(exact && *mode == Mode::OneShot)
        });
    }

    fn fire(&mut self, kind: ChangeKind, path: &str) -> BTreeSet<(ConnId, EventType, String)> {
        let (mut node, mut parent) = (BTreeSet::new(), BTreeSet::new());
        Self::fire_set(&mut self.data, path, &mut node);
        if kind == ChangeKind::Deleted {
            Self::fire_set(&mut self.child, path, &mut node);
        }
        let above = crate::path::parent(path).unwrap().to_owned();
        if kind != ChangeKind::DataChanged && path != "/" {
            Self::fire_set(&mut self.child, &above, &mut parent);
        }
        let event = match kind {
            ChangeKind::Created => EventType::NodeCreated,
            ChangeKind::Deleted => EventType::NodeDeleted,
            ChangeKind::DataChanged => EventType::NodeDataChanged,
        };
        let node = node.into_iter().map(|conn| (conn, event, path.to_owned()));
        let parent =
            parent.into_iter().map(|conn| (conn, EventType::NodeChildrenChanged, above.clone()));
        node.chain(parent).collect()
    }

    fn matching(&self, path: &str, conn: ConnId, kind: WatcherType) -> Vec<(Table, Mode)> {
        let wanted = |table, mode| match kind {
            WatcherType::Any => true,
            WatcherType::Children => (table, mode) == (Table::Child, Mode::OneShot),
            WatcherType::Data => (table, mode) == (Table::Data, Mode::OneShot),
            WatcherType::Persistent => mode == Mode::Persistent,
            WatcherType::PersistentRecursive => mode == Mode::Recursive,
        };
        let sets = [(Table::Data, &self.data), (Table::Child, &self.child)];
        let all = sets.into_iter().flat_map(|(table, set)| set.iter().map(move |e| (table, e)));
        all.filter(|(table, (at, who, mode))| at == path && *who == conn && wanted(*table, *mode))
            .map(|(table, (_, _, mode))| (table, *mode))
            .collect()
    }

    fn remove(&mut self, path: &str, conn: ConnId, kind: WatcherType) -> bool {
        let found = self.matching(path, conn, kind);
        for (table, mode) in &found {
            let entry = (path.to_owned(), conn, *mode);
            match table {
                Table::Data => self.data.remove(&entry),
                Table::Child => self.child.remove(&entry),
            };
        }
        let from_data = found.iter().any(|(table, _)| *table == Table::Data);
        if from_data && self.data.iter().all(|entry| entry.1 != conn) {
            self.reported.remove(&conn);
        }
        !found.is_empty()
    }
}

fn apply(table: &mut WatchTable, model: &mut Model, step: &Step) {
    match *step {
        Step::AddOneShot(conn, path, kind) => add_one_shot(table, model, conn, path, kind),
        Step::AddForAll(path, kind) => {
            (0..CONNS).for_each(|conn| add_one_shot(table, model, conn, path, kind));
        }
        Step::Add(conn, path, mode) => {
            let (conn, path) = (ConnId(conn), PATHS[path]);
            table.add(conn, path, mode);
            match mode {
                WatchMode::Persistent => {
                    model.insert(Table::Data, path, conn, Mode::Persistent);
                    model.insert(Table::Child, path, conn, Mode::Persistent);
                }
                WatchMode::PersistentRecursive => {
                    model.insert(Table::Data, path, conn, Mode::Recursive);
                }
            }
        }
        Step::Fire(kind, path) => {
            let mut fired = Vec::new();
            table.fire(kind, PATHS[path], &mut |conn, event, path, _| {
                fired.push((conn, event, path.to_owned()));
            });
            let nodes_first = fired.is_sorted_by_key(|e| e.1 == EventType::NodeChildrenChanged);
            assert!(nodes_first, "the node's own events come first");
            let count = fired.len();
            let fired: BTreeSet<_> = fired.into_iter().collect();
            assert_eq!(fired.len(), count, "no connection gets an event twice");
            assert_eq!(fired, model.fire(kind, PATHS[path]));
        }
        Step::Remove(conn, path, kind) => {
            let removed = table.remove(ConnId(conn), PATHS[path], kind);
            assert_eq!(removed, model.remove(PATHS[path], ConnId(conn), kind));
        }
        Step::Drop(conn) => {
            table.drop_connection(ConnId(conn));
            model.data.retain(|entry| entry.1 != ConnId(conn));
            model.child.retain(|entry| entry.1 != ConnId(conn));
            model.reported.remove(&ConnId(conn));
        }
    }
}

fn add_one_shot(table: &mut WatchTable, model: &mut Model, conn: u32, path: usize, kind: OneShot) {
    table.add_one_shot(ConnId(conn), PATHS[path], kind);
    let to = if kind == OneShot::Data { Table::Data } else { Table::Child };
    model.insert(to, PATHS[path], ConnId(conn), Mode::OneShot);
}

fn compare(table: &WatchTable, model: &Model) {
    let pairs = |set: &BTreeSet<(String, ConnId, Mode)>| -> BTreeSet<(String, ConnId)> {
        set.iter().map(|(path, conn, _)| (path.clone(), *conn)).collect()
    };
    let (data, child) = (pairs(&model.data), pairs(&model.child));
    assert_eq!((table.watches(), table.child_watches()), (data.len(), child.len()));
    assert_eq!(table.is_empty(), data.is_empty() && child.is_empty());
    assert!(table.reported_connections().iter().eq(&model.reported));
    assert_eq!(table.connections(), model.reported.len());
    let mut by_conn: BTreeMap<ConnId, BTreeSet<&str>> = BTreeMap::new();
    let paths: BTreeSet<&str> = data.iter().map(|(path, _)| path.as_str()).collect();
    for (path, conn) in &data {
        by_conn.entry(*conn).or_default().insert(path);
    }
    assert_eq!(table.paths(), paths.len());
    let mut scanned = BTreeSet::new();
    table.scan_paths(ScanCursor::default(), u32::MAX, &mut |path, conn| {
        assert!(scanned.insert((path.to_owned(), conn)));
    });
    assert_eq!(scanned, data);
    for conn in (0..CONNS).map(ConnId) {
        let count = data.iter().chain(&child).filter(|entry| entry.1 == conn).count();
        assert_eq!(table.watches_of(conn) as usize, count);
        let listed: Vec<&str> = table.paths_of(conn).collect();
        let expected = by_conn.remove(&conn).unwrap_or_default();
        assert_eq!((listed.len(), BTreeSet::from_iter(listed)), (expected.len(), expected));
        for (path, kind) in PATHS.iter().flat_map(|path| TYPES.map(|kind| (path, kind))) {
            let expected = !model.matching(path, conn, kind).is_empty();
            assert_eq!(table.contains(conn, path, kind), expected);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(0x5eed),
        ..ProptestConfig::default()
    })]

    #[test]
    fn table_and_model_agree(steps in steps()) {
        let (mut table, mut model) = (WatchTable::new(7), Model::default());
        for step in &steps {
            apply(&mut table, &mut model, step);
        }
        table.sweep(usize::MAX);
        compare(&table, &model);
    }

    #[test]
    fn dropping_all_connections_empties_the_table(steps in steps()) {
        let (mut table, mut model) = (WatchTable::new(7), Model::default());
        for step in &steps {
            apply(&mut table, &mut model, step);
        }
        for conn in 0..CONNS {
            apply(&mut table, &mut model, &Step::Drop(conn));
        }
        table.sweep(usize::MAX);
        compare(&table, &model);
        prop_assert!(table.is_empty());
    }
}
