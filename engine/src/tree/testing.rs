//! What the tests of the tree share: a tree that is easy to change, random changes, and a dump of
//! everything that can be seen.

use std::collections::{BTreeMap, BTreeSet};

use super::acls::AclId;
use super::*;
use crate::Millis;
use crate::wire::{Acl, Id};

/// Everybody may do everything.
pub(super) fn open() -> AclList {
    AclList::from([Acl::open()])
}

/// A tree whose every change takes the next zxid, at a time of ten times that.
pub(super) struct Grown {
    pub(super) tree: Tree,
    pub(super) zxid: u64,
}

impl Grown {
    pub(super) fn new() -> Grown {
        Grown { tree: Tree::new(42), zxid: 0 }
    }

    /// A tree that goes on.
    pub(super) fn of(tree: Tree) -> Grown {
        let zxid = tree.applied().0;
        Grown { tree, zxid }
    }

    pub(super) fn create(&mut self, path: &str) -> NodeId {
        self.create_as(path, NodeKind::Persistent, Some(b"data"))
    }

    pub(super) fn create_as(&mut self, path: &str, kind: NodeKind, data: Option<&[u8]>) -> NodeId {
        let parent = self.at(crate::path::parent(path).unwrap());
        let parent_cversion = self.tree.created_children(parent).wrapping_add(1);
        let (zxid, time) = self.next();
        let acl = &open();
        self.tree.create(NewNode { path, data, acl, kind, zxid, time, parent_cversion })
    }

    pub(super) fn delete(&mut self, path: &str) {
        let (zxid, _) = self.next();
        self.tree.delete(self.at(path), zxid);
    }

    pub(super) fn set(&mut self, path: &str, data: Option<&[u8]>) {
        let (zxid, time) = self.next();
        let id = self.at(path);
        let version = self.tree.version(id).wrapping_add(1);
        self.tree.set_data(id, data, version, zxid, time);
    }

    pub(super) fn set_acl(&mut self, path: &str, acl: &AclList) {
        self.next();
        let id = self.at(path);
        let version = self.tree.aversion(id).wrapping_add(1);
        self.tree.set_acl(id, acl, version);
    }

    pub(super) fn at(&self, path: &str) -> NodeId {
        self.tree.find(path).unwrap_or_else(|| panic!("{path} is missing"))
    }

    pub(super) fn stat(&self, path: &str) -> Stat {
        self.tree.stat(self.at(path))
    }

    /// The data as text.
    pub(super) fn text(&self, path: &str) -> String {
        String::from_utf8(self.tree.data(self.at(path)).unwrap().to_vec()).unwrap()
    }

    fn next(&mut self) -> (Zxid, Millis) {
        self.zxid += 1;
        self.tree.set_applied(Zxid(self.zxid));
        (Zxid(self.zxid), Millis(self.zxid as i64 * 10))
    }
}

/// Everything that can be seen of a tree.
#[derive(PartialEq, Debug)]
pub(super) struct Dump {
    pub(super) applied: Zxid,
    pub(super) nodes: BTreeMap<String, NodeDump>,
    pub(super) ephemerals: BTreeMap<SessionId, BTreeSet<String>>,
    pub(super) armed: BTreeSet<String>,
    pub(super) spent: BTreeSet<String>,
    pub(super) digest: u64,
    /// Nodes, bytes, ephemeral nodes.
    pub(super) counters: (u64, u64, u64),
}

/// Everything that can be seen of a node.
#[derive(PartialEq, Debug)]
pub(super) struct NodeDump {
    pub(super) stat: Stat,
    pub(super) data: Option<Vec<u8>>,
    pub(super) acl: AclList,
    pub(super) kind: NodeKind,
    pub(super) created: i32,
    pub(super) children: BTreeSet<String>,
    /// Nodes below, bytes in it and below.
    pub(super) totals: (u64, u64),
}

/// Dumps a tree by walking it from the root, and checks its links on the way.
pub(super) fn dump(tree: &Tree) -> Dump {
    let mut nodes = BTreeMap::new();
    let mut next = vec![(String::from("/"), NodeId::ROOT)];
    while let Some((path, id)) = next.pop() {
        assert_eq!(tree.path_of(id), path);
        assert_eq!(tree.find(&path), Some(id));
        assert_eq!(tree.version(id), tree.stat(id).version);
        let mut before = None;
        for child in tree.child_nodes(id) {
            assert_eq!((tree.node(child).prev, tree.parent(child)), (before, Some(id)));
            before = Some(child);
            let name = tree.name(child);
            let slash = if id == NodeId::ROOT { "" } else { "/" };
            next.push((format!("{path}{slash}{name}"), child));
        }
        assert_eq!(tree.store.dir(id).and_then(|dir| dir.last), before);
        nodes.insert(path, dump_node(tree, id));
    }
    check_parts(tree, nodes.len());
    let paths = |session| tree.ephemerals(session).map(|id| tree.path_of(id)).collect();
    let spent = tree.spent(Millis(i64::MAX), 1, usize::MAX);
    Dump {
        applied: tree.applied(),
        nodes,
        ephemerals: tree.ephemeral_sessions().map(|session| (session, paths(session))).collect(),
        armed: tree.quotas.armed().map(String::from).collect(),
        spent: spent.iter().map(|path| path.to_string()).collect(),
        digest: tree.digest(),
        counters: (tree.node_count(), tree.approximate_data_size(), tree.ephemerals_count()),
    }
}

/// Nothing is left of nodes that have gone.
fn check_parts(tree: &Tree, reachable: usize) {
    let ids = (0..tree.store.end()).filter_map(|slot| tree.store.node_in(slot));
    let (mut nodes, mut parts) = (0, (0, 0));
    let mut acls = BTreeMap::<u32, u64>::new();
    for node in ids.map(|id| tree.node(id)) {
        nodes += 1;
        parts.0 += u32::from(node.dir.is_some());
        parts.1 += u32::from(node.change.is_some());
        if node.acl != AclId::OPEN {
            *acls.entry(node.acl.0).or_default() += 1;
        }
    }
    assert_eq!((nodes, parts), (reachable, tree.store.parts_len()));
    assert_eq!(acls, tree.acls.nodes());
}

fn dump_node(tree: &Tree, id: NodeId) -> NodeDump {
    NodeDump {
        stat: tree.stat(id),
        data: tree.data(id).map(<[u8]>::to_vec),
        acl: tree.acl(id).clone(),
        kind: tree.kind(id),
        created: tree.created_children(id),
        children: tree.children(id).map(String::from).collect(),
        totals: (tree.descendants(id), tree.subtree_bytes(id)),
    }
}

/// Numbers that are the same in every run.
pub(super) struct Random(pub(super) u64);

impl Random {
    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) % end as u64) as usize
    }

    /// One of several.
    pub(super) fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}

/// A change of a tree, not yet made.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Create(String, NodeKind, Option<Vec<u8>>),
    Delete(String),
    Set(String, Option<Vec<u8>>),
    SetAcl(String, AclList),
}

/// A change that a tree can take.
pub(super) fn random_step(random: &mut Random, tree: &Tree) -> Step {
    if random.below(30) == 0 {
        return Step::Set("/".into(), random_data(random));
    }
    loop {
        let path = random_path(random);
        let parent = crate::path::parent(&path).unwrap();
        let step = match (tree.find(&path), tree.find(parent)) {
            (None, Some(parent)) if !matches!(tree.kind(parent), NodeKind::Ephemeral(_)) => {
                Step::Create(path, random_kind(random), random_data(random))
            }
            (None, _) => continue,
            (Some(id), _) => match random.below(4) {
                0 => Step::Set(path, random_data(random)),
                1 => Step::SetAcl(path, random_acl(random)),
                _ if tree.child_count(id) == 0 => Step::Delete(path),
                _ => continue,
            },
        };
        return step;
    }
}

/// A step on quotas that leaves usage which a count does not give: stats that a client has set, or
/// made before the limits; a quota below another one, or on a path that is not there.
pub(super) fn random_usage(random: &mut Random, tree: &Tree) -> Vec<Step> {
    let at = format!("/zookeeper/quota/{}", random.of(&["a", "a/b", "a/b/c", "b", "ab"]));
    let node = random.of(&["zookeeper_limits", "zookeeper_stats", "zookeeper_stats"]);
    let path = format!("{at}/{node}");
    let texts = ["count=21,bytes=7", "count=5,bytes=5", "", "junk"];
    let data = random.of(&texts).as_bytes();
    if let Some(id) = tree.find(&path) {
        let set = Step::Set(path.clone(), Some(data.to_vec()));
        let delete = tree.child_count(id) == 0 && random.below(3) == 0;
        return vec![if delete { Step::Delete(path) } else { set }];
    }
    let create = |path: &str, data: &[u8]| {
        Step::Create(path.into(), NodeKind::Persistent, Some(data.to_vec()))
    };
    let ends = at.match_indices('/').map(|(end, _)| end).skip(3).chain([at.len()]);
    let parents = ends.map(|end| &at[..end]).filter(|parent| tree.find(parent).is_none());
    let mut steps: Vec<Step> = parents.map(|parent| create(parent, b"")).collect();
    steps.push(create(&path, data));
    steps
}

/// A step on quotas: a path gets one with limits and stats, or loses it.
pub(super) fn random_quota(random: &mut Random, tree: &Tree) -> Vec<Step> {
    let at = format!("/zookeeper/quota/{}", random.of(&["a", "b", "c"]));
    let (limits, stats) = (format!("{at}/zookeeper_limits"), format!("{at}/zookeeper_stats"));
    let create = |path: &str, data: &[u8]| {
        Step::Create(path.into(), NodeKind::Persistent, Some(data.to_vec()))
    };
    let mut steps = Vec::new();
    if tree.find(&limits).is_some() {
        return vec![Step::Delete(limits), Step::Delete(stats)];
    }
    if tree.find(&at).is_none() {
        steps.push(create(&at, b""));
    }
    steps.extend([create(&limits, b"count=9,bytes=9"), create(&stats, b"whatever")]);
    steps
}

impl Grown {
    pub(super) fn take(&mut self, step: &Step) {
        match step {
            Step::Create(path, kind, data) => {
                self.create_as(path, *kind, data.as_deref());
            }
            Step::Delete(path) => self.delete(path),
            Step::Set(path, data) => self.set(path, data.as_deref()),
            Step::SetAcl(path, acl) => self.set_acl(path, acl),
        }
    }
}

/// Few names, so that they meet again; one of them is long and one is not ASCII.
fn random_path(random: &mut Random) -> String {
    let long = "long".repeat(70);
    let names = ["a", "b", "c", "ab", "\u{e9}\u{4e2d}", "0000000001", &long];
    let depth = 1 + random.below(4);
    (0..depth).map(|_| format!("/{}", random.of(&names))).collect()
}

fn random_kind(random: &mut Random) -> NodeKind {
    match random.below(8) {
        0 => NodeKind::Ephemeral(SessionId(1 + random.below(3) as i64)),
        1 => NodeKind::Container,
        2 => NodeKind::Ttl(1 + random.below(500) as i64),
        _ => NodeKind::Persistent,
    }
}

fn random_data(random: &mut Random) -> Option<Vec<u8>> {
    match random.below(5) {
        0 => None,
        1 => Some(Vec::new()),
        n => Some(vec![n as u8; random.below(3) * 20 + 5]),
    }
}

fn random_acl(random: &mut Random) -> AclList {
    let count = random.below(3);
    (0..count)
        .map(|_| Acl {
            perms: 1 << random.below(5),
            id: Id { scheme: "digest".into(), id: format!("user{}", random.below(4)) },
        })
        .collect()
}
