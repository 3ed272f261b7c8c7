//! Requests that go on to a leader: as ZooKeeper's own servers send them, or not at all.

use std::sync::Arc;

use ringkeeper_engine::forward::{forward_close, forward_open, forward_sync, forward_write};
use ringkeeper_engine::op::{NotForwarded, Write};
use ringkeeper_engine::sequencer::Caller;
use ringkeeper_engine::wire::opcode::op;
use ringkeeper_engine::wire::peer::{LearnerPacket, PacketDecoder, PacketLimits};
use ringkeeper_engine::wire::{Acl, Id, Malformed, Put, Reader};
use ringkeeper_engine::{Code, SessionId};

use crate::conversation::{Sender, quorum, said};

const RECORD_BYTES_MAX: usize = 1_000;

fn caller() -> Caller {
    let ids = vec![Id { scheme: "ip".into(), id: "127.0.0.1".into() }];
    Caller { session: SessionId(0x0400_0000_0000_0007), cxid: 9, ids: ids.into() }
}

/// The operation and the record of a REQUEST, and that nothing but these was made up.
fn request(packet: &[u8], caller: &Caller) -> (i32, Vec<u8>) {
    let mut decoder = PacketDecoder::new(PacketLimits::default());
    decoder.push(packet);
    let raw = decoder.decode().unwrap().expect("a whole packet");
    assert_eq!(raw.zxid, -1);
    let read = LearnerPacket::read(raw).unwrap();
    let LearnerPacket::Request { session, cxid, op, record, identities } = read else {
        panic!("{read:?}")
    };
    assert_eq!((session, cxid), (caller.session, caller.cxid));
    assert_eq!(identities.as_deref(), Some(&caller.ids[..]));
    let record = record.to_vec();
    assert_eq!(decoder.pending_bytes(), 0);
    (op, record)
}

fn forwarded(write: &Write) -> Result<(i32, Vec<u8>), NotForwarded> {
    let (caller, mut packet) = (caller(), Vec::new());
    forward_write(&caller, write, RECORD_BYTES_MAX, &mut packet)?;
    Ok(request(&packet, &caller))
}

/// What becomes of the bytes of a client: a request, or the reason why there is none.
fn of_client(op: i32, record: &[u8]) -> Result<(i32, Vec<u8>), String> {
    let write = Write::decode(op, &mut Reader::new(record)).map_err(|bad| format!("{bad:?}"))?;
    forwarded(&write).map_err(|refused| format!("{refused:?}"))
}

#[test]
fn recorded_requests_are_made_again_byte_for_byte() {
    let mut made = Vec::new();
    for (name, messages) in quorum() {
        for message in said(&messages, Sender::Learner) {
            let mut decoder = PacketDecoder::new(PacketLimits::default());
            decoder.push(&message.bytes);
            let packet = LearnerPacket::read(decoder.decode().unwrap().unwrap()).unwrap();
            let LearnerPacket::Request { session, cxid, op, record, identities } = packet else {
                continue;
            };
            let ids: Arc<[Id]> = identities.map(|ids| ids.to_vec()).unwrap_or_default().into();
            let caller = Caller { session, cxid, ids };
            let mut again = Vec::new();
            let mut reader = Reader::new(record);
            match op {
                op::CREATE_SESSION => {
                    forward_open(session, reader.int().unwrap(), &mut again);
                }
                op::CLOSE_SESSION => forward_close(&caller, &mut again),
                op::SYNC => forward_sync(&caller, &reader.string().unwrap(), &mut again),
                _ => {
                    let write = Write::decode(op, &mut reader).unwrap();
                    forward_write(&caller, &write, RECORD_BYTES_MAX, &mut again).unwrap();
                }
            }
            assert_eq!(again, message.bytes, "{name}: {op}");
            made.push(op);
        }
    }
    made.sort_unstable();
    made.dedup();
    assert_eq!(made, [-11, -10, 1, 5, 9, 14, 15, 21]);
}

/// One good record of each operation.
fn records() -> Vec<(i32, Vec<u8>)> {
    let create = |ttl: Option<i64>, flags| {
        let mut record = Vec::new();
        record.put_string("/a");
        record.put_buffer(Some(b"data"));
        Acl::write_list(&[Acl::open()], &mut record);
        record.put_int(flags);
        ttl.into_iter().for_each(|ms| record.put_long(ms));
        record
    };
    let path_and_int = || {
        let mut record = Vec::new();
        record.put_string("/a");
        record.put_int(3);
        record
    };
    let mut set_data = Vec::new();
    set_data.put_string("/a");
    set_data.put_buffer(None);
    set_data.put_int(-1);
    let mut set_acl = Vec::new();
    set_acl.put_string("/a");
    Acl::write_list(&[Acl::open()], &mut set_acl);
    set_acl.put_int(-1);
    let mut reconfig = Vec::new();
    [None, Some(&b"2"[..]), None].into_iter().for_each(|list| reconfig.put_buffer(list));
    reconfig.put_long(-1);
    let mut records = vec![
        (op::CREATE, create(None, 3)),
        (op::CREATE2, create(None, 0)),
        (op::CREATE_CONTAINER, create(None, 4)),
        (op::CREATE_TTL, create(Some(5_000), 5)),
        (op::DELETE, path_and_int()),
        (op::SET_DATA, set_data),
        (op::SET_ACL, set_acl),
        (op::RECONFIG, reconfig),
    ];
    let mut parts = records[..6].to_vec();
    // A container in a multi has the number of createContainer whatever it was sent as.
    parts.push((op::CHECK, path_and_int()));
    records.push((op::MULTI, multi(&parts)));
    records
}

fn multi(parts: &[(i32, Vec<u8>)]) -> Vec<u8> {
    let mut record = Vec::new();
    for (op, part) in parts {
        record.put_int(*op);
        record.put_bool(false);
        record.put_int(-1);
        record.extend_from_slice(part);
    }
    record.put_int(-1);
    record.put_bool(true);
    record.put_int(-1);
    record
}

#[test]
fn each_operation_goes_on_as_it_came() {
    for (op, record) in records() {
        assert_eq!(of_client(op, &record), Ok((op, record)), "{op}");
    }
}

#[test]
fn record_cut_off_at_any_byte_never_goes_on() {
    for (op, record) in records() {
        for cut in 0..record.len() {
            let found = of_client(op, &record[..cut]);
            assert!(found.is_err(), "{op} cut at {cut}: {found:?}");
        }
    }
}

/// Whatever a client sends, what goes on is a record that reads back whole.
#[test]
fn record_with_any_byte_changed_goes_on_readable_or_not_at_all() {
    let (mut sent, mut kept) = (0, 0);
    for (op, record) in records() {
        for at in 0..record.len() {
            for byte in [0, 1, 5, 0x7f, 0x80, 0xff] {
                let mut record = record.clone();
                record[at] = byte;
                let Ok((op, record)) = of_client(op, &record) else {
                    kept += 1;
                    continue;
                };
                let mut reader = Reader::new(&record);
                let write = Write::decode(op, &mut reader).expect("it was decoded before");
                assert!(!matches!(write, Write::Refused(_)) && reader.rest().is_empty());
                sent += 1;
            }
        }
    }
    assert!(sent > 500 && kept > 500, "{sent} {kept}");
}

/// Every length and count of a record as null: only data, the path and the list of a create that is
/// alone, what is in an ACL, and the lists of a reconfig may be null, and go on so; the leader
/// refuses them in its turn. A null list of a setACL goes on empty.
#[test]
fn null_fields_go_on_only_where_clients_may_send_them() {
    let null = [0xff; 4];
    let path = [0, 0, 0, 2, b'/', b'a'];
    let data = [0, 0, 0, 0];
    let mut open = Vec::new();
    Acl::write_list(&[Acl::open()], &mut open);
    let end = [0; 4];
    let create = |path: &[u8], data: &[u8], acl: &[u8]| [path, data, acl, &end[..]].concat();
    let is_sent = |op, record: &[u8]| of_client(op, record).is_ok();
    assert!(is_sent(op::CREATE, &create(&null, &data, &open)));
    assert!(is_sent(op::CREATE, &create(&path, &null, &open)));
    assert!(is_sent(op::CREATE, &create(&path, &data, &null)));
    assert!(!is_sent(op::DELETE, &[&null[..], &end].concat()));
    assert!(!is_sent(op::SET_DATA, &[&null[..], &data, &end].concat()));
    assert!(is_sent(op::SET_DATA, &[&path[..], &null, &end].concat()));
    assert!(!is_sent(op::SET_ACL, &[&null[..], &open, &end].concat()));
    let set_acl = of_client(op::SET_ACL, &[&path[..], &null, &end].concat());
    assert_eq!(set_acl, Ok((op::SET_ACL, [&path[..], &[0; 4], &end].concat())));
    // A null scheme or identity goes on.
    let identity = |scheme: &[u8], id: &[u8]| {
        let list = [&[0, 0, 0, 1, 0, 0, 0, 31], scheme, id].concat();
        of_client(op::CREATE, &create(&path, &data, &list)).map(|(_, record)| record)
    };
    let world = [&[0, 0, 0, 5][..], b"world"].concat();
    for (scheme, id) in [(&world[..], &null[..]), (&null, &null)] {
        let list = [&[0, 0, 0, 1, 0, 0, 0, 31], scheme, id].concat();
        assert_eq!(identity(scheme, id), Ok(create(&path, &data, &list)));
    }
}

#[test]
fn null_fields_inside_a_multi_never_go_on_but_data() {
    let null = [0xff; 4];
    let path = [0, 0, 0, 2, b'/', b'a'];
    let (data, end) = ([0; 4], [0; 4]);
    let mut open = Vec::new();
    Acl::write_list(&[Acl::open()], &mut open);
    let one = |op, parts: &[&[u8]]| {
        let record = multi(&[(op, parts.concat())]);
        of_client(op::MULTI, &record)
    };
    let ttl = [0, 0, 0, 0, 0, 0, 0, 9];
    for create in [op::CREATE, op::CREATE2, op::CREATE_CONTAINER] {
        assert!(one(create, &[&null, &data, &open, &end]).is_err());
        assert!(one(create, &[&path, &null, &open, &end]).is_ok());
        let found = one(create, &[&path, &data, &null, &end]);
        assert_eq!(found, Err(format!("{:?}", Malformed::Null)), "{create}");
    }
    // ZooKeeper's leader trips over nulls in a list, and does not get over it. What it finds
    // invalid goes on empty.
    let world = [&[0, 0, 0, 5][..], b"world"].concat();
    let auth = [&[0, 0, 0, 4][..], b"auth"].concat();
    let entry = |scheme: &[u8], id: &[u8]| [&[0, 0, 0, 31], scheme, id].concat();
    let listed = |entries: &[Vec<u8>]| {
        let list = [&(entries.len() as u32).to_be_bytes()[..], &entries.concat()].concat();
        one(op::CREATE, &[&path, &data, &list, &end])
    };
    let refused = Err(format!("{:?}", NotForwarded::Refused(Code::MarshallingError)));
    assert_eq!(listed(&[entry(&world, &null)]), refused);
    assert_eq!(listed(&[entry(&auth, &null), entry(&auth, &null)]), refused);
    let empty = [0; 4];
    assert_eq!(listed(&[entry(&null, &null)]), listed(&[entry(&empty, &empty)]));
    assert_eq!(listed(&[entry(&auth, &null)]), listed(&[entry(&auth, &empty)]));
    assert!(listed(&[entry(&auth, &null)]).is_ok());
    // A createTTL is what its flags say; its list goes on empty, not null.
    for flags in [0, 4, 5] {
        let (_, record) = one(op::CREATE_TTL, &[&path, &data, &null, &[0, 0, 0, flags], &ttl])
            .expect("null is as good as empty");
        let list = 9 + path.len() + data.len();
        assert_eq!(record[list..list + 4], [0; 4], "{record:?}");
    }
    assert!(one(op::CREATE_TTL, &[&null, &data, &open, &[0, 0, 0, 5], &ttl]).is_err());
    assert!(one(op::DELETE, &[&null, &end]).is_err());
    assert!(one(op::CHECK, &[&null, &end]).is_err());
    assert!(one(op::SET_DATA, &[&null, &data, &end]).is_err());
    assert!(one(op::SET_DATA, &[&path, &null, &end]).is_ok());
    // What does not belong into a multi.
    assert!(one(op::SET_ACL, &[&path, &open, &end]).is_err());
    assert!(one(op::GET_DATA, &[&path, &[0]]).is_err());
    assert!(one(op::MULTI, &[&multi(&[])]).is_err());
}

#[test]
fn what_is_no_write_of_a_client_does_not_go_on() {
    let refused = Write::Refused(Code::BadArguments);
    assert_eq!(forwarded(&refused), Err(NotForwarded::Refused(Code::BadArguments)));
    for other in [0, 4, 13, 20, 101, 107, 999, -1, -10, -11, i32::MIN] {
        assert_eq!(of_client(other, &[0; 64]), Err(format!("{:?}", Malformed::Value)), "{other}");
    }
}

/// Bytes that are no UTF-8 become three each, and the leader has a limit too.
#[test]
fn record_that_grew_beyond_the_limit_of_the_leader_does_not_go_on() {
    let record = |count: usize| {
        let mut record = Vec::new();
        record.put_buffer(Some(&vec![0xff; count]));
        record.put_int(-1);
        record
    };
    let fits = (RECORD_BYTES_MAX - 8) / 3;
    assert!(of_client(op::DELETE, &record(fits)).is_ok());
    let mut out = vec![7];
    let write = Write::decode(op::DELETE, &mut Reader::new(&record(fits + 1))).unwrap();
    let found = forward_write(&caller(), &write, RECORD_BYTES_MAX, &mut out);
    assert_eq!((found, out), (Err(NotForwarded::TooLong), vec![7]));
}
