//! The tree against a model that is too simple to be wrong: a map from paths to nodes, from which
//! everything else is counted anew each time.

use std::collections::{BTreeMap, BTreeSet};

use super::testing::{Dump, Grown, NodeDump, Random, Step, dump, open, random_quota, random_step};
use super::*;

struct Node {
    data: Option<Vec<u8>>,
    acl: AclList,
    kind: NodeKind,
    /// czxid, mzxid, pzxid, ctime, mtime.
    at: [i64; 5],
    version: i32,
    aversion: i32,
    created: i32,
}

struct Model {
    nodes: BTreeMap<String, Node>,
    zxid: i64,
}

impl Model {
    fn new(fresh: &Tree) -> Model {
        let mut nodes = BTreeMap::new();
        for path in ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"] {
            let id = fresh.find(path).unwrap();
            let (acl, data) = (fresh.acl(id).clone(), Some(Vec::new()));
            let aversion = fresh.aversion(id);
            let kind = NodeKind::Persistent;
            let node = Node { data, acl, kind, at: [0; 5], version: 0, aversion, created: 0 };
            nodes.insert(path.into(), node);
        }
        Model { nodes, zxid: 0 }
    }

    fn take(&mut self, step: &Step) {
        self.zxid += 1;
        let (zxid, time) = (self.zxid, self.zxid * 10);
        match step {
            Step::Create(path, kind, data) => {
                let parent = self.node(crate::path::parent(path).unwrap());
                parent.created += 1;
                parent.at[2] = zxid;
                let (data, kind) = (data.clone(), *kind);
                let at = [zxid, zxid, zxid, time, time];
                let acl = open();
                let node = Node { data, acl, kind, at, version: 0, aversion: 0, created: 0 };
                self.nodes.insert(path.clone(), node);
            }
            Step::Delete(path) => {
                self.node(crate::path::parent(path).unwrap()).at[2] = zxid;
                self.nodes.remove(path).unwrap();
            }
            Step::Set(path, data) => {
                let node = self.node(path);
                node.data.clone_from(data);
                node.version += 1;
                (node.at[1], node.at[4]) = (zxid, time);
            }
            Step::SetAcl(path, acl) => {
                let node = self.node(path);
                node.acl = acl.clone();
                node.aversion += 1;
            }
        }
        self.restate_quotas();
    }

    /// Stats always say what is there: the steps create them right after the limits, and no
    /// quota lies below another.
    fn restate_quotas(&mut self) {
        for path in self.armed() {
            let totals = self.totals(&path);
            let stats = format!("/zookeeper/quota{path}/zookeeper_stats");
            if let Some(stats) = self.nodes.get_mut(&stats) {
                let (count, bytes) = totals;
                stats.data = Some(format!("count={count},bytes={bytes}").into_bytes());
            }
        }
    }

    fn node(&mut self, path: &str) -> &mut Node {
        self.nodes.get_mut(path).unwrap()
    }

    fn below<'a>(&'a self, path: &str) -> impl Iterator<Item = (&'a str, &'a Node)> {
        let head = if path == "/" { path.into() } else { format!("{path}/") };
        let is_below = move |path: &str| path.len() > head.len() && path.starts_with(&head);
        self.nodes.iter().map(|(p, n)| (&**p, n)).filter(move |(path, _)| is_below(path))
    }

    /// Nodes in the subtree and their bytes.
    fn totals(&self, path: &str) -> (u64, u64) {
        let len = |node: &Node| node.data.as_ref().map_or(0, Vec::len) as u64;
        let Some(node) = self.nodes.get(path) else { return (0, 0) };
        let below = self.below(path).map(|(_, node)| (1, len(node)));
        below.fold((1, len(node)), |(n, bytes), (m, more)| (n + m, bytes + more))
    }

    fn armed(&self) -> BTreeSet<String> {
        let limits = self.nodes.keys().filter_map(|path| path.strip_suffix("/zookeeper_limits"));
        limits.map(|path| path.strip_prefix("/zookeeper/quota").unwrap().into()).collect()
    }

    fn dump_node(&self, path: &str) -> NodeDump {
        let node = &self.nodes[path];
        let child = |below: &str| {
            let name = below.strip_prefix(path).unwrap().trim_start_matches('/');
            if name.contains('/') { None } else { Some(String::from(name)) }
        };
        let children: BTreeSet<_> =
            self.below(path).filter_map(|(below, _)| child(below)).collect();
        let (count, bytes) = self.totals(path);
        let [czxid, mzxid, pzxid, ctime, mtime] = node.at;
        let stat = Stat {
            czxid,
            mzxid,
            ctime,
            mtime,
            version: node.version,
            cversion: 2 * node.created - children.len() as i32,
            aversion: node.aversion,
            ephemeral_owner: node.kind.visible_owner(),
            data_length: node.data.as_ref().map_or(0, Vec::len) as i32,
            num_children: children.len() as i32,
            pzxid,
        };
        let (data, acl, kind) = (node.data.clone(), node.acl.clone(), node.kind);
        let totals = (count - 1, bytes);
        NodeDump { stat, data, acl, kind, created: node.created, children, totals }
    }

    fn dump(&self) -> Dump {
        let mut ephemerals = BTreeMap::<_, BTreeSet<_>>::new();
        let mut spent = BTreeSet::new();
        let mut bytes = 1;
        for (path, node) in &self.nodes {
            let path = path.clone();
            let is_empty = self.below(&path).next().is_none();
            bytes += node.data.as_ref().map_or(0, Vec::len) as u64;
            bytes += if path == "/" { 0 } else { path.encode_utf16().count() as u64 };
            match node.kind {
                NodeKind::Persistent => {}
                NodeKind::Ephemeral(session) => {
                    ephemerals.entry(session).or_default().insert(path);
                }
                NodeKind::Container | NodeKind::Ttl(_) if is_empty => {
                    spent.insert(path);
                }
                NodeKind::Container | NodeKind::Ttl(_) => {}
            }
        }
        let ephemerals_count = ephemerals.values().map(|paths| paths.len() as u64).sum();
        Dump {
            applied: Zxid(self.zxid as u64),
            nodes: self.nodes.keys().map(|path| (path.clone(), self.dump_node(path))).collect(),
            ephemerals,
            armed: self.armed(),
            spent,
            digest: self.nodes.iter().map(|(path, node)| digest(path, node)).sum(),
            counters: (self.nodes.len() as u64 + 1, bytes, ephemerals_count),
        }
    }
}

/// ZooKeeper's digest of a node, bit by bit.
fn digest(path: &str, node: &Node) -> u64 {
    if path.starts_with("/zookeeper/") {
        return 0;
    }
    let mut bytes = if path == "/" { Vec::new() } else { path.as_bytes().to_vec() };
    bytes.extend_from_slice(node.data.as_deref().unwrap_or_default());
    let [czxid, mzxid, pzxid, ctime, mtime] = node.at;
    for long in [czxid, mzxid, pzxid, ctime, mtime] {
        bytes.extend_from_slice(&long.to_be_bytes());
    }
    for int in [node.version, node.created, node.aversion] {
        bytes.extend_from_slice(&int.to_be_bytes());
    }
    bytes.extend_from_slice(&node.kind.to_owner().to_be_bytes());
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 0 { crc >> 1 } else { crc >> 1 ^ 0xedb8_8320 };
        }
    }
    u64::from(!crc)
}

#[test]
fn random_changes_do_what_they_do_to_the_model() {
    for seed in 0..40 {
        let mut random = Random(seed);
        let mut grown = Grown::new();
        grown.tree.keep_digest(Digest::Kept);
        let mut model = Model::new(&grown.tree);
        for n in 0..300 {
            let steps = match random.below(20) {
                0 => random_quota(&mut random, &grown.tree),
                _ => vec![random_step(&mut random, &grown.tree)],
            };
            for step in &steps {
                grown.take(step);
                model.take(step);
            }
            if n % 10 == 0 || n > 290 {
                assert_eq!(dump(&grown.tree), model.dump(), "seed {seed}, after {steps:?}");
            }
        }
    }
}
