//! Whether bytes are a transaction, found out without making one of them: what another server has
//! framed for the log goes there as it is, and is applied from its bytes.

use super::{CONFIG_NODE, Depth, TxnHeader};
use crate::wire::opcode::op;
use crate::wire::{Malformed, Reader};

/// Reads the header, and passes over the record behind it as [`super::Txn::read`] reads it.
///
/// # Errors
/// Those of [`super::Txn::read`].
pub(crate) fn check(bytes: &[u8]) -> Result<TxnHeader, Malformed> {
    let mut reader = Reader::new(bytes);
    let header = TxnHeader::read(&mut reader)?;
    check_record(header.type_code, &mut reader, Depth::Outer)?;
    Ok(header)
}

fn check_record(type_code: i32, reader: &mut Reader<'_>, depth: Depth) -> Result<(), Malformed> {
    match type_code {
        op::CREATE | op::CREATE2 | op::CREATE_CONTAINER | op::CREATE_TTL => {
            check_create(type_code, reader)
        }
        op::DELETE | op::DELETE_CONTAINER => path(reader),
        op::SET_DATA => set_data(reader),
        op::RECONFIG if depth == Depth::Outer => {
            let mut ahead = reader.clone();
            if ahead.string()? != CONFIG_NODE {
                return Err(Malformed::Value);
            }
            set_data(reader)
        }
        op::SET_ACL => {
            path(reader)?;
            acl(reader)?;
            reader.int().map(drop)
        }
        op::CHECK => {
            path(reader)?;
            reader.int().map(drop)
        }
        op::MULTI if depth == Depth::Outer => {
            for _ in 0..reader.vector(8)?.unwrap_or(0) {
                let type_code = reader.int()?;
                let record = reader.buffer()?.ok_or(Malformed::Null)?;
                check_record(type_code, &mut Reader::new(record), Depth::InMulti)?;
            }
            Ok(())
        }
        op::CREATE_SESSION if depth == Depth::Outer => reader.int().map(drop),
        op::CLOSE_SESSION if depth == Depth::Outer => {
            let count = reader.vector(4)?.unwrap_or(0);
            (0..count).try_for_each(|_| path(reader))
        }
        op::ERROR => reader.int().map(drop),
        _ => Err(Malformed::Value),
    }
}

fn check_create(type_code: i32, reader: &mut Reader<'_>) -> Result<(), Malformed> {
    path(reader)?;
    reader.buffer()?;
    acl(reader)?;
    if matches!(type_code, op::CREATE | op::CREATE2) {
        reader.bool()?;
    }
    reader.int()?;
    if type_code == op::CREATE_TTL {
        reader.long()?;
    }
    Ok(())
}

fn set_data(reader: &mut Reader<'_>) -> Result<(), Malformed> {
    path(reader)?;
    reader.buffer()?;
    reader.int().map(drop)
}

/// Any bytes are a path: see [`Reader::ustring`].
fn path(reader: &mut Reader<'_>) -> Result<(), Malformed> {
    reader.buffer()?.ok_or(Malformed::Null).map(drop)
}

fn acl(reader: &mut Reader<'_>) -> Result<(), Malformed> {
    let count = reader.vector(12)?.unwrap_or(0);
    for _ in 0..count {
        reader.int()?;
        let scheme = reader.buffer()?.unwrap_or_default();
        // ZooKeeper fails on it instead of finding it invalid: see [`crate::wire::Acl::read`].
        if reader.buffer()?.is_none() && matches!(scheme, b"world" | b"digest" | b"ip") {
            return Err(Malformed::Null);
        }
    }
    Ok(())
}
