//! What one request may cost is bounded before it is in the order.

use super::*;
use crate::database::Interest;
use crate::limits::{ACL_EXPANDED_BYTES_MAX, QUOTA_TEXT_BYTES_MAX};
use crate::op::create::CreateRecord;
use crate::op::{multi, set_data};
use crate::tree::Tree;
use crate::wire::opcode::op;
use crate::wire::{Acl, Reader};

const STATS: &str = "/zookeeper/quota/a/zookeeper_stats";

struct World {
    db: Database,
    sequencer: Sequencer,
    caller: Caller,
}

impl World {
    /// A client with one identity of so many bytes.
    fn new(identity: usize) -> World {
        let ids = Arc::from([Id { scheme: "digest".into(), id: "u".repeat(identity) }]);
        World {
            db: Database::new(Tree::new(1), [(SessionId(1), 4_000)]),
            sequencer: Sequencer::new(Zxid::ZERO, OpSettings::default(), 1),
            caller: Caller { session: SessionId(1), cxid: 1, ids },
        }
    }

    /// Orders a request and applies it.
    fn order(&mut self, op_code: i32, record: &[u8]) -> Txn {
        let write = Write::decode(op_code, &mut Reader::new(record)).expect("a request");
        let txn = self.sequencer.order(&self.db, &self.caller, write, Millis(1));
        self.db.apply(&txn, Interest::None);
        self.sequencer.applied(txn.zxid);
        txn
    }
}

fn create(path: &str, data: &[u8], acl: &Acl) -> Vec<u8> {
    let mut out = Vec::new();
    let acl = Some(std::slice::from_ref(acl));
    CreateRecord { path, data: Some(data), acl, flags: 0, ttl: None }.write(&mut out);
    out
}

fn set(path: &str, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    set_data::put_record(path, Some(data), -1, &mut out);
    out
}

fn many(parts: impl IntoIterator<Item = (i32, Vec<u8>)>) -> Vec<u8> {
    let mut out = Vec::new();
    for (op_code, record) in parts {
        multi::put_request_header(op_code, &mut out);
        out.extend(record);
    }
    multi::put_end(&mut out);
    out
}

fn by_auth() -> Acl {
    Acl { perms: 31, id: Id { scheme: "auth".into(), id: String::new() } }
}

fn bytes(txn: &Txn) -> usize {
    let mut out = Vec::new();
    txn.write(&mut out);
    out.len()
}

#[test]
fn multi_whose_lists_grow_beyond_the_bound_fails_in_that_operation_and_stays_small() {
    let mut world = World::new(ACL_EXPANDED_BYTES_MAX - 100);
    let creates = |count: usize| {
        many((0..count).map(|n| (op::CREATE, create(&format!("/m{n}"), b"", &by_auth()))))
    };
    let fits = TXN_EXPANDED_BYTES_MAX / ACL_EXPANDED_BYTES_MAX;
    let request = creates(fits);
    let txn = world.order(op::MULTI, &request);
    assert!(bytes(&txn) <= request.len() + TXN_EXPANDED_BYTES_MAX + 40 * fits);
    assert_eq!(world.db.tree.node_count(), 5 + fits as u64);
    let mut world = World::new(ACL_EXPANDED_BYTES_MAX - 100);
    let txn = world.order(op::MULTI, &creates(4_350));
    let TxnBody::Multi(parts) = &txn.body else { panic!("{txn:?}") };
    let failed = parts.iter().position(|part| *part == TxnBody::Error(Code::InvalidAcl));
    assert!(failed.is_some_and(|at| at >= fits && at < 2 * fits), "{failed:?}");
    assert_eq!(world.db.tree.node_count(), 5, "the whole of it is undone");
    assert!(bytes(&txn) < 100_000);
    assert!(matches!(
        world.order(op::CREATE, &create("/one", b"", &by_auth())).body,
        TxnBody::Create(_)
    ));
}

#[test]
fn text_of_a_quota_is_refused_where_it_is_longer_than_what_is_read() {
    let mut world = World::new(1);
    let (fits, long) = ([b'x'; QUOTA_TEXT_BYTES_MAX], [b'x'; QUOTA_TEXT_BYTES_MAX + 1]);
    world.order(op::CREATE, &create("/zookeeper/quota/a", &long, &Acl::open()));
    assert!(world.db.tree.find("/zookeeper/quota/a").is_some(), "it is no text of a quota");
    let refused = TxnBody::Error(Code::BadArguments);
    assert_eq!(world.order(op::CREATE, &create(STATS, &long, &Acl::open())).body, refused);
    world.order(op::CREATE, &create(STATS, &fits, &Acl::open()));
    assert_eq!(world.order(op::SET_DATA, &set(STATS, &long)).body, refused);
    assert!(matches!(world.order(op::SET_DATA, &set(STATS, &fits)).body, TxnBody::SetData { .. }));
    let parts = [(op::SET_DATA, set(STATS, b"count=1,bytes=1")), (op::SET_DATA, set(STATS, &long))];
    let txn = world.order(op::MULTI, &many(parts));
    let codes = [Code::Ok, Code::BadArguments].map(TxnBody::Error);
    assert_eq!(txn.body, TxnBody::Multi(codes.into()));
}
