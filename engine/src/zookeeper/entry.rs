//! One entry of a transaction log: the transaction, and the digest that the tree has behind it.

use crate::Zxid;
use crate::txn::{Txn, TxnBody, TxnHeader};
use crate::wire::opcode::op;
use crate::wire::{Malformed, Reader};

/// Bytes of a digest behind a transaction.
const DIGEST_BYTES: usize = 12;

/// A transaction as it stands in a log of ZooKeeper's.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// The transaction. The end of a session has no paths where [`Entry::lists_paths`] is false.
    pub txn: Txn,
    /// Whether the end of a session says which nodes go with it, as it does from 3.6 on.
    pub lists_paths: bool,
    /// What the leader expected the tree to be.
    pub digest: Option<EntryDigest>,
}

/// The digest behind a transaction, from 3.6 on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EntryDigest {
    /// How it was counted; ours is version 2.
    pub version: i32,
    /// The digest.
    pub digest: u64,
}

impl Entry {
    /// Reads the bytes between the length and the mark at the end.
    pub fn read(bytes: &[u8]) -> Result<Entry, Malformed> {
        let mut reader = Reader::new(bytes);
        let header = TxnHeader::read(&mut reader)?;
        let (body, lists_paths) = match header.type_code {
            op::CLOSE_SESSION => close(&mut reader, header)?,
            // A new membership is written as new data of the node that shows it.
            op::RECONFIG => (record(op::SET_DATA, &mut reader, header)?, true),
            type_code => (record(type_code, &mut reader, header)?, true),
        };
        Ok(Entry { txn: header.with(body), lists_paths, digest: digest(&mut reader) })
    }

    /// The zxid of the entry in these bytes, whatever else is in them.
    pub(super) fn peek_zxid(bytes: &[u8]) -> Option<Zxid> {
        TxnHeader::read(&mut Reader::new(bytes)).ok().map(|header| header.zxid)
    }
}

fn record(
    type_code: i32,
    reader: &mut Reader<'_>,
    header: TxnHeader,
) -> Result<TxnBody, Malformed> {
    TxnBody::read_whole(type_code, reader, header.session)
}

/// Before 3.6, and where it is switched off, there is no record; a digest may stand in its place,
/// and then the record cannot be one: it would take more bytes than there are.
fn close(reader: &mut Reader<'_>, header: TxnHeader) -> Result<(TxnBody, bool), Malformed> {
    let unlisted = (TxnBody::CloseSession { paths: Vec::new() }, false);
    if reader.rest().is_empty() {
        return Ok(unlisted);
    }
    let mut ahead = reader.clone();
    if let Ok(body) = record(header.type_code, &mut ahead, header)
        && (ahead.rest().is_empty() || ahead.rest().len() == DIGEST_BYTES)
    {
        *reader = ahead;
        return Ok((body, true));
    }
    if reader.rest().len() == DIGEST_BYTES { Ok(unlisted) } else { Err(Malformed::Value) }
}

/// A log that was written without digests has none.
fn digest(reader: &mut Reader<'_>) -> Option<EntryDigest> {
    let version = reader.int().ok()?;
    let digest = reader.long().ok()? as u64;
    Some(EntryDigest { version, digest })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Put;
    use crate::{Millis, SessionId};

    fn header(type_code: i32) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.put_long(5);
        bytes.put_int(9);
        bytes.put_long(77);
        bytes.put_long(1);
        bytes.put_int(type_code);
        bytes
    }

    fn paths(entry: &Entry) -> usize {
        match &entry.txn.body {
            TxnBody::CloseSession { paths } => paths.len(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_end_of_a_session_with_and_without_paths_and_digest() {
        let digest = |bytes: &mut Vec<u8>| {
            bytes.put_int(2);
            bytes.put_long(0x2f00_0000_0000);
        };
        let bare = header(op::CLOSE_SESSION);
        let entry = Entry::read(&bare).unwrap();
        assert_eq!((entry.lists_paths, entry.digest), (false, None));
        let mut digested = bare.clone();
        digest(&mut digested);
        let entry = Entry::read(&digested).unwrap();
        let expected = EntryDigest { version: 2, digest: 0x2f00_0000_0000 };
        assert_eq!((entry.lists_paths, entry.digest), (false, Some(expected)));
        let mut listed = bare.clone();
        listed.put_count(2);
        listed.put_string("/a");
        listed.put_string("/b");
        let entry = Entry::read(&listed).unwrap();
        assert_eq!((paths(&entry), entry.lists_paths, entry.digest), (2, true, None));
        digest(&mut listed);
        let entry = Entry::read(&listed).unwrap();
        assert_eq!((paths(&entry), entry.lists_paths, entry.digest), (2, true, Some(expected)));
        let mut none = bare.clone();
        none.put_count(0);
        let entry = Entry::read(&none).unwrap();
        assert_eq!((paths(&entry), entry.lists_paths), (0, true));
        assert!(Entry::read(&[&bare[..], b"abcdef"].concat()).is_err());
    }

    #[test]
    fn a_new_membership_is_new_data() {
        let mut bytes = header(op::RECONFIG);
        bytes.put_string("/zookeeper/config");
        bytes.put_buffer(Some(b"server.1=a"));
        bytes.put_int(-1);
        let entry = Entry::read(&bytes).unwrap();
        assert_eq!((entry.txn.session, entry.txn.time), (SessionId(5), Millis(1)));
        let TxnBody::SetData { path, .. } = &entry.txn.body else { panic!("{entry:?}") };
        assert_eq!(&**path, "/zookeeper/config");
        assert_eq!(Entry::peek_zxid(&bytes), Some(Zxid(77)));
        assert!(Entry::read(&header(99)).is_err());
    }
}
