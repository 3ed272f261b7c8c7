//! A write that was decoded can be sent on: its record decodes to the same again.

use super::*;
use crate::wire::{Acl, Id};

fn decoded(code: i32, record: &[u8]) -> Write {
    Write::decode(code, &mut Reader::new(record)).expect("a request")
}

fn assert_round_trip(write: &Write) {
    let mut record = Vec::new();
    let code = write.encode(&mut record).expect("it can be forwarded");
    let mut reader = Reader::new(&record);
    assert_eq!(Write::decode(code, &mut reader).as_ref(), Ok(write), "{code}: {record:?}");
    assert!(reader.rest().is_empty(), "nothing is left over");
}

fn lists() -> [Option<Vec<Acl>>; 4] {
    let own = Acl { perms: -1, id: Id { scheme: "digest".into(), id: "u:\u{1f600}".into() } };
    let nobody = Acl { perms: 0, id: Id { scheme: String::new(), id: String::new() } };
    [None, Some(Vec::new()), Some(vec![Acl::open()]), Some(vec![own, nobody, Acl::open()])]
}

/// Records of a create in every form: each operation, with null and empty data, with every kind of
/// list, and with flags that mean something and flags that do not.
fn creates() -> Vec<(i32, Vec<u8>)> {
    let mut records = Vec::new();
    let lists = lists();
    for code in [op::CREATE, op::CREATE2, op::CREATE_CONTAINER, op::CREATE_TTL] {
        let ttl = (code == op::CREATE_TTL).then_some(-7);
        for data in [None, Some(&b""[..]), Some(b"x")] {
            for (acl, flags) in lists.iter().flat_map(|acl| (-1..=8).map(move |flags| (acl, flags)))
            {
                let mut record = Vec::new();
                let (path, acl) = ("no/slash\0", acl.as_deref());
                create::CreateRecord { path, data, acl, flags, ttl }.write(&mut record);
                records.push((code, record));
            }
        }
    }
    records
}

fn others() -> Vec<(i32, Vec<u8>)> {
    let mut records = Vec::new();
    let mut record = |code, put: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = Vec::new();
        put(&mut bytes);
        records.push((code, bytes));
    };
    for version in [-1, 0, i32::MIN] {
        record(op::DELETE, &|out| put_path_and_int("/a", version, out));
        for data in [None, Some(&b""[..]), Some(b"data")] {
            record(op::SET_DATA, &|out| set_data::put_record("", data, version, out));
        }
        for acl in &lists()[1..] {
            let acl = acl.as_deref().unwrap_or_default();
            record(op::SET_ACL, &|out| set_acl::put_record("/\u{fffd}", acl, version, out));
        }
    }
    for present in 0..8 {
        let list = |bit: i32| (present >> bit & 1 == 1).then_some("server.1=a");
        record(op::RECONFIG, &|out| reconfig::put_record([0, 1, 2].map(list), -1, out));
    }
    records
}

#[test]
fn a_decoded_write_encodes_to_a_record_that_decodes_to_it() {
    let all: Vec<_> = creates().into_iter().chain(others()).collect();
    assert!(all.len() > 200);
    all.iter().for_each(|(code, record)| assert_round_trip(&decoded(*code, record)));
    assert_round_trip(&Write::Multi(Vec::new()));
}

#[test]
fn a_decoded_multi_encodes_to_a_record_that_decodes_to_it() {
    let mut check = Vec::new();
    put_path_and_int("/c", 3, &mut check);
    let parts = creates().into_iter().chain(others()).chain([(op::CHECK, check)]);
    let (mut whole, mut forwarded) = (Vec::new(), 0);
    for (code, record) in parts {
        let mut multi = Vec::new();
        multi::put_request_header(code, &mut multi);
        multi.extend_from_slice(&record);
        whole.extend_from_slice(&multi);
        multi::put_end(&mut multi);
        match Write::decode(op::MULTI, &mut Reader::new(&multi)) {
            Ok(write @ Write::Multi(_)) => {
                assert_round_trip(&write);
                forwarded += 1;
            }
            Ok(Write::Refused(_)) | Err(Malformed::Null) => {
                whole.truncate(whole.len() + 9 - multi.len());
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(forwarded > 100, "{forwarded}");
    multi::put_end(&mut whole);
    let write = decoded(op::MULTI, &whole);
    assert!(matches!(&write, Write::Multi(writes) if writes.len() == forwarded));
    assert_round_trip(&write);
}

#[test]
fn a_refused_write_is_not_forwarded_and_leaves_no_bytes() {
    let refused = || Write::Refused(Code::BadArguments);
    let spent = Write::DeleteSpent(delete::DeleteSpent { path: "/a".into() });
    let mut out = vec![1];
    let expected = Err(NotForwarded::Refused(Code::BadArguments));
    assert_eq!(refused().encode(&mut out), expected);
    assert_eq!(Write::Multi(vec![Write::Multi(Vec::new()), refused()]).encode(&mut out), expected);
    assert_eq!(spent.encode(&mut out), Err(NotForwarded::Removal));
    assert_eq!(out, [1]);
}
