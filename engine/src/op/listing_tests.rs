//! Lists made in portions, beside those that are made at once.

use super::*;
use crate::limits::LISTING_PORTION;
use crate::op::{OpSettings, read};
use crate::tree::NewNode;
use crate::txn::{AclList, NodeKind};
use crate::wire::record::perms;
use crate::wire::{Acl, Id};
use crate::{Millis, Zxid};

const ME: SessionId = SessionId(9);
const COUNT: usize = 2 * LISTING_PORTION + 7;

struct World {
    tree: Tree,
    settings: OpSettings,
}

impl World {
    /// `/d` with many ephemeral children of a session, and one of another.
    fn new() -> World {
        let mut world = World { tree: Tree::new(1), settings: OpSettings::default() };
        world.create("/d", NodeKind::Persistent);
        (0..COUNT).for_each(|n| world.create(&format!("/d/{n}"), NodeKind::Ephemeral(ME)));
        world.create("/d/other", NodeKind::Ephemeral(SessionId(10)));
        world
    }

    fn create(&mut self, path: &str, kind: NodeKind) {
        let acl = &AclList::from([Acl::open()]);
        let parent = self.tree.find(crate::path::parent(path).unwrap()).unwrap();
        let parent_cversion = self.tree.created_children(parent).wrapping_add(1);
        let zxid = Zxid(self.tree.applied().0 + 1);
        let (data, time) = (None, Millis(1));
        self.tree.create(NewNode { path, data, acl, kind, zxid, time, parent_cversion });
        self.tree.set_applied(zxid);
    }

    fn delete(&mut self, path: &str) {
        let zxid = Zxid(self.tree.applied().0 + 1);
        self.tree.delete(self.tree.find(path).unwrap(), zxid);
        self.tree.set_applied(zxid);
    }

    fn reading(&self) -> Reading<'_> {
        Reading { tree: &self.tree, settings: &self.settings, ids: &[], session: ME }
    }

    fn begin(&self, (op_code, record): &(i32, Vec<u8>)) -> Listing {
        Listing::begin(*op_code, &mut Reader::new(record), self.reading()).expect("it is long")
    }

    fn at_once(&self, (op_code, record): &(i32, Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        let done = read(*op_code, &mut Reader::new(record), self.reading(), &mut out);
        assert_eq!(done.code, Code::Ok);
        out
    }
}

fn children(op_code: i32) -> (i32, Vec<u8>) {
    let mut record = Vec::new();
    record.put_string("/d");
    record.put_bool(true);
    (op_code, record)
}

fn ephemerals(prefix: &str) -> (i32, Vec<u8>) {
    let mut record = Vec::new();
    record.put_string(prefix);
    (op::GET_EPHEMERALS, record)
}

#[test]
fn list_made_in_portions_is_the_one_that_is_made_at_once() {
    let world = World::new();
    let requests = [
        children(op::GET_CHILDREN),
        children(op::GET_CHILDREN2),
        ephemerals("/d/"),
        ephemerals("/d/12"),
        ephemerals("/zzz"),
    ];
    for request in requests {
        let mut listing = world.begin(&request);
        let mut portions = 1;
        while listing.go_on(world.reading(), 1_000) == Ok(Portion::More) {
            portions += 1;
            assert_eq!(listing.count, (portions - 1) * 1_000, "no portion is longer");
        }
        let (body, watched) = listing.finish();
        assert_eq!(body[COUNT_AT..], world.at_once(&request));
        let is_children = request.0 != op::GET_EPHEMERALS;
        assert_eq!(watched.as_deref(), is_children.then_some("/d"));
        assert_eq!(portions > 5, is_children || request.1 == ephemerals("/d/").1, "{portions}");
    }
}

#[test]
fn changed_list_begins_anew_and_is_made_at_once_in_the_end() {
    for request in [children(op::GET_CHILDREN2), ephemerals("")] {
        let mut world = World::new();
        let mut listing = world.begin(&request);
        for change in 0..BEGINNINGS_MAX {
            assert_eq!(listing.go_on(world.reading(), 10), Ok(Portion::More));
            assert_eq!(listing.count, 10, "beginning {change}");
            match change % 2 {
                0 => world.delete(&format!("/d/{change}")),
                _ => world.create(&format!("/d/new{change}"), NodeKind::Ephemeral(ME)),
            }
        }
        assert_eq!(listing.go_on(world.reading(), 10), Ok(Portion::Done(Code::Ok)));
        assert_eq!(listing.finish().0[COUNT_AT..], world.at_once(&request));
    }
}

#[test]
fn list_of_what_is_gone_or_hidden_is_refused() {
    let mut world = World::new();
    let mut listing = world.begin(&children(op::GET_CHILDREN));
    assert_eq!(listing.go_on(world.reading(), 10), Ok(Portion::More));
    let id = Id { scheme: "digest".into(), id: "a:b".into() };
    let hidden = AclList::from([Acl { perms: perms::READ, id }]);
    world.tree.set_acl(world.tree.find("/d").unwrap(), &hidden, 1);
    assert_eq!(listing.go_on(world.reading(), 10), Err(Code::NoAuth));
    let (op_code, record) = children(op::GET_CHILDREN);
    assert!(Listing::begin(op_code, &mut Reader::new(&record), world.reading()).is_none());
    assert!(world.tree.has_large_directory());
    (0..COUNT).for_each(|n| world.delete(&format!("/d/{n}")));
    assert!(!world.tree.has_large_directory());
    world.delete("/d/other");
    world.delete("/d");
    assert_eq!(listing.go_on(world.reading(), 10), Err(Code::NoNode));
}

#[test]
fn what_takes_long_is_known_before_it_is_made() {
    let world = World::new();
    let takes = |(op_code, record): (i32, Vec<u8>), session| {
        takes_long(op_code, &record, &world.tree, session)
    };
    assert!(takes(children(op::GET_CHILDREN), ME) && takes(children(op::GET_CHILDREN2), ME));
    assert!(takes(ephemerals("/zzz"), ME) && !takes(ephemerals("/d"), SessionId(10)));
    assert!(!takes(children(op::GET_DATA), ME) && takes((op::MULTI_READ, vec![]), ME));
    let (_, record) = children(op::GET_CHILDREN);
    let whole = world.at_once(&children(op::GET_CHILDREN)).len();
    assert!(reply_bytes(op::GET_CHILDREN, &record, &world.tree) > whole);
}

/// Reads of nodes with data, one that is not there, and a directory.
fn many_reads(world: &mut World, count: usize) -> (i32, Vec<u8>) {
    let data = vec![5; 300_000];
    let mut record = Vec::new();
    for n in 0..count {
        let path = format!("/large{n}");
        world.create(&path, NodeKind::Persistent);
        let (id, zxid) = (world.tree.find(&path).unwrap(), Zxid(world.tree.applied().0 + 1));
        world.tree.set_data(id, Some(&data), 1, zxid, Millis(2));
        world.tree.set_applied(zxid);
        put_read(op::GET_DATA, &path, &mut record);
    }
    put_read(op::GET_DATA, "/none", &mut record);
    put_read(op::GET_CHILDREN, "/d", &mut record);
    crate::op::multi::put_end(&mut record);
    (op::MULTI_READ, record)
}

fn put_read(op_code: i32, path: &str, record: &mut Vec<u8>) {
    crate::op::multi::put_request_header(op_code, record);
    record.put_string(path);
    record.put_bool(false);
}

#[test]
fn multi_read_of_megabytes_is_made_in_portions_of_one_state() {
    let mut world = World::new();
    let request = many_reads(&mut world, 20);
    let mut listing = world.begin(&request);
    let (mut portions, mut changes) = (1, 0);
    loop {
        let before = listing.bytes();
        match listing.go_on(world.reading(), 1).unwrap() {
            Portion::Done(code) => break assert_eq!(code, Code::Ok),
            Portion::More => portions += 1,
        }
        let grown = listing.bytes().saturating_sub(before);
        assert!(grown < limits::LISTING_BYTES + 300_100, "{grown}");
        if portions == 3 && changes == 0 {
            world.delete("/large0");
            changes += 1;
        } else {
            // What is not read yet, or not at all, may change.
            let path = format!("/other{portions}");
            world.create(&path, NodeKind::Persistent);
        }
    }
    assert_eq!(listing.beginnings, 2);
    assert!(portions >= 7, "{portions}");
    assert_eq!(listing.finish().0[COUNT_AT..], world.at_once(&request));
}

#[test]
fn multi_read_beyond_the_bound_is_refused_before_it_is_made_and_a_short_one_made_at_once() {
    let mut world = World::new();
    let (op_code, record) = many_reads(&mut world, 3);
    assert!(Listing::begin(op_code, &mut Reader::new(&record), world.reading()).is_none());
    let mut record = Vec::new();
    for _ in 0..=limits::MULTI_READ_BYTES_MAX / 300_000 {
        put_read(op::GET_DATA, "/large0", &mut record);
    }
    crate::op::multi::put_end(&mut record);
    let mut listing = world.begin(&(op_code, record));
    assert_eq!(listing.go_on(world.reading(), 1), Err(Code::SystemError));
    assert_eq!(listing.bytes(), COUNT_AT, "nothing of it was made");
}
