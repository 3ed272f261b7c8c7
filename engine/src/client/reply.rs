//! The records that replies carry.

use std::borrow::Cow;

use crate::wire::opcode::op;
use crate::wire::{Acl, Id, Malformed, Reader, Stat};

/// What follows a reply header. The operation of the request decides which method fits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Body<'b>(pub &'b [u8]);

impl<'b> Body<'b> {
    /// Of create and sync.
    pub fn path(self) -> Result<Cow<'b, str>, Malformed> {
        Reader::new(self.0).string()
    }

    /// Of create2, and of the creation of containers and TTL nodes.
    pub fn path_stat(self) -> Result<(Cow<'b, str>, Stat), Malformed> {
        let mut reader = Reader::new(self.0);
        Ok((reader.string()?, Stat::read(&mut reader)?))
    }

    /// Of exists, setData and setACL.
    pub fn stat(self) -> Result<Stat, Malformed> {
        Stat::read(&mut Reader::new(self.0))
    }

    /// Of getData and reconfig.
    pub fn data_stat(self) -> Result<(Option<&'b [u8]>, Stat), Malformed> {
        let mut reader = Reader::new(self.0);
        Ok((reader.buffer()?, Stat::read(&mut reader)?))
    }

    /// Of getACL.
    pub fn acl_stat(self) -> Result<(Vec<Acl>, Stat), Malformed> {
        let mut reader = Reader::new(self.0);
        Ok((Acl::read_list(&mut reader)?, Stat::read(&mut reader)?))
    }

    /// Of getChildren and getEphemerals.
    pub fn names(self) -> Result<Vec<Cow<'b, str>>, Malformed> {
        read_names(&mut Reader::new(self.0))
    }

    /// Of getChildren2.
    pub fn names_stat(self) -> Result<(Vec<Cow<'b, str>>, Stat), Malformed> {
        let mut reader = Reader::new(self.0);
        Ok((read_names(&mut reader)?, Stat::read(&mut reader)?))
    }

    /// Of getAllChildrenNumber, and of addWatch (an error record).
    pub fn number(self) -> Result<i32, Malformed> {
        Reader::new(self.0).int()
    }

    /// Of sasl.
    pub fn token(self) -> Result<Option<&'b [u8]>, Malformed> {
        Reader::new(self.0).buffer()
    }

    /// Of whoAmI.
    pub fn identities(self) -> Result<Vec<Id>, Malformed> {
        let mut reader = Reader::new(self.0);
        let count = reader.vector(8)?.unwrap_or(0);
        (0..count).map(|_| read_identity(&mut reader)).collect()
    }

    /// Of multi and multiRead.
    pub fn multi(self) -> Result<Vec<MultiResult<'b>>, Malformed> {
        let mut reader = Reader::new(self.0);
        let mut results = Vec::new();
        while let Some(result) = MultiResult::read(&mut reader)? {
            results.push(result);
        }
        Ok(results)
    }
}

/// One result of a multi or a multiRead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MultiResult<'b> {
    /// A create.
    Created {
        /// The path, suffix included.
        path: Cow<'b, str>,
    },
    /// A create2, or the creation of a container or a TTL node.
    Created2 {
        /// The path, suffix included.
        path: Cow<'b, str>,
        /// The stat of the new node.
        stat: Stat,
    },
    /// A delete.
    Deleted,
    /// A setData.
    Set(Stat),
    /// A check.
    Checked,
    /// A getData.
    Data {
        /// The data; null and empty differ.
        data: Option<Cow<'b, [u8]>>,
        /// The stat.
        stat: Stat,
    },
    /// A getChildren.
    Children(Vec<Cow<'b, str>>),
    /// A refusal: 0 before the operation at fault, its code, -2 behind it.
    Failed(i32),
}

impl<'b> MultiResult<'b> {
    /// The result, independent of the bytes it was read from.
    pub fn into_owned(self) -> MultiResult<'static> {
        match self {
            MultiResult::Created { path } => MultiResult::Created { path: own(path) },
            MultiResult::Created2 { path, stat } => MultiResult::Created2 { path: own(path), stat },
            MultiResult::Deleted => MultiResult::Deleted,
            MultiResult::Set(stat) => MultiResult::Set(stat),
            MultiResult::Checked => MultiResult::Checked,
            MultiResult::Data { data, stat } => {
                MultiResult::Data { data: data.map(|data| data.into_owned().into()), stat }
            }
            MultiResult::Children(names) => {
                MultiResult::Children(names.into_iter().map(own).collect())
            }
            MultiResult::Failed(err) => MultiResult::Failed(err),
        }
    }

    /// The next result, or `None` at the terminator.
    fn read(reader: &mut Reader<'b>) -> Result<Option<MultiResult<'b>>, Malformed> {
        let (kind, done, _) = (reader.int()?, reader.bool()?, reader.int()?);
        if done {
            return Ok(None);
        }
        Ok(Some(match kind {
            op::CREATE => MultiResult::Created { path: reader.string()? },
            op::CREATE2 => {
                MultiResult::Created2 { path: reader.string()?, stat: Stat::read(reader)? }
            }
            op::DELETE => MultiResult::Deleted,
            op::SET_DATA => MultiResult::Set(Stat::read(reader)?),
            op::CHECK => MultiResult::Checked,
            op::GET_DATA => {
                let data = reader.buffer()?.map(Cow::Borrowed);
                MultiResult::Data { data, stat: Stat::read(reader)? }
            }
            op::GET_CHILDREN => MultiResult::Children(read_names(reader)?),
            op::ERROR => MultiResult::Failed(reader.int()?),
            _ => return Err(Malformed::Value),
        }))
    }
}

fn own(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

fn read_names<'b>(reader: &mut Reader<'b>) -> Result<Vec<Cow<'b, str>>, Malformed> {
    let count = reader.vector(4)?.unwrap_or(0);
    (0..count).map(|_| reader.string()).collect()
}

fn read_identity(reader: &mut Reader<'_>) -> Result<Id, Malformed> {
    let scheme = reader.ustring()?.unwrap_or_default().into_owned();
    let id = reader.ustring()?.unwrap_or_default().into_owned();
    Ok(Id { scheme, id })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Put;

    fn header(out: &mut Vec<u8>, kind: i32, done: bool, err: i32) {
        out.put_int(kind);
        out.put_bool(done);
        out.put_int(err);
    }

    #[test]
    fn multi_results_are_read_by_their_type() {
        let stat = Stat { czxid: 5, version: 2, ..Stat::default() };
        let mut bytes = Vec::new();
        header(&mut bytes, op::CREATE2, false, 0);
        bytes.put_string("/a");
        stat.write(&mut bytes);
        header(&mut bytes, op::SET_DATA, false, 0);
        stat.write(&mut bytes);
        header(&mut bytes, op::DELETE, false, 0);
        header(&mut bytes, op::ERROR, false, -101);
        bytes.put_int(-101);
        header(&mut bytes, -1, true, -1);
        let expected = [
            MultiResult::Created2 { path: "/a".into(), stat },
            MultiResult::Set(stat),
            MultiResult::Deleted,
            MultiResult::Failed(-101),
        ];
        assert_eq!(Body(&bytes).multi().unwrap(), expected);
        assert_eq!(Body(&bytes[..bytes.len() - 1]).multi(), Err(Malformed::Truncated));
    }

    #[test]
    fn lists_of_names() {
        let mut bytes = Vec::new();
        bytes.put_count(2);
        bytes.put_string("a");
        bytes.put_string("b");
        assert_eq!(Body(&bytes).names().unwrap(), ["a", "b"]);
    }
}
