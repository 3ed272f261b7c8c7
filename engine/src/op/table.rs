//! The operations of the protocol, one row each: what each is called, and how it is served.
//!
//! Everything that depends on the code of an operation is looked up here. A lookup is one array
//! index, because every request needs one.

use OpClass::{Auth, Internal, Local, Ordered, Read, Write};
use ReplyShape::{DataAndStat, Empty, Multi, Path, PathAndStat, Stat};

use super::audited::Operation;
use crate::txn::TxnBody;
use crate::wire::opcode::op;

/// What is known of one operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpSpec {
    /// Its number in a request header, and in a transaction header.
    pub code: i32,
    /// The name that ZooKeeper's client libraries give it. Metrics and `log dump` show it.
    pub name: &'static str,
    /// ZooKeeper's short name, as `cons` shows it.
    pub short: &'static str,
    /// How a request is served.
    pub class: OpClass,
    /// The histogram that its latency counts in.
    pub latency: LatencyClass,
    /// Whether metrics count its requests under its own name.
    pub is_counted: bool,
}

/// How a request is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpClass {
    /// Answered from the tree. It takes the order only behind a write of its own session.
    Read,
    /// Ordered and logged; the shape of its reply, and its name in the audit log.
    Write(ReplyShape, Operation),
    /// Takes the order, and carries no change of the tree: sync, closeSession.
    Ordered,
    /// Answered by the shard alone, in its turn.
    Local,
    /// Answered when it is read, before anything else that waits.
    Auth,
    /// No request of its own: a part of a multi, or what servers say to each other. A client that
    /// sends it is refused, as for a number that is no operation.
    Internal,
}

/// How the reply of a write is shaped; kept by the shard while the write is under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReplyShape {
    /// Header only.
    Empty,
    /// A path.
    Path,
    /// A path and a stat.
    PathAndStat,
    /// A stat.
    Stat,
    /// Data and a stat, as getData answers.
    DataAndStat,
    /// The results of a multi.
    Multi,
}

impl ReplyShape {
    /// Whether a transaction is what a request with such a reply can come to. A leader may send
    /// anything; a refusal answers everything.
    pub fn is_answered_by(self, body: &TxnBody) -> bool {
        match body {
            TxnBody::Error(_) => true,
            TxnBody::Create(_) => matches!(self, ReplyShape::Path | ReplyShape::PathAndStat),
            TxnBody::Delete { .. } | TxnBody::Check { .. } => self == ReplyShape::Empty,
            TxnBody::SetData { .. } | TxnBody::SetAcl { .. } => self == ReplyShape::Stat,
            TxnBody::Reconfig { .. } => self == ReplyShape::DataAndStat,
            TxnBody::Multi(_) => self == ReplyShape::Multi,
            TxnBody::CreateSession { .. } | TxnBody::CloseSession { .. } => false,
        }
    }
}

/// The histograms of latencies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LatencyClass {
    /// Everything that is no transaction.
    Read,
    /// Transactions, also those that are refused.
    Update,
    /// Not measured, as in ZooKeeper.
    Unmeasured,
}

/// Rows of the table: the operations, and one for all numbers that are none.
pub const ROWS: usize = 34;
const UNKNOWN: usize = ROWS - 1;
/// The lowest and the highest code.
const CODES: (i32, i32) = (op::CLOSE_SESSION, op::WHO_AM_I);
const SLOTS: usize = (CODES.1 - CODES.0 + 1) as usize;

const TABLE: [OpSpec; ROWS] = [
    update(op::CREATE, "create", "CREA", Write(Path, Operation::Create)),
    update(op::CREATE2, "create2", "CREA", Write(PathAndStat, Operation::Create)),
    update(op::CREATE_CONTAINER, "createContainer", "CREA", Write(PathAndStat, Operation::Create)),
    update(op::CREATE_TTL, "createTTL", "CREA", Write(PathAndStat, Operation::Create)),
    update(op::DELETE, "delete", "DELE", Write(Empty, Operation::Delete)),
    update(op::SET_DATA, "setData", "SETD", Write(Stat, Operation::SetData)),
    update(op::SET_ACL, "setACL", "SETA", Write(Stat, Operation::SetAcl)),
    update(op::MULTI, "multi", "MULT", Write(Multi, Operation::Multi)),
    update(op::RECONFIG, "reconfig", "RECO", Write(DataAndStat, Operation::Reconfig)),
    read(op::EXISTS, "exists", "EXIS", Read),
    read(op::GET_DATA, "getData", "GETD", Read),
    read(op::GET_ACL, "getACL", "GETA", Read),
    read(op::GET_CHILDREN, "getChildren", "GETC", Read),
    read(op::GET_CHILDREN2, "getChildren2", "GETC", Read),
    read(op::MULTI_READ, "multiRead", "MLTR", Read),
    read(op::GET_EPHEMERALS, "getEphemerals", "GETE", Read),
    read(op::GET_ALL_CHILDREN_NUMBER, "getAllChildrenNumber", "GETACN", Read),
    read(op::SYNC, "sync", "SYNC", Ordered),
    update(op::CLOSE_SESSION, "closeSession", "CLOS", Ordered),
    read(op::PING, "ping", "PING", Local),
    read(op::SET_WATCHES, "setWatches", "SETW", Local),
    read(op::SET_WATCHES2, "setWatches2", "STW2", Local),
    read(op::ADD_WATCH, "addWatch", "ADDW", Local),
    read(op::CHECK_WATCHES, "checkWatches", "CHKW", Local),
    read(op::REMOVE_WATCHES, "removeWatches", "REMW", Local),
    read(op::WHO_AM_I, "whoAmI", "HOMI", Local),
    row(op::AUTH, "auth", "NA", Auth, LatencyClass::Unmeasured),
    row(op::SASL, "sasl", "NA", Auth, LatencyClass::Unmeasured),
    update(op::CREATE_SESSION, "createSession", "SESS", Internal),
    update(op::CHECK, "check", "CHEC", Internal),
    update(op::DELETE_CONTAINER, "deleteContainer", "DELE", Internal).uncounted(),
    read(op::NOTIFICATION, "notification", "NA", Internal).uncounted(),
    read(op::ERROR, "error", "NA", Internal).uncounted(),
    read(i32::MIN, "other", "NA", Internal).uncounted(),
];

/// The row of each code, from the lowest on.
const INDEX: [u8; SLOTS] = index();

const fn index() -> [u8; SLOTS] {
    let mut index = [UNKNOWN as u8; SLOTS];
    let mut row = 0;
    while row < UNKNOWN {
        index[(TABLE[row].code - CODES.0) as usize] = row as u8;
        row += 1;
    }
    index
}

const fn row(
    code: i32,
    name: &'static str,
    short: &'static str,
    class: OpClass,
    latency: LatencyClass,
) -> OpSpec {
    OpSpec { code, name, short, class, latency, is_counted: true }
}

const fn read(code: i32, name: &'static str, short: &'static str, class: OpClass) -> OpSpec {
    row(code, name, short, class, LatencyClass::Read)
}

const fn update(code: i32, name: &'static str, short: &'static str, class: OpClass) -> OpSpec {
    row(code, name, short, class, LatencyClass::Update)
}

/// The row of a code; numbers that are no operation share the last one.
pub const fn row_of(code: i32) -> usize {
    let slot = code.wrapping_sub(CODES.0) as u32 as usize;
    if slot < SLOTS { INDEX[slot] as usize } else { UNKNOWN }
}

impl OpSpec {
    /// All rows.
    pub const ALL: &[OpSpec; ROWS] = &TABLE;

    /// What is known of a code.
    pub const fn of(code: i32) -> &'static OpSpec {
        &OpSpec::ALL[row_of(code)]
    }

    const fn uncounted(mut self) -> OpSpec {
        self.is_counted = false;
        self
    }

    /// Whether it is answered from the tree.
    pub const fn is_read(&self) -> bool {
        matches!(self.class, OpClass::Read)
    }

    /// Whether it is a request that is ordered and logged.
    pub const fn is_write(&self) -> bool {
        matches!(self.class, OpClass::Write(..))
    }

    /// The shape of a write's reply.
    pub const fn reply_shape(&self) -> Option<ReplyShape> {
        match self.class {
            OpClass::Write(shape, _) => Some(shape),
            OpClass::Read
            | OpClass::Ordered
            | OpClass::Local
            | OpClass::Auth
            | OpClass::Internal => None,
        }
    }

    /// What the audit log calls a write.
    pub const fn audited_as(&self) -> Option<Operation> {
        match self.class {
            OpClass::Write(_, operation) => Some(operation),
            OpClass::Read
            | OpClass::Ordered
            | OpClass::Local
            | OpClass::Auth
            | OpClass::Internal => None,
        }
    }

    /// The label of its requests in metrics.
    pub const fn counted_as(&self) -> &'static str {
        if self.is_counted { self.name } else { TABLE[UNKNOWN].name }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// ZooKeeper's numbers.
    fn codes() -> impl Iterator<Item = i32> {
        (0..=9).chain(11..=22).chain(100..=107).chain([-1, -10, -11])
    }

    #[test]
    fn each_operation_has_exactly_one_row() {
        let rows = &OpSpec::ALL[..UNKNOWN];
        let mut found: Vec<i32> = rows.iter().map(|spec| spec.code).collect();
        let mut expected: Vec<i32> = codes().collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
        let names: BTreeSet<&str> = OpSpec::ALL.iter().map(|spec| spec.name).collect();
        assert_eq!(names.len(), ROWS, "names are labels of metrics: each is there once");
    }

    #[test]
    fn the_index_agrees_with_a_search() {
        for code in (-200..300).chain([i32::MIN, i32::MAX, i32::MAX - 11]) {
            let searched = OpSpec::ALL[..UNKNOWN].iter().position(|spec| spec.code == code);
            assert_eq!(row_of(code), searched.unwrap_or(UNKNOWN), "{code}");
        }
    }

    #[test]
    fn numbers_without_a_label_count_as_other() {
        let counted = |code| OpSpec::of(code).counted_as();
        assert_eq!((counted(op::GET_DATA), counted(op::CHECK)), ("getData", "check"));
        for code in [0, -1, 10, 20, 23, 99, 108, i32::MAX, i32::MIN] {
            assert_eq!(counted(code), "other", "{code}");
        }
    }

    #[test]
    fn writes_are_what_can_be_decoded_as_one() {
        for spec in OpSpec::ALL {
            let empty = super::super::Write::decode(spec.code, &mut crate::wire::Reader::new(&[]));
            let unknown = empty == Err(crate::wire::Malformed::Value);
            assert_eq!(spec.is_write(), !unknown, "{}", spec.name);
        }
    }
}
