//! What was found of one condition.

use serde::Serialize;

use crate::change::Change;

/// How bad it is when a condition does not hold.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// It could be better.
    Advice,
    /// The server is slower, stalls, or turns clients away.
    Warning,
    /// Acknowledged writes can be lost, or the server cannot run.
    Fatal,
}

/// Whether a condition holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    Passed,
    Failed,
    /// The host does not say, as often in a container: neither good nor bad.
    #[serde(rename = "cannot-tell")]
    Unknown,
}

/// A condition and what was found of it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(crate) struct Finding {
    pub(crate) condition: String,
    pub(crate) required: String,
    pub(crate) current: String,
    pub(crate) severity: Severity,
    pub(crate) outcome: Outcome,
    pub(crate) why: String,
    pub(crate) fix: Option<String>,
    /// What `apply` would do about it.
    pub(crate) changes: Vec<Change>,
}

/// A condition that is about to be looked at.
pub(crate) struct Condition {
    name: String,
    required: String,
    severity: Severity,
    why: String,
}

impl Condition {
    pub(crate) fn new(
        name: impl Into<String>,
        required: impl Into<String>,
        severity: Severity,
        why: impl Into<String>,
    ) -> Condition {
        Condition { name: name.into(), required: required.into(), severity, why: why.into() }
    }

    fn found(self, outcome: Outcome, current: String, fix: Option<String>) -> Finding {
        Finding {
            condition: self.name,
            required: self.required,
            current,
            severity: self.severity,
            outcome,
            why: self.why,
            fix,
            changes: Vec::new(),
        }
    }

    pub(crate) fn passes(self, current: impl Into<String>) -> Finding {
        self.found(Outcome::Passed, current.into(), None)
    }

    pub(crate) fn fails(self, current: impl Into<String>, fix: impl Into<String>) -> Finding {
        self.found(Outcome::Failed, current.into(), Some(fix.into()))
    }

    /// `reason` says why it is unknown.
    pub(crate) fn unknown(self, reason: impl Into<String>) -> Finding {
        self.found(Outcome::Unknown, format!("cannot tell: {}", reason.into()), None)
    }

    pub(crate) fn with_severity(mut self, severity: Severity) -> Condition {
        self.severity = severity;
        self
    }
}

impl Finding {
    /// Adds what would set it right.
    pub(crate) fn change(mut self, changes: impl IntoIterator<Item = Change>) -> Finding {
        self.changes.extend(changes);
        self
    }
}
