//! `pace`: how commits are paced. A word of our own, since `mntr` has no line to spare.

use std::sync::atomic::Ordering::Relaxed;

use ringkeeper_engine::log::gathering::PaceReport;

use super::{Access, Answer, Condition, Word};

pub(super) static PACE: Word = Word {
    access: Access::Always,
    condition: Condition::Running,
    ..Word::new(
        b"pace",
        Answer::Now(|state, _| {
            let sources = &state.sources;
            pace(&sources.gauges.pace.lock(), sources.commits.flushes.load(Relaxed))
        }),
    )
};

/// The text: a name and a value in each line, as in `mntr`.
fn pace(pace: &PaceReport, commits: u64) -> String {
    let at_once = commits.saturating_sub(pace.complete + pace.bounded);
    let rows = [
        ("wait_us", pace.wait_us),
        ("gain_percent", pace.gain_percent),
        ("sync_mean_us", pace.sync_us),
        ("sync_p95_us", pace.sync_high_us),
        ("writes_per_second", pace.writes_per_second),
        ("writes_under_way", pace.under_way),
        ("arrival_percent", pace.arrival_percent),
        ("groups_at_once", at_once),
        ("groups_complete", pace.complete),
        ("groups_bound", pace.bounded),
    ];
    let target = format!("commit_target\t{}\n", pace.target);
    rows.iter().fold(target, |text, (name, value)| text + &format!("commit_{name}\t{value}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_name_and_a_value() {
        let target = "p99<2ms".parse().expect("a target");
        let report =
            PaceReport { target, wait_us: 640, complete: 3, bounded: 1, ..Default::default() };
        let text = pace(&report, 10);
        assert!(text.starts_with("commit_target\tp99<2ms\ncommit_wait_us\t640\n"), "{text}");
        assert!(text.contains("commit_groups_at_once\t6\n"), "{text}");
        assert!(text.lines().all(|line| line.split('\t').count() == 2));
    }
}
