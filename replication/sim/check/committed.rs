//! Is there one committed history, which only grows? What any member applies, once it knows what is
//! committed, is at the same place the same for all; a majority of the voters holds it on the disk
//! when it is applied for the first time; and every later leader has all of it.

use std::cell::RefCell;
use std::rc::Rc;

use ringkeeper_engine::Zxid;
use ringkeeper_engine::database::Database;
use ringkeeper_engine::txn::Txn;

use super::super::server::empty_database;
use super::proposals::{Proposals, are_same};
use super::snapshots::snapshot_of;

/// What is committed, as far as any member has applied it.
pub(crate) struct CommittedHistory {
    txns: Vec<Rc<Txn>>,
    /// Digests of the state behind each.
    digests: Vec<u64>,
    db: Database,
    proposals: Rc<RefCell<Proposals>>,
}

/// How far a member was compared.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct ComparedUpto {
    txns: usize,
}

impl CommittedHistory {
    /// Nothing.
    pub(crate) fn new(proposals: Rc<RefCell<Proposals>>) -> CommittedHistory {
        let (txns, digests, db) = (Vec::new(), Vec::new(), empty_database());
        CommittedHistory { txns, digests, db, proposals }
    }

    /// All of it.
    pub(crate) fn txns(&self) -> &[Rc<Txn>] {
        &self.txns
    }

    /// Where it ends.
    pub(crate) fn last(&self) -> Zxid {
        self.db.applied()
    }

    /// The state that it makes.
    pub(crate) fn db(&self) -> &Database {
        &self.db
    }

    /// What a snapshot of it holds.
    pub(crate) fn snapshot(&mut self) -> Vec<u8> {
        snapshot_of(&mut self.db)
    }

    /// A member has applied this, and knows that it is committed. `is_held` says whether a majority
    /// of the voters has a transaction on the disk.
    pub(crate) fn applied(
        &mut self,
        history: &[Rc<Txn>],
        compared: &mut ComparedUpto,
        is_held: impl Fn(Zxid) -> bool,
    ) {
        for (at, txn) in history.iter().enumerate().skip(compared.txns) {
            if let Some(committed) = self.txns.get(at) {
                let is_same = Rc::ptr_eq(txn, committed) || txn == committed;
                assert!(is_same, "{txn:?} is applied, and {committed:?} elsewhere");
                continue;
            }
            assert!(is_held(txn.zxid), "{} is applied, and no majority holds it", txn.zxid);
            let txn = self.proposals.borrow().learned(txn, self.db.applied());
            self.db.try_apply_unheard(&txn).expect("it fits, as it did at the member");
            self.txns.push(txn);
            self.digests.push(self.db.tree.digest());
        }
        compared.txns = compared.txns.max(history.len());
    }

    /// A member's state behind this history is that of all.
    pub(crate) fn check_state(&self, history: &[Rc<Txn>], db: &Database) {
        let Some(at) = history.len().checked_sub(1) else { return };
        assert_eq!(db.tree.digest(), self.digests[at], "the digest at {}", db.applied());
    }

    /// A leader of this epoch begins with this history. What later epochs have committed meanwhile
    /// it need not have: a leader that was stopped may find a quorum's acknowledgements in its
    /// sockets when another one leads already. It commits nothing with them.
    pub(crate) fn check_leader(&self, epoch: u32, history: &[Rc<Txn>]) {
        let before = self.txns.partition_point(|txn| txn.zxid.epoch() < epoch);
        assert!(history.len() >= before, "the leader of epoch {epoch} lacks what is committed");
        let is_same = are_same(&history[..before], &self.txns[..before]);
        assert!(is_same, "the leader of epoch {epoch} has something else than is committed");
    }
}
