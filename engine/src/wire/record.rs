//! The records that several messages share: `Id`, `ACL`, `Stat`.

use std::borrow::Cow;

use super::jute::{Malformed, Put, Reader};

/// Permission bits of an ACL entry.
pub mod perms {
    /// Read data and list children.
    pub const READ: i32 = 1;
    /// Set data.
    pub const WRITE: i32 = 2;
    /// Create children.
    pub const CREATE: i32 = 4;
    /// Delete children.
    pub const DELETE: i32 = 8;
    /// Set the ACL.
    pub const ADMIN: i32 = 16;
    /// All of them.
    pub const ALL: i32 = 31;
}

/// An identity under a scheme, such as `digest` / `user:hash`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Id {
    /// The scheme.
    pub scheme: String,
    /// The identity, in the scheme's own form.
    pub id: String,
}

impl Id {
    /// Any client.
    pub fn anyone() -> Id {
        Id { scheme: "world".into(), id: "anyone".into() }
    }
}

/// One entry of an access control list. `perms` is stored as it came, also outside 0..=31.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Acl {
    /// Bits of [`perms`].
    pub perms: i32,
    /// The identity that gets them.
    pub id: Id,
}

impl Acl {
    /// Every client has every permission: ZooKeeper's `OPEN_ACL_UNSAFE`.
    pub fn open() -> Acl {
        Acl { perms: perms::ALL, id: Id::anyone() }
    }

    /// Reads one entry of a list that a server has set. The identities of some schemes are never
    /// null in one.
    pub fn read(reader: &mut Reader<'_>) -> Result<Acl, Malformed> {
        let SentAcl { perms, scheme, id } = SentAcl::read(reader)?;
        let scheme = scheme.unwrap_or_default();
        if id.is_none() && matches!(scheme.as_str(), "world" | "digest" | "ip") {
            return Err(Malformed::Null);
        }
        Ok(Acl { perms, id: Id { scheme, id: id.unwrap_or_default() } })
    }

    /// Reads a list that a server has set; the null list is an empty one.
    pub fn read_list(reader: &mut Reader<'_>) -> Result<Vec<Acl>, Malformed> {
        let Some(count) = reader.vector(12)? else { return Ok(Vec::new()) };
        (0..count).map(|_| Acl::read(reader)).collect()
    }

    /// Writes one entry.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.put_int(self.perms);
        out.put_string(&self.id.scheme);
        out.put_string(&self.id.id);
    }

    /// Writes a list as Java answers it; the log keeps plain UTF-8, which survives reading back.
    pub fn reply_list(list: &[Acl], out: &mut Vec<u8>) {
        out.put_count(list.len());
        for acl in list {
            out.put_int(acl.perms);
            out.put_java_string(&acl.id.scheme);
            out.put_java_string(&acl.id.id);
        }
    }

    /// Writes a list.
    pub fn write_list(list: &[Acl], out: &mut Vec<u8>) {
        out.put_count(list.len());
        for acl in list {
            acl.write(out);
        }
    }
}

/// One entry of a list as a client sends it. What is null is found when the list is judged, behind
/// everything that is judged before it: see [`crate::acl::fix_up`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SentAcl {
    /// Bits of [`perms`].
    pub perms: i32,
    /// The scheme.
    pub scheme: Option<String>,
    /// The identity, in the scheme's own form.
    pub id: Option<String>,
}

impl SentAcl {
    /// Reads a list where null and empty make a difference.
    pub fn read_list(reader: &mut Reader<'_>) -> Result<Option<Vec<SentAcl>>, Malformed> {
        let Some(count) = reader.vector(12)? else { return Ok(None) };
        (0..count).map(|_| SentAcl::read(reader)).collect::<Result<_, _>>().map(Some)
    }

    fn read(reader: &mut Reader<'_>) -> Result<SentAcl, Malformed> {
        let perms = reader.int()?;
        let scheme = reader.ustring()?.map(Cow::into_owned);
        let id = reader.ustring()?.map(Cow::into_owned);
        Ok(SentAcl { perms, scheme, id })
    }

    /// Writes a list.
    pub fn write_list(list: Option<&[SentAcl]>, out: &mut Vec<u8>) {
        let Some(list) = list else { return out.put_int(-1) };
        out.put_count(list.len());
        for entry in list {
            out.put_int(entry.perms);
            out.put_buffer(entry.scheme.as_deref().map(str::as_bytes));
            out.put_buffer(entry.id.as_deref().map(str::as_bytes));
        }
    }
}

impl From<Acl> for SentAcl {
    fn from(Acl { perms, id: Id { scheme, id } }: Acl) -> SentAcl {
        SentAcl { perms, scheme: Some(scheme), id: Some(id) }
    }
}

/// What clients see of a znode beside its data: 68 bytes on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stat {
    /// Zxid of the creating transaction.
    pub czxid: i64,
    /// Zxid of the last change of the data.
    pub mzxid: i64,
    /// Wall clock of the creation, milliseconds.
    pub ctime: i64,
    /// Wall clock of the last change of the data, milliseconds.
    pub mtime: i64,
    /// Changes of the data.
    pub version: i32,
    /// Creations plus deletions of direct children.
    pub cversion: i32,
    /// Changes of the ACL.
    pub aversion: i32,
    /// The owning session of an ephemeral node; 0 for every other kind.
    pub ephemeral_owner: i64,
    /// Bytes of data; 0 for null.
    pub data_length: i32,
    /// Direct children.
    pub num_children: i32,
    /// Zxid of the last creation or deletion of a direct child.
    pub pzxid: i64,
}

impl Stat {
    /// Reads a stat.
    pub fn read(reader: &mut Reader<'_>) -> Result<Stat, Malformed> {
        Ok(Stat {
            czxid: reader.long()?,
            mzxid: reader.long()?,
            ctime: reader.long()?,
            mtime: reader.long()?,
            version: reader.int()?,
            cversion: reader.int()?,
            aversion: reader.int()?,
            ephemeral_owner: reader.long()?,
            data_length: reader.int()?,
            num_children: reader.int()?,
            pzxid: reader.long()?,
        })
    }

    /// Writes the 68 bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.put_long(self.czxid);
        out.put_long(self.mzxid);
        out.put_long(self.ctime);
        out.put_long(self.mtime);
        out.put_int(self.version);
        out.put_int(self.cversion);
        out.put_int(self.aversion);
        out.put_long(self.ephemeral_owner);
        out.put_int(self.data_length);
        out.put_int(self.num_children);
        out.put_long(self.pzxid);
    }
}
