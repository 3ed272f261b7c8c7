//! Which ensemble a learner belongs to, and its leader.
//!
//! A directory belongs to one ensemble from the moment when it has the history of a leader of it.
//! The identity is made by the first leader, and goes with the history: it is on the disk before
//! the epoch is current. So a leader whose history is at least that of a quorum has the identity of
//! whichever leader was established last.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::{EnsembleId, EnsembleIdentity, Standing};
use ringkeeper_engine::wire::peer::PeerExtension;

use super::link::Phase;
use super::{LearnerLink, LinkEffect, LinkEnd};
use crate::plant::{Bug, is_planted};

impl LearnerLink {
    /// Looks at what the leader says of itself in LEADERINFO.
    pub(super) fn meet(
        &mut self,
        leader: &PeerExtension,
        out: &mut Vec<LinkEffect>,
    ) -> Result<(), LinkEnd> {
        self.check_ensemble(leader.ensemble)?;
        (self.leads_with, self.checks) = (leader.identity, leader.checks);
        let differences = self.learner.settings.differences(&leader.settings);
        if !differences.is_empty() {
            out.push(LinkEffect::Differs(differences));
        }
        Ok(())
    }

    /// Whether a leader may be followed that leads with this identity. One that is not known to be
    /// that of an ensemble is looked at when the leader goes on: before, it may hear that it is
    /// behind.
    pub(super) fn check_ensemble(&self, leader: Option<EnsembleId>) -> Result<(), LinkEnd> {
        let own = self.ensemble.and_then(|ensemble| ensemble.confirmed_id());
        match (own, leader) {
            (Some(own), Some(leader)) if own != leader && !is_planted(Bug::StrangerFollowed) => {
                Err(LinkEnd::OtherEnsemble { own, leader })
            }
            _ => Ok(()),
        }
    }

    /// Whether what is here may be given up for the leader's history, which ends with `end`. A
    /// history that only this server has is not: see [`super::LearnerPosition::alone`].
    pub(super) fn check_own_history(&self, end: Zxid) -> Result<(), LinkEnd> {
        let ensemble = self.leads_with.map(|ensemble| ensemble.id);
        let position = self.position();
        if !position.is_own_history(ensemble) {
            return Ok(());
        }
        Err(LinkEnd::OwnHistory { last: position.last, epoch: self.epoch, end, ensemble })
    }

    /// What has to be on the disk before the leader's epoch is current.
    pub(super) fn due_adoption(&self) -> Option<EnsembleIdentity> {
        let leader = self.leads_with?;
        match self.ensemble {
            Some(own) if own.id == leader.id => (own.standing == Standing::Proposed
                && leader.standing == Standing::Confirmed)
                .then_some(leader),
            Some(_) | None => (!is_planted(Bug::EnsembleNotAdopted)).then_some(leader),
        }
    }

    pub(super) fn on_adopted(&mut self, ensemble: EnsembleIdentity) {
        self.ensemble = Some(ensemble);
        if ensemble.standing == Standing::Confirmed {
            self.alone = None;
        }
        if let Phase::Adopting(end) = self.phase {
            self.phase = Phase::Flushing(end);
        }
    }

    /// A quorum has the leader's history, and so its identity. That it is noted is not waited for.
    pub(super) fn confirm_ensemble(&mut self, out: &mut Vec<LinkEffect>) {
        if let Some(own) = self.ensemble
            && self.leads_with.is_some_and(|leader| leader.id == own.id)
            && own.standing == Standing::Proposed
        {
            out.push(LinkEffect::Adopt(own.confirmed()));
        }
    }
}
