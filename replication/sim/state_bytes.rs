//! A whole state as a leader sends it behind SNAP.

use ringkeeper_engine::database::Database;
use ringkeeper_engine::txn::AclList;
use ringkeeper_engine::wire::{Acl, Put, Stat};

/// Appends the sessions, the lists and the nodes of a database.
pub(crate) fn put_state(db: &Database, out: &mut Vec<u8>) {
    let sessions: Vec<_> = db.sessions().collect();
    out.put_count(sessions.len());
    for (session, timeout_ms) in sessions {
        out.put_long(session.0);
        out.put_int(timeout_ms);
    }
    let (mut lists, mut nodes) = (Vec::new(), Vec::new());
    put_nodes(db, &mut lists, &mut nodes);
    out.put_count(lists.len());
    for (number, list) in (1..).zip(&lists) {
        out.put_long(number);
        out.put_count(list.len());
        for Acl { perms, id } in list.iter() {
            out.put_int(*perms);
            out.put_string(&id.scheme);
            out.put_string(&id.id);
        }
    }
    out.extend_from_slice(&nodes);
    out.put_string("/");
    out.put_buffer(Some(b"BenWasHere"));
}

/// Parents come first.
fn put_nodes(db: &Database, lists: &mut Vec<AclList>, out: &mut Vec<u8>) {
    let tree = &db.tree;
    let mut paths = vec![String::new()];
    while let Some(path) = paths.pop() {
        let id = tree.find(&path).expect("its parent has it");
        paths.extend(tree.child_nodes(id).map(|child| tree.path_of(child)));
        out.put_string(&path);
        out.put_buffer(tree.data(id));
        out.put_long(number(tree.acl(id), lists));
        put_stat(&tree.stat(id), tree.kind(id).to_owner(), out);
    }
}

/// The list that everybody has is not among the lists.
fn number(list: &AclList, lists: &mut Vec<AclList>) -> i64 {
    if list[..] == [Acl::open()] {
        return -1;
    }
    let at = lists.iter().position(|known| known == list).unwrap_or_else(|| {
        lists.push(list.clone());
        lists.len() - 1
    });
    at as i64 + 1
}

/// A node counts the creations of children; clients see creations and deletions. The internal owner
/// says what kind of node it is.
fn put_stat(stat: &Stat, owner: i64, out: &mut Vec<u8>) {
    let numbers = [stat.czxid, stat.mzxid, stat.ctime, stat.mtime];
    numbers.into_iter().for_each(|number| out.put_long(number));
    out.put_int(stat.version);
    out.put_int((stat.cversion + stat.num_children) / 2);
    out.put_int(stat.aversion);
    out.put_long(owner);
    out.put_long(stat.pzxid);
}
