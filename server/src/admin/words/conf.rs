//! `conf` and `dirs`: the settings that tell servers apart, and what their directories hold.

use super::{Answer, Word};
use crate::admin::facts::ServerFacts;
use crate::admin::state::DirBytes;

pub(super) static CONF: Word = Word::new(
    b"conf",
    Answer::Files(|state| conf(&state.sources.facts, state.client_port(), state.dir_bytes())),
);
pub(super) static DIRS: Word = Word::new(b"dirs", Answer::Files(|state| dirs(state.dir_bytes())));

/// The text of `conf`.
fn conf(facts: &ServerFacts, port: u16, bytes: DirBytes) -> String {
    let rows = [
        ("clientPort", port.to_string()),
        ("secureClientPort", "-1".to_owned()),
        ("dataDir", facts.data_dir.display().to_string()),
        ("dataDirSize", bytes.data.to_string()),
        ("dataLogDir", facts.data_log_dir.display().to_string()),
        ("dataLogSize", bytes.log.to_string()),
        ("tickTime", facts.tick_ms.to_string()),
        ("maxClientCnxns", facts.max_client_cnxns.to_string()),
        ("minSessionTimeout", facts.session_timeout_ms_min.to_string()),
        ("maxSessionTimeout", facts.session_timeout_ms_max.to_string()),
        ("clientPortListenBacklog", facts.backlog.to_string()),
        ("serverId", facts.server_id.to_string()),
    ];
    rows.iter().map(|(key, value)| format!("{key}={value}\n")).collect()
}

/// The text of `dirs`.
fn dirs(bytes: DirBytes) -> String {
    format!("datadir_size: {}\nlogdir_size: {}\n", bytes.data, bytes.log)
}

#[cfg(test)]
pub(in crate::admin) mod tests {
    use super::*;
    use crate::admin::facts::Startup;
    use crate::config::FourLetterWords;
    use crate::node::clock::Clock;

    /// A server as `ringkeeper` runs it in tests.
    pub(in crate::admin) fn facts(whitelist: FourLetterWords) -> ServerFacts {
        ServerFacts {
            version: crate::admin::facts::version(),
            clock: Clock::start(),
            whitelist,
            data_dir: "/data".into(),
            data_log_dir: "/log".into(),
            tick_ms: 2_000,
            max_client_cnxns: 60,
            session_timeout_ms_min: 4_000,
            session_timeout_ms_max: 40_000,
            backlog: 1_024,
            server_id: 0,
            handshake_ms: 10_000,
            startup: Startup::default(),
        }
    }

    #[test]
    fn conf_has_zookeepers_keys_in_its_order() {
        let text = "clientPort=26300\nsecureClientPort=-1\ndataDir=/data\ndataDirSize=478\n\
                    dataLogDir=/log\ndataLogSize=9\ntickTime=2000\nmaxClientCnxns=60\n\
                    minSessionTimeout=4000\nmaxSessionTimeout=40000\n\
                    clientPortListenBacklog=1024\nserverId=0\n";
        let bytes = DirBytes { data: 478, log: 9 };
        assert_eq!(conf(&facts(FourLetterWords::All), 26_300, bytes), text);
    }

    #[test]
    fn dirs_is_two_lines() {
        let bytes = DirBytes { data: 478, log: 479 };
        assert_eq!(dirs(bytes), "datadir_size: 478\nlogdir_size: 479\n");
    }
}
