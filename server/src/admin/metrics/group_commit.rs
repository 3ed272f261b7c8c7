//! How commits are paced: the target, what is decided, and what it is decided from.

use std::sync::atomic::Ordering::Relaxed;

use super::exposition::{Exposition, Kind};
use crate::admin::state::ReportSources;

pub(super) fn write(sources: &ReportSources, out: &mut Exposition) {
    let pace = *sources.gauges.pace.lock();
    let name = "ringkeeper_commit_target";
    out.described(name, Kind::Gauge, "Always 1; its label is ringkeeper.commit.target.");
    out.sample(name, &[("target", &pace.target.to_string())], "1");
    let name = "ringkeeper_commit_groups_total";
    let help = "Groups committed at once, after a wait that everybody was back to end, and after \
                as long a wait as there may be.";
    out.described(name, Kind::Counter, help);
    let all = sources.commits.flushes.load(Relaxed);
    let at_once = all.saturating_sub(pace.complete + pace.bounded);
    for (wait, groups) in [("none", at_once), ("complete", pace.complete), ("bound", pace.bounded)]
    {
        out.sample(name, &[("wait", wait)], &groups.to_string());
    }
    let name = "ringkeeper_commit_sync_estimate_seconds";
    out.described(name, Kind::Gauge, "What a commit is taken to take.");
    for (of, micros) in [("mean", pace.sync_us), ("p95", pace.sync_high_us)] {
        out.sample(name, &[("of", of)], &seconds(micros).to_string());
    }
    let about = ("ringkeeper_commit_wait_seconds", "How long a group may wait for company now.");
    out.one(about, Kind::Gauge, seconds(pace.wait_us));
    let help = "What that wait brought when it was proved: the part by which more was written, or, \
                where the target is a bound, by which fewer syncs were made.";
    let about = ("ringkeeper_commit_gain_ratio", help);
    out.one(about, Kind::Gauge, pace.gain_percent as f64 / 100.0);
    let about =
        ("ringkeeper_commit_writes_per_second", "Writes made durable, pauses left out of account.");
    out.one(about, Kind::Gauge, pace.writes_per_second);
    let about =
        ("ringkeeper_commit_writes_under_way", "Writes ordered and not durable, on average.");
    out.one(about, Kind::Gauge, pace.under_way);
    let help = "Where in a sync writes arrive, on average: 0 is its begin, 1 its end or later.";
    let about = ("ringkeeper_commit_arrival_ratio", help);
    out.one(about, Kind::Gauge, pace.arrival_percent as f64 / 100.0);
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}
