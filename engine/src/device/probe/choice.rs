//! Which strategy follows from what was measured: a pure function of the figures.

use std::fmt::Write as _;

use super::{LARGE, Load, Measured, SMALL, find};
use crate::device::Strategy;

/// To which part of the default strategy's cost another one must come to be chosen instead, in
/// every round: less is noise, and a choice that changes with every probe is of no use.
const BETTER: f64 = 0.65;
/// How much slower than the default strategy another one may be on a quiet machine to be chosen for
/// its figures on a busy one, which are the least certain of all.
const SLOWER: f64 = 1.25;
/// Bytes written per byte of a small flush beyond which a strategy wears the disk out.
const AMPLIFICATION_MAX: f64 = 8.0;

/// Whether a choice from figures may take the strategy. Not [`Strategy::Uring`]: its flush is
/// finished by threads of the kernel that have the usual priority, whatever priority the log's
/// thread has. Where all processors are busy, each flush waits for one of them, by a tick and at
/// times by hundreds of milliseconds, and no measurement of a quieter moment tells.
pub(super) fn is_candidate(strategy: Strategy) -> bool {
    match strategy {
        Strategy::Direct | Strategy::Pwrite | Strategy::Mmap => true,
        Strategy::Uring => false,
    }
}

/// The strategy that every round has found clearly better than the default one, or else the default
/// one; and why. There is at least one round.
pub fn choose_over_rounds(rounds: &[Vec<Measured>]) -> (Strategy, String) {
    let mut verdicts = rounds.iter().map(|rows| choose(rows));
    let (first, figures) = verdicts.next().expect("there is a round at least");
    let default =
        Strategy::default_among(|strategy| rounds.iter().all(|rows| works(rows, strategy)));
    let (chosen, why) = match verdicts.find(|(next, _)| *next != first) {
        Some((next, _)) => (
            default,
            format!("one measurement was for {first} and another for {next}, so {default} is used"),
        ),
        None if first == default => {
            (first, format!("nothing was clearly faster than {default}, which is the default"))
        }
        None => (first, format!("it was clearly faster than {default}, which is the default")),
    };
    (chosen, format!("{why}; median flushes of 4 KiB: {figures}"))
}

fn works(rows: &[Measured], strategy: Strategy) -> bool {
    find(rows, strategy, SMALL, Load::Busy).is_some()
}

/// Whether a strategy loses on a quiet machine what it may win on a busy one.
fn is_slower(rows: &[Measured], strategy: Strategy, default: Strategy) -> bool {
    [SMALL, LARGE].into_iter().any(|bytes| {
        let p50_us =
            |strategy| find(rows, strategy, bytes, Load::Quiet).map(|row| row.p50_us as f64);
        matches!((p50_us(strategy), p50_us(default)), (Some(it), Some(that)) if it > that * SLOWER)
    })
}

/// Chooses the default strategy, or the best of those that are clearly better and not slower on a
/// quiet machine; and says why. It compares flushes of 4 KiB, quiet and busy, and of 64 KiB, quiet.
pub fn choose(rows: &[Measured]) -> (Strategy, String) {
    let mut why = String::new();
    let costs: Vec<(Strategy, f64)> = Strategy::ALL
        .into_iter()
        .filter_map(|strategy| Some((strategy, cost(rows, strategy, &mut why)?)))
        .collect();
    let default = Strategy::default_among(|strategy| works(rows, strategy));
    let limit =
        costs.iter().find(|(strategy, _)| *strategy == default).map_or(f64::MAX, |(_, cost)| *cost);
    let better = costs
        .into_iter()
        .filter(|(strategy, cost)| *cost < limit * BETTER && !is_slower(rows, *strategy, default))
        .filter(|(strategy, _)| is_candidate(*strategy));
    let best = better.min_by(|(_, a), (_, b)| a.total_cmp(b));
    (best.map_or(default, |(strategy, _)| strategy), why)
}

/// The cost of a strategy in microseconds: small flushes count most, then those on a busy machine,
/// where clients notice the slow ones.
fn cost(rows: &[Measured], strategy: Strategy, why: &mut String) -> Option<f64> {
    let separator = if why.is_empty() { "" } else { "; " };
    let row = |bytes, load| find(rows, strategy, bytes, load);
    let (Some(small), Some(large), Some(busy)) =
        (row(SMALL, Load::Quiet), row(LARGE, Load::Quiet), row(SMALL, Load::Busy))
    else {
        let _ = write!(why, "{separator}{strategy}: does not work here");
        return None;
    };
    let _ = write!(
        why,
        "{separator}{strategy}: {} us (busy {}, p99 {}; 64 KiB {})",
        small.p50_us, busy.p50_us, busy.p99_us, large.p50_us
    );
    if strategy == Strategy::Mmap {
        let amplification = small.written_bytes.map(|bytes| bytes as f64 / SMALL as f64);
        if amplification.is_none_or(|times| times > AMPLIFICATION_MAX) {
            why.push_str(", rejected: it writes far more than it is given");
            return None;
        }
    }
    let busy = (busy.p50_us + busy.p99_us.min(20 * busy.p50_us)) as f64;
    Some(small.p50_us as f64 + busy / 4.0 + large.p50_us as f64 / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(strategy: Strategy, small: u64, busy_p99: u64, written: u64) -> Vec<Measured> {
        let row = |bytes, load, p99_us| Measured {
            strategy,
            bytes,
            load,
            flushes: 100,
            p50_us: small,
            p99_us,
            written_bytes: Some(written),
        };
        vec![
            row(SMALL, Load::Quiet, small),
            row(LARGE, Load::Quiet, small),
            row(SMALL, Load::Busy, busy_p99),
        ]
    }

    #[test]
    fn strategy_slightly_faster_is_not_chosen() {
        let mut all = rows(Strategy::Direct, 100, 200, 4_096);
        all.extend(rows(Strategy::Uring, 20, 40, 4_096));
        all.extend(rows(Strategy::Pwrite, 70, 140, 4_096));
        assert_eq!(choose(&all).0, Strategy::Direct, "uring is never chosen");
        all.extend(rows(Strategy::Mmap, 30, 60, 4_096));
        assert_eq!(choose(&all).0, Strategy::Mmap);
        all.retain(|row| row.strategy == Strategy::Uring || row.strategy == Strategy::Pwrite);
        assert_eq!(
            choose(&all).0,
            Strategy::Pwrite,
            "without direct writes, plain ones are the default"
        );
    }

    #[test]
    fn strategy_faster_in_one_round_only_is_not_chosen() {
        let round = |pwrite| {
            let mut all = rows(Strategy::Direct, 100, 200, 4_096);
            all.extend(rows(Strategy::Pwrite, pwrite, 2 * pwrite, 4_096));
            all
        };
        assert_eq!(choose_over_rounds(&[round(40), round(50)]).0, Strategy::Pwrite);
        let (chosen, why) = choose_over_rounds(&[round(40), round(80)]);
        assert_eq!(chosen, Strategy::Direct);
        let sentence = "one measurement was for pwrite and another for direct, so direct is used; ";
        assert!(why.starts_with(sentence), "{why}");
        let (_, why) = choose_over_rounds(&[round(40), round(50)]);
        assert!(
            why.starts_with("it was clearly faster than direct, which is the default"),
            "{why}"
        );
        let (_, why) = choose_over_rounds(&[round(90)]);
        assert!(why.starts_with("nothing was clearly faster than direct"), "{why}");
        assert_eq!(choose_over_rounds(&[round(80), round(40)]).0, Strategy::Direct);
    }

    /// Flushes with one strategy took 4 ms in one probe of a busy machine and 0.1 ms in the next.
    #[test]
    fn strategy_faster_only_under_load_but_slower_when_quiet_is_not_chosen() {
        let mut all = rows(Strategy::Direct, 115, 4_800, 4_096);
        all.extend(rows(Strategy::Pwrite, 120, 300, 4_096));
        assert_eq!(choose(&all).0, Strategy::Pwrite, "as fast, and sooner where it matters");
        all.retain(|row| row.strategy == Strategy::Direct);
        all.extend(rows(Strategy::Pwrite, 208, 300, 4_096));
        assert_eq!(choose(&all).0, Strategy::Direct);
    }

    #[test]
    fn strategy_that_stalls_under_load_or_amplifies_writes_is_not_chosen() {
        let mut all = rows(Strategy::Direct, 100, 200, 4_096);
        all.extend(rows(Strategy::Pwrite, 60, 4_000, 4_096));
        all.extend(rows(Strategy::Mmap, 30, 60, 2 << 20));
        let (chosen, why) = choose(&all);
        assert_eq!(chosen, Strategy::Direct);
        assert!(why.contains("mmap: 30 us") && why.contains("rejected"), "{why}");
        assert!(why.contains("uring: does not work here"), "{why}");
    }
}
