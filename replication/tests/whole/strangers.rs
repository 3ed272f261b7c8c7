//! Do strangers break a server? Mutated sessions of the golden scripts against a whole server in
//! memory, and mutated records of every kind against their readers. `engine/fuzz` runs the same
//! functions without end.

use ringkeeper_engine::txn::{CreateOp, CreateTxn, DeleteCause, NodeKind, Txn, TxnBody};
use ringkeeper_engine::wire::{Acl, Put};
use ringkeeper_engine::{Code, Millis, SessionId, Zxid};

use crate::mutate::{mutate, splice};
use crate::random::Random;
use crate::{frames, golden, records};

const SESSIONS: u64 = 4_000;
const RECORDS: u64 = 30_000;

#[test]
fn golden_sessions_are_served_in_any_pieces() {
    let streams = golden::streams();
    assert!(streams.len() > 150, "only {} streams were found", streams.len());
    for stream in &streams {
        for head in [0, 2, 6, 36] {
            frames::run(&[&[head], &stream[..]].concat());
        }
    }
}

#[test]
fn mutated_sessions_break_nothing() {
    let streams = golden::streams();
    for seed in 0..SESSIONS {
        let mut random = Random::new(seed);
        let mut bytes = splice(&streams, &mut random);
        mutate(&mut bytes, &mut random);
        bytes.insert(0, random.below(256) as u8);
        let run = std::panic::catch_unwind(|| frames::run(&bytes));
        assert!(run.is_ok(), "seed {seed} breaks it: {}", hex(&bytes));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One transaction of every kind.
fn transactions() -> Vec<Vec<u8>> {
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
    bodies.push(TxnBody::CloseSession { paths: vec!["/a/b".into(), "/c".into()] });
    let txn = |body| Txn { session: SessionId(5), cxid: 9, zxid: Zxid(77), time: Millis(1), body };
    let written = bodies.into_iter().map(|body| {
        let mut bytes = Vec::new();
        txn(body).write(&mut bytes);
        bytes
    });
    written.collect()
}

/// The records of all golden requests, without length and header, and lists of access rights.
fn requests() -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    for stream in golden::streams() {
        let mut rest = &stream[..];
        while let Some((length, tail)) = rest.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            let Some((frame, tail)) = tail.split_at_checked(length) else { break };
            records.push(frame.get(8..).unwrap_or(frame).to_vec());
            rest = tail;
        }
    }
    let mut list = Vec::new();
    Acl::write_list(&[Acl::open(), Acl::open()], &mut list);
    list.put_string("digest");
    records.push(list);
    records
}

#[test]
fn any_bytes_are_read_or_refused() {
    let (txns, requests) = (transactions(), requests());
    assert!(requests.len() > 1_000, "only {} requests were found", requests.len());
    txns.iter().chain(&requests).for_each(|record| records::run(record));
    for seed in 0..RECORDS {
        let mut random = Random::new(seed);
        let all = if random.percent(40) { &txns } else { &requests };
        let mut bytes = random.pick(all).clone();
        bytes.truncate(2_000);
        mutate(&mut bytes, &mut random);
        let run = std::panic::catch_unwind(|| records::run(&bytes));
        assert!(run.is_ok(), "seed {seed} breaks it: {bytes:02x?}");
    }
}
