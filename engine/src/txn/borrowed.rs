//! Transactions as they stand in the log. Most of a log is creations, deletions and new data; to
//! replay those, nothing needs to be copied out of it but what the tree keeps.

use std::borrow::Cow;

use super::{AclList, CreateOp, CreateTxn, Depth, NodeKind, TxnBody};
use crate::wire::opcode::op;
use crate::wire::{Acl, Malformed, Reader};
use crate::{Millis, SessionId, Zxid};

/// A transaction in its bytes.
#[derive(Debug)]
pub(crate) struct TxnRef<'a> {
    pub(crate) session: SessionId,
    pub(crate) zxid: Zxid,
    pub(crate) time: Millis,
    pub(crate) body: BodyRef<'a>,
}

/// What changes.
#[derive(Debug)]
pub(crate) enum BodyRef<'a> {
    Create(CreateRef<'a>),
    SetData { path: Cow<'a, str>, data: Option<&'a [u8]>, version: i32 },
    Delete { path: Cow<'a, str> },
    Refused,
    Multi(Vec<BodyRef<'a>>),
    Other(Cow<'a, TxnBody>),
}

/// A node that is created; [`super::CreateTxn`] says what the fields are.
#[derive(Debug)]
pub(crate) struct CreateRef<'a> {
    pub(crate) op: CreateOp,
    pub(crate) path: Cow<'a, str>,
    pub(crate) data: Option<&'a [u8]>,
    pub(crate) acl: AclList,
    pub(crate) kind: NodeKind,
    pub(crate) parent_cversion: i32,
}

impl<'a> TxnRef<'a> {
    /// Reads header and record, as [`super::Txn::read`] does.
    pub(crate) fn read(bytes: &'a [u8], acls: &mut AclMemo) -> Result<TxnRef<'a>, Malformed> {
        let mut reader = Reader::new(bytes);
        let session = SessionId(reader.long()?);
        // The client's number: nobody waits for what is replayed.
        reader.int()?;
        let zxid = Zxid::from_wire(reader.long()?);
        let time = Millis(reader.long()?);
        let kind = reader.int()?;
        let body = BodyRef::read(kind, &mut reader, (session, Depth::Outer), acls)?;
        Ok(TxnRef { session, zxid, time, body })
    }
}

impl<'a> BodyRef<'a> {
    fn read(
        kind: i32,
        reader: &mut Reader<'a>,
        (session, depth): (SessionId, Depth),
        acls: &mut AclMemo,
    ) -> Result<BodyRef<'a>, Malformed> {
        Ok(match kind {
            op::CREATE | op::CREATE2 | op::CREATE_CONTAINER | op::CREATE_TTL => {
                let acl = |reader: &mut Reader<'_>| acls.read(reader);
                BodyRef::Create(CreateRef::read(kind, reader, session, acl)?)
            }
            op::SET_DATA => BodyRef::SetData {
                path: reader.string()?,
                data: reader.buffer()?,
                version: reader.int()?,
            },
            op::DELETE | op::DELETE_CONTAINER => BodyRef::Delete { path: reader.string()? },
            op::ERROR => {
                reader.int()?;
                BodyRef::Refused
            }
            op::MULTI if depth == Depth::Outer => {
                let count = reader.vector(8)?.unwrap_or(0);
                let mut parts = Vec::with_capacity(count);
                for _ in 0..count {
                    let kind = reader.int()?;
                    let mut part = Reader::new(reader.buffer()?.ok_or(Malformed::Null)?);
                    parts.push(BodyRef::read(kind, &mut part, (session, Depth::InMulti), acls)?);
                }
                BodyRef::Multi(parts)
            }
            kind => BodyRef::Other(Cow::Owned(TxnBody::read(kind, reader, session, depth)?)),
        })
    }
}

impl<'a> From<&'a TxnBody> for BodyRef<'a> {
    fn from(body: &'a TxnBody) -> BodyRef<'a> {
        match body {
            TxnBody::Create(create) => BodyRef::Create(create.into()),
            TxnBody::SetData { path, data, version } => {
                let path = Cow::Borrowed(&**path);
                BodyRef::SetData { path, data: data.as_deref(), version: *version }
            }
            TxnBody::Delete { path, .. } => BodyRef::Delete { path: Cow::Borrowed(path) },
            TxnBody::Error(_) => BodyRef::Refused,
            TxnBody::Multi(parts) => BodyRef::Multi(parts.iter().map(BodyRef::from).collect()),
            TxnBody::SetAcl { .. }
            | TxnBody::Reconfig { .. }
            | TxnBody::Check { .. }
            | TxnBody::CreateSession { .. }
            | TxnBody::CloseSession { .. } => BodyRef::Other(Cow::Borrowed(body)),
        }
    }
}

impl<'a> From<&'a CreateTxn> for CreateRef<'a> {
    fn from(create: &'a CreateTxn) -> CreateRef<'a> {
        CreateRef {
            op: create.op,
            path: Cow::Borrowed(&create.path),
            data: create.data.as_deref(),
            acl: create.acl.clone(),
            kind: create.kind,
            parent_cversion: create.parent_cversion,
        }
    }
}

impl<'a> CreateRef<'a> {
    pub(super) fn read(
        type_code: i32,
        reader: &mut Reader<'a>,
        session: SessionId,
        acl: impl FnOnce(&mut Reader<'_>) -> Result<AclList, Malformed>,
    ) -> Result<CreateRef<'a>, Malformed> {
        let path = reader.string()?;
        let data = reader.buffer()?;
        let acl = acl(reader)?;
        let (op, ephemeral) = match type_code {
            op::CREATE => (CreateOp::Create, reader.bool()?),
            op::CREATE2 => (CreateOp::Create2, reader.bool()?),
            op::CREATE_CONTAINER => (CreateOp::Container, false),
            _ => (CreateOp::Ttl, false),
        };
        let parent_cversion = reader.int()?;
        let kind = match op {
            CreateOp::Container => NodeKind::Container,
            CreateOp::Ttl => NodeKind::Ttl(reader.long()?),
            CreateOp::Create | CreateOp::Create2 if ephemeral => NodeKind::Ephemeral(session),
            CreateOp::Create | CreateOp::Create2 => NodeKind::Persistent,
        };
        Ok(CreateRef { op, path, data, acl, kind, parent_cversion })
    }
}

/// The list that was read last, and its bytes: one creation usually carries the same as the one
/// before it.
#[derive(Debug, Default)]
pub(crate) struct AclMemo {
    bytes: Vec<u8>,
    list: Option<AclList>,
}

impl AclMemo {
    /// Reads a list. Its bytes say where it ends, so bytes that begin like those of another list
    /// are that list.
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<AclList, Malformed> {
        let before = reader.rest();
        if let Some(list) = self.list.as_ref().filter(|_| before.starts_with(&self.bytes)) {
            reader.bytes(self.bytes.len())?;
            return Ok(list.clone());
        }
        let list = AclList::from(Acl::read_list(reader)?);
        self.bytes.clear();
        self.bytes.extend_from_slice(&before[..before.len() - reader.rest().len()]);
        self.list = Some(list.clone());
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;
    use crate::txn::{CreateTxn, Txn, check};
    use crate::wire::Id;

    /// What is kept of a transaction that is only to be replayed.
    fn replayed(txn: &Txn) -> String {
        let Txn { session, zxid, time, .. } = *txn;
        let body = BodyRef::from(&txn.body);
        format!("{:?}", TxnRef { session, zxid, time, body })
    }

    fn bodies() -> Vec<TxnBody> {
        let who = |who: &str| Acl { perms: 31, id: Id { scheme: "digest".into(), id: who.into() } };
        let lists = [
            AclList::from([Acl::open()]),
            AclList::from([]),
            AclList::from([who("a")]),
            AclList::from([who("a"), who("b")]),
            AclList::from([who("ab")]),
        ];
        let kinds = [
            (CreateOp::Create, NodeKind::Persistent),
            (CreateOp::Create2, NodeKind::Ephemeral(SessionId(3))),
            (CreateOp::Container, NodeKind::Container),
            (CreateOp::Ttl, NodeKind::Ttl(77)),
        ];
        let mut bodies = vec![
            TxnBody::Error(Code::NoNode),
            TxnBody::SetData { path: "/a".into(), data: None, version: 4 },
            TxnBody::SetData { path: "/a".into(), data: Some([].into()), version: i32::MIN },
        ];
        for acl in lists.iter().chain(&lists[..2]) {
            for (op, kind) in kinds {
                let (path, acl) = ("/a/b".into(), acl.clone());
                let data = Some([7; 9].into());
                let create = CreateTxn { op, path, data, acl, kind, parent_cversion: 5 };
                bodies.push(TxnBody::Create(create));
            }
        }
        bodies.push(TxnBody::Multi(bodies.clone()));
        bodies.push(TxnBody::CloseSession { paths: vec!["/x".into()] });
        bodies.push(TxnBody::CreateSession { timeout_ms: 4_000 });
        bodies.push(TxnBody::Reconfig { data: Some([7; 9].into()), version: -1 });
        bodies
    }

    fn assert_same(bytes: &[u8], acls: &mut AclMemo) {
        let owned = Txn::read(bytes);
        let read = TxnRef::read(bytes, acls).map(|read| format!("{read:?}"));
        assert_eq!(read, owned.as_ref().map(replayed).map_err(|why| *why));
        assert_eq!(check(bytes).map(|header| header.zxid), owned.map(|txn| txn.zxid));
    }

    #[test]
    fn borrowed_and_owned_readers_and_the_check_agree_on_good_and_damaged_bytes() {
        let mut acls = AclMemo::default();
        for (n, body) in bodies().into_iter().enumerate() {
            let zxid = Zxid(n as u64);
            let txn = Txn { session: SessionId(3), cxid: 1, zxid, time: Millis(2), body };
            let mut bytes = Vec::new();
            txn.write(&mut bytes);
            let read = TxnRef::read(&bytes, &mut acls).unwrap();
            assert_eq!(format!("{read:?}"), replayed(&txn));
            for cut in 0..bytes.len() {
                assert_same(&bytes[..cut], &mut acls);
            }
            for at in 28..bytes.len() {
                let mut damaged = bytes.clone();
                damaged[at] = damaged[at].wrapping_mul(31).wrapping_add(0x80);
                assert_same(&damaged, &mut acls);
            }
        }
    }
}
