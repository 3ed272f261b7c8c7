//! Whether the advised way to write the log is at least as good as any other, by two probes of one
//! disk: what one of them finds faster by chance, the other does not.

use std::fmt::Write as _;

use ringkeeper_engine::device::{Load, Strategy};

use crate::probe::words::load_name;
use crate::probe::{Cell, Report};
use crate::text;
use ringkeeper_bench::show::paint::Paint;

/// How far two medians have to be apart to be worth a word, where the rounds agree.
const LEAST: f64 = 0.10;

/// How a measurement changed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Change {
    WithinNoise,
    /// By this share of what it was.
    Faster(f64),
    Slower(f64),
}

/// The figures that the choice is made from.
const FIGURES: [(usize, Load); 3] =
    [(4 << 10, Load::Quiet), (64 << 10, Load::Quiet), (4 << 10, Load::Busy)];

/// The advice of both probes, and every other way beside it.
pub(crate) struct Comparison {
    pub(crate) advised: Strategy,
    pub(crate) again: Strategy,
    others: Vec<Alternative>,
}

/// Another way that works here: what it is against the advised one, figure by figure.
struct Alternative {
    strategy: Strategy,
    figures: [Option<Difference>; 3],
}

/// What both probes say of one figure.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Difference {
    /// Both found it faster, by this share at the least.
    Faster(f64),
    Slower(f64),
    /// They do not both find a difference beyond their noise.
    Same,
}

impl Comparison {
    pub(crate) fn of(before: &Report, after: &Report) -> Comparison {
        let (advised, again) = (before.choice().0, after.choice().0);
        let works = |way: &Strategy| *way != advised && !after.curve(*way, Load::Quiet).is_empty();
        let other = |strategy| Alternative {
            strategy,
            figures: FIGURES.map(|(bytes, load)| {
                let change = |report: &Report| {
                    let cell = |way| find(report, way, bytes, load);
                    Some(judge(cell(advised)?, cell(strategy)?))
                };
                Some(both(change(before)?, change(after)?))
            }),
        };
        let others = Strategy::ALL.into_iter().filter(works).map(other).collect();
        Comparison { advised, again, others }
    }

    /// Those that are better in something, and worse in nothing.
    fn better(&self) -> impl Iterator<Item = &Alternative> {
        self.others.iter().filter(|other| {
            let figures = || other.figures.iter().flatten();
            figures().any(|it| matches!(it, Difference::Faster(_)))
                && !figures().any(|it| matches!(it, Difference::Slower(_)))
        })
    }

    /// Whether both probes advise the same, and nothing else is better.
    pub(crate) fn holds(&self) -> bool {
        self.advised == self.again && self.better().next().is_none()
    }

    pub(crate) fn shown(&self, paint: Paint) -> String {
        let advised = self.advised;
        let mut head = format!("{:24}", format!("against {advised}"));
        for (bytes, load) in FIGURES {
            let name = format!("{} {}", text::bytes(bytes as u64), load_name(load));
            let _ = write!(head, " {name:>16}");
        }
        let mut out = paint.bold(&head) + "\n";
        for other in &self.others {
            let _ = write!(out, "{:24}", other.strategy.name());
            for figure in &other.figures {
                let _ = write!(out, " {:>16}", figure.map_or("?".to_owned(), worded));
            }
            out.push('\n');
        }
        out + &self.verdict(paint)
    }

    fn verdict(&self, paint: Paint) -> String {
        let (advised, again) = (self.advised, self.again);
        if advised != again {
            let line =
                format!("The probes do not agree: ringkeeper.log.device={advised}, {again}.");
            return paint.warning(&line) + "\n";
        }
        let key = format!("ringkeeper.log.device={advised}");
        let names: Vec<&str> = self.better().map(|other| other.strategy.name()).collect();
        if names.is_empty() {
            let line = format!("Both probes advise {key}; it is at least as good as any other.");
            return paint.good(&line) + "\n";
        }
        let names = names.join(", ");
        let line = format!(
            "Both probes advise {key}, the default; {names}: faster in both, too little for the \
             rule. To have that little, set it."
        );
        paint.warning(&line) + "\n"
    }
}

fn find(report: &Report, strategy: Strategy, bytes: usize, load: Load) -> Option<&Cell> {
    report.curve(strategy, load).into_iter().find(|cell| cell.bytes == bytes)
}

fn both(one: Change, two: Change) -> Difference {
    match (one, two) {
        (Change::Faster(a), Change::Faster(b)) => Difference::Faster(a.min(b)),
        (Change::Slower(a), Change::Slower(b)) => Difference::Slower(a.min(b)),
        (Change::WithinNoise | Change::Faster(_) | Change::Slower(_), _) => Difference::Same,
    }
}

fn worded(difference: Difference) -> String {
    match difference {
        Difference::Same => "the same".to_owned(),
        Difference::Faster(share) => format!("{:.0} % faster", share * 100.0),
        Difference::Slower(share) => format!("{:.0} % slower", share * 100.0),
    }
}

/// Noise is when the rounds of one overlap with those of the other, or hardly differ.
pub(crate) fn judge(old: &Cell, new: &Cell) -> Change {
    let range = |cell: &Cell| {
        let low = cell.rounds_p50.iter().copied().fold(f64::MAX, f64::min);
        let high = cell.rounds_p50.iter().copied().fold(0.0, f64::max);
        (low, high)
    };
    let ((old_low, old_high), (new_low, new_high)) = (range(old), range(new));
    let share = (new.micros.p50 - old.micros.p50) / old.micros.p50.max(1e-9);
    let few = old.rounds_p50.len() < 2 || new.rounds_p50.len() < 2;
    if few || share.abs() < LEAST || (new_low <= old_high && old_low <= new_high) {
        Change::WithinNoise
    } else if share < 0.0 {
        Change::Faster(-share)
    } else {
        Change::Slower(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::sample;

    /// The sample, with every figure of one way times a factor.
    fn with(strategy: Strategy, factor: f64) -> Report {
        let mut report = sample(1.0);
        for cell in report.cells.iter_mut().filter(|cell| cell.strategy == strategy) {
            cell.micros.p50 *= factor;
            let rounds = cell.rounds_p50.iter_mut().chain(&mut cell.rounds_p99);
            rounds.for_each(|us| *us *= factor);
        }
        report
    }

    #[test]
    fn overlapping_rounds_are_noise() {
        let verdict = |factor: f64| judge(&sample(1.0).cells[0], &sample(factor).cells[0]);
        assert_eq!(verdict(1.0), Change::WithinNoise);
        assert_eq!(verdict(1.08), Change::WithinNoise);
        assert!(matches!(verdict(0.5), Change::Faster(share) if (share - 0.5).abs() < 1e-9));
        assert!(matches!(verdict(2.0), Change::Slower(share) if (share - 1.0).abs() < 1e-9));
        let mut once = sample(2.0);
        once.cells[0].rounds_p50.truncate(1);
        assert_eq!(judge(&sample(1.0).cells[0], &once.cells[0]), Change::WithinNoise);
    }

    #[test]
    fn noise_is_no_difference() {
        let standing = Comparison::of(&sample(1.0), &sample(1.1));
        assert!(standing.holds());
        let text = standing.shown(Paint::Plain);
        assert_eq!(text.matches("the same").count(), 9, "{text}");
        assert!(text.contains("=direct; it is at least as good as any other"), "{text}");
    }

    #[test]
    fn faster_in_both_probes_is_better() {
        let (usual, faster) = (sample(1.0), with(Strategy::Uring, 0.75));
        assert!(Comparison::of(&usual, &faster).holds() && Comparison::of(&faster, &usual).holds());
        let standing = Comparison::of(&faster, &faster);
        assert!(!standing.holds());
        let text = standing.shown(Paint::Plain);
        assert!(text.contains("uring: faster in both") && text.contains("24 % faster"), "{text}");
    }

    #[test]
    fn disagreeing_probes_are_reported() {
        let (usual, better) = (sample(1.0), with(Strategy::Pwrite, 0.4));
        assert_eq!(better.choice().0, Strategy::Pwrite);
        assert!(Comparison::of(&better, &better).holds(), "what is clearly better is advised");
        let standing = Comparison::of(&better, &usual);
        assert!(!standing.holds());
        let text = standing.shown(Paint::Plain);
        assert!(text.contains("do not agree: ringkeeper.log.device=pwrite, direct"), "{text}");
    }

    #[test]
    fn strategy_slower_elsewhere_is_not_better() {
        let mut report = with(Strategy::Uring, 0.75);
        let busy = |cell: &&mut Cell| cell.strategy == Strategy::Uring && cell.load == Load::Busy;
        for cell in report.cells.iter_mut().filter(busy) {
            cell.micros.p50 *= 4.0;
            cell.rounds_p50.iter_mut().for_each(|us| *us *= 4.0);
        }
        assert!(Comparison::of(&report, &report).holds());
    }
}
