//! A member with a history of its own among servers that are an ensemble without it.
//!
//! Such a server was on its own, and the others have begun without it: its history is not theirs,
//! however late its zxids are. It must not be chosen with it, nor depose their leader, nor give it
//! up. So it has no vote, and learns first as one that cannot vouch for what it has. Where the
//! leader has all of its history it votes from then on; where not, the link ends.

use ringkeeper_engine::device::EnsembleId;

use super::role::Role;
use super::{Member, MemberEvent};
use crate::leader::StepDown;
use crate::learner::{LearnerOffer, LearnerPosition};

impl Member {
    /// Another server is known to be of this ensemble.
    pub(super) fn stand_aside(&mut self, ensemble: Option<EnsembleId>) {
        let Some(ensemble) = ensemble else { return };
        let position = self.own_position();
        if self.outside_of == Some(ensemble) || !position.is_own_history(Some(ensemble)) {
            return;
        }
        self.outside_of = Some(ensemble);
        let last = position.last;
        self.events.push_back(MemberEvent::OwnHistory { ensemble, last });
        match self.role {
            Role::Looking if self.search.is_none() => {
                self.election.rest();
                self.look();
            }
            Role::Leading => {
                if let Some(leadership) = &mut self.leadership
                    && !leadership.is_established()
                {
                    leadership.step_down(StepDown::OtherEnsemble(ensemble));
                }
            }
            // Whether it is followed is looked at when the connection is there, or by the link.
            Role::Looking | Role::Joining(_) | Role::Following(_) | Role::Resting { .. } => {}
        }
    }

    /// Whether this server takes part in elections, and counts for a leader.
    pub(super) fn has_vote(&self) -> bool {
        let position = self.followed.position();
        let is_outside = self.outside_of.is_some() && position.is_own_history(self.outside_of);
        position.offer == LearnerOffer::Log && !is_outside
    }

    fn own_position(&self) -> LearnerPosition {
        let position = self.followed.position();
        match &self.leadership {
            None => position,
            Some(leadership) => {
                let (ensemble, alone) = (leadership.ensemble(), leadership.alone());
                LearnerPosition { ensemble, alone, ..position }
            }
        }
    }
}
