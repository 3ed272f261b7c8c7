//! multi (14): several writes under one zxid, all or nothing.

use super::apply::{Applying, OpResult};
use super::prepare::Prepare;
use super::{NotForwarded, ReplyShape, Write, check, create, delete, set_data, write_reply};
use crate::tree::Misfit;
use crate::txn::TxnBody;
use crate::wire::opcode::op;
use crate::wire::{Malformed, Put, Reader};
use crate::{Code, limits};

/// The header before each operation, and the one that ends the list.
struct MultiHeader {
    op: i32,
    done: bool,
}

impl MultiHeader {
    fn read(reader: &mut Reader<'_>) -> Result<MultiHeader, Malformed> {
        let header = MultiHeader { op: reader.int()?, done: reader.bool()? };
        reader.int()?;
        Ok(header)
    }
}

fn put_header(op: i32, done: bool, err: i32, out: &mut Vec<u8>) {
    out.put_int(op);
    out.put_bool(done);
    out.put_int(err);
}

/// Appends the header that ends a list of operations or of results.
pub(crate) fn put_end(out: &mut Vec<u8>) {
    put_header(-1, true, -1, out);
}

/// Appends the header of one operation of a request.
pub(crate) fn put_request_header(op: i32, out: &mut Vec<u8>) {
    put_header(op, false, -1, out);
}

/// Appends the header of one result.
pub(crate) fn put_result_header(op: i32, out: &mut Vec<u8>) {
    put_header(op, false, 0, out);
}

/// Appends one refused result: its code stands in the header and again in the body.
pub(crate) fn put_error(code: Code, out: &mut Vec<u8>) {
    put_header(op::ERROR, false, code.to_wire(), out);
    out.put_int(code.to_wire());
}

/// Reads a list of at most `most` operations; `each` decodes one of them.
pub(crate) fn read_list<'a, T>(
    reader: &mut Reader<'a>,
    most: usize,
    mut each: impl FnMut(i32, &mut Reader<'a>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let mut items = Vec::new();
    loop {
        let header = MultiHeader::read(reader)?;
        if header.done {
            return Ok(items);
        }
        if items.len() == most {
            return Err(Malformed::TooLong);
        }
        items.push(each(header.op, reader)?);
    }
}

/// Reads the request. Operations that do not belong into a multi, unknown create flags and null
/// paths spoil all of it.
pub fn decode(reader: &mut Reader<'_>) -> Result<Vec<Write>, Malformed> {
    let writes = read_writes(reader)?;
    if writes.iter().any(has_null_path) { Err(Malformed::Value) } else { Ok(writes) }
}

/// Whether ZooKeeper fails on the path of a part before it looks at the first one.
fn has_null_path(write: &Write) -> bool {
    match write {
        Write::Refused(_) => true,
        Write::Create(create) => create.has_null_path(),
        Write::Delete(_)
        | Write::DeleteSpent(_)
        | Write::SetData(_)
        | Write::SetAcl(_)
        | Write::Check(_)
        | Write::Multi(_)
        | Write::Reconfig(_) => false,
    }
}

/// Reads a list of writes, each whatever its path is.
pub(crate) fn read_writes(reader: &mut Reader<'_>) -> Result<Vec<Write>, Malformed> {
    let write = |op_code, reader: &mut Reader<'_>| match op_code {
        op::CREATE | op::CREATE2 | op::CREATE_CONTAINER | op::CREATE_TTL => {
            match create::Create::decode(op_code, reader)? {
                Write::Create(create) => create.in_multi().map(Write::Create),
                write => Ok(write),
            }
        }
        op::DELETE => delete::Delete::decode(reader),
        op::SET_DATA => set_data::SetData::decode(reader),
        op::CHECK => check::Check::decode(reader),
        _ => Err(Malformed::Value),
    };
    read_list(reader, limits::MULTI_OPS_MAX, write)
}

/// Appends the request record; returns the operation code.
pub(crate) fn encode(writes: &[Write], out: &mut Vec<u8>) -> Result<i32, NotForwarded> {
    let first = out.len();
    for write in writes {
        let start = out.len();
        put_request_header(op::ERROR, out);
        let encoded = match write {
            Write::Create(create) => create.encode_in_multi(out),
            other => other.encode(out),
        };
        match encoded {
            Ok(code) => out[start..start + 4].copy_from_slice(&code.to_be_bytes()),
            Err(refused) => {
                out.truncate(first);
                return Err(refused);
            }
        }
    }
    put_end(out);
    Ok(op::MULTI)
}

/// Prepares one after the other, each seeing those before it. A refusal undoes what was noted and
/// turns the whole into a list of errors: 0 before it, its own code, -2 behind it. Where ZooKeeper
/// fails on a part instead of refusing it, the whole is refused.
pub fn prepare(writes: Vec<Write>, prepare: &mut Prepare<'_>) -> Result<TxnBody, Code> {
    let savepoint = prepare.pending.savepoint();
    let count = writes.len();
    let mut bodies = Vec::with_capacity(count);
    for write in writes {
        match write.prepare(prepare) {
            Ok(body) => bodies.push(body),
            Err(code) => {
                let failed = bodies.len();
                prepare.pending.roll_back(savepoint);
                return match code {
                    Code::MarshallingError => Err(code),
                    code => Ok(TxnBody::Multi(refusals(count, failed, code))),
                };
            }
        }
    }
    prepare.pending.release(savepoint);
    Ok(TxnBody::Multi(bodies))
}

fn refusals(count: usize, failed: usize, code: Code) -> Vec<TxnBody> {
    let at = |index: usize| match index.cmp(&failed) {
        std::cmp::Ordering::Less => Code::Ok,
        std::cmp::Ordering::Equal => code,
        std::cmp::Ordering::Greater => Code::RuntimeInconsistency,
    };
    (0..count).map(|index| TxnBody::Error(at(index))).collect()
}

/// Applies a multi that was prepared: all of its parts are refusals, or none is.
pub(crate) fn apply(bodies: &[TxnBody], applying: &mut Applying<'_>) -> Result<OpResult, Misfit> {
    check_parts(bodies.iter().map(Part::of))?;
    let results: Result<Vec<OpResult>, Misfit> =
        bodies.iter().map(|body| super::apply(body, applying)).collect();
    results.map(OpResult::Multi)
}

/// What a part of a multi is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// It changes a node, or has checked one.
    Change,
    /// It was refused, and the whole with it.
    Refusal,
    /// Sessions, members of the ensemble and other multis cannot be part of a multi.
    Foreign,
}

impl Part {
    /// What it is.
    pub(super) fn of(body: &TxnBody) -> Part {
        match body {
            TxnBody::Error(_) => Part::Refusal,
            TxnBody::Multi(_)
            | TxnBody::Reconfig { .. }
            | TxnBody::CreateSession { .. }
            | TxnBody::CloseSession { .. } => Part::Foreign,
            TxnBody::Create(_)
            | TxnBody::Delete { .. }
            | TxnBody::SetData { .. }
            | TxnBody::SetAcl { .. }
            | TxnBody::Check { .. } => Part::Change,
        }
    }
}

/// Whether these can be the parts of one multi.
pub(super) fn check_parts(parts: impl Iterator<Item = Part>) -> Result<(), Misfit> {
    let (mut changes, mut refusals) = (false, false);
    for part in parts {
        match part {
            Part::Change => changes = true,
            Part::Refusal => refusals = true,
            Part::Foreign => return Err(Misfit::Multi),
        }
    }
    if changes && refusals { Err(Misfit::Multi) } else { Ok(()) }
}

/// Appends the results. Containers and TTL nodes are answered under the number of create2.
pub fn write_results(results: &[OpResult], out: &mut Vec<u8>) {
    for result in results {
        let (op_code, shape) = match result {
            OpResult::Refused(code) => {
                put_error(*code, out);
                continue;
            }
            OpResult::Created { op: crate::txn::CreateOp::Create, .. } => {
                (op::CREATE, ReplyShape::Path)
            }
            OpResult::Created { .. } => (op::CREATE2, ReplyShape::PathAndStat),
            OpResult::Deleted => (op::DELETE, ReplyShape::Empty),
            OpResult::Set(_) => (op::SET_DATA, ReplyShape::Stat),
            OpResult::AclSet(_) => (op::SET_ACL, ReplyShape::Stat),
            OpResult::Checked => (op::CHECK, ReplyShape::Empty),
            OpResult::Multi(_)
            | OpResult::Reconfigured { .. }
            | OpResult::SessionOpened
            | OpResult::SessionClosed => {
                panic!("a multi was applied with an operation that it cannot hold")
            }
        };
        put_result_header(op_code, out);
        write_reply(shape, result, out);
    }
    put_end(out);
}
