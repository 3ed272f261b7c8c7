//! What reports say about the server that does not change while it runs, but for [`Changing`].

use std::path::PathBuf;
use std::sync::Arc;

use ringkeeper_engine::Millis;

use parking_lot::Mutex;

use crate::config::{Ensemble, FourLetterWords, Listen, Origin, Settings};
use crate::node::clock::Clock;

/// The release of ZooKeeper that clients and monitors may take this server for.
const ZOOKEEPER_VERSION: &str = "3.9.5";

/// Settings that reports need and that change while the server runs.
#[derive(Clone, Debug)]
pub struct Changing {
    /// The words that are answered.
    pub whitelist: Arc<FourLetterWords>,
    /// Connections from one address; 0 is no limit.
    pub max_client_cnxns: u32,
}

impl Changing {
    /// As the settings have them.
    pub fn new(settings: &Settings) -> Changing {
        Changing {
            whitelist: Arc::new(settings.four_letter_whitelist.clone()),
            max_client_cnxns: settings.max_client_cnxns.unwrap_or(0),
        }
    }
}

/// What is fixed when the server starts.
#[derive(Debug)]
pub struct ServerFacts {
    /// See [`version`].
    pub version: String,
    /// The clock whose zero is the server's start.
    pub clock: Clock,
    /// What is not: SIGHUP replaces it.
    pub changing: Mutex<Changing>,
    /// Where snapshots are.
    pub data_dir: PathBuf,
    /// Where the log is.
    pub data_log_dir: PathBuf,
    /// The unit of session expiry, milliseconds.
    pub tick_ms: i64,
    /// The shortest timeout that clients get, milliseconds.
    pub session_timeout_ms_min: u32,
    /// The longest.
    pub session_timeout_ms_max: u32,
    /// Connections that may wait to be accepted; -1 where nobody has said how many.
    pub backlog: i64,
    /// Where clients connect.
    pub client_address: Listen,
    /// The ensemble that this server is a member of.
    pub ensemble: Option<Ensemble>,
    /// The number in `myid`; 0 where there is none.
    pub server_id: u64,
    /// Milliseconds after which a connection without a session is closed.
    pub handshake_ms: i64,
    /// What the start took.
    pub startup: Startup,
}

/// What the start took. All times are in milliseconds.
#[derive(Clone, Copy, Default, Debug)]
pub struct Startup {
    /// Reading the snapshot.
    pub snapshot_ms: u64,
    /// Replaying the log behind it.
    pub log_ms: u64,
    /// Transactions replayed.
    pub transactions: u64,
    /// Everything until the database was there.
    pub total_ms: u64,
}

impl ServerFacts {
    /// The facts that follow from the settings.
    pub fn new(settings: &Settings, clock: Clock, startup: Startup) -> ServerFacts {
        let timeout_ms = settings.nio_sessionless_cnxn_timeout_ms;
        ServerFacts {
            version: version(),
            clock,
            changing: Mutex::new(Changing::new(settings)),
            data_dir: settings.data_dir.clone(),
            data_log_dir: settings.data_log_dir.clone(),
            tick_ms: i64::from(settings.tick_time_ms),
            session_timeout_ms_min: settings.min_session_timeout_ms,
            session_timeout_ms_max: settings.max_session_timeout_ms,
            backlog: backlog(settings),
            client_address: settings.client_port_address.clone(),
            ensemble: settings.ensemble.clone(),
            server_id: settings.my_id.unwrap_or(0),
            handshake_ms: i64::try_from(timeout_ms).unwrap_or(i64::MAX),
            startup,
        }
    }

    /// The end of the tick in which a moment lies: when a session expires that is heard of until
    /// then. Monotonic milliseconds.
    pub(super) fn tick_of(&self, mono_ms: i64) -> Millis {
        Millis((mono_ms.div_euclid(self.tick_ms) + 1) * self.tick_ms)
    }

    /// Milliseconds since the start.
    pub fn uptime_ms(&self) -> i64 {
        self.clock.now().mono.0
    }
}

fn backlog(settings: &Settings) -> i64 {
    match settings.origin("clientPortListenBacklog") {
        None | Some(Origin::Default) => -1,
        Some(_) => i64::from(settings.listen_backlog),
    }
}

/// The version in the form that monitors take apart: ZooKeeper's number first, then what this
/// really is, then a date.
pub fn version() -> String {
    let own = env!("CARGO_PKG_VERSION");
    format!("{ZOOKEEPER_VERSION}-ringkeeper/{own}, built on {} UTC", built_on())
}

/// When the binary was built: the moment that its packager fixed, or the age of the file.
fn built_on() -> String {
    let fixed = option_env!("SOURCE_DATE_EPOCH").and_then(|seconds| seconds.parse().ok());
    super::date::minute(fixed.or_else(age_of_binary).unwrap_or(0))
}

fn age_of_binary() -> Option<i64> {
    let modified = std::env::current_exe().ok()?.metadata().ok()?.modified().ok()?;
    let since = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_starts_with_zookeepers_number() {
        let version = version();
        let (number, rest) = version.split_once('-').unwrap();
        assert_eq!(number, "3.9.5");
        let (own, date) = rest.split_once(", built on ").unwrap();
        assert_eq!(own, concat!("ringkeeper/", env!("CARGO_PKG_VERSION")));
        assert_eq!(date.len(), "2026-02-11 20:18 UTC".len());
    }
}
