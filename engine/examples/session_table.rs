//! What sessions cost: memory per session, and the time of each operation at a million sessions.
//!
//! `cargo run --release -p ringkeeper-engine --example session_table`

#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::fs;
use std::time::{Duration, Instant};

use ringkeeper_engine::session::{LastHeard, SessionIdSource, SessionTable};
use ringkeeper_engine::{Millis, SessionId};

const SESSIONS: usize = 1_000_000;
const TICK_MS: i64 = 2_000;
const TIMEOUT_MS: i32 = 30_000;
const SLICE: usize = 4_096;

fn main() {
    let before = resident();
    let mut table = SessionTable::new(TICK_MS as i32, 4_000, 40_000);
    let mut ids = SessionIdSource::new(1, Millis(12_345));
    let (mut longest, mut last_heard) = (Duration::ZERO, Vec::with_capacity(SESSIONS));
    let (time, ()) = timed(|| {
        for at in 0..SESSIONS {
            let id = ids.next();
            let open = || (id, table.open(id, TIMEOUT_MS, Millis(at as i64 / 100)));
            let (time, opened) = timed(open);
            longest = longest.max(time);
            last_heard.push(opened);
        }
    });
    let own = SESSIONS * size_of::<(SessionId, LastHeard)>();
    println!("open    {}, longest {longest:.0?}", per(time));
    println!("memory  {} bytes per session", (resident() - before - own) / SESSIONS);
    let (time, ()) =
        timed(|| last_heard.iter().for_each(|(_, last_heard)| last_heard.touch(Millis(10_000))));
    println!("touch   {}", per(time));
    let (time, found) =
        timed(|| last_heard.iter().filter(|(id, _)| table.get(*id).is_some()).count());
    println!("get     {} ({found})", per(time));
    idle_and_expire(&mut table, &last_heard);
    let (time, count) = timed(|| table.iter_after(None).count());
    println!("iterate {} ({count})", per(time));
    let (time, ()) = timed(|| {
        for (id, _) in &last_heard {
            table.close(*id);
        }
    });
    println!("close   {}", per(time));
}

/// Everybody pings for a while, then nobody does.
fn idle_and_expire(table: &mut SessionTable, last_heard: &[(SessionId, LastHeard)]) {
    let [mut longest, mut total, mut slice] = [Duration::ZERO; 3];
    let mut out = Vec::new();
    for tick in 6..60 {
        let now = Millis(tick * TICK_MS);
        if tick < 40 {
            last_heard.iter().for_each(|(_, last_heard)| last_heard.touch(now));
        }
        let (time, ()) = timed(|| look(table, now, &mut slice, &mut out));
        longest = time.max(longest);
        total += time;
    }
    println!("ticks   {total:.1?} for 54, longest {longest:.1?}, longest slice {slice:.0?}");
    println!("expired {}", out.len());
}

fn look(table: &mut SessionTable, now: Millis, longest: &mut Duration, out: &mut Vec<SessionId>) {
    loop {
        let (time, is_done) = timed(|| table.due_some(now, SLICE, out));
        *longest = time.max(*longest);
        if is_done {
            return;
        }
    }
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

fn per(total: Duration) -> String {
    format!("{:.0} ns each", total.as_nanos() as f64 / SESSIONS as f64)
}
