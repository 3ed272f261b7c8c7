//! `conf` and `dirs`: the settings that tell servers apart, and what their directories hold.

use std::time::Duration;

use super::{Answer, Word};
use crate::admin::facts::ServerFacts;
use crate::admin::state::DirBytes;
use crate::config::{Ensemble, PeerAddress, PeerRole};

pub(super) static CONF: Word = Word::new(
    b"conf",
    Answer::Files(|state| {
        let facts = &state.sources.facts;
        let ports = (state.client_port(), state.secure_client_port());
        let mut text = conf(facts, ports, state.dir_bytes());
        if let (Some(ensemble), Some(named)) = (&facts.ensemble, state.members()) {
            text.push_str(&members(ensemble, &named, facts.tick_ms));
        }
        text
    }),
);
pub(super) static DIRS: Word = Word::new(b"dirs", Answer::Files(|state| dirs(state.dir_bytes())));

/// The text of `conf`.
fn conf(facts: &ServerFacts, (port, secure): (u16, Option<u16>), bytes: DirBytes) -> String {
    let rows = [
        ("clientPort", port.to_string()),
        ("secureClientPort", secure.map_or(-1, i32::from).to_string()),
        ("dataDir", facts.data_dir.display().to_string()),
        ("dataDirSize", bytes.data.to_string()),
        ("dataLogDir", facts.data_log_dir.display().to_string()),
        ("dataLogSize", bytes.log.to_string()),
        ("tickTime", facts.tick_ms.to_string()),
        ("maxClientCnxns", facts.changing.lock().max_client_cnxns.to_string()),
        ("minSessionTimeout", facts.session_timeout_ms_min.to_string()),
        ("maxSessionTimeout", facts.session_timeout_ms_max.to_string()),
        ("clientPortListenBacklog", facts.backlog.to_string()),
        ("serverId", facts.server_id.to_string()),
    ];
    rows.iter().map(|(key, value)| format!("{key}={value}\n")).collect()
}

/// What a member of an ensemble adds. ZooKeeper does not end the last line.
fn members(ensemble: &Ensemble, named: &str, tick_ms: i64) -> String {
    let Ensemble { role, settings, .. } = ensemble;
    let ticks = |limit: Duration| limit.as_millis() / u128::from(tick_ms.unsigned_abs().max(1));
    let own = &ensemble.own().addresses;
    let ports = |port: fn(&PeerAddress) -> u16| {
        own.iter().map(|address| port(address).to_string()).collect::<Vec<_>>().join("|")
    };
    let rows = [
        ("initLimit", ticks(settings.init_limit).to_string()),
        ("syncLimit", ticks(settings.sync_limit).to_string()),
        ("electionAlg", "3".to_owned()),
        ("electionPort", ports(|address| address.election_port)),
        ("quorumPort", ports(|address| address.quorum_port)),
        ("peerType", u8::from(*role == PeerRole::Observer).to_string()),
    ];
    let rows: String = rows.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    format!("{rows}membership: \n{named}")
}

/// The text of `dirs`.
fn dirs(bytes: DirBytes) -> String {
    format!("datadir_size: {}\nlogdir_size: {}\n", bytes.data, bytes.log)
}

#[cfg(test)]
pub(in crate::admin) mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;
    use crate::admin::facts::{Changing, Startup};
    use crate::config::ensemble::tests::observer_of_three;
    use crate::config::{FourLetterWords, Listen};
    use crate::node::clock::Clock;

    /// A server as `ringkeeper` runs it in tests.
    pub(in crate::admin) fn facts(whitelist: FourLetterWords) -> ServerFacts {
        ServerFacts {
            version: crate::admin::facts::version(),
            clock: Clock::start(),
            changing: Mutex::new(Changing { whitelist: Arc::new(whitelist), max_client_cnxns: 60 }),
            data_dir: "/data".into(),
            data_log_dir: "/log".into(),
            tick_ms: 2_000,
            session_timeout_ms_min: 4_000,
            session_timeout_ms_max: 40_000,
            backlog: 1_024,
            client_address: Listen::Any,
            ensemble: None,
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
        assert_eq!(conf(&facts(FourLetterWords::All), (26_300, None), bytes), text);
    }

    #[test]
    fn conf_of_a_member_has_its_limits_ports_and_ensemble() {
        let text = "initLimit=10\nsyncLimit=5\nelectionAlg=3\nelectionPort=24034\n\
                    quorumPort=24024\npeerType=1\nmembership: \n\
                    server.1=127.0.0.1:24021:24031:participant\n\
                    server.2=127.0.0.1:24022:24032:participant\n\
                    server.3=127.0.0.1:24023:24033:participant\n\
                    server.4=127.0.0.1:24024:24034:observer\nversion=0";
        let ensemble = observer_of_three();
        assert_eq!(members(&ensemble, &ensemble.text(), 2_000), text);
    }

    #[test]
    fn dirs_is_two_lines() {
        let bytes = DirBytes { data: 478, log: 479 };
        assert_eq!(dirs(bytes), "datadir_size: 478\nlogdir_size: 479\n");
    }
}
