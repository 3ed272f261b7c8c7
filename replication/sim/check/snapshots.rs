//! Do all members make the same snapshot of one state? Where everything is at rest, each writes one
//! with the server's functions, and what a start reads of it is compared as bytes.
//!
//! A snapshot lists the nodes by their slots, and numbers access control lists as the tree of the
//! member does: that depends on whether the member has its state from a log or from a leader. So
//! the nodes are put into the order of their paths, each with its list. Everything else, also the
//! sessions and the header, is as it stands in the file.

use ringkeeper_engine::database::Database;
use ringkeeper_engine::device::{DirectoryId, MemoryDisk};
use ringkeeper_engine::snapshot::{Replay, SnapshotKind, Start, load};
use ringkeeper_engine::tree::{Digest, SnapshotHeader, Tree, TreeLoader};
use ringkeeper_engine::txn::Txn;
use ringkeeper_engine::wire::{Acl, Put};

use super::super::member::write_state;
use super::super::server::HASH_SEED;

/// Whose the snapshots are.
const OWNER: DirectoryId = DirectoryId([1; 16]);

/// What a snapshot of this state holds.
pub(crate) fn snapshot_of(db: &mut Database) -> Vec<u8> {
    let disk = MemoryDisk::new(0);
    write_state(db, (&disk, OWNER), SnapshotKind::Regular).expect("the disk works");
    let mut contents = Contents::default();
    load(&disk, db.applied(), OWNER, &mut contents).expect("it can be read");
    contents.bytes
}

/// What is read of a snapshot.
#[derive(Default)]
struct Contents {
    bytes: Vec<u8>,
    digest: Option<u64>,
    loader: Option<TreeLoader>,
}

impl Replay for Contents {
    fn begin(&mut self, start: Start<'_>) -> Result<(), String> {
        self.bytes.put_long(start.zxid.to_wire());
        self.bytes.put_count(start.sessions.len());
        for (session, timeout_ms) in start.sessions {
            self.bytes.put_long(session.0);
            self.bytes.put_int(*timeout_ms);
        }
        self.bytes.put_buffer(Some(start.header));
        let header = SnapshotHeader::decode(start.header).map_err(|error| error.to_string())?;
        self.digest = header.digest;
        let loader = TreeLoader::new(HASH_SEED, start.header).map_err(|error| error.to_string())?;
        self.loader = Some(loader);
        Ok(())
    }

    fn block(&mut self, bytes: &[u8]) -> Result<(), String> {
        let loader = self.loader.as_mut().expect("it has begun");
        loader.add_block(bytes).map_err(|error| error.to_string())
    }

    fn end(&mut self) -> Result<(), String> {
        let loader = self.loader.take().expect("it has begun");
        let mut tree = loader.finish().map_err(|error| error.to_string())?;
        tree.keep_digest(Digest::Kept);
        assert_eq!(Some(tree.digest()), self.digest, "the digest of what the snapshot holds");
        put_nodes(&tree, &mut self.bytes);
        Ok(())
    }

    fn begin_empty(&mut self) {
        panic!("a snapshot is not nothing");
    }

    fn txn(&mut self, txn: Txn) -> Result<(), String> {
        panic!("a snapshot holds {txn:?}");
    }
}

/// All nodes in the order of their paths, each with all that it has.
fn put_nodes(tree: &Tree, out: &mut Vec<u8>) {
    let (mut next, mut paths) = (vec![String::new()], Vec::new());
    while let Some(path) = next.pop() {
        let id = tree.find(&path).expect("its parent has it");
        next.extend(tree.child_nodes(id).map(|child| tree.path_of(child)));
        paths.push((path, id));
    }
    paths.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    for (path, id) in paths {
        out.put_string(&path);
        out.put_buffer(tree.data(id));
        Acl::write_list(tree.acl(id), out);
        tree.stat(id).write(out);
    }
}

#[cfg(test)]
mod tests {
    use ringkeeper_engine::database::Interest;
    use ringkeeper_engine::txn::{CreateOp, CreateTxn, NodeKind, TxnBody};
    use ringkeeper_engine::{Millis, SessionId, Zxid};

    use super::super::super::server::empty_database;
    use super::*;

    const SESSION: SessionId = SessionId(5);

    fn db_of(bodies: impl IntoIterator<Item = TxnBody>) -> Database {
        let mut db = empty_database();
        for (zxid, body) in (1..).zip(bodies) {
            let txn = Txn { session: SESSION, cxid: 1, zxid: Zxid(zxid), time: Millis(7), body };
            db.apply(&txn, Interest::None);
        }
        db
    }

    fn create(path: &str, acl: Acl, parent_cversion: i32) -> TxnBody {
        TxnBody::Create(CreateTxn {
            op: CreateOp::Create,
            path: path.into(),
            data: None,
            acl: [acl].into(),
            kind: NodeKind::Persistent,
            parent_cversion,
        })
    }

    fn begin(timeout_ms: i32) -> TxnBody {
        TxnBody::CreateSession { timeout_ms }
    }

    /// The digest of the tree is the same in all of them but the last.
    #[test]
    fn snapshots_differ_where_states_do_also_where_digests_do_not() {
        let [open, read] = [Acl::open(), Acl { perms: 1, ..Acl::open() }];
        let states = [
            (9_000, open.clone(), "/a"),
            (9_001, open.clone(), "/a"),
            (9_000, read, "/a"),
            (9_000, open, "/b"),
        ];
        let state = |(timeout_ms, acl, path): (i32, Acl, &str)| {
            let mut db = db_of([begin(timeout_ms), create(path, acl, 1)]);
            (db.tree.digest(), snapshot_of(&mut db))
        };
        let [one, session, acl, path] = states.clone().map(state);
        assert_eq!(one, state(states[0].clone()));
        assert_eq!([one.0; 2], [session.0, acl.0]);
        let others = [&session.1, &acl.1, &path.1];
        assert!(others.iter().all(|other| **other != one.1), "a snapshot lacks something");
    }

    /// Slots of nodes that are gone are used again, and lists get other numbers: no other snapshot.
    #[test]
    fn snapshot_of_a_state_that_was_read_is_that_of_the_state() {
        use ringkeeper_engine::txn::DeleteCause;
        let delete = |path: &str| TxnBody::Delete { path: path.into(), cause: DeleteCause::Client };
        let read = Acl { perms: 1, ..Acl::open() };
        let mut db = db_of([
            begin(9_000),
            create("/a", read, 1),
            create("/b", Acl { perms: 3, ..Acl::open() }, 2),
            delete("/a"),
            create("/c", Acl::open(), 4),
        ]);
        let disk = MemoryDisk::new(0);
        write_state(&mut db, (&disk, OWNER), SnapshotKind::Regular).unwrap();
        let mut loading = ringkeeper_engine::snapshot::Loading::new(9, |_| ());
        load(&disk, db.applied(), OWNER, &mut loading).unwrap();
        let mut loaded = loading.finish();
        loaded.tree.keep_digest(Digest::Kept);
        assert_eq!(snapshot_of(&mut loaded), snapshot_of(&mut db));
    }
}
