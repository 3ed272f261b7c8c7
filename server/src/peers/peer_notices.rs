//! What an operator should know of other servers: that they have other settings, another state, or
//! are none of this ensemble's. The same is said once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use ringkeeper_engine::device::EnsembleId;
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::SettingDifference;
use ringkeeper_replication::leader::{Comparison, LearnerEnd};

use super::logged_once::LoggedOnce;
use super::paced_warning::PacedWarning;
use super::status::MemberStatus;

/// Says what is known of other servers.
pub(crate) struct PeerNotices {
    said: LoggedOnce,
    /// Of connections that have not said which server they are.
    unidentified: PacedWarning,
    status: Arc<MemberStatus>,
}

impl PeerNotices {
    /// Nothing was said yet.
    pub(crate) fn new(status: Arc<MemberStatus>) -> PeerNotices {
        PeerNotices { said: LoggedOnce::default(), unidentified: PacedWarning::default(), status }
    }

    /// The leader has other settings.
    pub(super) fn leader_differs(&self, leader: ServerId, differences: &[SettingDifference]) {
        self.settings_differ(leader, &format!("server {}, which leads,", leader.0), differences);
    }

    /// A learner of this server has.
    pub(super) fn learner_differs(
        &self,
        server: ServerId,
        from: Option<SocketAddr>,
        differences: &[SettingDifference],
    ) {
        self.settings_differ(server, &format!("server {}{}", server.0, at(from)), differences);
    }

    fn settings_differ(&self, server: ServerId, who: &str, differences: &[SettingDifference]) {
        self.status.setting_differences.fetch_add(1, Relaxed);
        let all: Vec<String> = differences.iter().map(ToString::to_string).collect();
        let all = all.join(", ");
        let text = format!(
            "{who} has other settings than this server: {all}; give all servers of the ensemble \
             the same"
        );
        // Each connection has another port.
        self.said.warn_of((server.0.into(), "settings"), &all, &text);
    }

    /// A server takes part in elections that is of another ensemble.
    pub(super) fn other_ensemble(&self, server: ServerId, own: EnsembleId, other: EnsembleId) {
        let text = format!(
            "server {} takes part in elections as a member of ensemble {other}, and this server \
             is of ensemble {own}: it is not counted. Correct the addresses in the server lines of \
             the one that is wrong, or start it on an empty directory if it is to join",
            server.0
        );
        self.said.warn((server.0.into(), "ensemble"), &text);
    }

    /// The connection of a learner is closed. What comes again and again is said once.
    pub(super) fn learner_dropped(
        &mut self,
        server: Option<ServerId>,
        from: Option<SocketAddr>,
        end: &LearnerEnd,
    ) {
        let text = match server {
            Some(server) => format!("the link of server {}{} is closed: {end}", server.0, at(from)),
            None => format!("a connection to the quorum port{} is closed: {end}", at(from)),
        };
        match cause(end) {
            Some(cause) => {
                let host = from.map_or_else(String::new, |from| from.ip().to_string());
                self.said.warn_of(cause, &format!("{host} {end}"), &text);
            }
            None if server.is_none() => self.unidentified.warn(&text),
            None => tracing::warn!("{text}"),
        }
    }

    /// Members have different states.
    pub(super) fn states_differ(&self, comparison: &Comparison) {
        self.status.state_mismatches.fetch_add(1, Relaxed);
        match *comparison {
            Comparison::Minority { server, zxid, expected, found } => tracing::error!(
                %zxid,
                "the state of server {} has the digest {found:#x} behind {zxid}, and a majority \
                 has {expected:#x}: it is replaced by that of a leader",
                server.0
            ),
            Comparison::Undecided { server, zxid, leader, learner } => tracing::error!(
                %zxid,
                "the state of server {} has the digest {learner:#x} behind {zxid}, and that of \
                 this server, which leads, {leader:#x}; no majority has said the same, so nothing \
                 is done about it before more servers are there",
                server.0
            ),
        }
    }
}

/// The causes that do not go away by themselves.
fn cause(end: &LearnerEnd) -> Option<(i64, &'static str)> {
    match end {
        LearnerEnd::Stranger(sid) => Some((*sid, "stranger")),
        LearnerEnd::OtherEnsemble { server, .. } => Some((*server, "ensemble of a learner")),
        LearnerEnd::Twice(server) => Some((server.0.into(), "twice")),
        LearnerEnd::Own => Some((-1, "own number")),
        LearnerEnd::Protocol(_) => Some((-1, "protocol")),
        LearnerEnd::LaterConfiguration(_) => Some((-1, "configuration")),
        LearnerEnd::Malformed(_)
        | LearnerEnd::Unexpected(_)
        | LearnerEnd::Replaced
        | LearnerEnd::NotSent(_)
        | LearnerEnd::Silent(_)
        | LearnerEnd::Behind(_)
        | LearnerEnd::TooManyRequests(_)
        | LearnerEnd::Feed(_)
        | LearnerEnd::TooMany
        | LearnerEnd::SteppedDown => None,
    }
}

fn at(from: Option<SocketAddr>) -> String {
    from.map_or_else(String::new, |from| format!(" at {from}"))
}
