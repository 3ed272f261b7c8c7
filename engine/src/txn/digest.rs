//! What the leader expects the tree to be behind a transaction.

use crate::wire::{Malformed, Put, Reader};

/// The digest behind a transaction, from ZooKeeper 3.6 on (`TxnDigest`): `int version, long
/// treeDigest`. It stands behind the record in a log and in a proposal. Refusals have none, and it
/// is missing everywhere where the leader does not keep digests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TxnDigest {
    /// How it was counted; that of our trees is [`TxnDigest::VERSION`].
    pub version: i32,
    /// The digest of the tree when the transaction is applied.
    pub digest: u64,
}

impl TxnDigest {
    /// The only way of counting that trees here know.
    pub const VERSION: i32 = 2;
    /// Bytes of a digest.
    pub const BYTES: usize = 12;

    /// Reads the digest behind a record; `None` where the bytes end with the record. Bytes behind
    /// the digest are left alone.
    pub fn read_behind(reader: &mut Reader<'_>) -> Result<Option<TxnDigest>, Malformed> {
        if reader.rest().is_empty() {
            return Ok(None);
        }
        Ok(Some(TxnDigest { version: reader.int()?, digest: reader.long()? as u64 }))
    }

    /// Appends the digest.
    pub fn write(self, out: &mut Vec<u8>) {
        out.put_int(self.version);
        out.put_long(self.digest as i64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_read_whole_or_not_at_all() {
        let digest = TxnDigest { version: 2, digest: u64::MAX - 7 };
        let mut bytes = Vec::new();
        digest.write(&mut bytes);
        assert_eq!(bytes.len(), TxnDigest::BYTES);
        let read = |bytes: &[u8]| TxnDigest::read_behind(&mut Reader::new(bytes));
        assert_eq!(read(&bytes), Ok(Some(digest)));
        assert_eq!(read(&[]), Ok(None));
        (1..bytes.len()).for_each(|cut| assert_eq!(read(&bytes[..cut]), Err(Malformed::Truncated)));
        bytes.push(9);
        assert_eq!(read(&bytes), Ok(Some(digest)));
    }
}
