//! A learner as reports show it.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::SettingDifference;

use super::learner_state::{LearnerPhase, LearnerState};
use super::{Leadership, LinkId};
use crate::learner::{LearnerKind, SyncKind};

/// How far one learner is, for reports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LearnerSummary {
    /// Its connection.
    pub link: LinkId,
    /// Which server it is.
    pub server: ServerId,
    /// How it takes part.
    pub kind: LearnerKind,
    /// It serves clients with what this leader orders.
    pub is_synced: bool,
    /// How it is, or was, brought in line; nothing before that is known.
    pub sync: Option<SyncKind>,
    /// The last transaction that was sent to it.
    pub sent: Zxid,
    /// The last one that it has acknowledged. An observer acknowledges no more than the history.
    pub acked: Zxid,
    /// Bytes that wait for it to take them.
    pub unsent_bytes: usize,
    /// Milliseconds since it was heard of.
    pub silent_ms: i64,
    /// Its settings that are not those of this leader.
    pub differences: Vec<SettingDifference>,
}

impl Leadership {
    /// The learners that have said who they are, by their connections.
    pub fn learners(&self) -> impl Iterator<Item = LearnerSummary> {
        self.links.iter().filter_map(|(link, state)| self.summary(*link, state))
    }

    fn summary(&self, link: LinkId, state: &LearnerState) -> Option<LearnerSummary> {
        Some(LearnerSummary {
            link,
            server: state.server?,
            kind: state.kind,
            is_synced: state.phase == LearnerPhase::Serving,
            sync: state.sync,
            sent: state.sent,
            acked: state.acked,
            unsent_bytes: state.out.bytes(),
            silent_ms: self.now.0 - state.heard.0,
            differences: state.differences.clone(),
        })
    }
}
