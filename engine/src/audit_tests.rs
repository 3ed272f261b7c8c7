use std::net::Ipv4Addr;

use super::*;
use crate::op::OpSpec;
use crate::op::create::Create;
use crate::txn::CreateOp;
use crate::wire::opcode::op;
use crate::wire::record::perms;
use crate::wire::{Acl, Put, Reader};
use crate::{Code, Zxid};

const SESSION: SessionId = SessionId(0x1_0000);

fn id(scheme: &str, id: &str) -> Id {
    Id { scheme: scheme.into(), id: id.into() }
}

fn client() -> Client {
    let ids = [id("ip", "127.0.0.1"), id("digest", "bob:xyz="), id("super", "")];
    Client { ids: Arc::from(ids), ip: IpAddr::V4(Ipv4Addr::LOCALHOST) }
}

fn create(path: &str, flags: i32) -> Write {
    Write::Create(Create::new(CreateOp::Create, path, b"", flags))
}

fn decode(op_code: i32, put: impl FnOnce(&mut Vec<u8>)) -> Write {
    let mut bytes = Vec::new();
    put(&mut bytes);
    Write::decode(op_code, &mut Reader::new(&bytes)).expect("a request")
}

fn lines_of(op_code: i32, write: &Write, result: &OpResult) -> Vec<String> {
    let mut lines = Vec::new();
    let operation = OpSpec::of(op_code).audited_as().expect("a write");
    let audited = Audited::new(SESSION, client(), operation, write);
    audited.lines(Millis(5), result, &mut |line| lines.push(line.text("root")));
    let head = "session=0x10000\tuser=127.0.0.1,bob,super\tip=127.0.0.1\toperation=";
    let cut = |line: String| line.strip_prefix(head).expect("it begins alike").to_owned();
    lines.into_iter().map(cut).collect()
}

fn created(path: &str) -> OpResult {
    OpResult::Created { op: CreateOp::Create, path: path.into(), stat: Box::default() }
}

#[test]
fn a_sequential_create_has_a_line_with_the_final_name() {
    let lines = lines_of(op::CREATE, &create("/s-", 2), &created("/s-0000000002"));
    let line = "create\tznode=/s-0000000002\tznode_type=persistent_sequential\tresult=success";
    assert_eq!(lines, [line]);
}

#[test]
fn a_refused_write_has_a_line_with_what_it_requested() {
    let refused = OpResult::Refused(Code::NodeExists);
    let line = "create\tznode=/s-\tznode_type=ephemeral_sequential\tresult=failure";
    assert_eq!(lines_of(op::CREATE, &create("/s-", 3), &refused), [line]);
    assert_eq!(
        lines_of(op::CREATE, &create("/x", 9), &refused),
        ["create\tznode=/x\tresult=failure"]
    );
    let nameless = Write::Refused(Code::MarshallingError);
    assert_eq!(lines_of(op::DELETE, &nameless, &refused), ["delete\tresult=failure"]);
    assert_eq!(lines_of(op::MULTI, &nameless, &refused), ["multiOperation\tresult=failure"]);
    let reconfig = decode(op::RECONFIG, |out| {
        (0..3).for_each(|_| out.put_buffer(None));
        out.put_long(-1);
    });
    assert_eq!(lines_of(op::RECONFIG, &reconfig, &refused), ["reconfig\tresult=failure"]);
}

#[test]
fn acl_lists_are_written_as_by_zookeeper() {
    let list = [
        Acl::open(),
        Acl { perms: perms::READ, id: id("digest", "u:xx") },
        Acl { perms: perms::READ | perms::CREATE, id: id("ip", "1.2.3.4") },
    ];
    let set = decode(op::SET_ACL, |out| {
        out.put_string("/a");
        Acl::write_list(&list, out);
        out.put_int(-1);
    });
    let text = "setAcl\tznode=/a\tacl=world:anyone:cdrwadigest:u:xx:rip:1.2.3.4:cr\tresult=success";
    assert_eq!(lines_of(op::SET_ACL, &set, &OpResult::AclSet(Box::default())), [text]);
}

#[test]
fn a_multi_has_a_line_per_part_or_one_failure() {
    let multi = Write::Multi(vec![
        create("/m", 1),
        decode_check(),
        decode(op::DELETE, |out| {
            out.put_string("/m");
            out.put_int(-1);
        }),
    ]);
    let results = vec![created("/m"), OpResult::Checked, OpResult::Deleted];
    let parts = [
        "create\tznode=/m\tznode_type=ephemeral\tresult=success",
        "delete\tznode=/m\tresult=success",
    ];
    assert_eq!(lines_of(op::MULTI, &multi, &OpResult::Multi(results)), parts);
    let refusals = [Code::Ok, Code::NoNode, Code::RuntimeInconsistency].map(OpResult::Refused);
    let refused = OpResult::Multi(refusals.to_vec());
    assert_eq!(lines_of(op::MULTI, &multi, &refused), ["multiOperation\tresult=failure"]);
    assert_eq!(lines_of(op::MULTI, &Write::Multi(vec![]), &OpResult::Multi(vec![])), [""; 0]);
    let one = Write::Multi(vec![create("/m", 0)]);
    let refused = OpResult::Multi(vec![OpResult::Refused(Code::NoNode)]);
    assert_eq!(lines_of(op::MULTI, &one, &refused), ["multiOperation\tresult=failure"]);
}

/// A check is no request of its own, so that it is taken out of a multi.
fn decode_check() -> Write {
    let multi = decode(op::MULTI, |out| {
        out.put_int(op::CHECK);
        out.put_bool(false);
        out.put_int(-1);
        out.put_string("/m");
        out.put_int(-1);
        out.put_int(-1);
        out.put_bool(true);
        out.put_int(-1);
    });
    let Write::Multi(mut writes) = multi else { panic!("{multi:?}") };
    writes.remove(0)
}

#[test]
fn control_characters_in_names_are_escaped() {
    let refused = OpResult::Refused(Code::BadArguments);
    let lines = lines_of(op::CREATE, &create("/a\tresult=success\n", 0), &refused);
    let line =
        "create\tznode=/a\\u0009result=success\\u000a\tznode_type=persistent\tresult=failure";
    assert_eq!(lines, [line]);
}

#[test]
fn lines_of_the_server_have_no_address() {
    let mut lines = Vec::new();
    let body = TxnBody::CloseSession { paths: vec!["/e".into(), "/f".into()] };
    let txn = Txn { session: SESSION, cxid: 0, zxid: Zxid(1), time: Millis(0), body };
    session_end_lines(&txn, &mut |line| lines.push(line.text("root")));
    let line = "session=0x10000\tuser=root\t\
                operation=ephemeralZNodeDeletionOnSessionCloseOrExpire\tznode=/e\tresult=success";
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0], line);
    let stop = AuditLine::of_server(Operation::ServerStop, Millis(0), Ending::Invoked);
    assert_eq!(stop.text("root"), "user=root\toperation=serverStop\tresult=invoked");
}
