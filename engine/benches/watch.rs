//! What registering and firing a watch costs, beside 100,000 others.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ringkeeper_engine::watch::{ChangeKind, ConnId, OneShot, WatchMode, WatchTable};

const OTHERS: u32 = 100_000;
const WATCHERS: u32 = 10_000;

fn crowded() -> WatchTable {
    let mut table = WatchTable::new(1);
    for n in 0..OTHERS {
        let path = format!("/services/group-{:03}/node-{n:06}", n % 1_000);
        table.add_one_shot(ConnId(n % 100), &path, OneShot::Data);
    }
    table
}

fn fire(table: &mut WatchTable, path: &str) -> u32 {
    let mut told = 0;
    table.fire(ChangeKind::DataChanged, path, &mut |_, _, _, _| told += 1);
    told
}

fn one(c: &mut Criterion) {
    let mut table = crowded();
    let mut group = c.benchmark_group("watch");
    group.throughput(Throughput::Elements(1));
    group.bench_function("a change that nobody watches", |b| {
        b.iter(|| fire(&mut table, black_box("/services/group-007/none")));
    });
    group.bench_function("register and fire a one-shot watch", |b| {
        b.iter(|| {
            table.add_one_shot(ConnId(7), black_box("/config/flags"), OneShot::Data);
            assert_eq!(fire(&mut table, "/config/flags"), 1);
        });
    });
    group.bench_function("register again what is there", |b| {
        b.iter(|| table.add_one_shot(ConnId(7), black_box("/config/kept"), OneShot::Data));
    });
    table.add(ConnId(8), "/services", WatchMode::PersistentRecursive);
    group.bench_function("a recursive watch two levels up fires", |b| {
        b.iter(|| assert_eq!(fire(&mut table, black_box("/services/group-007/none")), 1));
    });
    group.finish();
}

fn many(c: &mut Criterion) {
    let mut group = c.benchmark_group("watch, 10,000 connections on one node");
    group.throughput(Throughput::Elements(u64::from(WATCHERS)));
    let watched = || {
        let mut table = WatchTable::new(1);
        for conn in 0..WATCHERS {
            table.add_one_shot(ConnId(conn), "/hot", OneShot::Data);
        }
        table
    };
    group.bench_function("one-shot watches fire", |b| {
        b.iter_batched_ref(watched, |table| fire(table, "/hot"), BatchSize::PerIteration);
    });
    let mut table = WatchTable::new(1);
    for conn in 0..WATCHERS {
        table.add(ConnId(conn), "/hot", WatchMode::Persistent);
    }
    group.bench_function("persistent watches fire", |b| b.iter(|| fire(&mut table, "/hot")));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(30);
    targets = one, many
}
criterion_main!(benches);
