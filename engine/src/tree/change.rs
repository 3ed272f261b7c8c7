//! The changes a tree takes: create, delete, set data, set ACL.

use rapidhash::v3::RapidSecrets;

use super::acls::AclTable;
use super::digest::Digest;
use super::index::Index;
use super::node::{Change, Node, NodeId};
use super::payload::{Parts, Payload};
use super::store::Store;
use super::{BUILT_IN, Misfit, Tree};
use crate::txn::{AclList, NodeKind};
use crate::wire::record::perms;
use crate::wire::{Acl, Id};
use crate::{Millis, Zxid};

/// A node that comes to be.
#[derive(Clone, Copy, Debug)]
pub struct NewNode<'a> {
    /// The full path; its parent exists.
    pub path: &'a str,
    /// Null and empty differ.
    pub data: Option<&'a [u8]>,
    /// The access control list.
    pub acl: &'a AclList,
    /// The kind of node.
    pub kind: NodeKind,
    /// The creating transaction.
    pub zxid: Zxid,
    /// Its wall clock.
    pub time: Millis,
    /// The parent's count of creations after this one. The parent's count and pzxid only follow
    /// if it is ahead, which it is not where old transactions are replayed.
    pub parent_cversion: i32,
}

impl Tree {
    /// The tree of a fresh server. The seed keeps clients from choosing paths whose hashes
    /// collide; nothing else depends on it.
    pub fn new(seed: u64) -> Tree {
        let mut tree = Tree::bare(seed);
        tree.store.insert(Node::root());
        // ZooKeeper counts the root's path twice, as "" and as "/".
        tree.path_units = 1;
        let open = AclList::from([Acl::open()]);
        for path in BUILT_IN {
            tree.create(NewNode {
                path,
                data: Some(b""),
                acl: &open,
                kind: NodeKind::Persistent,
                zxid: Zxid::ZERO,
                time: Millis(0),
                // These three do not count as creations: the root's shown cversion is -1.
                parent_cversion: 0,
            });
        }
        let config = tree.find("/zookeeper/config").expect("it was just created");
        let readable = [Acl { perms: perms::READ, id: Id::anyone() }];
        tree.set_acl(config, &AclList::from(readable), -1);
        tree
    }

    /// Without any node.
    pub(super) fn bare(seed: u64) -> Tree {
        Tree {
            applied: Zxid::ZERO,
            reply_zxid: Zxid::ZERO,
            store: Store::new(),
            index: Index::new(),
            secrets: RapidSecrets::seed(seed),
            acls: AclTable::new(seed),
            ephemerals: Default::default(),
            expiry: Default::default(),
            quotas: Default::default(),
            digest: Digest::Off,
            digest_sum: 0,
            run: None,
            path_units: 0,
            scratch: String::new(),
        }
    }

    /// Creates a node. Its parent exists and is not ephemeral, and its path is free.
    pub fn create(&mut self, new: NewNode<'_>) -> NodeId {
        self.try_create(new)
            .unwrap_or_else(|misfit| panic!("{} at {}: {misfit}", new.path, new.zxid))
    }

    /// As [`Tree::create`]. A node that does not fit changes nothing.
    pub fn try_create(&mut self, new: NewNode<'_>) -> Result<NodeId, Misfit> {
        let (parent_path, name) = new.path.rsplit_once('/').ok_or(Misfit::NoSuchKind)?;
        if name.is_empty() || NodeKind::from_owner(new.kind.to_owner()) != new.kind {
            return Err(Misfit::NoSuchKind);
        }
        let hash = self.hash(new.path);
        if self.find_hashed(hash, new.path).is_some() {
            return Err(Misfit::NodeExists);
        }
        let parent = self.find(parent_path).ok_or(Misfit::NoParent)?;
        if let NodeKind::Ephemeral(_) = self.kind(parent) {
            return Err(Misfit::EphemeralParent);
        }
        Ok(self.create_below((parent, parent_path), hash, name, new))
    }

    fn create_below(
        &mut self,
        (parent, parent_path): (NodeId, &str),
        hash: u64,
        name: &str,
        new: NewNode<'_>,
    ) -> NodeId {
        self.leave(parent, parent_path);
        let id = self.insert_node(&new, name, parent);
        self.pass_over_new(id);
        self.index.insert(hash, id.slot());
        let dir = self.store.dir_mut(parent);
        if dir.raise_created(new.parent_cversion) {
            dir.pzxid = new.zxid;
        }
        self.link_last(parent, id);
        let bytes = new.data.map_or(0, <[u8]>::len) as i64;
        self.add_below(id, 1, bytes);
        self.path_units += utf16_len(new.path);
        self.note_owner(id, new.kind, new.path);
        self.enter(parent, parent_path);
        self.enter(id, new.path);
        self.quota_created(new.path, bytes);
        id
    }

    /// The node of a path that can be deleted.
    pub fn deletable(&self, path: &str) -> Result<NodeId, Misfit> {
        let id = self.find(path).ok_or(Misfit::NoNode)?;
        match () {
            () if id == NodeId::ROOT || BUILT_IN.contains(&path) => Err(Misfit::BuiltIn),
            () if self.child_count(id) > 0 => Err(Misfit::NotEmpty),
            () => Ok(id),
        }
    }

    /// Deletes a node that has no children. The parent's pzxid moves too.
    pub fn delete(&mut self, id: NodeId, zxid: Zxid) {
        let parent = self.parent(id).expect("the root stays");
        assert!(self.child_count(id) == 0, "a node goes after its children");
        let mut path = std::mem::take(&mut self.scratch);
        self.spell(id, &mut path);
        let parent_path = crate::path::parent(&path).expect("the root stays");

        self.leave(id, &path);
        self.leave(parent, parent_path);
        self.forget_owner(id, &path);
        self.path_units -= utf16_len(&path);
        let bytes = self.node(id).payload.data_len() as i64;
        self.add_below(id, -1, -bytes);
        self.unlink(parent, id);
        let dir = self.store.dir_mut(parent);
        dir.pzxid = dir.pzxid.max(zxid);
        self.index.remove(self.hash(&path), id.slot());
        let node = self.store.remove(id);
        self.acls.release(node.acl);
        self.enter(parent, parent_path);
        self.quota_deleted(&path, bytes);
        self.scratch = path;
    }

    /// Replaces the data.
    pub fn set_data(
        &mut self,
        id: NodeId,
        data: Option<&[u8]>,
        version: i32,
        zxid: Zxid,
        time: Millis,
    ) {
        let path = self.spell_if_needed(id);
        self.leave(id, &path);
        self.store.set_change(id, Change::new(zxid, time, version));
        let grown = self.replace_data(id, data);
        self.enter(id, &path);
        self.quota_grown(&path, 0, grown);
        self.scratch = path;
    }

    /// Replaces the access control list.
    pub fn set_acl(&mut self, id: NodeId, acl: &AclList, version: i32) {
        let path = self.spell_if_needed(id);
        self.leave(id, &path);
        let acl = self.acls.intern(acl);
        let node = self.node_mut(id);
        let old = std::mem::replace(&mut node.acl, acl);
        node.payload = Payload::new(&Parts { aversion: version, ..node.payload.parts() });
        self.acls.release(old);
        self.enter(id, &path);
        self.scratch = path;
    }

    /// Raises a node's count of created children and its pzxid, if `cversion` is ahead: what
    /// remains of a creation that a fuzzy snapshot of ZooKeeper's had already seen.
    pub fn raise_created(&mut self, id: NodeId, cversion: i32, zxid: Zxid) {
        let path = self.spell_if_needed(id);
        self.leave(id, &path);
        let dir = self.store.dir_mut(id);
        if dir.raise_created(cversion) {
            dir.pzxid = zxid;
        }
        self.enter(id, &path);
        self.scratch = path;
    }

    /// Replaces the data of a quota's stats, which is no change that a stat would show.
    pub(super) fn rewrite_data(&mut self, id: NodeId, data: &[u8]) {
        self.save_before_change(id);
        self.replace_data(id, Some(data));
    }

    /// Begins a change of a node: what is derived from its old state is taken back.
    pub(super) fn leave(&mut self, id: NodeId, path: &str) {
        self.save_before_change(id);
        self.forget_candidate(id);
        if self.digest == Digest::Kept {
            self.digest_sum = self.digest_sum.wrapping_sub(self.node_digest(id, path));
        }
    }

    /// Ends a change of a node: what is derived from its new state is added.
    pub(super) fn enter(&mut self, id: NodeId, path: &str) {
        self.note_candidate(id);
        if self.digest == Digest::Kept {
            self.digest_sum = self.digest_sum.wrapping_add(self.node_digest(id, path));
        }
    }

    /// The path of a node in the scratch string, or nothing where nobody would look at it.
    fn spell_if_needed(&mut self, id: NodeId) -> String {
        let mut path = std::mem::take(&mut self.scratch);
        path.clear();
        if self.digest == Digest::Kept || !self.quotas.is_empty() {
            self.spell(id, &mut path);
        }
        path
    }

    /// Replaces the bytes; returns how many more they are.
    pub(super) fn replace_data(&mut self, id: NodeId, data: Option<&[u8]>) -> i64 {
        let payload = &mut self.node_mut(id).payload;
        let old = payload.data_len() as i64;
        payload.set_data(data);
        let grown = data.map_or(0, <[u8]>::len) as i64 - old;
        if grown != 0 {
            self.add_below(id, 0, grown);
        }
        grown
    }

    fn insert_node(&mut self, new: &NewNode<'_>, name: &str, parent: NodeId) -> NodeId {
        let parts = Parts {
            aversion: 0,
            owner: new.kind.to_owner(),
            name: name.as_bytes(),
            data: new.data,
        };
        let acl = self.acls.intern(new.acl);
        let node = Node::new(new.zxid, new.time, Payload::new(&parts), acl);
        self.store.insert(Node { parent: Some(parent), ..node })
    }

    pub(super) fn link_last(&mut self, parent: NodeId, id: NodeId) {
        let dir = self.store.dir_mut(parent);
        let prev = dir.last.replace(id);
        dir.first.get_or_insert(id);
        dir.children += 1;
        self.node_mut(id).prev = prev;
        if let Some(prev) = prev {
            self.node_mut(prev).next = Some(id);
        }
    }

    fn unlink(&mut self, parent: NodeId, id: NodeId) {
        let Node { prev, next, .. } = *self.node(id);
        let dir = self.store.dir_mut(parent);
        dir.children -= 1;
        if dir.first == Some(id) {
            dir.first = next;
        }
        if dir.last == Some(id) {
            dir.last = prev;
        }
        if let Some(prev) = prev {
            self.node_mut(prev).next = next;
        }
        if let Some(next) = next {
            self.node_mut(next).prev = prev;
        }
    }

    /// Keeps the totals of all ancestors.
    fn add_below(&mut self, id: NodeId, nodes: i64, bytes: i64) {
        let mut at = self.parent(id);
        while let Some(id) = at {
            let dir = self.store.dir_mut(id);
            dir.descendants = dir.descendants.wrapping_add_signed(nodes);
            dir.bytes_below = dir.bytes_below.wrapping_add_signed(bytes);
            at = self.parent(id);
        }
    }

    pub(super) fn note_owner(&mut self, id: NodeId, kind: NodeKind, path: &str) {
        if let NodeKind::Ephemeral(session) = kind {
            self.ephemerals.insert(session, path, id);
        }
    }

    fn forget_owner(&mut self, id: NodeId, path: &str) {
        if let NodeKind::Ephemeral(session) = self.kind(id) {
            self.ephemerals.remove(session, path);
        }
    }
}

/// What Java calls the length of a string.
pub(super) fn utf16_len(path: &str) -> u64 {
    if path.is_ascii() { path.len() as u64 } else { path.encode_utf16().count() as u64 }
}
