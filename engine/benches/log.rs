//! What the log costs beside the disk: encoding a group, and a flush on a disk in memory.

#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ringkeeper_engine::device::{Identity, MemoryDisk};
use ringkeeper_engine::log::{Dirs, Each, Group, Log, Settings, Step, recover};
use ringkeeper_engine::txn::{Txn, TxnBody};
use ringkeeper_engine::{Millis, SessionId, Zxid};

/// Records of one group.
const RECORDS: u64 = 16;
/// Large enough for all flushes between two fresh logs.
const SEGMENT_BYTES: u64 = 64 << 20;
/// Flushes after which a log is thrown away, because the disk is memory.
const FLUSHES: u64 = 5_000;

fn txn(zxid: u64) -> Txn {
    let body = TxnBody::SetData {
        path: "/ringkeeper-bench/a1b2c3/k000/000042".into(),
        data: Some([7; 100].into()),
        version: 9,
    };
    Txn { session: SessionId(1), cxid: 2, zxid: Zxid(zxid), time: Millis(4), body }
}

fn fill(group: &mut Group, from: u64) {
    (from..from + RECORDS).for_each(|zxid| group.push(&txn(zxid)));
}

/// A log on a disk in memory, with a segment that is ready.
fn fresh() -> Log<MemoryDisk> {
    let disk = MemoryDisk::new(1);
    let dirs = Dirs { snapshots: disk.clone(), log: disk.clone() };
    let settings = Settings { segment_bytes: SEGMENT_BYTES, ahead: 1, ..Settings::default() };
    let mut identity = Identity::open(&disk, 3).expect("memory does not fail");
    let recovered = recover(
        &dirs,
        &mut identity,
        &settings,
        &mut Each(|_| Err("a fresh directory has no log".into())),
    )
    .expect("it is empty");
    let mut preparer = recovered.preparer;
    while preparer.step().expect("memory does not fail") == Step::Made {}
    recovered.log
}

fn log(c: &mut Criterion) {
    let mut group = c.benchmark_group("log");
    group.throughput(Throughput::Elements(RECORDS));
    let mut records = Group::new();
    group.bench_function("encode a group of 16", |b| {
        b.iter(|| {
            records.clear();
            fill(black_box(&mut records), 1);
        });
    });
    group.bench_function("commit a group of 16 to memory", |b| b.iter_custom(flush));
    group.finish();
}

fn flush(times: u64) -> Duration {
    let mut took = Duration::ZERO;
    let mut records = Group::new();
    let mut left = times;
    while left > 0 {
        let mut log = fresh();
        let now = left.min(FLUSHES);
        for flush in 0..now {
            records.clear();
            fill(&mut records, 1 + flush * RECORDS);
            let start = Instant::now();
            log.flush(&mut records).expect("memory does not fail");
            took += start.elapsed();
        }
        left -= now;
    }
    took
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20);
    targets = log
}
criterion_main!(benches);
