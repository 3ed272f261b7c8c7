//! The digest of a tree: a number that is equal on all replicas at one zxid.
//!
//! It is ZooKeeper's (version 2), so that the two can be compared: the sum over all nodes of the
//! CRC-32 of path, data and stat, where the root has the path `""` and nodes below `/zookeeper`
//! count nothing (quota stats change there without a transaction).

use crc_fast::{CrcAlgorithm, Digest as Crc};

use super::Tree;
use super::node::NodeId;
use crate::wire::Put;

/// Whether a tree keeps its digest. It costs a checksum or two per change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Digest {
    /// Kept, change by change.
    Kept,
    /// Not kept: it reads 0.
    Off,
}

impl Tree {
    /// ZooKeeper's digest of this tree, or 0 if it is not kept.
    pub fn digest(&self) -> u64 {
        self.digest_sum
    }

    /// Whether the digest is kept.
    pub fn digest_mode(&self) -> Digest {
        self.digest
    }

    /// The digest, if it is kept.
    pub(super) fn kept_digest(&self) -> Option<u64> {
        match self.digest {
            Digest::Kept => Some(self.digest_sum),
            Digest::Off => None,
        }
    }

    /// Switches the digest on or off. Switching it on reads the whole tree: at the start of a
    /// server, not later.
    pub fn keep_digest(&mut self, digest: Digest) {
        if digest == self.digest {
            return;
        }
        self.digest = digest;
        self.digest_sum = match digest {
            Digest::Kept => self.count_digest(),
            Digest::Off => 0,
        };
    }

    /// The digest, counted from nothing.
    pub(super) fn count_digest(&self) -> u64 {
        let mut path = String::new();
        let mut sum = 0_u64;
        for id in (0..self.store.end()).filter_map(|slot| self.store.node_in(slot)) {
            self.spell(id, &mut path);
            sum = sum.wrapping_add(self.node_digest(id, &path));
        }
        sum
    }

    /// What one node adds to the digest.
    pub(super) fn node_digest(&self, id: NodeId, path: &str) -> u64 {
        if path.starts_with("/zookeeper/") {
            return 0;
        }
        let mut crc = Crc::new(CrcAlgorithm::Crc32IsoHdlc);
        crc.update(if path == "/" { b"" } else { path.as_bytes() });
        crc.update(self.data(id).unwrap_or_default());
        crc.update(&self.persisted(id));
        crc.finalize()
    }

    /// The stat as ZooKeeper stores it: with the internal count of children created and the
    /// internal owner, and without what can be derived.
    fn persisted(&self, id: NodeId) -> Vec<u8> {
        let (node, change) = (self.node(id), self.store.last_change(id));
        let parts = node.payload.parts();
        let mut out = Vec::with_capacity(60);
        out.put_long(node.czxid.to_wire());
        out.put_long(change.mzxid.to_wire());
        out.put_long(self.store.pzxid(id).to_wire());
        out.put_long(node.ctime.0);
        out.put_long(change.mtime.0);
        out.put_int(change.version);
        out.put_int(self.store.created(id) as i32);
        out.put_int(parts.aversion);
        out.put_long(parts.owner);
        out
    }
}
