//! From settings to the parts of the pure core.

use std::sync::Arc;

use ringkeeper_engine::acl::{AuthSettings, DigestAlg, scheme};
use ringkeeper_engine::database::Database;
use ringkeeper_engine::device::{Disk, DiskError, EnsembleIdentity, Identity, Standing};
use ringkeeper_engine::log::Dirs;
use ringkeeper_engine::op::OpSettings;
use ringkeeper_engine::sasl::{AfterFailure, SaslSettings};
use ringkeeper_engine::session::{Passwords, ServerId, SessionIdSource, SessionTable};
use ringkeeper_engine::shard::ShardSettings;
use ringkeeper_engine::{Millis, limits};
use ringkeeper_replication::node::MailboxLimits;
use ringkeeper_replication::{
    EpochLimits, NodeSettings, PasswordSource, Replica, ReplicaSettings, SpentRemoval,
};

use crate::config::{SessionPasswords, Settings};
use crate::node::clock::{Clock, wall};
use crate::shards::WriteLeader;
use crate::storage::open::random_bytes;

/// How long a client of a member may wait for a state that it has seen elsewhere. Clients try the
/// next server after about a second.
const CATCH_UP_MS: i64 = 1_000;

pub(super) fn op_settings(settings: &Settings) -> OpSettings {
    OpSettings {
        auth: AuthSettings {
            digest_enabled: settings.digest_auth_enabled,
            digest_alg: DigestAlg::from_name(&settings.digest_auth_alg)
                .expect("the table of settings allows known algorithms only"),
            super_digest: settings.digest_auth_super_digest.as_ref().map(|s| s.reveal().to_owned()),
            skip_acl: settings.skip_acl,
            enforce: enforced_schemes(settings),
            sasl_enabled: settings.sasl.offered,
            sasl_any_user: settings.sasl_any_user.clone(),
            x509_enabled: crate::tls::settings::is_wanted(settings),
            x509_super_user: settings.x509_super_user.clone(),
            ensemble_enabled: !settings.ensemble_auth_names.is_empty(),
            ensemble_names: settings.ensemble_auth_names.clone(),
        },
        extended_types: settings.extended_types_enabled,
        enforce_quota: settings.enforce_quota,
        reconfig_enabled: settings.reconfig_enabled,
    }
}

/// The schemes of which a client must have an identity, if it must.
fn enforced_schemes(settings: &Settings) -> Option<Vec<String>> {
    let listed = settings.enforce_auth_enabled.then(|| settings.enforce_auth_schemes.clone());
    let sasl = settings.sasl_required.then(|| vec![scheme::SASL.to_owned()]);
    match (listed, sasl) {
        (Some(listed), Some(sasl)) => Some([listed, sasl].concat()),
        (listed, sasl) => listed.or(sasl),
    }
}

fn sasl_settings(settings: &Settings, nonce_key: [u8; 32]) -> SaslSettings {
    SaslSettings {
        credentials: settings.sasl.credentials.clone(),
        super_users: settings.sasl.super_users.clone(),
        after_failure: match settings.sasl_allow_failed_clients {
            true => AfterFailure::GoOn,
            false => AfterFailure::Close,
        },
        nonce_key,
    }
}

pub(super) fn node_settings(settings: &Settings, ops: &OpSettings) -> NodeSettings {
    NodeSettings {
        ops: ops.clone(),
        groups: super::throttles::groups(settings),
        tick_ms: tick_ms(settings),
        apply_batch: limits::APPLY_BATCH,
        mailboxes: MailboxLimits::default(),
    }
}

pub(super) fn write_leader(settings: &Settings) -> WriteLeader {
    if settings.ensemble.is_some() { WriteLeader::Followed } else { WriteLeader::Own }
}

fn tick_ms(settings: &Settings) -> i64 {
    // Sessions expire at the end of a tick; looking more often than that finds the end in time.
    i64::from(settings.tick_time_ms / 4).clamp(10, 250)
}

pub(super) fn replica(
    settings: &Settings,
    identity: &Identity,
    ops: &OpSettings,
    db: &Database,
    (clock, seed): (Clock, u64),
) -> Replica {
    let ensemble = settings.ensemble.as_ref();
    let int = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    let sessions = SessionTable::new(
        int(settings.tick_time_ms),
        int(settings.min_session_timeout_ms),
        int(settings.max_session_timeout_ms),
    );
    // A standalone server counts as server 1, as in ZooKeeper.
    let server = ensemble.map_or(settings.my_id.unwrap_or(1), |own| own.id.0.into());
    let server = u8::try_from(server).expect("the configuration refuses larger numbers");
    let learning = ensemble.map(|ensemble| super::member::learning(settings, ensemble));
    let millis = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let settings = ReplicaSettings {
        server: ServerId(server),
        ops: ops.clone(),
        hash_seed: seed,
        passwords: password_source(settings, identity),
        session_ids: SessionIdSource::new(server, wall()),
        removal: SpentRemoval {
            interval_ms: millis(settings.container_check_interval_ms),
            per_minute: settings.container_max_per_minute,
            never_used_ms: settings.container_max_never_used_interval_ms.map_or(0, millis),
        },
        connections: super::throttles::connections(settings, seed, clock.now().mono),
        epochs: EpochLimits::default(),
    };
    match learning {
        None => Replica::new(db, sessions, settings, clock.now()),
        Some(learning) => Replica::learner(db, sessions, (settings, learning), clock.now()),
    }
}

/// Sessions move between the servers of an ensemble, which have the same secret once they know
/// which ensemble it is. Without one, as beside servers of ZooKeeper's, passwords are ZooKeeper's.
fn password_source(settings: &Settings, identity: &Identity) -> PasswordSource {
    match (settings.session_passwords, &identity.ensemble) {
        (SessionPasswords::Java, _) => PasswordSource::Fixed(Passwords::Java),
        (SessionPasswords::Secret, _) if settings.ensemble.is_none() => {
            PasswordSource::Fixed(Passwords::keyed(&identity.secret))
        }
        (SessionPasswords::Secret, None) => PasswordSource::Unknown(Passwords::Java),
        (SessionPasswords::Secret, Some(ensemble)) => {
            let passwords = Passwords::of_ensemble(ensemble);
            match ensemble.standing {
                Standing::Proposed => PasswordSource::Unknown(passwords),
                Standing::Confirmed => PasswordSource::Ensemble(passwords),
            }
        }
    }
}

/// What this server proposes if it is the first leader of its ensemble. Sessions of a directory
/// that has been a member's, or whose passwords were ZooKeeper's by configuration, have those until
/// now.
pub(super) fn proposed_ensemble(
    settings: &Settings,
    identity: &Identity,
    dirs: &Dirs<Disk>,
) -> Result<EnsembleIdentity, DiskError> {
    let is_java = settings.session_passwords == SessionPasswords::Java || identity.is_member();
    let java_before = if is_java { wall() } else { Millis(0) };
    identity.propose_ensemble(&dirs.snapshots, java_before)
}

pub(super) fn shard_settings(
    settings: &Settings,
    ops: &OpSettings,
    seed: u64,
    shards: usize,
) -> anyhow::Result<Arc<ShardSettings>> {
    let outstanding = settings.global_outstanding_limit as usize;
    Ok(Arc::new(ShardSettings {
        ops: ops.clone(),
        sasl: sasl_settings(settings, random_bytes()?),
        frame_bytes_max: settings.jute_maxbuffer as usize,
        handshake_ms: i64::try_from(settings.nio_sessionless_cnxn_timeout_ms).unwrap_or(i64::MAX),
        catch_up_ms: if settings.ensemble.is_some() { CATCH_UP_MS } else { 0 },
        hash_seed: seed,
        outstanding_max: (outstanding / shards).max(1),
        requests: super::throttles::requests(settings),
        audits: settings.audit_enable,
        words: crate::admin::words::known(&settings.four_letter_whitelist),
    }))
}
