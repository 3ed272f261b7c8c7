//! From a fuzzy snapshot and the log behind it to the state at the end of the log. What a leader
//! sends to a learner behind SNAP is such a snapshot too, and the proposals behind it are its log.
//!
//! Call Z the zxid that the snapshot is named after, and *reach* the newest zxid in it. A node of
//! the snapshot is as it was at some moment between the two, and another node as it was at
//! another one. So a replay from Z on meets nodes that exist already, nodes that are gone already,
//! and nodes that are ahead. ZooKeeper replays over all that and ignores what does not fit.
//!
//! Here it cannot come to that, by one rule: **a node that was created after Z is left out when the
//! snapshot is read**, because the log creates it again, with everything that happened to it since.
//! What is left of the snapshot are nodes that existed at Z. So at every moment of the replay each
//! node here is a node of the true state at that moment; what may be missing are nodes that the log
//! is going to delete. That leaves three things to do:
//!
//! - A transaction on a node that is missing is passed over, but for what it does to a parent that
//!   is there: a deletion is noted in the parent's pzxid.
//! - Counts of creations and pzxids are only ever raised; a node may be ahead.
//! - Data, ACL and their versions are set again. The last setting is the true one.
//!
//! Behind reach the state is exact, and from there on a transaction that does not fit is an
//! inconsistency of the server that wrote the files. A log that ends before reach, or that does not
//! create what was left out, does not belong to the snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::entry::Entry;
use crate::tree::{Corrupt, Digest, ForeignNode, NewNode, NodeId, Tree};
use crate::txn::{AclList, CONFIG_NODE, CreateTxn, NodeKind, Txn, TxnBody, TxnDigest};
use crate::wire::{Acl, Id, Stat};
use crate::{Millis, SessionId, Zxid, path};

/// Nodes that are never deleted.
const KEPT: [&str; 5] = ["", "/", "/zookeeper", "/zookeeper/quota", CONFIG_NODE];

/// A node of a snapshot.
#[derive(Clone, Copy)]
pub(super) struct RawNode<'a> {
    pub(super) path: &'a str,
    pub(super) data: Option<&'a [u8]>,
    /// `None` where the number of the list is not among the snapshot's lists.
    pub(super) acl: Option<&'a AclList>,
    pub(super) owner: i64,
    pub(super) stat: &'a Stat,
}

/// What a state is made for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A server that goes on alone with the files of another one.
    Import,
    /// A learner, which is to have exactly what its leader has. NEWLEADER says where the state is
    /// exact: the leader sends it when the state is written, behind everything that it had
    /// committed until then.
    Learner,
}

/// A state that is being made.
pub struct Rebuild {
    purpose: Purpose,
    tree: Tree,
    sessions: BTreeMap<SessionId, i32>,
    /// What the snapshot is named after.
    from: Zxid,
    /// The newest zxid that was found in the snapshot.
    reach: Zxid,
    /// Whether the snapshot says itself how far it was written. Those before 3.6 do not, and what
    /// was deleted meanwhile shows nowhere in them.
    is_reach_said: bool,
    /// Whether the state is exact: a transaction behind reach was applied. The one before may
    /// have been under way when the writing ended, and show in part.
    is_exact: bool,
    /// The last transaction of the log.
    last: Zxid,
    /// The creations of the nodes that were left out.
    awaited: BTreeSet<Zxid>,
    /// Nodes whose list the snapshot does not have.
    unlisted: BTreeSet<Arc<str>>,
    /// What ZooKeeper counted last, and behind which transaction.
    last_digest: Option<(Zxid, u64)>,
    digests: DigestCheck,
    counts: Counts,
}

/// What was met on the way.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// Transactions of the log that were applied.
    pub replayed: u64,
    /// Those of them that are refusals, and change nothing.
    pub refusals: u64,
    /// Transactions that stand in the log a second time.
    pub repeated: u64,
    /// Nodes of the snapshot that were left to the log, because they were created after its zxid.
    pub left_to_log: u64,
    /// Changes of nodes that the snapshot had not any more.
    pub missed: u64,
    /// Changes that do not fit the state, and the first transaction with one.
    pub misfits: u64,
    /// See [`Counts::misfits`].
    pub first_misfit: Option<Zxid>,
    /// Ends of sessions that do not list their nodes, as before 3.6, while the state may not have
    /// been exact: where the snapshot had the nodes no more, their parents' pzxids are behind.
    pub unlisted_closes: u64,
    /// Nodes whose ACL neither the snapshot nor the log has; only a superuser can use them.
    pub closed_nodes: u64,
    /// Ephemeral nodes that were removed because their session is gone.
    pub orphans: u64,
    /// Bytes of the members of the ensemble that were removed.
    pub config_bytes: u64,
}

/// How the digests that ZooKeeper counted compare with those of the tree.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct DigestCheck {
    /// How many were compared.
    pub compared: u64,
    /// The first transaction behind which they differ.
    pub first_other: Option<Zxid>,
    /// The last transaction behind which they are equal.
    pub last_equal: Option<Zxid>,
}

/// A state that is whole.
pub struct Imported {
    /// The znodes. What was applied last is what new zxids follow.
    pub tree: Tree,
    /// The sessions, with their timeouts in milliseconds.
    pub sessions: BTreeMap<SessionId, i32>,
    /// The last transaction, of the snapshot or of the log.
    pub last: Zxid,
    /// The newest zxid that was found in the snapshot.
    pub reach: Zxid,
    /// What was met on the way.
    pub counts: Counts,
    /// Whether the tree is what ZooKeeper had.
    pub digests: DigestCheck,
}

/// Why snapshot and log do not make a state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unusable {
    /// The log does not go on where the snapshot or the log before ends.
    #[error("transactions are missing between {last} and {next}")]
    Gap {
        /// The last one before.
        last: Zxid,
        /// The first one behind.
        next: Zxid,
    },
    /// The snapshot is ahead of the log.
    #[error("it holds changes up to {reach}, but the log ends with {last}")]
    Ahead {
        /// The newest zxid in the snapshot.
        reach: Zxid,
        /// The last one in the log.
        last: Zxid,
    },
    /// The log and the snapshot do not belong together.
    #[error("it holds a node that was created by {created}, but the log does not create it")]
    NotCreated {
        /// The transaction that should have.
        created: Zxid,
    },
    /// A zxid that no server gives out.
    #[error("{zxid} is no zxid that a server gives out")]
    NoZxid {
        /// The number.
        zxid: Zxid,
    },
}

impl Rebuild {
    /// Begins with what the snapshot that is named after `from` holds; `seed` keys the tree's hash
    /// tables.
    pub(super) fn new(from: Zxid, seed: u64, purpose: Purpose) -> Rebuild {
        let mut tree = Tree::new(seed);
        tree.keep_digest(Digest::Kept);
        Rebuild {
            purpose,
            tree,
            sessions: BTreeMap::new(),
            from,
            reach: from,
            is_reach_said: false,
            is_exact: false,
            last: from,
            awaited: BTreeSet::new(),
            unlisted: BTreeSet::new(),
            last_digest: None,
            digests: DigestCheck::default(),
            counts: Counts::default(),
        }
    }

    /// Begins with what a server has before its first transaction, for a log that has all of them.
    pub fn of_nothing(seed: u64) -> Rebuild {
        let mut rebuild = Rebuild::new(Zxid::ZERO, seed, Purpose::Import);
        rebuild.loaded(None, Some(Zxid::ZERO));
        rebuild
    }

    /// The newest zxid that was found in the snapshot: the state is none before a transaction
    /// with at least this zxid was taken.
    pub fn reach(&self) -> Zxid {
        self.reach
    }

    /// The last transaction that is in the state.
    pub fn last(&self) -> Zxid {
        self.last
    }

    pub(super) fn session(&mut self, session: SessionId, timeout_ms: i32) {
        self.sessions.insert(session, timeout_ms);
    }

    /// Takes a node of the snapshot; parents come first.
    pub(super) fn node(&mut self, node: &RawNode<'_>) -> Result<(), Corrupt> {
        let zxid = Zxid::from_wire;
        let created = zxid(node.stat.czxid);
        if node.path != CONFIG_NODE {
            let newest = zxid(node.stat.mzxid).max(zxid(node.stat.pzxid)).max(created);
            self.reach = self.reach.max(newest);
        }
        if created > self.from && !KEPT.contains(&node.path) {
            self.awaited.insert(created);
            self.counts.left_to_log += 1;
            return Ok(());
        }
        let closed = closed_list();
        let acl = node.acl.unwrap_or_else(|| {
            self.unlisted.insert(node.path.into());
            &closed
        });
        let RawNode { path, data, owner, stat, .. } = *node;
        let kind = NodeKind::from_owner(owner);
        self.tree.put_foreign(&ForeignNode { path, data, acl, kind, stat }).map(|_| ())
    }

    /// The snapshot has ended, and says itself how far it was written and what the digest was.
    pub(super) fn loaded(&mut self, digest: Option<(Zxid, u64)>, last: Option<Zxid>) {
        let said = digest.map(|(zxid, _)| zxid).max(last);
        self.is_reach_said = said.is_some();
        self.reach = self.reach.max(said.unwrap_or(self.from));
        self.last_digest = digest;
    }

    /// Takes the next entry of the log. What is in the snapshot for sure, or was there before, is
    /// passed over.
    pub fn take(&mut self, entry: &Entry) -> Result<(), Unusable> {
        let Entry { txn, lists_paths, digest } = entry;
        if txn.zxid <= self.last {
            self.counts.repeated += u64::from(txn.zxid > self.from);
            return Ok(());
        }
        if !txn.zxid.may_follow(self.last) {
            return Err(Unusable::Gap { last: self.last, next: txn.zxid });
        }
        match &txn.body {
            TxnBody::CreateSession { timeout_ms } => {
                self.sessions.insert(txn.session, *timeout_ms);
            }
            TxnBody::CloseSession { paths } => self.close(txn, paths, *lists_paths),
            TxnBody::Multi(bodies) if bodies.iter().any(is_refusal) => self.counts.refusals += 1,
            TxnBody::Multi(bodies) => bodies.iter().for_each(|body| self.change(txn, body)),
            body => self.change(txn, body),
        }
        self.last = txn.zxid;
        self.counts.replayed += 1;
        self.is_exact = self.is_reach_said && self.last > self.reach;
        self.compare(*digest);
        Ok(())
    }

    /// One change of the tree.
    fn change(&mut self, txn: &Txn, body: &TxnBody) {
        match body {
            TxnBody::Create(create) => self.create(txn.zxid, txn.time, create),
            TxnBody::Delete { path, .. } => self.delete(txn.zxid, path),
            TxnBody::SetData { path, data, version } => self.set_data(txn, path, data, *version),
            TxnBody::Reconfig { data, version } => self.set_data(txn, CONFIG_NODE, data, *version),
            TxnBody::SetAcl { path, acl, version } => match self.tree.find(path) {
                Some(id) => {
                    self.tree.set_acl(id, acl, *version);
                    self.unlisted.remove(path);
                }
                None => self.missed(txn.zxid),
            },
            TxnBody::Check { .. } => {}
            TxnBody::Error(_) => self.counts.refusals += 1,
            // A reader does not put these into a multi, and they were seen to outside of one.
            TxnBody::Multi(_) | TxnBody::CreateSession { .. } | TxnBody::CloseSession { .. } => {}
        }
    }

    fn set_data(&mut self, txn: &Txn, path: &str, data: &Option<Box<[u8]>>, version: i32) {
        match self.tree.find(path) {
            Some(id) => self.tree.set_data(id, data.as_deref(), version, txn.zxid, txn.time),
            None => self.missed(txn.zxid),
        }
    }

    fn create(&mut self, zxid: Zxid, time: Millis, create: &CreateTxn) {
        let CreateTxn { path, data, acl, kind, parent_cversion, .. } = create;
        self.awaited.remove(&zxid);
        if !path::is_valid(path) || NodeKind::from_owner(kind.to_owner()) != *kind {
            return self.misfit(zxid);
        }
        let parent = path::parent(path).and_then(|parent| self.tree.find(parent));
        let Some(parent) = parent else { return self.missed(zxid) };
        if self.tree.find(path).is_some() {
            // As in ZooKeeper, the node stays and its parent counts it.
            self.misfit(zxid);
            return self.tree.raise_created(parent, *parent_cversion, zxid);
        }
        if matches!(self.tree.kind(parent), NodeKind::Ephemeral(_)) {
            return self.misfit(zxid);
        }
        self.tree.create(NewNode {
            path,
            data: data.as_deref(),
            acl,
            kind: *kind,
            zxid,
            time,
            parent_cversion: *parent_cversion,
        });
    }

    fn delete(&mut self, zxid: Zxid, path: &str) {
        if KEPT.contains(&path) {
            return self.misfit(zxid);
        }
        let Some(id) = self.tree.find(path) else {
            self.missed(zxid);
            if let Some(parent) = path::parent(path).and_then(|parent| self.tree.find(parent)) {
                self.tree.raise_pzxid(parent, zxid);
            }
            return;
        };
        if self.tree.child_count(id) > 0 {
            self.misfit(zxid);
        }
        self.delete_all(id, zxid);
    }

    /// Deletes a node and what is below it.
    fn delete_all(&mut self, id: NodeId, zxid: Zxid) {
        let mut at = id;
        loop {
            let below = self.tree.child_nodes(at).next();
            if let Some(child) = below {
                at = child;
                continue;
            }
            let parent = self.tree.parent(at).expect("the root is never deleted");
            if !self.unlisted.is_empty() {
                let path = self.tree.path_of(at);
                self.unlisted.remove(path.as_str());
            }
            self.tree.delete(at, zxid);
            if at == id {
                return;
            }
            at = parent;
        }
    }

    /// The end of a session. From 3.6 on it says which nodes go; that is the truth also where a
    /// node belongs to another session by now.
    fn close(&mut self, txn: &Txn, paths: &[Arc<str>], lists_paths: bool) {
        self.sessions.remove(&txn.session);
        if lists_paths {
            return paths.iter().for_each(|path| self.delete(txn.zxid, path));
        }
        self.counts.unlisted_closes += u64::from(!self.is_exact);
        self.delete_ephemerals(txn.session, txn.zxid);
    }

    fn delete_ephemerals(&mut self, session: SessionId, zxid: Zxid) -> u64 {
        let owned: Vec<NodeId> = self.tree.ephemerals(session).collect();
        owned.iter().for_each(|id| self.delete_all(*id, zxid));
        owned.len() as u64
    }

    /// A change of a node that is not there: the snapshot had it no more, or it never was.
    fn missed(&mut self, zxid: Zxid) {
        if self.is_exact {
            self.misfit(zxid);
        } else {
            self.counts.missed += 1;
        }
    }

    fn misfit(&mut self, zxid: Zxid) {
        self.counts.misfits += 1;
        self.counts.first_misfit.get_or_insert(zxid);
    }

    fn compare(&mut self, digest: Option<TxnDigest>) {
        let Some(TxnDigest { version: TxnDigest::VERSION, digest }) = digest else { return };
        self.last_digest = Some((self.last, digest));
        if self.is_exact {
            self.compared(digest);
        }
    }

    /// Where the log ends before the state was exact, nothing else is left to compare with. Before
    /// the first transaction ZooKeeper has not counted yet, and writes a 0.
    fn compare_at_end(&mut self) {
        if let Some((zxid, digest)) = self.last_digest
            && zxid == self.last
            && zxid > Zxid::ZERO
            && !self.is_exact
            && (self.is_reach_said || self.purpose == Purpose::Learner)
        {
            self.compared(digest);
        }
    }

    fn compared(&mut self, digest: u64) {
        self.digests.compared += 1;
        if digest == self.tree.digest() {
            self.digests.last_equal = Some(self.last);
        } else {
            self.digests.first_other.get_or_insert(self.last);
        }
    }
}

/// The end.
impl Rebuild {
    /// The state behind the log, or at NEWLEADER. New zxids will be larger than any in it, and of
    /// no epoch before `epoch`: clients may have seen the first zxid of an epoch without a change.
    pub fn finish(mut self, epoch: u32) -> Result<Imported, Unusable> {
        if self.reach > self.last {
            return Err(Unusable::Ahead { reach: self.reach, last: self.last });
        }
        if let Some(created) = self.awaited.first() {
            return Err(Unusable::NotCreated { created: *created });
        }
        let applied = self.last.max(Zxid::new(epoch, 0));
        if applied.to_wire() < 0 {
            return Err(Unusable::NoZxid { zxid: applied });
        }
        self.compare_at_end();
        if self.purpose == Purpose::Import {
            self.remove_orphans();
            self.forget_members();
        }
        self.counts.closed_nodes = self.unlisted.len() as u64;
        self.tree.recount_quotas();
        if applied > Zxid::ZERO {
            self.tree.set_applied(applied);
        }
        let Rebuild { tree, sessions, last, reach, counts, digests, .. } = self;
        Ok(Imported { tree, sessions, last, reach, counts, digests })
    }

    /// As ZooKeeper does at its start.
    fn remove_orphans(&mut self) {
        let owners = self.tree.ephemeral_sessions();
        let gone = owners.filter(|session| !self.sessions.contains_key(session));
        for session in gone.collect::<Vec<SessionId>>() {
            self.counts.orphans += self.delete_ephemerals(session, self.last);
        }
    }

    /// Clients that follow the members of their ensemble would follow them back to where they
    /// come from.
    fn forget_members(&mut self) {
        let config = self.tree.find(CONFIG_NODE).expect("every tree has it");
        self.counts.config_bytes = self.tree.data(config).map_or(0, <[u8]>::len) as u64;
        self.tree.clear_foreign(config);
    }
}

fn is_refusal(body: &TxnBody) -> bool {
    matches!(body, TxnBody::Error(_))
}

/// A list that permits nothing.
fn closed_list() -> AclList {
    AclList::from([Acl { perms: 0, id: Id::anyone() }])
}
