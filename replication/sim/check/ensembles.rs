//! Is there one ensemble? Whoever knows for certain which it is knows the same as all others, and
//! never another one later; and who has the history of a leader has its identity.

use ringkeeper_engine::device::{EnsembleId, EnsembleIdentity, Standing};

/// The ensemble that a member's directory belongs to.
#[derive(Clone, Default)]
pub(crate) struct EnsembleRecord {
    durable: Option<EnsembleIdentity>,
    saving: Vec<EnsembleIdentity>,
}

impl EnsembleRecord {
    /// A directory that belongs to this one.
    pub(crate) fn of(ensemble: EnsembleIdentity) -> EnsembleRecord {
        EnsembleRecord { durable: Some(ensemble), saving: Vec::new() }
    }

    /// The log was told to note it.
    pub(crate) fn adopting(&mut self, ensemble: EnsembleIdentity) {
        if let Some(before) = self.durable.filter(|it| it.standing == Standing::Confirmed) {
            assert_eq!(before, ensemble, "a directory goes from one ensemble to another");
        }
        self.saving.push(ensemble);
    }

    /// It has.
    pub(crate) fn adopted(&mut self, ensemble: EnsembleIdentity) {
        assert_eq!(self.saving.remove(0), ensemble, "another one is noted");
        self.durable = Some(ensemble);
    }

    /// A leader's epoch becomes current.
    pub(crate) fn takes_history(&self) {
        let has_one = self.durable.is_some() || !self.saving.is_empty();
        assert!(has_one, "a history is taken over without the identity of its ensemble");
    }

    /// A process has started and has found this.
    pub(crate) fn recovered(&mut self, found: Option<EnsembleIdentity>) {
        let is_known = found == self.durable || self.saving.iter().any(|it| Some(*it) == found);
        assert!(is_known, "{found:?} is found where {:?} was noted", self.durable);
        (self.durable, self.saving) = (found, Vec::new());
    }
}

/// The ensemble that all members are of, once one of them knows it.
#[derive(Default)]
pub(crate) struct OneEnsemble(Option<EnsembleId>);

impl OneEnsemble {
    /// A member knows it.
    pub(crate) fn known(&mut self, ensemble: &EnsembleIdentity) {
        if let Some(id) = ensemble.confirmed_id() {
            assert_eq!(*self.0.get_or_insert(id), id, "there are two ensembles");
        }
    }
}
