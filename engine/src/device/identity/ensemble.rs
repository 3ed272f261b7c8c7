//! What all servers of an ensemble have in common.

use std::fmt;

use crate::Millis;

/// Random number of an ensemble, the same in all its directories.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EnsembleId(pub [u8; 16]);

/// In hex, as `ringkeeper.meta` has it.
impl fmt::Display for EnsembleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Whether an ensemble is known to have its identity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// A leader has made it, and it is not known here that a quorum has it: if that leader ends
    /// before, the next one may make another.
    Proposed,
    /// A quorum has it: it never changes.
    Confirmed,
}

/// The identity of an ensemble. Its first leader makes it; every other server takes it over with
/// the history of its leader, before the epoch of that history is current.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EnsembleIdentity {
    /// Which ensemble it is.
    pub id: EnsembleId,
    /// Key of the session passwords.
    pub secret: [u8; 32],
    /// Sessions that began before this time have ZooKeeper's passwords: the ensemble had no
    /// identity then. By the wall clock; 0 where there are none.
    pub java_before: Millis,
    /// Whether the ensemble is known to have it.
    pub standing: Standing,
}

/// The secret stays out of every message.
impl fmt::Debug for EnsembleIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EnsembleIdentity { id, java_before, standing, .. } = self;
        write!(f, "EnsembleIdentity {{ {id}, {java_before:?}, {standing:?} }}")
    }
}

impl EnsembleIdentity {
    /// The id, if the ensemble is known to have it.
    pub fn confirmed_id(&self) -> Option<EnsembleId> {
        (self.standing == Standing::Confirmed).then_some(self.id)
    }

    /// The same, known to be that of the ensemble.
    #[must_use]
    pub fn confirmed(self) -> EnsembleIdentity {
        EnsembleIdentity { standing: Standing::Confirmed, ..self }
    }
}
