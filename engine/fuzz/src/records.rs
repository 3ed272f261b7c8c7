//! Any bytes as any record: read or refused, and what is read can be written and read again.

use std::net::{IpAddr, Ipv4Addr};

use ringkeeper_engine::acl::{self, AuthSettings, DigestAlg};
use ringkeeper_engine::client::Body;
use ringkeeper_engine::op::set_watches::SetWatches;
use ringkeeper_engine::op::{OpSettings, OpSpec, Reading, Write, read, watches};
use ringkeeper_engine::shard::{FirstBytes, KnownWord};
use ringkeeper_engine::tree::Tree;
use ringkeeper_engine::txn::{CreateOp, CreateTxn, DeleteCause, NodeKind, Txn, TxnBody};
use ringkeeper_engine::wire::connect::{ConnectRequest, ConnectResponse};
use ringkeeper_engine::wire::opcode::op;
use ringkeeper_engine::wire::peer::{
    InitialMessage, LeaderPacket, LearnerPacket, Notification, PacketDecoder, PacketLimits,
    PeerExtension, StateScan,
};
use ringkeeper_engine::wire::{Acl, Reader, SentAcl, Stat};
use ringkeeper_engine::{Code, Millis, SessionId, Zxid};

/// Reads the bytes as everything that clients, servers and logs may hold.
pub fn run(data: &[u8]) {
    transaction(data);
    handshake(data);
    lists(data);
    requests(data);
    replies(data);
    identities(data);
    let _ = FirstBytes::of(data, &[KnownWord { name: *b"stmk", has_argument: true }]);
    peers(data);
}

/// What other servers say.
fn peers(data: &[u8]) {
    let mut decoder = PacketDecoder::new(PacketLimits::default());
    decoder.push(data);
    while let Ok(Some(packet)) = decoder.decode() {
        let mut bytes = Vec::new();
        if let Ok(said) = LeaderPacket::read(&packet) {
            said.encode(&mut bytes);
            let mut again = PacketDecoder::new(PacketLimits::default());
            again.push(&bytes);
            let packet = again.decode().expect("it was encoded here").expect("it is whole");
            assert_eq!(LeaderPacket::read(&packet), Ok(said));
        }
        let _ = LearnerPacket::read(packet);
    }
    if let Ok(extension) = PeerExtension::read(data) {
        assert_eq!(PeerExtension::read(&extension.to_bytes()), Ok(extension));
    }
    let _ = StateScan::default().advance(data);
    let _ = InitialMessage::decode(data);
    let Ok(Some((note, used))) = Notification::decode(data) else { return };
    assert!(used <= data.len());
    let mut bytes = Vec::new();
    note.encode(&mut bytes);
    assert_eq!(Notification::decode(&bytes), Ok(Some((note, bytes.len()))));
}

fn transaction(data: &[u8]) {
    let Ok(txn) = Txn::read(data) else { return };
    let mut bytes = Vec::new();
    txn.write(&mut bytes);
    assert_eq!(Txn::read(&bytes).as_ref(), Ok(&txn), "a transaction changes in the log");
}

fn handshake(data: &[u8]) {
    let _ = ConnectResponse::read(data);
    let Ok(request) = ConnectRequest::read(data) else { return };
    let mut bytes = Vec::new();
    request.write_frame(&mut bytes);
    assert_eq!(ConnectRequest::read(&bytes[4..]).as_ref(), Ok(&request));
}

fn lists(data: &[u8]) {
    let Ok(list) = Acl::read_list(&mut Reader::new(data)) else { return };
    let mut bytes = Vec::new();
    Acl::write_list(&list, &mut bytes);
    assert_eq!(Acl::read_list(&mut Reader::new(&bytes)).as_ref(), Ok(&list));
    Acl::reply_list(&list, &mut bytes);
    if let Ok(Some(sent)) = SentAcl::read_list(&mut Reader::new(data)) {
        let _ = acl::fix_up(&sent, &[], &AuthSettings::default(), &mut 1_000);
    }
    let shared = acl::AclList::from(list.clone());
    let _ = acl::allowed(&shared, i32::MAX, &[], &AuthSettings::default());
    acl::redact(&list);
}

fn requests(data: &[u8]) {
    for code in -20..120 {
        if let Ok(write) = Write::decode(code, &mut Reader::new(data)) {
            forwarded(&write);
        }
    }
    for code in [op::SET_WATCHES, op::SET_WATCHES2] {
        let _ = SetWatches::decode(code, &mut Reader::new(data));
    }
    let _ = watches::decode_add(&mut Reader::new(data));
    let _ = watches::decode_which(&mut Reader::new(data));
    let (tree, settings) = (Tree::new(1), OpSettings::default());
    let session = SessionId(1);
    let reading = Reading { tree: &tree, settings: &settings, ids: &[], session };
    let mut out = Vec::new();
    for code in (0..120).filter(|code| OpSpec::of(*code).is_read()) {
        read(code, &mut Reader::new(data), reading, &mut out);
    }
}

/// What can be sent to another server is the same write there; a part of a multi is without nulls.
fn forwarded(write: &Write) {
    let mut record = Vec::new();
    let Ok(code) = write.encode(&mut record) else {
        let may_stay = matches!(write, Write::Refused(_) | Write::Multi(_));
        return assert!(may_stay, "{write:?} is not forwarded");
    };
    let there = Write::decode(code, &mut Reader::new(&record));
    let Write::Multi(_) = write else {
        return assert_eq!(there.as_ref(), Ok(write));
    };
    let mut again = Vec::new();
    let there = there.expect("it was encoded");
    assert_eq!((there.encode(&mut again).ok(), &again), (Some(code), &record));
}

fn replies(data: &[u8]) {
    let body = Body(data);
    let _ = (body.path_stat(), body.data_stat(), body.acl_stat(), body.names_stat());
    let _ = (body.multi(), body.identities(), body.token(), body.number());
    let _ = Stat::read(&mut Reader::new(data));
}

fn identities(data: &[u8]) {
    let settings = AuthSettings { digest_enabled: true, ..AuthSettings::default() };
    let remote = IpAddr::V4(Ipv4Addr::LOCALHOST);
    for scheme in ["digest", "ip", "x509", "ensemble", "world", "sasl", ""] {
        let mut ids = Vec::new();
        let _ = acl::authenticate(&settings, scheme, Some(data), &mut ids, remote);
    }
    DigestAlg::Sha1.identity(&String::from_utf8_lossy(data));
}

/// One transaction of every kind, to begin with.
pub fn samples() -> Vec<Vec<u8>> {
    let create = |op, kind| {
        let (path, data) = ("/a/b".into(), Some(Box::from(*b"data")));
        TxnBody::Create(CreateTxn {
            op,
            path,
            data,
            acl: [Acl::open()].into(),
            kind,
            parent_cversion: 7,
        })
    };
    let mut bodies = vec![
        create(CreateOp::Create, NodeKind::Persistent),
        create(CreateOp::Create2, NodeKind::Ephemeral(SessionId(5))),
        create(CreateOp::Container, NodeKind::Container),
        create(CreateOp::Ttl, NodeKind::Ttl(5_000)),
        TxnBody::Delete { path: "/a".into(), cause: DeleteCause::Client },
        TxnBody::SetData { path: "/a".into(), data: None, version: 3 },
        TxnBody::SetAcl { path: "/a".into(), acl: [Acl::open()].into(), version: 1 },
        TxnBody::Check { path: "/a".into(), version: -1 },
        TxnBody::Error(Code::NoNode),
    ];
    bodies.push(TxnBody::Multi(bodies.clone()));
    bodies.push(TxnBody::CreateSession { timeout_ms: 4_000 });
    bodies.push(TxnBody::Reconfig { data: Some(Box::from(*b"version=1")), version: -1 });
    bodies.push(TxnBody::CloseSession { paths: vec!["/a/b".into(), "/c".into()] });
    let txn = |body| Txn { session: SessionId(5), cxid: 9, zxid: Zxid(77), time: Millis(1), body };
    let written = bodies.into_iter().map(|body| {
        let mut bytes = Vec::new();
        txn(body).write(&mut bytes);
        bytes
    });
    written.collect()
}
