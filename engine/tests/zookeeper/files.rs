//! The files as ZooKeeper writes them.

use std::collections::BTreeMap;

use ringkeeper_engine::tree::Tree;
use ringkeeper_engine::txn::{AclList, Txn, TxnBody};
use ringkeeper_engine::wire::{Acl, Put};
use ringkeeper_engine::{SessionId, Zxid};

/// Bytes of a header: magic, version, number of the database.
fn header(magic: i32, database: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.put_int(magic);
    bytes.put_int(2);
    bytes.put_long(database);
    bytes
}

/// A log that grows.
pub(crate) struct LogFile {
    pub(crate) bytes: Vec<u8>,
    /// Where each entry ends.
    pub(crate) ends: Vec<usize>,
}

/// How the log says that a session ends.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Closes {
    /// With the paths that go, from 3.6 on.
    Listed,
    /// With nothing, before that.
    Bare,
}

impl LogFile {
    pub(crate) fn new() -> LogFile {
        LogFile { bytes: header(0x5a4b_4c47, 0), ends: Vec::new() }
    }

    pub(crate) fn push(&mut self, txn: &Txn, digest: Option<u64>, closes: Closes) {
        let mut entry = Vec::new();
        txn.write(&mut entry);
        if closes == Closes::Bare && matches!(txn.body, TxnBody::CloseSession { .. }) {
            entry.truncate(32);
        }
        if let Some(digest) = digest {
            entry.put_int(2);
            entry.put_long(digest as i64);
        }
        self.bytes.put_long(simd_adler32::adler32(&&entry[..]).into());
        self.bytes.put_buffer(Some(&entry));
        self.bytes.push(b'B');
        self.ends.push(self.bytes.len());
    }

    /// As a server leaves it: the file is larger than what is in it.
    pub(crate) fn padded(&self, zeros: usize) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes.resize(bytes.len() + zeros, 0);
        bytes
    }
}

/// A snapshot that grows.
pub(crate) struct SnapshotFile {
    bytes: Vec<u8>,
    /// The numbers of the lists, as the server gave them out.
    numbers: BTreeMap<Vec<u8>, i64>,
}

/// What stands behind the nodes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Trailer {
    pub(crate) digest: Option<(Zxid, u64)>,
    pub(crate) last: Option<Zxid>,
}

impl SnapshotFile {
    pub(crate) fn new() -> SnapshotFile {
        SnapshotFile { bytes: header(0x5a4b_534e, -1), numbers: BTreeMap::new() }
    }

    pub(crate) fn sessions(&mut self, sessions: &BTreeMap<SessionId, i32>) {
        self.bytes.put_count(sessions.len());
        for (session, timeout_ms) in sessions {
            self.bytes.put_long(session.0);
            self.bytes.put_int(*timeout_ms);
        }
    }

    /// The lists that are in use now. Numbers go on where more come into use later.
    pub(crate) fn lists<'a>(&mut self, lists: impl Iterator<Item = &'a AclList>) {
        for list in lists {
            self.number(list);
        }
        self.bytes.put_count(self.numbers.len());
        for (list, number) in &self.numbers {
            self.bytes.put_long(*number);
            self.bytes.extend_from_slice(list);
        }
    }

    pub(crate) fn node(&mut self, tree: &Tree, path: &str) {
        let id = tree.find(path).expect("the caller has looked");
        let stat = tree.stat(id);
        let number = self.number(tree.acl(id));
        self.bytes.put_string(if path == "/" { "" } else { path });
        self.bytes.put_buffer(tree.data(id));
        self.bytes.put_long(number);
        for long in [stat.czxid, stat.mzxid, stat.ctime, stat.mtime] {
            self.bytes.put_long(long);
        }
        for int in [stat.version, tree.created_children(id), stat.aversion] {
            self.bytes.put_int(int);
        }
        self.bytes.put_long(tree.kind(id).to_owner());
        self.bytes.put_long(stat.pzxid);
    }

    pub(crate) fn finish(mut self, trailer: Trailer) -> Vec<u8> {
        self.bytes.put_string("/");
        self.seal();
        if let Some((zxid, digest)) = trailer.digest {
            self.bytes.put_long(zxid.to_wire());
            self.bytes.put_int(2);
            self.bytes.put_long(digest as i64);
            self.seal();
        }
        if let Some(last) = trailer.last {
            self.bytes.put_long(last.to_wire());
            self.seal();
        }
        self.bytes
    }

    fn seal(&mut self) {
        let sum = simd_adler32::adler32(&&self.bytes[..]);
        self.bytes.put_long(sum.into());
        self.bytes.put_string("/");
    }

    fn number(&mut self, list: &AclList) -> i64 {
        if list[..] == [Acl::open()] {
            return -1;
        }
        let mut bytes = Vec::new();
        Acl::write_list(list, &mut bytes);
        let next = self.numbers.len() as i64 + 1;
        *self.numbers.entry(bytes).or_insert(next)
    }
}
