//! The settings as the server sees them: typed, flat and final.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ringkeeper_engine::log::gathering::Target;

use super::ensemble::Ensemble;
use super::origin::Origin;
use super::resolve::Values;
use super::sasl::SaslLogin;
use super::types::{
    ClientPort, FourLetterWords, Io, Listen, LogDevice, LogFormat, LogLevel, LogPriority, Purge,
    Secret, SessionPasswords, Shards,
};

macro_rules! settings {
    ($($(#[$doc:meta])* $field:ident: $type:ty = $key:literal),* $(,)?) => {
        /// Every setting the server honours, as it holds.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Settings {
            $($(#[$doc])* pub $field: $type,)*
            /// The number in the file `myid`, or of `ZOO_MY_ID`; a server on its own needs none.
            pub my_id: Option<u64>,
            /// The ensemble that the server is a member of; a server on its own has none.
            pub ensemble: Option<Ensemble>,
            /// The users of SASL.
            pub sasl: SaslLogin,
            pub(super) origins: BTreeMap<&'static str, Origin>,
            pub(super) texts: BTreeMap<&'static str, String>,
        }

        impl Settings {
            pub(super) fn from_values(
                values: &Values,
                my_id: Option<u64>,
                ensemble: Option<Ensemble>,
                sasl: SaslLogin,
            ) -> Settings {
                Settings {
                    $($field: values.get($key),)*
                    my_id,
                    ensemble,
                    sasl,
                    origins: values.said().map(|(key, held)| (key, held.origin.clone())).collect(),
                    texts: values.said().map(|(key, held)| (key, held.text.clone())).collect(),
                }
            }
        }

        /// The keys that have a field, so that a test can compare them with the table.
        #[cfg(test)]
        pub(super) const FIELD_KEYS: &[&str] = &[$($key),*];

        /// The fields themselves, so that a test can look for who reads them.
        #[cfg(test)]
        pub(super) const FIELDS: &[&str] = &[$(stringify!($field)),*];
    };
}

settings! {
    /// The port for clients without TLS, if there is one; 0 asks the system for a free one.
    client_port: ClientPort = "clientPort",
    /// Where to listen for clients.
    client_port_address: Listen = "clientPortAddress",
    /// The port for clients with TLS, if there is one; 0 asks the system for a free one.
    secure_client_port: ClientPort = "secureClientPort",
    /// Where to listen for them.
    secure_client_port_address: Listen = "secureClientPortAddress",
    /// Whether the port for clients without TLS takes those with TLS, too.
    port_unification: bool = "client.portUnification",
    /// Whether changed stores of TLS are taken over without a signal.
    cert_reload: bool = "client.certReload",
    /// The file of the server's key and certificates.
    key_store: Option<PathBuf> = "ssl.keyStore.location",
    /// Its password.
    key_store_password: Option<Secret> = "ssl.keyStore.password",
    /// The file of its password.
    key_store_password_file: Option<PathBuf> = "ssl.keyStore.passwordPath",
    /// Its form; empty where its name or content tells.
    key_store_type: String = "ssl.keyStore.type",
    /// The file of the certificates that vouch for clients.
    trust_store: Option<PathBuf> = "ssl.trustStore.location",
    /// Its password.
    trust_store_password: Option<Secret> = "ssl.trustStore.password",
    /// The file of its password.
    trust_store_password_file: Option<PathBuf> = "ssl.trustStore.passwordPath",
    /// Its form; empty where its name or content tells.
    trust_store_type: String = "ssl.trustStore.type",
    /// Whether clients show a certificate: `need`, `want` or `none`.
    tls_client_auth: String = "ssl.clientAuth",
    /// The only version of TLS; empty or `TLS` for both.
    tls_protocol: String = "ssl.protocol",
    /// The versions of TLS; none given means what `ssl.protocol` says.
    tls_enabled_protocols: Vec<String> = "ssl.enabledProtocols",
    /// The cipher suites, by their names in Java; none given means all.
    tls_cipher_suites: Vec<String> = "ssl.ciphersuites",
    /// How many new connections may wait to be accepted.
    listen_backlog: u32 = "clientPortListenBacklog",
    /// The most connections from one IP address.
    max_client_cnxns: Option<u32> = "maxClientCnxns",
    /// The most client connections in all.
    max_cnxns: Option<u32> = "maxCnxns",
    /// Whether the system probes idle client connections.
    client_tcp_keep_alive: bool = "clientTcpKeepAlive",
    /// How long a connection may stay open without a session.
    nio_sessionless_cnxn_timeout_ms: u64 = "nio.sessionlessCnxnTimeout",
    /// The largest request in bytes.
    jute_maxbuffer: u32 = "jute.maxbuffer",
    /// The four-letter words that are answered.
    four_letter_whitelist: FourLetterWords = "4lw.commands.whitelist",
    /// Whether clients may create nodes with a time to live.
    extended_types_enabled: bool = "extendedTypesEnabled",
    /// Whether a write beyond a hard quota is refused.
    enforce_quota: bool = "enforceQuota",
    /// How often empty containers and outlived nodes are looked for.
    container_check_interval_ms: u64 = "znode.container.checkIntervalMs",
    /// The most containers and outlived nodes deleted in a minute.
    container_max_per_minute: u32 = "znode.container.maxPerMinute",
    /// After how long a container that never had a child is deleted.
    container_max_never_used_interval_ms: Option<u64> = "znode.container.maxNeverUsedIntervalMs",

    /// The length of a tick.
    tick_time_ms: u32 = "tickTime",
    /// The shortest session timeout a client gets.
    min_session_timeout_ms: u32 = "minSessionTimeout",
    /// The longest session timeout a client gets; never below the shortest.
    max_session_timeout_ms: u32 = "maxSessionTimeout",

    /// The directory of the snapshots and of `myid`.
    data_dir: PathBuf = "dataDir",
    /// The directory of the log.
    data_log_dir: PathBuf = "dataLogDir",
    /// Whether a data directory that does not exist is created.
    data_dir_autocreate: bool = "datadir.autocreate",
    /// Whether a server without any state starts empty.
    db_autocreate: bool = "db.autocreate",
    /// Whether a write is on the device before it is answered.
    force_sync: bool = "forceSync",
    /// A longer sync of the log is reported.
    fsync_warning_threshold_ms: u64 = "fsync.warningthresholdms",
    /// How long a sync of the log may wait for more writes.
    flush_delay_ms: u64 = "flushDelay",
    /// The most writes that share one sync.
    max_batch_size: Option<u32> = "maxBatchSize",
    /// A snapshot is taken after about this many writes.
    snap_count: u32 = "snapCount",
    /// A snapshot is taken after about this much log.
    snap_size_limit_kb: Option<u64> = "snapSizeLimitInKb",
    /// The space reserved for the log ahead of its growth.
    pre_alloc_size_kb: u32 = "preAllocSize",
    /// How many snapshots are kept; at least 3.
    autopurge_snap_retain_count: u32 = "autopurge.snapRetainCount",
    /// When old snapshots and logs are deleted.
    autopurge_purge_interval: Purge = "autopurge.purgeInterval",
    /// Whether a digest of the tree is kept with every write.
    digest_enabled: bool = "digest.enabled",

    /// How long the log may wait for a next write where syncs are delayed.
    max_write_queue_poll_ms: u64 = "maxWriteQueuePollTime",
    /// The most requests in progress before reading from busy connections stops.
    global_outstanding_limit: u32 = "globalOutstandingLimit",
    /// The most tokens for new connections; nothing turns connection throttling off.
    connection_throttle_tokens: Option<u32> = "connection_throttle_tokens",
    /// How often tokens are added.
    connection_throttle_fill_time_ms: u64 = "connection_throttle_fill_time",
    /// How many tokens are added each time.
    connection_throttle_fill_count: u32 = "connection_throttle_fill_count",
    /// How often the share of dropped connections moves; below 0 nothing is dropped by chance.
    connection_throttle_freeze_time_ms: i64 = "connection_throttle_freeze_time",
    /// What that share grows by.
    connection_throttle_drop_increase: f64 = "connection_throttle_drop_increase",
    /// What it shrinks by.
    connection_throttle_drop_decrease: f64 = "connection_throttle_drop_decrease",
    /// The share of tokens that may be missing while it shrinks.
    connection_throttle_decrease_ratio: f64 = "connection_throttle_decrease_ratio",
    /// Whether the kinds of connections cost differently.
    connection_throttle_weighted: bool = "connection_throttle_weight_enabled",
    /// What a new session costs.
    connection_throttle_global_weight: u32 = "connection_throttle_global_session_weight",
    /// The least that anything costs.
    connection_throttle_local_weight: u32 = "connection_throttle_local_session_weight",
    /// What taking a session up costs.
    connection_throttle_renew_weight: u32 = "connection_throttle_renew_session_weight",
    /// The size from which a request is large; below 0 none is.
    large_request_threshold: i64 = "largeRequestThreshold",
    /// The most bytes of all large requests together.
    large_request_max_bytes: u32 = "largeRequestMaxBytes",
    /// The most requests in process before others are held back.
    request_throttle_max_requests: Option<u32> = "request_throttle_max_requests",
    /// After how long held requests are looked at again.
    request_throttle_stall_time_ms: u64 = "request_throttle_stall_time",
    /// Whether stale requests that were held are dropped.
    request_throttle_drop_stale: bool = "request_throttle_drop_stale",
    /// Whether a request that waited longer than its session's timeout is stale.
    request_stale_latency_check: bool = "request_stale_latency_check",
    /// Whether a request whose connection is gone is stale.
    request_stale_connection_check: bool = "request_stale_connection_check",
    /// A request that was held for longer is refused.
    throttled_op_wait_time_ms: Option<u64> = "throttled_op_wait_time",

    /// Whether access lists are kept but not checked.
    skip_acl: bool = "skipACL",
    /// Whether the digest scheme can be used.
    digest_auth_enabled: bool = "DigestAuthenticationProvider.enabled",
    /// The digest of the user super, as `super:…`.
    digest_auth_super_digest: Option<Secret> = "DigestAuthenticationProvider.superDigest",
    /// The hash of the digest scheme, as Java names it.
    digest_auth_alg: String = "DigestAuthenticationProvider.digestAlg",
    /// Whether clients must authenticate before anything else.
    enforce_auth_enabled: bool = "enforce.auth.enabled",
    /// The schemes that satisfy it; only of `digest` and `ip`.
    enforce_auth_schemes: Vec<String> = "enforce.auth.schemes",
    /// The subject of the certificate whose holder may do everything.
    x509_super_user: Option<String> = "X509AuthenticationProvider.superUser",
    /// Whether clients must authenticate with SASL before anything else.
    sasl_required: bool = "sessionRequireClientSASLAuth",
    /// Whether a client whose exchange failed goes on without an identity.
    sasl_allow_failed_clients: bool = "allowSaslFailedClients",
    /// An identity in lists that every SASL user matches.
    sasl_any_user: Option<String> = "letAnySaslUserDoX",
    /// The names of this service for the scheme `ensemble`; none means the scheme is not checked.
    ensemble_auth_names: Vec<String> = "ensembleAuthName",

    /// Whether the ip scheme believes the X-Forwarded-For header of HTTP requests.
    ip_auth_use_x_forwarded_for: bool = "IPAuthenticationProvider.usexforwardedfor",

    /// Whether commands can be given over HTTP.
    admin_enable_server: bool = "admin.enableServer",
    /// Where to listen for them.
    admin_server_address: String = "admin.serverAddress",
    /// On which port; 0 asks the system for a free one.
    admin_server_port: u16 = "admin.serverPort",
    /// How long a connection over HTTP may be idle; 0 is for ever.
    admin_idle_timeout_ms: u64 = "admin.idleTimeout",
    /// The path under which the commands are found.
    admin_command_url: String = "admin.commandURL",
    /// How often a snapshot can be asked for.
    admin_rate_limiter_interval_ms: u64 = "admin.rateLimiterIntervalInMS",
    /// Whether a snapshot can be asked for.
    admin_snapshot_enabled: bool = "admin.snapshot.enabled",
    /// The class that exports metrics, by its Java name.
    metrics_class: String = "metricsProvider.className",
    /// Where to listen for requests for metrics.
    metrics_http_host: String = "metricsProvider.httpHost",
    /// On which port; 0 asks the system for a free one.
    metrics_http_port: u16 = "metricsProvider.httpPort",

    /// Whether reconfig is answered as "not possible alone" instead of "disabled".
    reconfig_enabled: bool = "reconfigEnabled",

    /// Whether changes are written to the audit log.
    audit_enable: bool = "audit.enable",
    /// The file of the audit log.
    audit_file: Option<PathBuf> = "ringkeeper.audit.file",
    /// The size at which it is renamed.
    audit_file_mb: Option<u32> = "ringkeeper.audit.fileMb",
    /// How many renamed ones are kept.
    audit_files: u32 = "ringkeeper.audit.files",

    /// How many threads serve clients.
    shards: Shards = "ringkeeper.shards",
    /// How sockets are waited for.
    io: Io = "ringkeeper.io",
    /// How the log reaches the device.
    log_device: LogDevice = "ringkeeper.log.device",
    /// What waiting for more writes to share a sync is judged by.
    commit_target: Target = "ringkeeper.commit.target",
    /// How the thread that writes the log is scheduled.
    log_priority: LogPriority = "ringkeeper.log.priority",
    /// How the server's messages look.
    log_format: LogFormat = "ringkeeper.log.format",
    /// Which of the server's messages are written.
    log_level: LogLevel = "ringkeeper.log.level",
    /// Log segments are kept ready for this much, for when the disk is full.
    reserve_mb: u32 = "ringkeeper.reserveMb",
    /// How long the log behind a snapshot of a large tree may take to replay.
    replay_limit_ms: u32 = "ringkeeper.replayLimitMs",
    /// A snapshot is taken early behind so much log.
    early_snapshot_mb: u32 = "ringkeeper.earlySnapshotMb",
    /// How session passwords are made.
    session_passwords: SessionPasswords = "ringkeeper.sessionPasswords",
}

impl Settings {
    /// Where the value of a setting came from; `key` is its key in `zoo.cfg`.
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.origins.get(key)
    }

    /// Every setting as its key, its value as it may be shown, and where that came from.
    pub fn described(&self) -> impl Iterator<Item = (&'static str, &str, &Origin)> {
        self.origins
            .iter()
            .map(|(key, origin)| (*key, self.texts.get(key).map_or("", String::as_str), origin))
    }
}
