//! The forms of an address and of a version.

use super::assemble::version_of;
use super::{Ensemble, PeerAddress, canonical};
use crate::cli::StartArgs;
use crate::config::{Env, explain};

/// Server 4 of four, an observer of three that vote.
pub(crate) fn observer_of_three() -> Ensemble {
    let definitions = [
        "clientPort=24004",
        "dataDir=/data",
        "tickTime=2000",
        "initLimit=10",
        "syncLimit=5",
        "server.1=127.0.0.1:24021:24031",
        "server.2=127.0.0.1:24022:24032",
        "server.3=127.0.0.1:24023:24033",
        "server.4=127.0.0.1:24024:24034:observer",
    ];
    let definitions = definitions.map(str::to_owned).to_vec();
    let args = StartArgs { definitions, ..StartArgs::default() };
    let said = explain(&args, &Env::from_pairs([("ZOO_MY_ID", "4")]));
    said.ensemble.unwrap_or_else(|| panic!("{:?}", said.settings))
}

#[test]
fn version_is_the_hexadecimal_end_of_a_name() {
    for (name, version) in [
        ("zoo.cfg.dynamic.100000000", 0x1_0000_0000),
        ("/etc/zoo.fe", 254),
        ("zoo.cfg.dynamic", 0),
        ("zoo.cfg.dynamic.next", 0),
        ("zoo.-5", 0),
        ("zoo.+5", 0),
        ("zoo.ffffffffffffffff", 0),
        ("zoo.", 0),
        ("zoo", 0),
    ] {
        assert_eq!(version_of(name), version, "{name}");
    }
}

#[test]
fn address_in_another_form_is_the_same_host() {
    assert_eq!(canonical("ZOO1.example."), canonical("zoo1.example"));
    assert_eq!(canonical("0:0::1"), canonical("::1"));
    assert_eq!(canonical("::ffff:127.0.0.1"), canonical("127.0.0.1"));
    assert_ne!(canonical("127.0.0.1"), canonical("localhost"));
}

#[test]
fn wildcard_is_no_address_of_one_host() {
    let wildcard = |host: &str| {
        let host = host.to_owned();
        PeerAddress { host, quorum_port: 1, election_port: 2 }.is_wildcard()
    };
    assert!(wildcard("0.0.0.0") && wildcard("::") && wildcard("0:0:0:0:0:0:0:0"));
    assert!(!wildcard("127.0.0.1") && !wildcard("zoo1"));
}
