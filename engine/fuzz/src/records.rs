//! Any bytes as any record: read or refused, and what is read can be written and read again.

use std::net::{IpAddr, Ipv4Addr};

use ringkeeper_engine::SessionId;
use ringkeeper_engine::acl::{self, AuthSettings, DigestAlg};
use ringkeeper_engine::client::Body;
use ringkeeper_engine::op::set_watches::SetWatches;
use ringkeeper_engine::op::{OpSettings, Reading, Write, is_read, read, watches};
use ringkeeper_engine::shard::Word;
use ringkeeper_engine::tree::Tree;
use ringkeeper_engine::txn::Txn;
use ringkeeper_engine::wire::connect::{ConnectRequest, ConnectResponse};
use ringkeeper_engine::wire::opcode::op;
use ringkeeper_engine::wire::{Acl, Reader, Stat};

/// Reads the bytes as everything that clients, servers and logs may hold.
pub fn run(data: &[u8]) {
    transaction(data);
    handshake(data);
    lists(data);
    requests(data);
    replies(data);
    identities(data);
    let _ = Word::recognise(data);
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
    let _ = acl::fix_up(&list, &[], &AuthSettings::default());
    let _ = acl::allowed(&list, i32::MAX, &[], &AuthSettings::default());
    acl::redact(&list);
}

fn requests(data: &[u8]) {
    for code in -20..120 {
        let _ = Write::decode(code, &mut Reader::new(data));
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
    for code in (0..120).filter(|code| is_read(*code)) {
        read(code, &mut Reader::new(data), reading, &mut out);
    }
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
