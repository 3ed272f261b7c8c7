//! Which ensemble is led: its identity, who is of another one, and what its members should have in
//! common.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::{EnsembleId, EnsembleIdentity, Standing};
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::{
    LeaderPacket, PROTOCOL_VERSION, PeerExtension, SettingDifference,
};

use super::leadership::{LeaderTask, Leadership};
use super::learner_state::{LearnerPhase, LearnerState};
use super::{LearnerEnd, LinkId};
use crate::plant::{Bug, is_planted};

/// Reports of settings that wait to be taken.
const DIFFERENCES_MAX: usize = 64;

impl Leadership {
    /// The ensemble that the directory belongs to, as it is on the disk.
    pub fn ensemble(&self) -> Option<EnsembleIdentity> {
        self.ensemble
    }

    /// Settings of a learner that are not those of this server.
    pub(crate) fn next_differences(
        &mut self,
    ) -> Option<(LinkId, ServerId, Vec<SettingDifference>)> {
        self.differences.pop_front()
    }

    /// The ensemble of a learner that is of another one than this leader, both for certain.
    pub(super) fn stranger(&self, learner: &PeerExtension) -> Option<EnsembleId> {
        let own = self.ensemble.and_then(|ensemble| ensemble.confirmed_id())?;
        let is_other = |id: &EnsembleId| *id != own && !is_planted(Bug::StrangerFollowed);
        learner.ensemble.filter(is_other)
    }

    /// Says which ensemble this is to a learner of another one, and closes its connection then.
    pub(super) fn refuse(&mut self, link: LinkId, stranger: EnsembleId, sid: i64) {
        let ensemble = self.ensemble.map(|ensemble| ensemble.id);
        let extension = &PeerExtension { ensemble, ..PeerExtension::default() }.to_bytes();
        let (zxid, protocol) = (Zxid::ZERO, PROTOCOL_VERSION);
        let state = self.link(link);
        state.phase = LearnerPhase::Refused(stranger, sid);
        state.send(&LeaderPacket::LeaderInfo { zxid, protocol, extension });
    }

    /// A learner that is refused has been told so.
    pub(super) fn end_refusal(&mut self, link: LinkId) {
        let Some(state) = self.links.get(&link) else { return };
        if let LearnerPhase::Refused(learner, server) = state.phase
            && state.out.bytes() == 0
            && let Some(EnsembleIdentity { id: own, .. }) = self.ensemble
        {
            self.drop_link(link, LearnerEnd::OtherEnsemble { server, own, learner });
        }
    }

    /// A voter's promise counts for its own ensemble only. Where this leader's is not known for
    /// certain, it was let so far: one that has more than the leader ends the leadership.
    pub(super) fn check_promise(
        &self,
        voter: ServerId,
        ensemble: Option<EnsembleId>,
    ) -> Result<(), LearnerEnd> {
        match (self.leads_with, ensemble) {
            (Some(EnsembleIdentity { id: own, .. }), Some(learner))
                if own != learner && !is_planted(Bug::StrangerFollowed) =>
            {
                Err(LearnerEnd::OtherEnsemble { server: voter.0.into(), own, learner })
            }
            _ => Ok(()),
        }
    }

    /// With which identity this server leads: its own, which came with its history. The first
    /// leader makes one, if every voter that it has heard of takes it over.
    pub(super) fn choose_ensemble(&mut self) {
        let is_early = |state: &LearnerState| state.voter().is_some() && !state.checks;
        self.leads_with = match self.ensemble {
            Some(own) => Some(own),
            None if self.links.values().any(is_early) => None,
            None => Some(self.settings.proposed),
        };
    }

    /// Order: the identity is on the disk before the epoch is current.
    pub(super) fn adopt_ensemble(&mut self) {
        if let (None, Some(proposed)) = (self.ensemble, self.leads_with) {
            self.tasks.push_back(LeaderTask::Adopt(proposed));
        }
    }

    /// A quorum has it.
    pub(super) fn confirm_ensemble(&mut self) {
        if let Some(ensemble) = self.leads_with
            && ensemble.standing == Standing::Proposed
        {
            self.leads_with = Some(ensemble.confirmed());
            self.tasks.push_back(LeaderTask::Adopt(ensemble.confirmed()));
        }
    }

    /// The identity of [`LeaderTask::Adopt`] is durable.
    pub(crate) fn on_adopted(&mut self, ensemble: EnsembleIdentity) {
        self.ensemble = Some(ensemble);
        if ensemble.standing == Standing::Confirmed {
            self.alone = None;
        }
    }

    /// Where a history of this server's own ends, as long as no quorum is known to have it.
    pub(crate) fn alone(&self) -> Option<Zxid> {
        self.alone
    }

    /// What a learner hears of this leader. The secret is for servers that take it over.
    pub(super) fn extension(&self, link: LinkId) -> PeerExtension {
        let leads_with = self.leads_with;
        if !self.links.get(&link).is_some_and(|state| state.checks) {
            return PeerExtension { cumulative: true, ..PeerExtension::default() };
        }
        PeerExtension {
            ensemble: leads_with.and_then(|ensemble| ensemble.confirmed_id()),
            identity: leads_with,
            ..PeerExtension::own(self.settings.common)
        }
    }

    /// Notes where a learner has other settings.
    pub(super) fn compare_settings(
        &mut self,
        link: LinkId,
        server: ServerId,
        learner: &PeerExtension,
    ) {
        let differences = self.settings.common.differences(&learner.settings);
        if !differences.is_empty() && self.differences.len() < DIFFERENCES_MAX {
            self.differences.push_back((link, server, differences));
        }
    }
}
