//! The bytes of a transaction: ZooKeeper's `TxnHeader`, then the record of its type.

use std::sync::Arc;

use super::{
    AclList, CONFIG_NODE, CreateOp, CreateRef, CreateTxn, DeleteCause, Depth, NodeKind, Txn,
    TxnBody,
};
use crate::wire::opcode::op;
use crate::wire::{Acl, Malformed, Put, Reader};
use crate::{Code, Millis, SessionId, Zxid};

impl Txn {
    /// Appends header and record.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.put_long(self.session.0);
        out.put_int(self.cxid);
        out.put_long(self.zxid.to_wire());
        out.put_long(self.time.0);
        out.put_int(self.body.type_code());
        self.body.write(out);
    }

    /// Reads header and record.
    pub fn read(bytes: &[u8]) -> Result<Txn, Malformed> {
        let mut reader = Reader::new(bytes);
        let header = TxnHeader::read(&mut reader)?;
        let body = TxnBody::read_whole(header.type_code, &mut reader, header.session)?;
        Ok(header.with(body))
    }
}

/// What stands in front of every record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TxnHeader {
    pub(crate) session: SessionId,
    pub(crate) cxid: i32,
    pub(crate) zxid: Zxid,
    pub(crate) time: Millis,
    pub(crate) type_code: i32,
}

impl TxnHeader {
    /// Bytes of a header.
    pub(crate) const BYTES: usize = 32;

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<TxnHeader, Malformed> {
        Ok(TxnHeader {
            session: SessionId(reader.long()?),
            cxid: reader.int()?,
            zxid: Zxid::from_wire(reader.long()?),
            time: Millis(reader.long()?),
            type_code: reader.int()?,
        })
    }

    /// The transaction with this header.
    pub(crate) fn with(self, body: TxnBody) -> Txn {
        let TxnHeader { session, cxid, zxid, time, .. } = self;
        Txn { session, cxid, zxid, time, body }
    }
}

impl TxnBody {
    /// The number that stands in the log for this kind of transaction.
    pub fn type_code(&self) -> i32 {
        match self {
            TxnBody::Create(create) => create.op.type_code(),
            TxnBody::Delete { cause: DeleteCause::Client, .. } => op::DELETE,
            TxnBody::Delete { cause: DeleteCause::Expiry, .. } => op::DELETE_CONTAINER,
            TxnBody::SetData { .. } => op::SET_DATA,
            TxnBody::Reconfig { .. } => op::RECONFIG,
            TxnBody::SetAcl { .. } => op::SET_ACL,
            TxnBody::Check { .. } => op::CHECK,
            TxnBody::Multi(_) => op::MULTI,
            TxnBody::CreateSession { .. } => op::CREATE_SESSION,
            TxnBody::CloseSession { .. } => op::CLOSE_SESSION,
            TxnBody::Error(_) => op::ERROR,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            TxnBody::Create(create) => create.write(out),
            TxnBody::Delete { path, .. } => out.put_string(path),
            TxnBody::SetData { path, data, version } => {
                out.put_string(path);
                out.put_buffer(data.as_deref());
                out.put_int(*version);
            }
            TxnBody::Reconfig { data, version } => {
                out.put_string(CONFIG_NODE);
                out.put_buffer(data.as_deref());
                out.put_int(*version);
            }
            TxnBody::SetAcl { path, acl, version } => {
                out.put_string(path);
                Acl::write_list(acl, out);
                out.put_int(*version);
            }
            TxnBody::Check { path, version } => {
                out.put_string(path);
                out.put_int(*version);
            }
            TxnBody::Multi(bodies) => write_multi(bodies, out),
            TxnBody::CreateSession { timeout_ms } => out.put_int(*timeout_ms),
            TxnBody::CloseSession { paths } => {
                out.put_count(paths.len());
                paths.iter().for_each(|path| out.put_string(path));
            }
            TxnBody::Error(code) => out.put_int(code.to_wire()),
        }
    }

    /// Reads the record behind a header.
    pub(crate) fn read_whole(
        type_code: i32,
        reader: &mut Reader<'_>,
        session: SessionId,
    ) -> Result<TxnBody, Malformed> {
        TxnBody::read(type_code, reader, session, Depth::Outer)
    }

    pub(super) fn read(
        type_code: i32,
        reader: &mut Reader<'_>,
        session: SessionId,
        depth: Depth,
    ) -> Result<TxnBody, Malformed> {
        Ok(match type_code {
            op::CREATE | op::CREATE2 | op::CREATE_CONTAINER | op::CREATE_TTL => {
                TxnBody::Create(CreateTxn::read(type_code, reader, session)?)
            }
            op::DELETE => TxnBody::Delete { path: path(reader)?, cause: DeleteCause::Client },
            op::DELETE_CONTAINER => {
                TxnBody::Delete { path: path(reader)?, cause: DeleteCause::Expiry }
            }
            op::SET_DATA => TxnBody::SetData {
                path: path(reader)?,
                data: reader.buffer()?.map(Box::from),
                version: reader.int()?,
            },
            op::RECONFIG if depth == Depth::Outer => read_reconfig(reader)?,
            op::SET_ACL => {
                TxnBody::SetAcl { path: path(reader)?, acl: acl(reader)?, version: reader.int()? }
            }
            op::CHECK => TxnBody::Check { path: path(reader)?, version: reader.int()? },
            op::MULTI if depth == Depth::Outer => TxnBody::Multi(read_multi(reader, session)?),
            op::CREATE_SESSION if depth == Depth::Outer => {
                TxnBody::CreateSession { timeout_ms: reader.int()? }
            }
            op::CLOSE_SESSION if depth == Depth::Outer => {
                let count = reader.vector(4)?.unwrap_or(0);
                let paths = (0..count).map(|_| path(reader)).collect::<Result<_, _>>()?;
                TxnBody::CloseSession { paths }
            }
            op::ERROR => TxnBody::Error(refusal(reader.int()?, depth)),
            _ => return Err(Malformed::Value),
        })
    }
}

impl CreateOp {
    /// The number of the operation.
    pub fn type_code(self) -> i32 {
        match self {
            CreateOp::Create => op::CREATE,
            CreateOp::Create2 => op::CREATE2,
            CreateOp::Container => op::CREATE_CONTAINER,
            CreateOp::Ttl => op::CREATE_TTL,
        }
    }
}

impl CreateTxn {
    /// `createContainer` with any flag makes a container and `create` never does, so the type
    /// and the one boolean say the kind (protocol, section 18).
    fn write(&self, out: &mut Vec<u8>) {
        out.put_string(&self.path);
        out.put_buffer(self.data.as_deref());
        Acl::write_list(&self.acl, out);
        if matches!(self.op, CreateOp::Create | CreateOp::Create2) {
            out.put_bool(matches!(self.kind, NodeKind::Ephemeral(_)));
        }
        out.put_int(self.parent_cversion);
        if let (CreateOp::Ttl, NodeKind::Ttl(ms)) = (self.op, self.kind) {
            out.put_long(ms);
        }
    }

    fn read(
        type_code: i32,
        reader: &mut Reader<'_>,
        session: SessionId,
    ) -> Result<CreateTxn, Malformed> {
        let create = CreateRef::read(type_code, reader, session, acl)?;
        Ok(CreateTxn {
            op: create.op,
            path: Arc::from(create.path),
            data: create.data.map(Box::from),
            acl: create.acl,
            kind: create.kind,
            parent_cversion: create.parent_cversion,
        })
    }
}

/// A record of setData, which is about one node only.
fn read_reconfig(reader: &mut Reader<'_>) -> Result<TxnBody, Malformed> {
    if reader.string()? != CONFIG_NODE {
        return Err(Malformed::Value);
    }
    Ok(TxnBody::Reconfig { data: reader.buffer()?.map(Box::from), version: reader.int()? })
}

/// A multi is a vector of (type, buffer that holds the record).
fn write_multi(bodies: &[TxnBody], out: &mut Vec<u8>) {
    out.put_count(bodies.len());
    for body in bodies {
        out.put_int(body.type_code());
        let start = out.len();
        out.put_int(0);
        body.write(out);
        crate::wire::header::finish_frame(out, start);
    }
}

fn read_multi(reader: &mut Reader<'_>, session: SessionId) -> Result<Vec<TxnBody>, Malformed> {
    let count = reader.vector(8)?.unwrap_or(0);
    let mut bodies = Vec::with_capacity(count);
    for _ in 0..count {
        let type_code = reader.int()?;
        let record = reader.buffer()?.ok_or(Malformed::Null)?;
        bodies.push(TxnBody::read(type_code, &mut Reader::new(record), session, Depth::InMulti)?);
    }
    Ok(bodies)
}

/// A leader of ZooKeeper's that applies a multi with a refusal makes refusals of the parts before
/// it and leaves their records as they are (`DataTree.processTxn`). From then on it sends and logs
/// them so: what stands in the position of the code is the length of a path. Codes are never
/// positive.
fn refusal(raw: i32, depth: Depth) -> Code {
    match Code::from_wire(raw) {
        Some(code) => code,
        None if raw > 0 && depth == Depth::InMulti => Code::Ok,
        None => Code::SystemError,
    }
}

fn path(reader: &mut Reader<'_>) -> Result<Arc<str>, Malformed> {
    Ok(Arc::from(reader.string()?))
}

fn acl(reader: &mut Reader<'_>) -> Result<AclList, Malformed> {
    Ok(Acl::read_list(reader)?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(op: CreateOp, kind: NodeKind) -> TxnBody {
        TxnBody::Create(CreateTxn {
            op,
            path: "/a/b".into(),
            data: Some(Box::from(*b"data")),
            acl: [Acl::open()].into(),
            kind,
            parent_cversion: 7,
        })
    }

    #[test]
    fn every_kind_of_transaction_survives_the_log() {
        let session = SessionId(0x100_0000_0001);
        let path: Arc<str> = "/a".into();
        let acl: AclList = [Acl::open()].into();
        let bodies = vec![
            create(CreateOp::Create, NodeKind::Persistent),
            create(CreateOp::Create2, NodeKind::Ephemeral(session)),
            create(CreateOp::Container, NodeKind::Container),
            create(CreateOp::Ttl, NodeKind::Ttl(5_000)),
            TxnBody::Delete { path: path.clone(), cause: DeleteCause::Client },
            TxnBody::Delete { path: path.clone(), cause: DeleteCause::Expiry },
            TxnBody::SetData { path: path.clone(), data: None, version: 3 },
            TxnBody::SetAcl { path: path.clone(), acl, version: 1 },
            TxnBody::Check { path: path.clone(), version: -1 },
            TxnBody::Error(Code::NoNode),
        ];
        let outer = [
            TxnBody::Multi(bodies.clone()),
            TxnBody::Multi(Vec::new()),
            TxnBody::CreateSession { timeout_ms: 4_000 },
            TxnBody::CloseSession { paths: vec![path] },
            TxnBody::Reconfig { data: Some(Box::from(*b"version=1")), version: -1 },
            TxnBody::Reconfig { data: None, version: 0 },
        ];
        for body in bodies.into_iter().chain(outer) {
            let txn = Txn { session, cxid: 9, zxid: Zxid(77), time: Millis(1), body };
            let mut bytes = Vec::new();
            txn.write(&mut bytes);
            assert_eq!(Txn::read(&bytes), Ok(txn));
        }
    }

    /// Seen from Apache ZooKeeper 3.9.5, in the DIFF behind a leader change.
    #[test]
    fn refusal_in_a_multi_with_the_record_of_another_type_is_one_without_a_reason() {
        let session = SessionId(1);
        let mut bytes = Vec::new();
        bytes.put_int(2);
        let mut record = Vec::new();
        record.put_string("/a");
        record.put_int(3);
        for (type_code, record) in [(op::ERROR, &record[..]), (op::ERROR, &[255, 255, 255, 153])] {
            bytes.put_int(type_code);
            bytes.put_buffer(Some(record));
        }
        let read = TxnBody::read_whole(op::MULTI, &mut Reader::new(&bytes), session);
        let codes = [Code::Ok, Code::BadVersion].map(TxnBody::Error);
        assert_eq!(read, Ok(TxnBody::Multi(codes.into())));
        let alone = TxnBody::read_whole(op::ERROR, &mut Reader::new(&record), session);
        assert_eq!(alone, Ok(TxnBody::Error(Code::SystemError)));
    }

    #[test]
    fn reconfig_of_another_node_or_inside_a_multi_is_malformed() {
        let session = SessionId(1);
        let body = TxnBody::Reconfig { data: None, version: -1 };
        let mut bytes = Vec::new();
        body.write(&mut bytes);
        let read = |bytes: &[u8], depth| {
            TxnBody::read(op::RECONFIG, &mut Reader::new(bytes), session, depth)
        };
        assert_eq!(read(&bytes, Depth::Outer), Ok(body));
        assert_eq!(read(&bytes, Depth::InMulti), Err(Malformed::Value));
        bytes[5] = b'x';
        assert_eq!(read(&bytes, Depth::Outer), Err(Malformed::Value));
    }

    #[test]
    fn internal_owners_name_the_kind() {
        for kind in [
            NodeKind::Persistent,
            NodeKind::Container,
            NodeKind::Ttl(1),
            NodeKind::Ttl((1 << 40) - 1),
            NodeKind::Ephemeral(SessionId(0x0100_1234_5678_0001)),
        ] {
            assert_eq!(NodeKind::from_owner(kind.to_owner()), kind);
        }
    }
}
