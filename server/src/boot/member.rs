//! What a server of an ensemble has beside one that is on its own.

use std::sync::Arc;

use ringkeeper_engine::limits;
use ringkeeper_engine::wire::peer::PacketLimits;
use ringkeeper_replication::LearningSettings;
use ringkeeper_replication::learner::{
    Dialect, FollowLimits, FollowedLeader, Learner, LearnerKind, LearnerPosition,
};
use ringkeeper_replication::node::NoLeader;

use crate::config::{Ensemble, PeerRole, Settings};
use crate::node::clock::Clock;
use crate::node::leader::ServerLeader;
use crate::node::view::View;
use crate::node::waker::Waker;
use crate::peers::configuration::Configuration;
use crate::peers::dialer::{Dialer, DialerThread};
use crate::peers::following::{Following, FollowingParts, FollowingSettings};
use crate::peers::states::{StateStore, StateThread};
use crate::peers::status::MemberStatus;

/// What the node of a server has that depends on whether it has a leader.
pub(super) struct MemberParts {
    /// The leader.
    pub(super) leader: ServerLeader,
    /// What moves the link to it on.
    pub(super) following: Option<Box<Following>>,
    /// For reports.
    pub(super) status: Option<Arc<MemberStatus>>,
    /// The thread that dials.
    pub(super) dialing: Option<DialerThread>,
}

/// What a member shares with the rest of its server.
pub(super) struct MemberSources {
    pub(super) view: Arc<View>,
    pub(super) clock: Clock,
    pub(super) waker: Arc<Waker>,
}

/// How the replica of a member learns.
pub(super) fn learning(settings: &Settings, ensemble: &Ensemble) -> LearningSettings {
    LearningSettings {
        record_bytes_max: settings.jute_maxbuffer as usize,
        hold_ms: i64::try_from(ensemble.settings.leaderless.as_millis()).unwrap_or(i64::MAX),
    }
}

/// Starts the threads of a member, if the server is one.
pub(super) fn start(
    settings: &Settings,
    (position, store): (LearnerPosition, StateStore),
    sources: MemberSources,
) -> anyhow::Result<MemberParts> {
    let Some(ensemble) = &settings.ensemble else {
        let leader = ServerLeader::None(NoLeader);
        let (following, status, dialing) = (None, None, None);
        return Ok(MemberParts { leader, following, status, dialing });
    };
    let MemberSources { view, clock, waker } = sources;
    let status = Arc::new(MemberStatus::new(ensemble.role));
    let (dialer, dialing) = Dialer::start(ensemble, waker.clone())?;
    let parts = FollowingParts {
        settings: FollowingSettings {
            learner: learner(ensemble),
            init_limit: ensemble.settings.init_limit,
            sync_limit: ensemble.settings.sync_limit,
            hold: ensemble.settings.leaderless,
        },
        dialer,
        states: StateThread::start(store, waker)?,
        configuration: Configuration::new(ensemble.clone()),
        status: status.clone(),
        view,
        clock,
    };
    let leader = FollowedLeader::new(position, limits(settings));
    Ok(MemberParts {
        leader: ServerLeader::Followed(Box::new(leader)),
        following: Some(Box::new(Following::new(parts)?)),
        status: Some(status),
        dialing: Some(dialing),
    })
}

fn learner(ensemble: &Ensemble) -> Learner {
    let kind = match ensemble.role {
        PeerRole::Participant => LearnerKind::Follower,
        PeerRole::Observer => LearnerKind::Observer,
    };
    let config_version = i64::try_from(ensemble.version).unwrap_or(i64::MAX);
    Learner { kind, server: ensemble.id, config_version, dialect: Dialect::ZooKeeper }
}

/// A leader may take larger records than this server does, so packets are not bounded by them.
fn limits(settings: &Settings) -> FollowLimits {
    let usual = FollowLimits::default();
    let data_bytes_max = limits::PEER_DATA_BYTES_MAX.max(settings.jute_maxbuffer as usize * 2);
    FollowLimits { packets: PacketLimits { data_bytes_max, ..usual.packets }, ..usual }
}
