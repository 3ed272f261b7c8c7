//! What all seeds came to, as text and as JSON.

use std::time::Duration;

use super::sim::ensemble::runner::EnsembleOutcome;
use super::sim::runner::{FailureClass, Outcome};

/// The exit code of wrong usage.
pub(crate) const USAGE: u8 = 2;

/// The exit code of a failure.
pub(crate) fn exit_code(class: FailureClass) -> u8 {
    match class {
        FailureClass::Safety => 1,
        FailureClass::Liveness => 3,
        FailureClass::Panic => 4,
    }
}

/// A seed that fails.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) seed: u64,
    pub(crate) is_ensemble: bool,
    pub(crate) class: FailureClass,
    pub(crate) what: String,
    /// File and line.
    pub(crate) at: String,
}

impl Failure {
    /// For a reader, with the command that plays it again.
    pub(crate) fn text(&self) -> String {
        let Failure { seed, class, what, at, .. } = self;
        format!(
            "seed {seed} fails ({}): {what}\n  at {at}\n  again: {}",
            class.name(),
            self.command()
        )
    }

    /// For a program.
    pub(crate) fn json(&self) -> String {
        let Failure { seed, class, what, at, .. } = self;
        let (what, at, command) = (quoted(what), quoted(at), quoted(&self.command()));
        let class = class.name();
        format!(
            "{{\"seed\":{seed},\"class\":\"{class}\",\"what\":{what},\"at\":{at},\
             \"replay\":{command}}}"
        )
    }

    fn command(&self) -> String {
        let features = if cfg!(feature = "plant") { "sim,plant" } else { "sim" };
        format!(
            "cargo run -p ringkeeper-replication --features {features} --bin ringkeeper-sim -- \
             {}--replay {}",
            if self.is_ensemble { "ensemble " } else { "" },
            self.seed
        )
    }
}

/// What counts of a seed that has passed.
#[derive(Debug)]
pub(crate) struct Played {
    virtual_us: u64,
    events: u64,
    replies: usize,
    crashes: usize,
    losses: usize,
    /// All of it.
    pub(crate) text: String,
}

impl Played {
    /// One member, or a few, with a leader that is played.
    pub(crate) fn of_member(outcome: Outcome) -> Played {
        Played {
            virtual_us: outcome.virtual_us,
            events: outcome.events,
            replies: outcome.met.replies,
            crashes: outcome.met.crashes,
            losses: outcome.met.losses,
            text: format!("{outcome:#?}"),
        }
    }

    /// An ensemble.
    pub(crate) fn of_ensemble(outcome: EnsembleOutcome) -> Played {
        Played {
            virtual_us: outcome.virtual_us,
            events: outcome.events,
            replies: outcome.met.replies,
            crashes: outcome.met.crashes,
            losses: outcome.met.resets,
            text: format!("{outcome:#?}"),
        }
    }
}

/// All seeds.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) seeds: u64,
    pub(crate) failures: Vec<Failure>,
    pub(crate) virtual_us: u64,
    pub(crate) wall: Duration,
    events: u64,
    replies: usize,
    crashes: usize,
    losses: usize,
    jobs: usize,
}

impl Summary {
    /// None yet, on so many threads.
    pub(crate) fn new(jobs: usize) -> Summary {
        Summary {
            seeds: 0,
            failures: Vec::new(),
            virtual_us: 0,
            wall: Duration::ZERO,
            events: 0,
            replies: 0,
            crashes: 0,
            losses: 0,
            jobs,
        }
    }

    /// A seed has passed.
    pub(crate) fn add(&mut self, outcome: &Played) {
        self.seeds += 1;
        self.virtual_us += outcome.virtual_us;
        self.events += outcome.events;
        self.replies += outcome.replies;
        self.crashes += outcome.crashes;
        self.losses += outcome.losses;
    }

    pub(crate) fn exit_code(&self) -> u8 {
        let classes = self.failures.iter().map(|failure| failure.class);
        classes.map(exit_code).min().unwrap_or(0)
    }

    /// Simulated seconds in a second of one thread.
    fn pace(&self) -> f64 {
        let thread_s = self.wall.as_secs_f64() * self.jobs as f64;
        self.virtual_us as f64 / 1e6 / thread_s.max(1e-9)
    }

    pub(crate) fn text(&self) -> String {
        let virtual_s = self.virtual_us / 1_000_000;
        format!(
            "{} seeds passed, {} failed; {virtual_s} simulated s in {:.1} s ({:.1} per s and \
             thread); {} events, {} replies checked, {} crashes, {} links lost",
            self.seeds,
            self.failures.len(),
            self.wall.as_secs_f64(),
            self.pace(),
            self.events,
            self.replies,
            self.crashes,
            self.losses
        )
    }

    pub(crate) fn json(&self) -> String {
        format!(
            "{{\"passed\":{},\"failed\":{},\"simulated_s\":{:.3},\"wall_s\":{:.3},\"threads\":{},\
             \"simulated_s_per_thread_s\":{:.3},\"events\":{},\"replies\":{},\"crashes\":{},\
             \"links_lost\":{}}}",
            self.seeds,
            self.failures.len(),
            self.virtual_us as f64 / 1e6,
            self.wall.as_secs_f64(),
            self.jobs,
            self.pace(),
            self.events,
            self.replies,
            self.crashes,
            self.losses
        )
    }
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
