//! What the load met in each phase.

use std::time::{Duration, Instant};

use crate::paced::{Sample, Samples};

/// What nobody shall wait for, unless the machine is the reason.
const STALL: Duration = Duration::from_millis(5);

/// A part of the run.
pub(crate) struct Phase {
    name: &'static str,
    start: Instant,
    end: Instant,
}

impl Phase {
    /// The time that something takes.
    pub(crate) fn of(name: &'static str, act: impl FnOnce()) -> Phase {
        let start = Instant::now();
        act();
        Phase { name, start, end: Instant::now() }
    }

    fn pick(&self, samples: &[Sample]) -> Vec<Duration> {
        let mine = samples.iter().filter(|s| s.due >= self.start && s.due < self.end);
        let mut found: Vec<Duration> = mine.map(|sample| sample.late).collect();
        found.sort();
        found
    }
}

/// The phases of a run.
#[derive(Default)]
pub(crate) struct Table {
    phases: Vec<Phase>,
}

impl Table {
    pub(crate) fn add(&mut self, phase: Phase) {
        self.phases.push(phase);
    }

    /// Milliseconds of each phase, and how many requests waited for too long.
    pub(crate) fn print(&self, samples: &Samples) {
        let title = ["get p50", "p99.9", "max", "> 5", "set p50", "p99.9", "max", "> 5"];
        print!("{:24}{:>7}", "milliseconds, while", "s");
        title.iter().for_each(|title| print!("{title:>9}"));
        println!("{:>9}{:>9}", "late 99.9", "max");
        for phase in &self.phases {
            print!("{:24}{:>7.1}", phase.name, (phase.end - phase.start).as_secs_f64());
            for kind in [&samples.gets, &samples.sets] {
                let found = phase.pick(kind);
                let stalls = found.iter().filter(|late| **late > STALL).count();
                for part in [0.5, 0.999, 1.0] {
                    print!("{:>9.2}", at(&found, part));
                }
                print!("{stalls:>9}");
            }
            let late = phase.pick(&samples.beats);
            println!("{:>9.2}{:>9.2}", at(&late, 0.999), at(&late, 1.0));
        }
    }
}

/// The value below which this part of all lies, in milliseconds.
fn at(sorted: &[Duration], part: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let index = (sorted.len() as f64 * part) as usize;
    sorted[index.min(last)].as_secs_f64() * 1e3
}
