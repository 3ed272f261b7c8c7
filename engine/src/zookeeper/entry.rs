//! One entry of a transaction log, and of a proposal: the transaction, and the digest that the tree
//! has behind it.

use crate::txn::{Txn, TxnBody, TxnDigest, TxnHeader};
use crate::wire::opcode::op;
use crate::wire::{Malformed, Reader};
use crate::{Code, Zxid};

/// A transaction as it stands in a log of ZooKeeper's, and in the data of a proposal: `TxnHeader`,
/// the record of its type, `TxnDigest`.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// The transaction. The end of a session has no paths where [`Entry::lists_paths`] is false.
    pub txn: Txn,
    /// Whether the end of a session says which nodes go with it, as it does from 3.6 on.
    pub lists_paths: bool,
    /// What the leader expected the tree to be.
    pub digest: Option<TxnDigest>,
}

impl Entry {
    /// Reads the bytes between the length and the mark at the end. What is left behind the record
    /// and is no digest is ignored, as ZooKeeper does.
    pub fn read(bytes: &[u8]) -> Result<Entry, Malformed> {
        let (txn, lists_paths, mut reader) = Entry::read_txn(bytes)?;
        let digest = TxnDigest::read_behind(&mut reader).unwrap_or(None);
        Ok(Entry { txn, lists_paths, digest })
    }

    /// Reads what a leader proposes as `zxid`. The transaction says its zxid too; another one is
    /// refused, and so is a digest that is cut off.
    pub fn read_proposal(zxid: Zxid, bytes: &[u8]) -> Result<Entry, Malformed> {
        let (txn, lists_paths, mut reader) = Entry::read_txn(bytes)?;
        if txn.zxid != zxid {
            return Err(Malformed::Value);
        }
        let digest = TxnDigest::read_behind(&mut reader)?;
        Ok(Entry { txn, lists_paths, digest })
    }

    /// Appends the bytes that [`Entry::read`] reads.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        self.txn.write(out);
        if !self.lists_paths {
            out.truncate(start + TxnHeader::BYTES);
        }
        self.digest.into_iter().for_each(|digest| digest.write(out));
    }

    fn read_txn(bytes: &[u8]) -> Result<(Txn, bool, Reader<'_>), Malformed> {
        let mut reader = Reader::new(bytes);
        let header = TxnHeader::read(&mut reader)?;
        let (body, lists_paths) = match header.type_code {
            op::CLOSE_SESSION => close(&mut reader, header)?,
            type_code => (record(type_code, &mut reader, header)?, true),
        };
        let body = match body {
            TxnBody::Multi(bodies) => TxnBody::Multi(as_applied(bodies)),
            body => body,
        };
        Ok((header.with(body), lists_paths, reader))
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

/// A leader notes in front of the first refusal of a multi what it had prepared by then. None of it
/// is applied: `DataTree.processTxn` takes it for a refusal without a reason.
fn as_applied(mut bodies: Vec<TxnBody>) -> Vec<TxnBody> {
    let is_refusal = |body: &TxnBody| matches!(body, TxnBody::Error(_));
    let Some(refused) = bodies.iter().position(is_refusal) else { return bodies };
    for (index, body) in bodies.iter_mut().enumerate().filter(|(_, body)| !is_refusal(body)) {
        let code = if index < refused { Code::Ok } else { Code::RuntimeInconsistency };
        *body = TxnBody::Error(code);
    }
    bodies
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
        && (ahead.rest().is_empty() || ahead.rest().len() == TxnDigest::BYTES)
    {
        *reader = ahead;
        return Ok((body, true));
    }
    if reader.rest().len() == TxnDigest::BYTES { Ok(unlisted) } else { Err(Malformed::Value) }
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

    #[test]
    fn proposal_with_another_zxid_or_half_a_digest_is_refused() {
        let mut bytes = header(op::CREATE_SESSION);
        bytes.put_int(4_000);
        let bare = bytes.len();
        bytes.put_int(2);
        bytes.put_long(-3);
        for cut in bare..=bytes.len() {
            let read = Entry::read_proposal(Zxid(77), &bytes[..cut]);
            let digest = TxnDigest { version: 2, digest: -3_i64 as u64 };
            match cut - bare {
                0 => assert_eq!(read.unwrap().digest, None),
                TxnDigest::BYTES => assert_eq!(read.unwrap().digest, Some(digest)),
                _ => assert_eq!(read, Err(Malformed::Truncated)),
            }
            assert_eq!(Entry::read_proposal(Zxid(78), &bytes[..cut]), Err(Malformed::Value));
        }
        let mut written = Vec::new();
        Entry::read(&bytes).unwrap().write(&mut written);
        assert_eq!(written, bytes);
    }

    /// Seen from Apache ZooKeeper 3.9.5: an observer that applied the create had another tree.
    #[test]
    fn nothing_of_a_multi_with_a_refusal_is_applied() {
        let check = |path: &str| TxnBody::Check { path: path.into(), version: 1 };
        let refused = |code| TxnBody::Error(code);
        let bodies = vec![
            check("/a"),
            refused(Code::NoNode),
            refused(Code::RuntimeInconsistency),
            check("/b"),
        ];
        let txn = Txn {
            session: SessionId(5),
            cxid: 9,
            zxid: Zxid(77),
            time: Millis(1),
            body: TxnBody::Multi(bodies),
        };
        let mut bytes = Vec::new();
        txn.write(&mut bytes);
        let TxnBody::Multi(read) = Entry::read(&bytes).unwrap().txn.body else { panic!("a multi") };
        let codes =
            [Code::Ok, Code::NoNode, Code::RuntimeInconsistency, Code::RuntimeInconsistency];
        assert_eq!(read, codes.map(refused));
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
        let expected = TxnDigest { version: 2, digest: 0x2f00_0000_0000 };
        assert_eq!((entry.lists_paths, entry.digest), (false, Some(expected)));
        let mut written = Vec::new();
        entry.write(&mut written);
        assert_eq!(written, digested);
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
    fn new_membership_is_read() {
        let mut bytes = header(op::RECONFIG);
        bytes.put_string("/zookeeper/config");
        bytes.put_buffer(Some(b"server.1=a"));
        bytes.put_int(-1);
        let entry = Entry::read(&bytes).unwrap();
        assert_eq!((entry.txn.session, entry.txn.time), (SessionId(5), Millis(1)));
        let data = Some(Box::from(*b"server.1=a"));
        assert_eq!(entry.txn.body, TxnBody::Reconfig { data, version: -1 });
        assert_eq!(Entry::peek_zxid(&bytes), Some(Zxid(77)));
        assert!(Entry::read(&header(99)).is_err());
    }
}
