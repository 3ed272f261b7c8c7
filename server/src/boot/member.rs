//! What a server of an ensemble has beside one that is on its own.

use std::sync::Arc;
use std::time::Duration;

use ringkeeper_engine::device::EnsembleIdentity;
use ringkeeper_engine::limits;
use ringkeeper_engine::log::WindowLimit;
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::{PacketLimits, PeerSetting, PeerSettings};
use ringkeeper_replication::LearningSettings;
use ringkeeper_replication::election::ElectionSettings;
use ringkeeper_replication::leader::{FeedLimits, FeedSource, LeaderLimits, LeaderSettings};
use ringkeeper_replication::learner::{
    Dialect, FollowLimits, FollowedLeader, Learner, LearnerKind, LearnerPosition,
};
use ringkeeper_replication::member::{self, MemberSettings};
use ringkeeper_replication::node::NoLeader;

use crate::config::{Ensemble, EnsembleSettings, PeerRole, SessionPasswords, Settings};
use crate::node::clock::Clock;
use crate::node::driver::Peers;
use crate::node::leader::ServerLeader;
use crate::node::timed::Timed;
use crate::node::view::View;
use crate::node::waker::Waker;
use crate::peers::configuration::Configuration;
use crate::peers::dialer::Dialer;
use crate::peers::dialer_thread::DialerThread;
use crate::peers::feeds::{FeedThreadLimits, FeedThreads};
use crate::peers::following::{Following, FollowingParts, FollowingSettings};
use crate::peers::member_driver::{MemberDriver, MemberParts};
use crate::peers::member_log::MemberLog;
use crate::peers::peer_notices::PeerNotices;
use crate::peers::states::{StateStore, StateThread};
use crate::peers::status::{ClientService, MemberReport, MemberStatus};
use crate::peers::voting_ports::VotingPorts;

/// What the node of a server has that depends on whether it has a leader.
pub(super) struct PeerParts {
    /// The leader.
    pub(super) leader: ServerLeader,
    /// What moves the links to other servers on.
    pub(super) peers: Peers,
    /// For reports.
    pub(super) status: Option<Arc<MemberStatus>>,
    /// The thread of an observer that connects to other servers.
    pub(super) dialing: Option<DialerThread>,
}

/// What a member shares with the rest of its server.
pub(super) struct MemberSources {
    pub(super) view: Arc<View>,
    pub(super) clock: Clock,
    pub(super) waker: Arc<Waker>,
    /// What it proposes if it is the first leader of its ensemble.
    pub(super) proposed: EnsembleIdentity,
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
) -> anyhow::Result<PeerParts> {
    match &settings.ensemble {
        None => Ok(PeerParts {
            leader: ServerLeader::None(NoLeader),
            peers: Peers::None,
            status: None,
            dialing: None,
        }),
        Some(ensemble) => match ensemble.role {
            PeerRole::Observer => observer(settings, ensemble, (position, store), sources),
            PeerRole::Participant => voter(settings, ensemble, (position, store), sources),
        },
    }
}

/// The server stops. Says so where the ensemble cannot do without it.
pub(super) fn warn_of_stop(ensemble: &Ensemble, report: &MemberReport) {
    let (voters, left) = (ensemble.voters().count(), report.voters_left());
    let needed = voters / 2 + 1;
    let serves = report.clients == ClientService::All;
    if ensemble.role == PeerRole::Participant && serves && left < needed {
        tracing::warn!(
            "without this server {left} of {voters} voters are left, and {needed} are needed: \
             nobody is served until more of them run"
        );
    }
}

fn observer(
    settings: &Settings,
    ensemble: &Ensemble,
    (position, store): (LearnerPosition, StateStore),
    sources: MemberSources,
) -> anyhow::Result<PeerParts> {
    let MemberSources { view, clock, waker, .. } = sources;
    let status = Arc::new(MemberStatus::new(ensemble.role));
    let (dialer, dialing) = Dialer::start(ensemble, waker.clone())?;
    let parts = FollowingParts {
        settings: FollowingSettings {
            learner: Learner {
                kind: LearnerKind::Observer,
                server: ensemble.id,
                config_version: config_version(ensemble),
                dialect: Dialect::Extended,
                settings: common(settings),
            },
            init_limit: ensemble.settings.init_limit,
            sync_limit: ensemble.settings.sync_limit,
            hold: ensemble.settings.leaderless,
        },
        dialer,
        states: StateThread::start(store, waker)?,
        configuration: Configuration::new(ensemble.clone()),
        notices: PeerNotices::new(status.clone()),
        status: status.clone(),
        view,
        clock,
    };
    let (leader, stats) =
        (FollowedLeader::new(position, limits(settings)), status.replication.clone());
    Ok(PeerParts {
        leader: ServerLeader::Followed(Box::new(Timed::new(leader, clock, stats))),
        peers: Peers::Following(Box::new(Following::new(parts)?)),
        status: Some(status),
        dialing: Some(dialing),
    })
}

fn voter(
    settings: &Settings,
    ensemble: &Ensemble,
    (position, store): (LearnerPosition, StateStore),
    sources: MemberSources,
) -> anyhow::Result<PeerParts> {
    let MemberSources { view, clock, waker, proposed } = sources;
    let status = Arc::new(MemberStatus::new(ensemble.role));
    let ports = VotingPorts::start(ensemble, &waker)?;
    let source = FeedSource {
        dirs: store.dirs.clone(),
        directory: store.directory,
        gauge: store.gauge.clone(),
        seed: store.seed,
        limits: FeedLimits::default(),
    };
    let feeds = FeedThreadLimits {
        diffs: ensemble.settings.max_concurrent_diff_syncs as usize,
        states: ensemble.settings.max_concurrent_snap_syncs as usize,
    };
    let parts = MemberParts {
        ports: Some(ports),
        states: StateThread::start(store, waker.clone())?,
        feeds: FeedThreads::new(source, feeds, waker),
        configuration: Configuration::new(ensemble.clone()),
        log: MemberLog::new(ensemble.clone(), status.clone()),
        view,
        clock,
    };
    let member = member_settings(settings, ensemble, proposed);
    let member = member::Member::new(member, position, clock.now().mono);
    let stats = status.replication.clone();
    Ok(PeerParts {
        leader: ServerLeader::Member(Box::new(Timed::new(member, clock, stats))),
        peers: Peers::Member(Box::new(MemberDriver::new(parts)?)),
        status: Some(status),
        dialing: None,
    })
}

fn member_settings(
    settings: &Settings,
    ensemble: &Ensemble,
    proposed: EnsembleIdentity,
) -> MemberSettings {
    let limits = limits(settings);
    let (tick_ms, own) = (i64::from(settings.tick_time_ms), &ensemble.settings);
    let ids = |role| -> Vec<ServerId> {
        let members = ensemble.members.iter().filter(|member| member.role == role);
        members.map(|member| member.id).collect()
    };
    let usual = LeaderLimits::default();
    let records = ensemble.settings.commit_log_count as usize;
    MemberSettings {
        leader: LeaderSettings {
            server: ensemble.id,
            voters: ids(PeerRole::Participant).into_iter().collect(),
            observers: ids(PeerRole::Observer).into_iter().collect(),
            config: ensemble.text().into_bytes().into(),
            config_version: config_version(ensemble),
            tick_ms,
            init_ms: millis(own.init_limit),
            sync_ms: millis(own.sync_limit),
            limits: LeaderLimits {
                packets: limits.packets,
                window: WindowLimit { records, ..usual.window },
                ..usual
            },
            common: common(settings),
            proposed,
        },
        follow: limits,
        dial_ms: millis(own.connect_to_learner_master_limit + own.leader_connect_delay * 5) + 1_000,
        election: ElectionSettings {
            resend_min_ms: millis(own.min_notification_interval),
            resend_max_ms: millis(own.max_notification_interval),
            ..ElectionSettings::default()
        },
    }
}

/// What all servers of an ensemble should have in common.
fn common(settings: &Settings) -> PeerSettings {
    let ensemble = settings.ensemble.as_ref();
    let limit = |limit: fn(&EnsembleSettings) -> Duration| {
        ensemble.map_or(0, |ensemble| millis(limit(&ensemble.settings)))
    };
    let is_java = settings.session_passwords == SessionPasswords::Java;
    PeerSettings::default()
        .with(PeerSetting::JuteMaxbuffer, settings.jute_maxbuffer.into())
        .with(PeerSetting::TickTime, settings.tick_time_ms.into())
        .with(PeerSetting::MinSessionTimeout, settings.min_session_timeout_ms.into())
        .with(PeerSetting::MaxSessionTimeout, settings.max_session_timeout_ms.into())
        .with(PeerSetting::ExtendedTypes, settings.extended_types_enabled.into())
        .with(PeerSetting::Digest, settings.digest_enabled.into())
        .with(PeerSetting::SkipAcl, settings.skip_acl.into())
        .with(PeerSetting::EnforceQuota, settings.enforce_quota.into())
        .with(PeerSetting::SessionPasswords, is_java.into())
        .with(PeerSetting::InitLimit, limit(|settings| settings.init_limit))
        .with(PeerSetting::SyncLimit, limit(|settings| settings.sync_limit))
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn config_version(ensemble: &Ensemble) -> i64 {
    i64::try_from(ensemble.version).unwrap_or(i64::MAX)
}

/// A leader may take larger records than this server does, so packets are not bounded by them.
fn limits(settings: &Settings) -> FollowLimits {
    let usual = FollowLimits::default();
    let data_bytes_max = limits::PEER_DATA_BYTES_MAX.max(settings.jute_maxbuffer as usize * 2);
    FollowLimits { packets: PacketLimits { data_bytes_max, ..usual.packets }, ..usual }
}
