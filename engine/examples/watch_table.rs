//! What watches cost: memory per watch, and the time of each operation at a million watches.
//!
//! `cargo run --release -p ringkeeper-engine --example watch_table`

#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::fs;
use std::time::{Duration, Instant};

use ringkeeper_engine::watch::{
    ChangeKind, ConnId, OneShot, ScanCursor, WatchMode, WatchTable, WatcherType,
};

const MILLION: usize = 1_000_000;
const FAN_OUT: u32 = 10_000;

fn main() {
    shared_paths();
    distinct_paths();
    fan_out();
    one_connection_with_everything();
    recursive();
    steady_state();
}

/// Resident bytes of this process.
fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").expect("this measures on Linux only");
    let pages = statm.split(' ').nth(1).and_then(|field| field.parse::<usize>().ok());
    pages.expect("the second field is a number") * 4_096
}

fn timed<T>(run: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let value = run();
    (start.elapsed(), value)
}

fn per(total: Duration, count: usize) -> String {
    format!("{:.0} ns each", total.as_nanos() as f64 / count as f64)
}

fn path(at: usize) -> String {
    format!("/services/group-{:03}/node-{at:010}", at % 1_000)
}

/// Adds what `add` says for 0..count, and tells the longest single call.
fn fill(table: &mut WatchTable, count: usize, add: impl Fn(&mut WatchTable, usize)) -> Duration {
    let mut longest = Duration::ZERO;
    for at in 0..count {
        longest = longest.max(timed(|| add(table, at)).0);
    }
    longest
}

fn distinct_paths() {
    println!("1,000,000 one-shot watches, 1,000 connections, distinct paths of 35 bytes");
    let paths: Vec<String> = (0..MILLION).map(path).collect();
    let (before, mut table) = (resident(), WatchTable::new(1));
    let add = |table: &mut WatchTable, at: usize| {
        table.add_one_shot(ConnId(at as u32 % 1_000), &paths[at], OneShot::Data);
    };
    let (time, longest) = timed(|| fill(&mut table, MILLION, add));
    println!("  add     {}, longest {longest:.0?}", per(time, MILLION));
    println!("  memory  {} bytes per watch, path included", (resident() - before) / MILLION);
    let (time, _) = timed(|| fill(&mut table, MILLION, add));
    println!("  again   {}", per(time, MILLION));
    let missing = |at: usize| table.contains(ConnId(7), &paths[at], WatcherType::Any);
    let (time, _) = timed(|| (0..MILLION).filter(|&at| missing(at)).count());
    println!("  check   {}", per(time, MILLION));
    let (time, seen) = timed(|| {
        let mut seen = 0;
        table.scan_paths(ScanCursor::default(), u32::MAX, &mut |_, _| seen += 1);
        seen
    });
    println!("  scan    {time:.1?} for {seen}");
    let (time, ()) = timed(|| table.drop_connection(ConnId(5)));
    println!("  drop    {time:.1?} for a connection with 1,000");
    let fire = |at: usize| table.fire(ChangeKind::DataChanged, &paths[at], &mut |_, _, _, _| {});
    let (time, ()) = timed(|| (0..MILLION).map(fire).for_each(drop));
    println!("  fire    {}", per(time, MILLION));
}

fn shared_paths() {
    println!("1,000,000 one-shot watches, 10,000 connections on the same 100 paths");
    let (before, mut table) = (resident(), WatchTable::new(1));
    let paths: Vec<String> = (0..100).map(path).collect();
    let (time, longest) = timed(|| {
        fill(&mut table, MILLION, |table, at| {
            table.add_one_shot(ConnId(at as u32 / 100), &paths[at % 100], OneShot::Data);
        })
    });
    println!("  add     {}, longest {longest:.0?}", per(time, MILLION));
    println!("  memory  {} bytes per watch", (resident() - before) / MILLION);
    let (time, ()) = timed(|| table.drop_connection(ConnId(77)));
    println!("  drop    {time:.1?} for a connection with 100");
    let (time, fired) =
        timed(|| table.fire(ChangeKind::DataChanged, &paths[0], &mut |_, _, _, _| {}));
    println!("  fire    {time:.1?} for {}", fired.node);
}

fn fan_out() {
    println!("10,000 connections on one path");
    let mut table = WatchTable::new(1);
    let mut one_shots = || {
        for conn in 0..FAN_OUT {
            table.add_one_shot(ConnId(conn), "/hot", OneShot::Data);
        }
        timed(|| table.fire(ChangeKind::DataChanged, "/hot", &mut |_, _, _, _| {})).0
    };
    let times: Vec<Duration> = (0..5).map(|_| one_shots()).collect();
    println!("  one-shot fire    {times:.0?}");
    for conn in 0..FAN_OUT {
        table.add(ConnId(conn), "/hot", WatchMode::Persistent);
    }
    let mut fire = || timed(|| table.fire(ChangeKind::DataChanged, "/hot", &mut |_, _, _, _| {})).0;
    let times: Vec<Duration> = (0..5).map(|_| fire()).collect();
    println!("  persistent fire  {times:.0?}");
    let (time, ()) = timed(|| table.drop_connection(ConnId(5_000)));
    println!("  drop of one      {time:.1?}");
}

fn one_connection_with_everything() {
    let mut table = WatchTable::new(1);
    for at in 0..MILLION {
        table.add_one_shot(ConnId(1), &path(at), OneShot::Data);
    }
    let (time, ()) = timed(|| table.drop_connection(ConnId(1)));
    let (rest, slices) = timed(|| (0..).find(|_| table.sweep(4_096)));
    println!("one connection with 1,000,000 watches: drop {time:.1?}");
    println!("  the rest: {rest:.1?} in {} slices", slices.unwrap_or_default());
}

fn recursive() {
    let mut table = WatchTable::new(1);
    for at in 0..MILLION / 10 {
        table.add_one_shot(ConnId(at as u32), "/a", OneShot::Data);
    }
    table.add(ConnId(1), "/a", WatchMode::PersistentRecursive);
    let deep = "/a/b/c/d/e/f/g/h/i/j";
    let (time, ()) = timed(|| {
        for _ in 0..MILLION {
            table.fire(ChangeKind::DataChanged, deep, &mut |_, _, _, _| {});
        }
    });
    println!("depth 10 under a recursive watch: fire {}", per(time, MILLION));
}

fn steady_state() {
    let mut table = WatchTable::new(1);
    for at in 0..MILLION / 10 {
        table.add_one_shot(ConnId(at as u32 % 100), &path(at), OneShot::Data);
    }
    let (time, ()) = timed(|| {
        for at in 0..MILLION {
            let conn = ConnId(at as u32 % 100);
            table.add_one_shot(conn, "/config/flags", OneShot::Data);
            table.fire(ChangeKind::DataChanged, "/config/flags", &mut |_, _, _, _| {});
        }
    });
    println!("watch, change, watch, change: {}", per(time, MILLION));
    let (time, ()) = timed(|| {
        for _ in 0..MILLION {
            table.fire(ChangeKind::DataChanged, "/nobody/cares", &mut |_, _, _, _| {});
        }
    });
    println!("a change that nobody watches: {}", per(time, MILLION));
}
