//! Digests of a ZooKeeper leader that are not those of its own tree.
//!
//! A leader of ZooKeeper's counts the digest before it applies the transaction, from what the
//! request makes of its tree (`PrepRequestProcessor.precalculateDigest`). The owner of a new node
//! it takes from the flags of the request, but what node it becomes is decided by the operation.
//! Where the two do not agree, as in operation `create` with the flags of a container, no server
//! has the node that was counted, the leader included. Each digest behind it is off by as much,
//! until the leader has applied everything that it has ordered and begins from its tree again.

use std::sync::Arc;

use super::{Database, DigestComparison};
use crate::SessionId;
use crate::txn::{NodeKind, TxnDigest};

/// Nodes of one transaction that are looked at. Each one more takes three times as long.
const CREATED_MAX: usize = 6;

impl Database {
    /// As [`Database::compare_digest`], with the digest of another server. `session` is that of the
    /// transaction which was applied last, and `created` are the nodes that it has created.
    pub fn compare_leaders_digest(
        &mut self,
        digest: TxnDigest,
        session: SessionId,
        created: &[Arc<str>],
    ) -> DigestComparison {
        self.tree.settle_digest();
        let compared = self.compare_digest(Some(digest));
        match compared {
            DigestComparison::Equal => self.leader_is_off = 0,
            DigestComparison::Different { expected, found } => {
                let off = expected.wrapping_sub(found);
                let created = &created[..created.len().min(CREATED_MAX)];
                let owners = [0, NodeKind::Container.to_owner(), session.0];
                // It may have begun from its tree before this transaction.
                let more = [off.wrapping_sub(self.leader_is_off), off];
                if more.into_iter().any(|more| self.is_explained(more, &owners, created)) {
                    self.leader_is_off = off;
                    return DigestComparison::LeaderIsOff;
                }
            }
            DigestComparison::LeaderIsOff | DigestComparison::NotCompared => {}
        }
        compared
    }

    /// Whether some of these nodes, with other owners, make the digest so much more.
    fn is_explained(&self, more: u64, owners: &[i64], created: &[Arc<str>]) -> bool {
        let Some((path, others)) = created.split_first() else { return more == 0 };
        let is_with = |owner: &i64| {
            let of_this = self.tree.digest_with_owner(path, *owner);
            of_this.is_some_and(|it| self.is_explained(more.wrapping_sub(it), owners, others))
        };
        self.is_explained(more, owners, others) || owners.iter().any(is_with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Interest;
    use crate::tree::{Digest, Tree};
    use crate::txn::{AclList, CreateOp, CreateTxn, Txn, TxnBody};
    use crate::wire::Acl;
    use crate::{Millis, Zxid};

    const SESSION: SessionId = SessionId(0x77);

    fn database() -> Database {
        let mut tree = Tree::new(0);
        tree.keep_digest(Digest::Kept);
        Database::new(tree, [])
    }

    fn create(path: &str, kind: NodeKind) -> TxnBody {
        TxnBody::Create(CreateTxn {
            op: CreateOp::Create,
            path: path.into(),
            data: Some(Box::from(*b"data")),
            acl: AclList::from([Acl::open()]),
            kind,
            parent_cversion: 1,
        })
    }

    fn apply(db: &mut Database, counter: u32, bodies: Vec<TxnBody>) -> u64 {
        let (session, zxid) = (SESSION, Zxid::new(1, counter));
        let body = TxnBody::Multi(bodies);
        db.apply(&Txn { session, cxid: 1, zxid, time: Millis(5), body }, Interest::None);
        db.tree.digest()
    }

    /// The digest of a tree where the nodes are of these kinds.
    fn digest_of(kinds: &[NodeKind]) -> u64 {
        let paths = ["/a", "/b"].iter().zip(kinds);
        apply(&mut database(), 1, paths.map(|(path, kind)| create(path, *kind)).collect())
    }

    fn compare(db: &mut Database, digest: u64, created: &[Arc<str>]) -> DigestComparison {
        let digest = TxnDigest { version: TxnDigest::VERSION, digest };
        db.compare_leaders_digest(digest, SESSION, created)
    }

    #[test]
    fn digest_of_nodes_with_the_owner_that_the_flags_name_is_no_difference() {
        let (plain, container) = (NodeKind::Persistent, NodeKind::Container);
        let ephemeral = NodeKind::Ephemeral(SESSION);
        let created: [Arc<str>; 2] = ["/a".into(), "/b".into()];
        for kinds in [[container, plain], [plain, container], [container; 2], [ephemeral; 2]] {
            let mut db = database();
            apply(&mut db, 1, vec![create("/a", plain), create("/b", plain)]);
            let found = compare(&mut db, digest_of(&kinds), &created);
            assert_eq!(found, DigestComparison::LeaderIsOff, "{kinds:?}");
        }
        let mut db = database();
        let found = apply(&mut db, 1, vec![create("/a", plain), create("/b", plain)]);
        let other = digest_of(&[NodeKind::Ephemeral(SessionId(9)), plain]);
        let different = DigestComparison::Different { expected: other, found };
        assert_eq!(compare(&mut db, other, &created), different, "of a stranger");
        let other = digest_of(&[container, plain]);
        let different = DigestComparison::Different { expected: other, found };
        assert_eq!(compare(&mut db, other, &created[1..]), different, "it was not created");
    }

    #[test]
    fn leader_stays_off_by_as_much_until_its_digest_is_right_again() {
        let mut db = database();
        let found = apply(&mut db, 1, vec![create("/a", NodeKind::Persistent)]);
        let expected = digest_of(&[NodeKind::Container]);
        let off = expected.wrapping_sub(found);
        assert_eq!(compare(&mut db, expected, &["/a".into()]), DigestComparison::LeaderIsOff);
        let found = apply(&mut db, 2, vec![create("/c", NodeKind::Persistent)]);
        let expected = found.wrapping_add(off);
        assert_eq!(compare(&mut db, expected, &[]), DigestComparison::LeaderIsOff);
        let found = apply(&mut db, 3, vec![create("/d", NodeKind::Persistent)]);
        let more = db.tree.digest_with_owner("/d", NodeKind::Container.to_owner()).unwrap();
        let expected = found.wrapping_add(more);
        let created = ["/d".into()];
        assert_eq!(compare(&mut db, expected, &created), DigestComparison::LeaderIsOff, "anew");
        let expected = expected ^ 1;
        let different = DigestComparison::Different { expected, found };
        assert_eq!(compare(&mut db, expected, &[]), different, "by something else");
        assert_eq!(compare(&mut db, found, &[]), DigestComparison::Equal);
        let expected = found.wrapping_add(more);
        let different = DigestComparison::Different { expected, found };
        assert_eq!(compare(&mut db, expected, &[]), different, "it was right in between");
    }
}
