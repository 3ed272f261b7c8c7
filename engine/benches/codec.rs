//! What the codec costs: requests, replies and transactions of the usual size, one at a time, and
//! a client session's share of the work.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ringkeeper_engine::client::{Core, Create, CreateMode, Message, Options, Request};
use ringkeeper_engine::txn::{CreateOp, CreateTxn, NodeKind, Txn, TxnBody};
use ringkeeper_engine::wire::connect::ConnectResponse;
use ringkeeper_engine::wire::header::{ReplyFrame, RequestHeader};
use ringkeeper_engine::wire::{Acl, Put, Reader, Stat};
use ringkeeper_engine::{Code, Millis, SessionId, Zxid};

const PATH: &str = "/ringkeeper-bench/a1b2c3/k000/000042";
const VALUE: [u8; 100] = [7; 100];
/// Replies in one read of a busy connection.
const BATCH: usize = 16;

fn requests(c: &mut Criterion) {
    let mut group = c.benchmark_group("request");
    group.throughput(Throughput::Elements(1));
    let acl = [Acl::open()];
    let mut out = Vec::with_capacity(4_096);
    let mode = CreateMode::Persistent;
    let create = Request::Create(Create { path: PATH, data: Some(&VALUE), acl: &acl, mode });
    let all = [
        ("get", Request::GetData { path: PATH, watch: false }),
        ("set", Request::SetData { path: PATH, data: Some(&VALUE), version: -1 }),
        ("create", create),
        ("multi of 4 creates", Request::Multi(&[create; 4])),
    ];
    for (name, request) in all {
        group.bench_function(format!("write {name}"), |b| {
            b.iter(|| {
                out.clear();
                black_box(request).write_frame(7, &mut out);
                black_box(&out);
            });
        });
    }
    out.clear();
    create.write_frame(7, &mut out);
    group.bench_function("read create", |b| b.iter(|| read_create(black_box(&out[4..]))));
    group.finish();
}

fn read_create(payload: &[u8]) -> (i32, usize, Vec<Acl>) {
    let mut reader = Reader::new(payload);
    let header = RequestHeader::read(&mut reader).expect("a header");
    let path = reader.string().expect("a path");
    let data = reader.buffer().expect("data").unwrap_or_default();
    let acl = Acl::read_list(&mut reader).expect("a list");
    (header.op, path.len() + data.len(), acl)
}

fn write_get_reply(xid: i32, out: &mut Vec<u8>) {
    let stat = Stat { czxid: 5, mzxid: 9, data_length: 100, ..Stat::default() };
    let frame = ReplyFrame::begin(out, xid, Zxid::new(1, 77), Code::Ok);
    out.put_buffer(Some(&VALUE));
    stat.write(out);
    frame.finish(out);
}

fn replies(c: &mut Criterion) {
    let mut group = c.benchmark_group("reply");
    group.throughput(Throughput::Elements(1));
    let mut out = Vec::with_capacity(4_096);
    group.bench_function("write get", |b| {
        b.iter(|| {
            out.clear();
            write_get_reply(black_box(7), &mut out);
            black_box(&out);
        });
    });
    group.finish();
}

/// A client's whole work on a batch: write the requests, pair the replies, read their records.
fn session(c: &mut Criterion) {
    let mut group = c.benchmark_group("client");
    group.throughput(Throughput::Elements(BATCH as u64));
    let mut core = open_core();
    let mut out = Vec::with_capacity(4_096);
    group.bench_function("request and reply, get", |b| {
        let mut replies = Vec::new();
        b.iter(|| {
            out.clear();
            replies.clear();
            for _ in 0..BATCH {
                let request = Request::GetData { path: black_box(PATH), watch: false };
                write_get_reply(core.request(&request, (), &mut out), &mut replies);
            }
            let mut rest = &replies[..];
            while let Ok(Some(Message::Reply(reply))) = core.receive(&mut rest) {
                black_box(reply.body.data_stat().expect("a whole reply"));
            }
            assert_eq!(core.in_flight(), 0);
        });
    });
    group.finish();
}

fn open_core() -> Core<()> {
    let mut core = Core::new(Options::default());
    core.connect(Millis(0), &mut Vec::new());
    let response =
        ConnectResponse { timeout_ms: 6_000, session: 1, password: [1; 16], read_only: None };
    let mut bytes = Vec::new();
    response.write_frame(&mut bytes);
    core.receive(&mut &bytes[..]).expect("a handshake").expect("a whole one");
    core
}

fn transactions(c: &mut Criterion) {
    let mut group = c.benchmark_group("transaction");
    group.throughput(Throughput::Elements(1));
    let create = CreateTxn {
        op: CreateOp::Create,
        path: PATH.into(),
        data: Some(VALUE.into()),
        acl: [Acl::open()].into(),
        kind: NodeKind::Persistent,
        parent_cversion: 4,
    };
    let txn = Txn {
        session: SessionId(1),
        cxid: 2,
        zxid: Zxid::new(1, 3),
        time: Millis(4),
        body: TxnBody::Create(create),
    };
    let mut out = Vec::with_capacity(4_096);
    group.bench_function("write create", |b| {
        b.iter(|| {
            out.clear();
            black_box(&txn).write(&mut out);
            black_box(&out);
        });
    });
    out.clear();
    txn.write(&mut out);
    group.bench_function("read create", |b| b.iter(|| Txn::read(black_box(&out))));
    group.finish();
}

criterion_group!(benches, requests, replies, session, transactions);
criterion_main!(benches);
