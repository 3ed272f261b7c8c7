//! What a server did wrong. Any fault fails the run.

use ringkeeper_engine::client::Violation;

use crate::model::named::named;

named! {
    /// Kinds of fault.
    pub(crate) enum FaultKind {
        /// A reply that was not the next one due, or that was not requested.
        Order = "replies out of order",
        /// A zxid older than one seen before in the session.
        ZxidBack = "zxids that went back",
        /// An event after a reply that shows its change already.
        LateEvent = "events after their data",
        /// An error code where the operation had to succeed.
        ErrorCode = "error codes",
        /// Data that is not what was written.
        Damaged = "damaged data",
        /// A state older than one that the session has written or read.
        Stale = "stale reads",
        /// A write that was acknowledged and is not there when all is over, or one too many.
        LostWrite = "lost writes",
        /// Two holders of one lock, or two leaders, at the same time.
        Exclusion = "two holders at once",
        /// A reply whose record cannot be read, or that answers something else.
        Malformed = "malformed replies",
        /// A session that ended before its time.
        Lost = "lost sessions",
        /// A request without a reply when the run was over.
        Unanswered = "unanswered requests",
    }
}

/// One fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Fault {
    /// What kind.
    pub kind: FaultKind,
    /// What exactly, for the report's examples.
    pub text: String,
}

impl Fault {
    /// A fault with its story.
    pub(crate) fn new(kind: FaultKind, text: impl Into<String>) -> Fault {
        Fault { kind, text: text.into() }
    }
}

impl From<Violation> for Fault {
    fn from(violation: Violation) -> Fault {
        let kind = match violation {
            Violation::XidOrder { .. } | Violation::Stray { .. } => FaultKind::Order,
            Violation::ZxidBack { .. } => FaultKind::ZxidBack,
            Violation::LateEvent { .. } => FaultKind::LateEvent,
        };
        Fault::new(kind, violation.to_string())
    }
}

/// Faults of a thread or a run.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct FaultLog {
    counts: [u64; FaultKind::COUNT],
    examples: Vec<String>,
}

impl FaultLog {
    /// Examples kept: enough to see a pattern.
    const EXAMPLES_MAX: usize = 8;

    /// Counts a fault and keeps its story if there is room.
    pub(crate) fn note(&mut self, fault: Fault) {
        self.counts[fault.kind as usize] += 1;
        self.keep(format!("{}: {}", fault.kind.name(), fault.text));
    }

    /// Counts several faults of one kind under one story.
    pub(crate) fn note_many(&mut self, count: u64, fault: Fault) {
        if count > 0 {
            self.note(fault.clone());
            self.counts[fault.kind as usize] += count - 1;
        }
    }

    /// Adds what another thread saw.
    pub(crate) fn merge(&mut self, other: &FaultLog) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts) {
            *mine += theirs;
        }
        other.examples.iter().for_each(|example| self.keep(example.clone()));
    }

    /// Count of one kind.
    pub(crate) fn count(&self, kind: FaultKind) -> u64 {
        self.counts[kind as usize]
    }

    /// Kinds that occurred, with their counts.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = (FaultKind, u64)> {
        FaultKind::all().map(|kind| (kind, self.count(kind))).filter(|(_, n)| *n > 0)
    }

    /// Some of the stories.
    pub(crate) fn examples(&self) -> &[String] {
        &self.examples
    }

    fn keep(&mut self, example: String) {
        if self.examples.len() < FaultLog::EXAMPLES_MAX {
            self.examples.push(example);
        }
    }
}
