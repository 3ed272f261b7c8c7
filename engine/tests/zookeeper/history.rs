//! A server that makes a random history: valid transactions, and the true state behind each.
//!
//! It shares nothing with the replay under test but the tree. A transaction is carried out in
//! steps, and a snapshot may look at the tree between any two of them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ringkeeper_engine::tree::{Digest, NewNode, NodeId, Tree};
use ringkeeper_engine::txn::{AclList, CreateOp, CreateTxn, DeleteCause, NodeKind, Txn, TxnBody};
use ringkeeper_engine::wire::{Acl, Id};
use ringkeeper_engine::{Code, Millis, SessionId, Zxid, path};

/// Numbers that are the same in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) % end as u64) as usize
    }

    pub(crate) fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}

/// The server.
pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) tree: Tree,
    pub(crate) sessions: BTreeMap<SessionId, i32>,
    /// All transactions, with the digest behind each. That of the last one is missing as long as
    /// it has steps left.
    pub(crate) log: Vec<(Txn, u64)>,
    zxid: Zxid,
    steps: VecDeque<TxnBody>,
    next_session: i64,
}

impl World {
    pub(crate) fn new(seed: u64) -> World {
        let mut tree = Tree::new(seed);
        tree.keep_digest(Digest::Kept);
        World {
            random: Random(seed),
            tree,
            sessions: BTreeMap::new(),
            log: Vec::new(),
            zxid: Zxid::new(1, 0),
            steps: VecDeque::new(),
            next_session: 0x100,
        }
    }

    /// The last transaction whose steps are all done.
    pub(crate) fn last(&self) -> Zxid {
        let done = self.log.len() - usize::from(!self.steps.is_empty());
        done.checked_sub(1).map_or(Zxid::ZERO, |at| self.log[at].0.zxid)
    }

    /// The digest behind [`World::last`].
    pub(crate) fn last_digest(&self) -> u64 {
        let done = self.log.len() - usize::from(!self.steps.is_empty());
        done.checked_sub(1).map_or(0, |at| self.log[at].1)
    }

    /// Does all that is left of the transaction under way.
    pub(crate) fn settle(&mut self) {
        while !self.steps.is_empty() {
            self.step();
        }
    }

    /// One step of the transaction under way, or the first one of another.
    pub(crate) fn step(&mut self) {
        if self.steps.is_empty() {
            self.begin();
        }
        let body = self.steps.pop_front().expect("a transaction has a step");
        self.apply_committed(&body);
        if self.steps.is_empty() {
            self.log.last_mut().expect("it began").1 = self.tree.digest();
        }
    }

    fn begin(&mut self) {
        self.zxid = match self.random.below(60) {
            0 => Zxid::new(self.zxid.epoch() + 1, 1),
            _ => self.zxid.next().unwrap(),
        };
        let (session, body) = self.decide();
        let steps: Vec<TxnBody> = match &body {
            TxnBody::Multi(bodies) => bodies.clone(),
            TxnBody::CloseSession { paths } => {
                self.sessions.remove(&session);
                let delete = |path: &Arc<str>| delete(path);
                paths.iter().map(delete).chain([TxnBody::Error(Code::Ok)]).collect()
            }
            TxnBody::CreateSession { timeout_ms } => {
                self.sessions.insert(session, *timeout_ms);
                vec![TxnBody::Error(Code::Ok)]
            }
            body => vec![body.clone()],
        };
        self.steps.extend(steps);
        let time = Millis(self.zxid.to_wire() * 10);
        self.log.push((Txn { session, cxid: 0, zxid: self.zxid, time, body }, 0));
    }

    fn apply_committed(&mut self, body: &TxnBody) {
        let (zxid, time) = (self.zxid, Millis(self.zxid.to_wire() * 10));
        let at = |tree: &Tree, path: &str| tree.find(path).expect("it was decided upon");
        match body {
            TxnBody::Create(create) => {
                self.tree.create(NewNode {
                    path: &create.path,
                    data: create.data.as_deref(),
                    acl: &create.acl,
                    kind: create.kind,
                    zxid,
                    time,
                    parent_cversion: create.parent_cversion,
                });
            }
            TxnBody::Delete { path, .. } => {
                let id = at(&self.tree, path);
                self.tree.delete(id, zxid);
            }
            TxnBody::SetData { path, data, version } => {
                let id = at(&self.tree, path);
                self.tree.set_data(id, data.as_deref(), *version, zxid, time);
            }
            TxnBody::SetAcl { path, acl, version } => {
                let id = at(&self.tree, path);
                self.tree.set_acl(id, acl, *version);
            }
            _ => {}
        }
    }
}

/// Decisions.
impl World {
    fn decide(&mut self) -> (SessionId, TxnBody) {
        let session = self.some_session();
        let Some(session) = session.filter(|_| self.random.below(12) > 0) else {
            self.next_session += 1;
            let timeout_ms = 4_000 + self.random.below(9) as i32;
            return (SessionId(self.next_session), TxnBody::CreateSession { timeout_ms });
        };
        let body = match self.random.below(20) {
            0 => TxnBody::Error(Code::NoNode),
            1 | 2 => {
                let owned = self.tree.ephemerals(session).map(|id| self.tree.path_of(id).into());
                TxnBody::CloseSession { paths: owned.collect() }
            }
            3..=7 => self.multi(session),
            _ => self.change(session),
        };
        (session, body)
    }

    fn some_session(&mut self) -> Option<SessionId> {
        let at = self.random.below(self.sessions.len().max(1));
        self.sessions.keys().nth(at).copied()
    }

    /// Something that the tree can take.
    fn change(&mut self, session: SessionId) -> TxnBody {
        loop {
            let path = self.path();
            let parent = self.tree.find(path::parent(&path).unwrap());
            let Some(parent) = parent else { continue };
            let Some(id) = self.tree.find(&path) else {
                if matches!(self.tree.kind(parent), NodeKind::Ephemeral(_)) {
                    continue;
                }
                return self.create(&path, session, 1);
            };
            let is_leaf = self.tree.child_count(id) == 0;
            match self.random.below(6) {
                0 => return self.set(&path, id, 1),
                1 => return self.set_acl(path, id),
                2..=4 if is_leaf => return delete(&path.into()),
                _ => {}
            }
        }
    }

    /// Several changes, some of which undo each other.
    fn multi(&mut self, session: SessionId) -> TxnBody {
        let first = self.change(session);
        let mut bodies = vec![first];
        let taken = match &bodies[0] {
            TxnBody::Create(create) => create.path.clone(),
            TxnBody::Delete { path, .. }
            | TxnBody::SetData { path, .. }
            | TxnBody::SetAcl { path, .. } => path.clone(),
            other => panic!("{other:?} is no change"),
        };
        let path = taken.to_string();
        match bodies[0].clone() {
            TxnBody::Create(create) => {
                let again = |count| {
                    let parent_cversion = create.parent_cversion + count;
                    TxnBody::Create(CreateTxn { parent_cversion, ..create.clone() })
                };
                let child = |name: &str, parent_cversion| {
                    let path = format!("{path}/{name}").into();
                    let (kind, op) = (NodeKind::Persistent, CreateOp::Create);
                    TxnBody::Create(CreateTxn { path, kind, op, parent_cversion, ..create.clone() })
                };
                let can_have = !matches!(create.kind, NodeKind::Ephemeral(_));
                match self.random.below(5) {
                    0 => bodies.extend([set(&path, 1), set(&path, 2)]),
                    1 => bodies.push(delete(&taken)),
                    2 => bodies.extend([delete(&taken), again(1), set(&path, 1)]),
                    3 if can_have => bodies.extend([child("a", 1), child("b", 2)]),
                    4 if can_have => {
                        let gone = delete(&format!("{path}/a").into());
                        bodies.extend([child("a", 1), gone, child("a", 2)]);
                    }
                    _ => {}
                }
            }
            TxnBody::Delete { .. } if self.random.below(2) == 0 => {
                bodies.push(self.create(&path, session, 1));
            }
            TxnBody::SetData { version, .. } => bodies.push(set(&path, version + 1)),
            // A multi cannot set ACLs.
            TxnBody::SetAcl { path, version, .. } => {
                bodies = vec![TxnBody::Check { path, version }];
            }
            _ => {}
        }
        if self.random.below(12) == 0 {
            // Refused as a whole.
            bodies = vec![TxnBody::Error(Code::NoNode), TxnBody::Error(Code::RuntimeInconsistency)];
        }
        TxnBody::Multi(bodies)
    }

    fn create(&mut self, path: &str, session: SessionId, count: i32) -> TxnBody {
        let parent = self.tree.find(path::parent(path).unwrap()).unwrap();
        let (op, kind) = match self.random.below(8) {
            0..=2 => (CreateOp::Create2, NodeKind::Ephemeral(session)),
            3 => (CreateOp::Container, NodeKind::Container),
            4 => (CreateOp::Ttl, NodeKind::Ttl(77)),
            _ => (CreateOp::Create, NodeKind::Persistent),
        };
        TxnBody::Create(CreateTxn {
            op,
            path: path.into(),
            data: self.some_data(),
            acl: self.some_acl(),
            kind,
            parent_cversion: self.tree.created_children(parent) + count,
        })
    }

    fn set(&mut self, path: &str, id: NodeId, count: i32) -> TxnBody {
        let version = self.tree.version(id) + count;
        TxnBody::SetData { path: path.into(), data: self.some_data(), version }
    }

    fn set_acl(&mut self, path: String, id: NodeId) -> TxnBody {
        let version = self.tree.aversion(id) + 1;
        TxnBody::SetAcl { path: path.into(), acl: self.some_acl(), version }
    }

    fn path(&mut self) -> String {
        let depth = 1 + self.random.below(3);
        (0..depth).map(|_| format!("/{}", self.random.of(&["a", "b", "c"]))).collect()
    }

    fn some_data(&mut self) -> Option<Box<[u8]>> {
        match self.random.below(4) {
            0 => None,
            1 => Some(Box::default()),
            n => Some(vec![n as u8; self.random.below(30)].into()),
        }
    }

    /// New lists come into use all the time.
    fn some_acl(&mut self) -> AclList {
        if self.random.below(3) > 0 {
            return AclList::from([Acl::open()]);
        }
        let id = format!("user{}", self.random.below(200));
        AclList::from([Acl { perms: 31, id: Id { scheme: "digest".into(), id } }])
    }
}

fn set(path: &str, version: i32) -> TxnBody {
    TxnBody::SetData { path: path.into(), data: Some(Box::from(*b"multi")), version }
}

fn delete(path: &Arc<str>) -> TxnBody {
    TxnBody::Delete { path: path.clone(), cause: DeleteCause::Client }
}
