//! The replicated state: the tree and the sessions, changed by [`Database::apply`] alone.

mod leaders_digest;

use std::collections::{BTreeMap, VecDeque};

use crate::op::{self, Applying, Read};
pub use crate::op::{Change, Interest, OpResult};
use crate::tree::{Digest, Misfit, Tree};
use crate::txn::{AclMemo, BodyRef, Txn, TxnBody, TxnDigest, TxnRef};
use crate::wire::Malformed;
use crate::{Millis, SessionId, Zxid};

/// Everything that committed transactions have made.
pub struct Database {
    /// The znodes.
    pub tree: Tree,
    sessions: BTreeMap<SessionId, i32>,
    digests: VecDeque<(Zxid, u64)>,
    /// How far off the leader's digests are: see [`Database::compare_leaders_digest`].
    leader_is_off: u64,
    acls: AclMemo,
    commit_status: CommitStatus,
}

/// Whether what is applied is committed. A member that starts has applied its whole log, of which
/// the end may be in no other one; until its leader has said what is committed, no snapshot may be
/// taken, for the log cannot be cut behind a snapshot that holds what is cut off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CommitStatus {
    /// All of it is. From then on nothing is applied before it is committed.
    Committed,
    /// Perhaps not the end.
    Unknown,
}

/// Every so many zxids the digest of the tree is noted, for comparison between servers.
const DIGEST_INTERVAL: u64 = 128;
/// How many noted digests are kept.
const DIGESTS_MAX: usize = 1_024;

/// What will be applied, or answered, soon.
#[derive(Clone, Copy, Debug)]
pub enum Upcoming<'a> {
    /// By [`Database::try_apply`].
    Txn(&'a Txn),
    /// By [`Database::replay`].
    Payload(&'a [u8]),
    /// By [`op::read_owned`].
    Read(&'a Read),
}

/// What applying one transaction did.
#[derive(Debug)]
pub struct Applied {
    /// The transaction.
    pub zxid: Zxid,
    /// What the client gets.
    pub result: OpResult,
    /// What watches may fire on, in order; empty without watches.
    pub changes: Vec<Change>,
}

/// Why a record of the log is not replayed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotReplayed {
    /// It is no transaction.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It does not fit the state: see [`Database::try_apply`].
    #[error("{1}")]
    Misfit(Zxid, Misfit),
}

/// How the digest behind the transaction that was applied last compares with that of the tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DigestComparison {
    /// The tree is what the leader has.
    Equal,
    /// It is not: this replica, or the leader, has diverged.
    Different {
        /// What the leader has.
        expected: u64,
        /// What this tree has.
        found: u64,
    },
    /// The leader's is not that of its own tree, for a reason that is known.
    LeaderIsOff,
    /// The leader sent none, or counts otherwise, or digests are off here.
    NotCompared,
}

impl Database {
    /// A fresh server's state, or a loaded one.
    pub fn new(tree: Tree, sessions: impl IntoIterator<Item = (SessionId, i32)>) -> Database {
        let sessions = sessions.into_iter().collect();
        Database {
            tree,
            sessions,
            digests: VecDeque::new(),
            leader_is_off: 0,
            acls: AclMemo::default(),
            commit_status: CommitStatus::Committed,
        }
    }

    /// Whether everything up to [`Database::applied`] is committed.
    pub fn commit_status(&self) -> CommitStatus {
        self.commit_status
    }

    /// Notes whether it is.
    pub fn set_commit_status(&mut self, status: CommitStatus) {
        self.commit_status = status;
    }

    /// The last zxid applied.
    pub fn applied(&self) -> Zxid {
        self.tree.applied()
    }

    /// The sessions with their timeouts in milliseconds, as of [`Database::applied`].
    pub fn sessions(&self) -> impl Iterator<Item = (SessionId, i32)> {
        self.sessions.iter().map(|(id, timeout)| (*id, *timeout))
    }

    /// Whether this session lives, as of [`Database::applied`].
    pub fn has_session(&self, session: SessionId) -> bool {
        self.sessions.contains_key(&session)
    }

    /// Digests of the tree at every 128th zxid since the start, the newest 1,024 of them, the
    /// oldest first. None where digests are not kept.
    pub fn digests(&self) -> impl Iterator<Item = (Zxid, u64)> {
        self.digests.iter().copied()
    }

    /// Compares with what stood behind the transaction that was applied last.
    pub fn compare_digest(&self, digest: Option<TxnDigest>) -> DigestComparison {
        let Some(TxnDigest { version: TxnDigest::VERSION, digest: expected }) = digest else {
            return DigestComparison::NotCompared;
        };
        if self.tree.digest_mode() == Digest::Off {
            return DigestComparison::NotCompared;
        }
        match self.tree.digest() {
            found if found == expected => DigestComparison::Equal,
            found => DigestComparison::Different { expected, found },
        }
    }

    fn note_digest(&mut self, zxid: Zxid) {
        if !zxid.0.is_multiple_of(DIGEST_INTERVAL) || self.tree.digest_mode() == Digest::Off {
            return;
        }
        if self.digests.len() == DIGESTS_MAX {
            self.digests.pop_front();
        }
        self.tree.settle_digest();
        self.digests.push_back((zxid, self.tree.digest()));
    }

    /// Begins to fetch the memory that these need, before the first one is applied.
    pub fn prefetch<'t>(&self, all: impl Iterator<Item = Upcoming<'t>>) {
        let mut paths = self.tree.prefetch();
        all.for_each(|next| match next {
            Upcoming::Txn(txn) => op::prefetch(&txn.body, &mut paths),
            Upcoming::Payload(payload) => op::prefetch_payload(payload, &mut paths),
            Upcoming::Read(read) => op::prefetch_record(read.op, &read.record, &mut paths),
        });
        paths.finish();
    }

    /// Applies one committed transaction of this server's own order. It cannot be refused any more.
    ///
    /// Invariant: zxids arrive in order and without a gap; see [`Zxid::may_follow`].
    pub fn apply(&mut self, txn: &Txn, interest: Interest) -> Applied {
        self.try_apply(txn, interest)
            .unwrap_or_else(|why| panic!("{} does not fit: {why}", txn.zxid))
    }

    /// As [`Database::apply`], for a transaction of another server. One that does not fit says that
    /// this state is not that server's. Some of it may have been applied then: the state must not
    /// be shown to anybody, and has to be replaced.
    pub fn try_apply(&mut self, txn: &Txn, interest: Interest) -> Result<Applied, Misfit> {
        self.check_follows(txn.zxid);
        let mut applying = Applying::new(&mut self.tree, txn.zxid, txn.time, interest);
        let result = op::apply(&txn.body, &mut applying)?;
        let changes = applying.into_changes();
        self.note_session(txn.session, &txn.body);
        self.note_applied(txn.zxid);
        Ok(Applied { zxid: txn.zxid, result, changes })
    }

    /// As [`Database::try_apply`], where nobody waits for the result and no watch may fire.
    pub fn try_apply_unheard(&mut self, txn: &Txn) -> Result<(), Misfit> {
        let body = BodyRef::from(&txn.body);
        self.replay_body(&body, (txn.session, txn.zxid, txn.time))
    }

    /// Applies a committed transaction as it stands in the log: there are no watches yet, and its
    /// result is not needed. It does the same as [`Database::try_apply`], which a test holds.
    pub fn replay(&mut self, payload: &[u8]) -> Result<(), NotReplayed> {
        let TxnRef { session, zxid, time, body, .. } = TxnRef::read(payload, &mut self.acls)?;
        let misfit = |why| NotReplayed::Misfit(zxid, why);
        self.replay_body(&body, (session, zxid, time)).map_err(misfit)
    }

    fn replay_body(
        &mut self,
        body: &BodyRef<'_>,
        (session, zxid, time): (SessionId, Zxid, Millis),
    ) -> Result<(), Misfit> {
        self.check_follows(zxid);
        op::replay(body, &mut self.tree, zxid, time)?;
        if let BodyRef::Other(body) = body {
            self.note_session(session, body);
        }
        self.note_applied(zxid);
        Ok(())
    }

    fn note_session(&mut self, session: SessionId, body: &TxnBody) {
        match body {
            TxnBody::CreateSession { timeout_ms } => {
                self.sessions.insert(session, *timeout_ms);
            }
            TxnBody::CloseSession { .. } => {
                self.sessions.remove(&session);
            }
            _ => {}
        }
    }

    fn check_follows(&self, zxid: Zxid) {
        let last = self.tree.applied();
        assert!(zxid.may_follow(last), "transaction {zxid} cannot follow {last}");
    }

    fn note_applied(&mut self, zxid: Zxid) {
        self.tree.set_applied(zxid);
        self.note_digest(zxid);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Code;
    use crate::txn::{AclList, CONFIG_NODE, CreateOp, CreateTxn, DeleteCause, NodeKind};
    use crate::watch::ChangeKind;
    use crate::wire::{Acl, Id, Stat};

    #[test]
    fn every_128th_digest_is_kept_up_to_a_bound() {
        let mut tree = Tree::new(0);
        tree.keep_digest(Digest::Kept);
        let mut db = Database::new(tree, []);
        let last = DIGEST_INTERVAL * (DIGESTS_MAX as u64 + 2);
        for zxid in 1..=last {
            let body = TxnBody::Error(Code::NoNode);
            let session = SessionId::NONE;
            let txn = Txn { session, cxid: 0, zxid: Zxid(zxid), time: Millis(0), body };
            db.apply(&txn, Interest::None);
        }
        let noted: Vec<Zxid> = db.digests().map(|(zxid, _)| zxid).collect();
        assert_eq!(noted.len(), DIGESTS_MAX);
        assert_eq!((noted[0], noted[DIGESTS_MAX - 1]), (Zxid(3 * DIGEST_INTERVAL), Zxid(last)));
        assert!(db.digests().all(|(_, digest)| digest == db.tree.digest()));
    }

    #[test]
    fn reconfig_sets_the_text_fires_watches_and_leaves_the_digest() {
        let mut tree = Tree::new(0);
        tree.keep_digest(Digest::Kept);
        let mut db = Database::new(tree, []);
        let digest = db.tree.digest();
        let text: Box<[u8]> = (*b"server.1=a:1:2\nversion=1").into();
        let body = TxnBody::Reconfig { data: Some(text.clone()), version: -1 };
        let session = SessionId(1);
        let txn = Txn { session, cxid: 4, zxid: Zxid(1), time: Millis(7), body };
        let applied = db.apply(&txn, Interest::Watched);
        let [change] = &applied.changes[..] else { panic!("{applied:?}") };
        assert_eq!((change.kind, &*change.path), (ChangeKind::DataChanged, CONFIG_NODE));
        let OpResult::Reconfigured { data, stat } = applied.result else { panic!("it is not") };
        assert_eq!(data.as_ref(), Some(&text));
        assert_eq!((stat.version, stat.mzxid, stat.mtime, stat.data_length), (-1, 1, 7, 24));
        assert_eq!(db.tree.data(db.tree.find(CONFIG_NODE).unwrap()), Some(&text[..]));
        let behind = |version, digest| Some(TxnDigest { version, digest });
        let other = DigestComparison::Different { expected: digest ^ 1, found: digest };
        assert_eq!(db.compare_digest(behind(2, digest)), DigestComparison::Equal);
        assert_eq!(db.compare_digest(behind(2, digest ^ 1)), other);
        assert_eq!(db.compare_digest(behind(3, digest ^ 1)), DigestComparison::NotCompared);
        assert_eq!(db.compare_digest(None), DigestComparison::NotCompared);
        let off = Database::new(Tree::new(0), []);
        assert_eq!(off.compare_digest(behind(2, digest)), DigestComparison::NotCompared);
    }

    /// A history with every kind of transaction, and some that look alike.
    fn history() -> Vec<Txn> {
        let own = Acl { perms: 31, id: Id { scheme: "digest".into(), id: "me".into() } };
        let acls = [AclList::from([Acl::open()]), AclList::from([own])];
        let mut bodies = vec![TxnBody::CreateSession { timeout_ms: 4_000 }];
        for n in 0..300_usize {
            let (parent, path) = (format!("/{}", n % 7), format!("/{}/{n}", n % 7));
            let (op, kind) = match n % 5 {
                0 => (CreateOp::Create2, NodeKind::Ephemeral(SessionId(9))),
                1 => (CreateOp::Container, NodeKind::Container),
                2 => (CreateOp::Ttl, NodeKind::Ttl(60_000)),
                _ => (CreateOp::Create, NodeKind::Persistent),
            };
            let data = (n % 4 > 0).then(|| vec![n as u8; n % 90].into());
            let (acl, parent_cversion) = (acls[n / 3 % 2].clone(), (n / 7 + 1) as i32);
            if n < 7 {
                let (path, data, kind) = (parent.into(), None, NodeKind::Persistent);
                let create =
                    CreateTxn { op: CreateOp::Create, path, data, acl, kind, parent_cversion };
                bodies.push(TxnBody::Create(create));
                continue;
            }
            let path: Arc<str> = path.into();
            let create = CreateTxn { op, path: path.clone(), data, acl, kind, parent_cversion };
            let set = |data: &[u8], version| TxnBody::SetData {
                path: path.clone(),
                data: Some(data.into()),
                version,
            };
            if n % 11 == 0 {
                bodies.push(TxnBody::Multi(vec![TxnBody::Create(create), set(b"both", 1)]));
            } else {
                bodies.push(TxnBody::Create(create));
            }
            if n % 2 == 0 {
                bodies.push(set(&[1; 20], 1));
            }
            if n % 13 == 0 {
                let cause = DeleteCause::Client;
                bodies.push(TxnBody::Delete { path: path.clone(), cause });
            }
        }
        bodies.push(TxnBody::Reconfig { data: Some([8; 30].into()), version: -1 });
        bodies.push(TxnBody::Error(Code::NoNode));
        let refusals = [Code::Ok, Code::NoNode, Code::RuntimeInconsistency].map(TxnBody::Error);
        bodies.push(TxnBody::Multi(refusals.into()));
        let path: Arc<str> = "/1/295".into();
        bodies.push(TxnBody::Multi(vec![
            TxnBody::Check { path: path.clone(), version: 0 },
            TxnBody::SetAcl { path: path.clone(), acl: acls[1].clone(), version: 1 },
            TxnBody::Delete { path, cause: DeleteCause::Client },
        ]));
        let txn = |(n, body)| {
            let (zxid, time) = (Zxid(n as u64 + 1), Millis(n as i64 * 3));
            Txn { session: SessionId(9), cxid: 1, zxid, time, body }
        };
        bodies.into_iter().enumerate().map(txn).collect()
    }

    /// Everything that clients could see, and the digest.
    fn contents(db: &Database) -> Vec<(String, Stat, Option<Vec<u8>>, AclList)> {
        let mut nodes = Vec::new();
        let mut paths = vec!["/".to_owned()];
        while let Some(path) = paths.pop() {
            let tree = &db.tree;
            let id = tree.find(&path).unwrap();
            paths.extend(tree.child_nodes(id).map(|child| tree.path_of(child)));
            let data = tree.data(id).map(<[u8]>::to_vec);
            nodes.push((path, tree.stat(id), data, tree.acl(id).clone()));
        }
        nodes.sort_by(|a, b| a.0.cmp(&b.0));
        nodes
    }

    fn create(path: &str, kind: NodeKind) -> TxnBody {
        let acl = AclList::from([Acl::open()]);
        let (op, path) = (CreateOp::Create, path.into());
        TxnBody::Create(CreateTxn { op, path, data: None, acl, kind, parent_cversion: 1 })
    }

    #[test]
    fn transaction_of_another_state_is_refused_and_changes_nothing() {
        use Misfit::*;
        use NodeKind::{Container, Ephemeral, Persistent};
        let delete = |path: &str| TxnBody::Delete { path: path.into(), cause: DeleteCause::Client };
        let set = |path: &str| TxnBody::SetData { path: path.into(), data: None, version: 1 };
        let acl = AclList::from([Acl::open()]);
        let close = |path: &str| TxnBody::CloseSession { paths: vec![path.into()] };
        let refused = TxnBody::Error(Code::NoNode);
        let misfits = [
            (create("/a", Persistent), NodeExists),
            (create("/none/b", Persistent), NoParent),
            (create("/a/", Persistent), NoSuchKind),
            (create("nowhere", Persistent), NoSuchKind),
            (create("", Persistent), NoSuchKind),
            (create("/", Persistent), NoSuchKind),
            (create("/e/child", Container), EphemeralParent),
            (delete("/none"), NoNode),
            (delete("/a"), NotEmpty),
            (delete("/"), BuiltIn),
            (delete("/zookeeper/config"), BuiltIn),
            (set("/none"), NoNode),
            (TxnBody::SetAcl { path: "/none".into(), acl, version: 1 }, NoNode),
            (close("/none"), NoNode),
            (TxnBody::Multi(vec![set("/a"), refused]), Multi),
            (TxnBody::Multi(vec![close("/e")]), Multi),
        ];
        let mut tree = Tree::new(0);
        tree.keep_digest(Digest::Kept);
        let mut db = Database::new(tree, []);
        let txn = |zxid, body| Txn {
            session: SessionId(9),
            cxid: 1,
            zxid: Zxid(zxid),
            time: Millis(1),
            body,
        };
        let nodes = [("/a", Persistent), ("/a/b", Persistent), ("/e", Ephemeral(SessionId(9)))];
        for ((path, kind), zxid) in nodes.into_iter().zip(1..) {
            db.apply(&txn(zxid, create(path, kind)), Interest::None);
        }
        let before = (contents(&db), db.tree.digest());
        for (body, misfit) in misfits {
            let txn = txn(4, body);
            assert_eq!(db.try_apply(&txn, Interest::Watched).err(), Some(misfit), "{txn:?}");
            let mut bytes = Vec::new();
            txn.write(&mut bytes);
            let refused = match db.replay(&bytes) {
                Err(NotReplayed::Malformed(_)) => misfit,
                Err(NotReplayed::Misfit(Zxid(4), found)) => found,
                other => panic!("{other:?} of {txn:?}"),
            };
            assert_eq!(refused, misfit, "{txn:?}");
            assert_eq!((contents(&db), db.tree.digest()), before, "{txn:?}");
        }
        // Bytes cannot say it: they would mean a node of another kind.
        let unowned = txn(4, create("/b", Ephemeral(SessionId::NONE)));
        assert_eq!(db.try_apply(&unowned, Interest::None).err(), Some(NoSuchKind));
        db.apply(&txn(4, delete("/a/b")), Interest::None);
    }

    #[test]
    fn replay_and_apply_give_the_same_database() {
        for digest in [Digest::Kept, Digest::Off] {
            let fresh = |seed| {
                let mut tree = Tree::new(seed);
                tree.keep_digest(digest);
                Database::new(tree, [])
            };
            let (mut applied, mut replayed) = (fresh(1), fresh(2));
            for txn in history() {
                let mut bytes = Vec::new();
                txn.write(&mut bytes);
                applied.apply(&txn, Interest::None);
                replayed.replay(&bytes).unwrap();
                assert_eq!(applied.tree.digest(), replayed.tree.digest());
            }
            assert_eq!(contents(&applied), contents(&replayed));
            assert!(contents(&applied).len() > 250);
            assert!(applied.sessions().eq(replayed.sessions()));
            assert!(applied.digests().eq(replayed.digests()));
            assert_eq!(applied.applied(), replayed.applied());
            let size = |db: &Database| db.tree.approximate_data_size();
            assert_eq!(size(&applied), size(&replayed));
            assert!(replayed.replay(&[0; 20]).is_err(), "it is no transaction");
        }
    }
}
