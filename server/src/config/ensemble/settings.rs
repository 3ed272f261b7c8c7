//! Limits and switches of an ensemble, typed.

use std::time::Duration;

use crate::config::resolve::Values;
use crate::config::types::FromValue;

macro_rules! settings {
    ($($(#[$doc:meta])* $field:ident: $type:ty = $read:ident($key:literal)),* $(,)?) => {
        /// The settings that mean something where several servers are listed. Ticks have been
        /// multiplied with `tickTime`.
        #[derive(Clone, Debug, PartialEq)]
        pub struct EnsembleSettings {
            $($(#[$doc])* pub $field: $type,)*
        }

        impl EnsembleSettings {
            pub(super) fn from_values(values: &Values) -> EnsembleSettings {
                EnsembleSettings { $($field: $read(values, $key),)* }
            }

            /// Every setting as its key in `zoo.cfg` and the value that holds.
            pub fn described(&self) -> Vec<(&'static str, String)> {
                vec![$(($key, self.$field.shown())),*]
            }
        }

        /// The keys that have a field, so that a test can compare them with the table.
        #[cfg(test)]
        pub(in crate::config) const FIELD_KEYS: &[&str] = &[$($key),*];

        /// The fields themselves, so that a test can look for who reads them.
        #[cfg(test)]
        pub(in crate::config) const FIELDS: &[&str] = &[$(stringify!($field)),*];
    };
}

settings! {
    /// How long a learner may take to connect to its leader and catch up.
    init_limit: Duration = ticks("initLimit"),
    /// How long a learner and its leader may be silent.
    sync_limit: Duration = ticks("syncLimit"),
    /// How long a learner may take to connect to its leader; `initLimit` where nothing is set.
    connect_to_learner_master_limit: Duration = ticks_or_init("connectToLearnerMasterLimit"),
    /// Whether the ports between servers listen on every address of the host.
    listen_on_all_ips: bool = plain("quorumListenOnAllIPs"),
    /// Whether server lines may have several addresses.
    multi_address: bool = plain("multiAddress.enabled"),
    /// Whether it is tried which address of a server can be reached.
    reachability_check: bool = plain("multiAddress.reachabilityCheckEnabled"),
    /// How long that is tried.
    reachability_check_timeout: Duration = millis("multiAddress.reachabilityCheckTimeoutMs"),
    /// Whether a leader sends small packets at once.
    leader_nodelay: bool = plain("leader.nodelay"),
    /// Whether a learner sends small packets at once.
    follower_nodelay: bool = plain("follower.nodelay"),
    /// How long opening a connection to an election port may take; nothing is for ever.
    cnx_timeout: Option<Duration> = millis_or_ever("cnxTimeout"),
    /// How long a connection for elections may be silent; `syncLimit` where nothing is set.
    quorum_cnxn_timeout: Duration = millis_or_sync("quorumCnxnTimeoutMs"),
    /// Whether the system probes idle connections between servers.
    tcp_keep_alive: bool = plain("tcpKeepAlive"),
    /// How often listening on the election port is tried; nothing is for ever.
    election_port_bind_retry: Option<u32> = plain("electionPortBindRetry"),
    /// How soon a vote is sent again at first.
    min_notification_interval: Duration = millis("fastleader.minNotificationInterval"),
    /// How late a vote is sent again at last.
    max_notification_interval: Duration = millis("fastleader.maxNotificationInterval"),
    /// How long a learner waits before it dials its leader again.
    leader_connect_delay: Duration = millis("leaderConnectDelayDuringRetryMs"),
    /// How long an observer that lost its leader waits before it connects again.
    observer_reconnect_delay: Duration = millis("observer.reconnectDelayMs"),
    /// How long an observer waits before it takes part in an election.
    observer_election_delay: Duration = millis("observer.election.DelayMs"),
    /// How many learners are sent a snapshot at a time.
    max_concurrent_snap_syncs: u32 = plain("leader.maxConcurrentSnapSyncs"),
    /// How many learners are sent missing transactions at a time.
    max_concurrent_diff_syncs: u32 = plain("leader.maxConcurrentDiffSyncs"),
    /// How many transactions are kept in memory for learners that fell behind.
    commit_log_count: u32 = plain("commitLogCount"),
    /// How long clients stay connected while the server has no leader; `syncLimit` where nothing is
    /// set.
    leaderless: Duration = millis_or_sync("ringkeeper.leaderlessMs"),
}

fn plain<T: FromValue>(values: &Values, key: &str) -> T {
    values.get(key)
}

fn ticks(values: &Values, key: &str) -> Duration {
    let tick: u64 = values.get("tickTime");
    let count: u64 = values.get(key);
    Duration::from_millis(tick.saturating_mul(count))
}

fn ticks_or_init(values: &Values, key: &str) -> Duration {
    match values.number(key) {
        Some(0) | None => ticks(values, "initLimit"),
        Some(_) => ticks(values, key),
    }
}

fn millis(values: &Values, key: &str) -> Duration {
    Duration::from_millis(values.get(key))
}

/// 0 is no limit, as for Java's sockets.
fn millis_or_ever(values: &Values, key: &str) -> Option<Duration> {
    values.get::<Option<u64>>(key).map(Duration::from_millis)
}

/// 0 and below mean that `syncLimit` counts, as in ZooKeeper.
fn millis_or_sync(values: &Values, key: &str) -> Duration {
    millis_or_ever(values, key).unwrap_or_else(|| ticks(values, "syncLimit"))
}

/// How a value is shown to people and programs.
trait Shown {
    fn shown(&self) -> String;
}

impl Shown for Duration {
    fn shown(&self) -> String {
        format!("{} ms", self.as_millis())
    }
}

impl<T: Shown> Shown for Option<T> {
    fn shown(&self) -> String {
        self.as_ref().map_or_else(|| "none".to_owned(), Shown::shown)
    }
}

macro_rules! shown_as_text {
    ($($type:ty),*) => {
        $(impl Shown for $type {
            fn shown(&self) -> String {
                self.to_string()
            }
        })*
    };
}

shown_as_text!(bool, u32);
