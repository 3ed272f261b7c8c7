//! What the server's counters say of a run: sums over it, and events in its course.

use std::collections::BTreeMap;

use crate::model::clock::{Nanos, SECOND};
use crate::model::second::{Event, Second};
use crate::model::server::Counters;
use crate::servers::monitor::CounterSample;

/// A sync that took longer is an event.
const SLOW_SYNC_MS: f64 = 10.0;

/// Counters of the whole run, from the first answer to the last.
pub(crate) fn counters(all: &[CounterSample]) -> Option<Counters> {
    let step = Step { before: all.first()?, now: all.last()? };
    if all.len() < 2
        || step.now.values.is_empty()
        || step.now.value("uptime") < step.before.value("uptime")
    {
        return None;
    }
    Some(Counters {
        syncs: step.rise("cnt_fsynctime") as u64,
        sync_ms: step.mean("fsynctime"),
        groups: step.rise("cnt_sync_processor_batch_size") as u64,
        records_per_group: step.mean("sync_processor_batch_size"),
        snapshots: step.rise("cnt_snapshottime") as u64,
        snapshot_ms: step.mean("snapshottime"),
        elections: step.rise("cnt_election_time") as u64,
    })
}

/// Counters that changed from the first answer to the last, and by how much.
pub(crate) fn changes(all: &[CounterSample]) -> BTreeMap<String, f64> {
    let Some((before, now)) = all.first().zip(all.last()) else { return BTreeMap::new() };
    let names = now.values.iter().filter(|(name, _)| before.values.contains_key(*name));
    let changes = names.map(|(name, value)| (name.clone(), value - before.value(name)));
    changes.filter(|(_, change)| *change != 0.0).collect()
}

/// What happened, in order; times count from the end of the warm-up at `from`.
pub(crate) fn events(all: &[CounterSample], from: Nanos) -> Vec<Event> {
    all.windows(2).flat_map(|pair| Step { before: &pair[0], now: &pair[1] }.events(from)).collect()
}

/// Notes in each second what the counters say of it.
pub(crate) fn annotate(seconds: &mut [Second], all: &[CounterSample], from: Nanos) {
    for pair in all.windows(2) {
        let step = Step { before: &pair[0], now: &pair[1] };
        let middle = at(step.before.at.midpoint(step.now.at), from);
        let Some(second) = seconds.iter_mut().find(|s| s.at_s <= middle && middle < s.at_s + 1.0)
        else {
            continue;
        };
        if let Some((now, before)) = step.now.commits.as_ref().zip(step.before.commits.as_ref()) {
            let seconds = now.seconds.since(&before.seconds);
            second.commit_ms = seconds.map(|added| added.distribution().times(1e3));
            let records = now.records.since(&before.records);
            second.commit_records = records.map(|added| added.distribution());
        }
        if step.now.values.contains_key("cnt_fsynctime") && !step.restarted() {
            second.syncs = Some(step.rise("cnt_fsynctime") as u64);
            second.sync_ms = step.mean("fsynctime");
            second.records_per_sync = step.mean("sync_processor_batch_size");
        }
    }
}

fn at(instant: Nanos, from: Nanos) -> f64 {
    (i128::from(instant) - i128::from(from)) as f64 / SECOND as f64
}

/// From one answer to the next.
#[derive(Clone, Copy, Debug)]
struct Step<'a> {
    before: &'a CounterSample,
    now: &'a CounterSample,
}

impl Step<'_> {
    fn rise(&self, name: &str) -> f64 {
        (self.now.value(name) - self.before.value(name)).max(0.0)
    }

    /// Mean of what was added to a summary.
    fn mean(&self, summary: &str) -> Option<f64> {
        let count = self.rise(&format!("cnt_{summary}"));
        (count > 0.0).then(|| self.rise(&format!("sum_{summary}")) / count)
    }

    fn restarted(&self) -> bool {
        self.now.value("uptime") < self.before.value("uptime")
    }

    fn events(&self, from: Nanos) -> Vec<Event> {
        // It happened at some time between the two answers.
        let middle = at(self.before.at.midpoint(self.now.at), from);
        let at_s = (middle * 10.0).round() / 10.0;
        let event = |kind: &str, text: String| Event { at_s, kind: kind.into(), text };
        let mut events = Vec::new();
        if self.restarted() {
            events.push(event(
                "restart",
                "the server was started again, or serves under another leader".into(),
            ));
            return events;
        }
        if self.before.role != self.now.role {
            let role =
                |counted: &CounterSample| counted.role.clone().unwrap_or_else(|| "none".into());
            let text = format!("{} became {}", role(self.before), role(self.now));
            events.push(event("role", text));
        }
        if self.rise("cnt_election_time") > 0.0 {
            let ms = self.mean("election_time").unwrap_or(0.0);
            events.push(event("election", format!("an election took {ms:.0} ms")));
        }
        if self.rise("cnt_snapshottime") > 0.0 {
            let ms = self.mean("snapshottime").unwrap_or(0.0);
            events.push(event("snapshot", format!("a snapshot took {ms:.0} ms")));
        }
        let (max, mean) = (self.now.value("max_fsynctime"), self.mean("fsynctime"));
        if self.rise("max_fsynctime") > 0.0 && max > SLOW_SYNC_MS {
            events.push(event("slow fsync", format!("a sync of the log took {max:.0} ms")));
        } else if let Some(mean) = mean.filter(|mean| *mean > SLOW_SYNC_MS) {
            let text = format!("syncs of the log took {mean:.0} ms on average");
            events.push(event("slow fsync", text));
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(second: u64, values: &[(&str, f64)]) -> CounterSample {
        let values = values.iter().map(|(name, value)| (name.to_string(), *value)).collect();
        CounterSample {
            at: second * SECOND,
            values,
            role: Some("standalone".into()),
            commits: None,
        }
    }

    #[test]
    fn sums_and_means_of_the_run() {
        let first = [("uptime", 1.0), ("cnt_fsynctime", 10.0), ("sum_fsynctime", 50.0)];
        let last = [("uptime", 9.0), ("cnt_fsynctime", 30.0), ("sum_fsynctime", 90.0)];
        let all = [counted(5, &first), counted(6, &last)];
        let sums = counters(&all).unwrap();
        assert_eq!((sums.syncs, sums.sync_ms, sums.records_per_group), (20, Some(2.0), None));
        assert_eq!(changes(&all)["sum_fsynctime"], 40.0);
        assert_eq!(counters(&all[..1]), None);
        assert_eq!(counters(&[counted(5, &[]), counted(6, &[])]), None, "only metrics were read");
        let mut seconds = [Second { at_s: 0.0, ..Second::default() }];
        annotate(&mut seconds, &all, 5 * SECOND);
        assert_eq!((seconds[0].syncs, seconds[0].sync_ms), (Some(20), Some(2.0)));
    }

    #[test]
    fn counter_changes_become_events() {
        let all = [
            counted(1, &[("uptime", 1.0), ("max_fsynctime", 30.0), ("cnt_snapshottime", 0.0)]),
            counted(2, &[("uptime", 2.0), ("max_fsynctime", 30.0), ("cnt_snapshottime", 1.0)]),
            counted(3, &[("uptime", 3.0), ("max_fsynctime", 40.0), ("cnt_snapshottime", 1.0)]),
            counted(4, &[("uptime", 0.0), ("max_fsynctime", 50.0), ("cnt_snapshottime", 3.0)]),
        ];
        let events = events(&all, SECOND);
        let kinds: Vec<_> = events.iter().map(|event| (event.at_s, event.kind.as_str())).collect();
        assert_eq!(kinds, [(0.5, "snapshot"), (1.5, "slow fsync"), (2.5, "restart")]);
        assert!(events[1].text.contains("40 ms"), "{}", events[1].text);
    }
}
