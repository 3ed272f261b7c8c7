//! The end of a history: everything comes to rest, and is what it should be.

use std::collections::BTreeSet;

use ringkeeper_engine::Code;
use ringkeeper_engine::txn::{Txn, TxnBody};
use ringkeeper_replication::WriteAdmission;

use crate::member::World;

/// A close that is sent twice is refused the second time.
fn is_close(txn: &Txn) -> bool {
    matches!(txn.body, TxnBody::CloseSession { .. } | TxnBody::Error(Code::SessionExpired))
}

impl World {
    /// Everything comes to rest: all that was requested is answered, and both states are one.
    pub(crate) fn finish(&mut self) {
        let mut rounds = 0;
        self.ensemble.establish();
        self.server.set_admission(WriteAdmission::All);
        while !self.is_at_rest() {
            rounds += 1;
            assert!(rounds < 10_000, "something waits for ever: {:?}", self.leader().state());
            self.connect();
            (0..self.clients.len()).for_each(|client| self.upload(client));
            self.ensemble.serve();
            self.take(1 << 20);
            self.ensemble.commit(usize::MAX);
            self.deliver(1 << 20);
            self.states.work();
            self.server.release();
            self.follow();
            self.server.order(usize::MAX);
            self.server.sync();
            self.serve_all();
            (0..self.clients.len()).for_each(|client| self.download(client));
            self.check();
        }
        self.check_end();
    }

    fn check_end(&mut self) {
        assert_eq!(self.server.outstanding(), 0);
        let truth = &self.ensemble.truth;
        assert!(self.server.history == *truth, "the member has applied what is committed");
        assert_eq!(self.server.db().tree.digest(), self.ensemble.db.tree.digest());
        assert!(self.disk.borrow().txns == *truth, "the log has what is committed");
        let mut writes = BTreeSet::new();
        for txn in truth.iter().filter(|txn| txn.session.0 >> 56 == 1 && txn.cxid > 0) {
            let is_new = writes.insert((txn.session, txn.cxid));
            assert!(is_new || is_close(txn), "a write was ordered twice: {txn:?}");
        }
        self.clients.iter_mut().for_each(|client| client.finish(&self.server));
    }

    fn is_at_rest(&self) -> bool {
        let leader = &self.server_leader().leader;
        let is_linked = leader.is_connected() && leader.outgoing().is_empty();
        is_linked
            && self.ensemble.is_quiet()
            && self.server.is_quiet()
            && !self.server.has_work()
            && self.clients.iter().all(|client| {
                let Some((shard, at)) = client.at else { return true };
                let conn = self.server.shards[shard].shard.conn(at);
                let sent = conn.is_none_or(|conn| conn.out.is_empty() && conn.input.is_empty());
                sent && client.to_server.is_empty() && client.is_settled()
            })
    }
}
