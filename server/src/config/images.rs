//! Variables of container images that are not the value of one setting here: those of ZooKeeper's
//! own image and of its scripts, of Bitnami's, and of Confluent's.

use super::lookup;

/// What a variable means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It is about something that does not exist here, for this reason.
    Pointless(&'static str),
    /// It is not read; this says the same here.
    Instead(&'static str),
    /// It asks for safety that this release does not have. Unless it says no, nothing starts.
    Safety(&'static str),
}

use Meaning::{Instead, Pointless, Safety};

const NO_TLS: &str =
    "TLS is set up by secureClientPort and ssl.keyStore.location in zoo.cfg or ZOO_CFG_EXTRA";
const JAAS: &str = "-Djava.security.auth.login.config=… with the users in a JAAS file";
const NO_JAAS: &str = "it makes a JAAS file in another image; write one, and name it with \
                       -Djava.security.auth.login.config=…";
const NO_PEER_SASL: &str = "servers do not authenticate to each other with SASL in this release";
const NOTHING_PEER_SASL: &str =
    "nothing yet: servers do not authenticate to each other with SASL in this release";
const OF_THE_IMAGE: &str = "it is about the files and users of another image";

/// Name and meaning, each name once.
const VARIABLES: &[(&str, Meaning)] = &[
    ("ALLOW_ANONYMOUS_LOGIN", Pointless("what clients may do is said by ACLs")),
    ("ZOO_ADMIN_SERVER_PORT_NUMBER", Instead("ZOO_CFG_EXTRA=\"admin.serverPort=…\"")),
    ("ZOO_AUTOPURGE_INTERVAL", Instead("ZOO_AUTOPURGE_PURGEINTERVAL")),
    ("ZOO_AUTOPURGE_RETAIN_COUNT", Instead("ZOO_AUTOPURGE_SNAPRETAINCOUNT")),
    ("ZOO_BASE_DIR", Pointless(OF_THE_IMAGE)),
    ("ZOO_BIN_DIR", Pointless(OF_THE_IMAGE)),
    ("ZOO_CLIENT_PASSWORD", Instead(JAAS)),
    ("ZOO_CLIENT_PASSWORD_FILE", Instead(JAAS)),
    ("ZOO_CLIENT_USER", Instead(JAAS)),
    ("ZOO_CONF_FILE", Instead("ZOO_CONF_DIR with ZOOCFG, or the argument of start")),
    ("ZOO_DAEMON_GROUP", Pointless(OF_THE_IMAGE)),
    ("ZOO_DAEMON_USER", Pointless(OF_THE_IMAGE)),
    ("ZOO_ENABLE_ADMIN_SERVER", Instead("ZOO_ADMINSERVER_ENABLED=true or false")),
    ("ZOO_ENABLE_AUTH", Safety(NO_JAAS)),
    (
        "ZOO_ENABLE_PROMETHEUS_METRICS",
        Instead(
            "ZOO_CFG_EXTRA=\"metricsProvider.className=org.apache.zookeeper.metrics.prometheus.\
             PrometheusMetricsProvider\"",
        ),
    ),
    ("ZOO_ENABLE_QUORUM_AUTH", Safety(NO_PEER_SASL)),
    ("ZOO_HC_TIMEOUT", Instead("ringkeeper status --timeout-ms=…")),
    ("ZOO_HEAP_SIZE", Instead("nothing: there is no Java heap")),
    ("ZOO_LISTEN_ALLIPS_ENABLED", Instead("ZOO_CFG_EXTRA=\"quorumListenOnAllIPs=…\"")),
    ("ZOO_LOG4J_PROP", Pointless("messages go to standard error; see --log-level")),
    ("ZOO_LOG_DIR", Pointless("messages go to standard error")),
    ("ZOO_LOG_LEVEL", Instead("-Dringkeeper.log.level=…")),
    ("ZOO_MAX_CNXNS", Instead("ZOO_CFG_EXTRA=\"maxCnxns=…\"")),
    ("ZOO_MAX_SESSION_TIMEOUT", Instead("ZOO_CFG_EXTRA=\"maxSessionTimeout=…\"")),
    ("ZOO_MIN_SESSION_TIMEOUT", Instead("ZOO_CFG_EXTRA=\"minSessionTimeout=…\"")),
    ("ZOO_PEER_TYPE", Instead("ZOO_CFG_EXTRA=\"peerType=…\", or :observer in ZOO_SERVERS")),
    ("ZOO_PORT_NUMBER", Instead("ZOO_CFG_EXTRA=\"clientPort=…\"")),
    ("ZOO_PRE_ALLOC_SIZE", Instead("ZOO_CFG_EXTRA=\"preAllocSize=…\"")),
    ("ZOO_PROMETHEUS_METRICS_PORT_NUMBER", Instead("ZOO_CFG_EXTRA=\"metricsProvider.httpPort=…\"")),
    ("ZOO_QUORUM_LEARNER_PASSWORD", Instead(NOTHING_PEER_SASL)),
    ("ZOO_QUORUM_LEARNER_PASSWORD_FILE", Instead(NOTHING_PEER_SASL)),
    ("ZOO_QUORUM_LEARNER_USER", Instead(NOTHING_PEER_SASL)),
    ("ZOO_QUORUM_SERVER_PASSWORDS", Instead(NOTHING_PEER_SASL)),
    ("ZOO_QUORUM_SERVER_PASSWORDS_FILE", Instead(NOTHING_PEER_SASL)),
    ("ZOO_QUORUM_SERVER_USERS", Instead(NOTHING_PEER_SASL)),
    ("ZOO_RECONFIG_ENABLED", Instead("ZOO_CFG_EXTRA=\"reconfigEnabled=…\"")),
    ("ZOO_SERVER_ID", Instead("ZOO_MY_ID")),
    ("ZOO_SERVER_PASSWORDS", Instead(JAAS)),
    ("ZOO_SERVER_PASSWORDS_FILE", Instead(JAAS)),
    ("ZOO_SERVER_USERS", Instead(JAAS)),
    ("ZOO_SNAPCOUNT", Instead("ZOO_CFG_EXTRA=\"snapCount=…\"")),
    ("ZOO_TLS_CLIENT_ENABLE", Safety(NO_TLS)),
    ("ZOO_TLS_QUORUM_ENABLE", Safety(NO_TLS)),
    ("ZOO_VOLUME_DIR", Pointless(OF_THE_IMAGE)),
];

/// Bitnami's other variables of TLS: files, passwords, the port.
const TLS: &str = "ZOO_TLS_";

/// What is known of a variable by its name.
pub(super) fn meaning(name: &str) -> Option<Meaning> {
    let listed = VARIABLES.iter().find(|(known, _)| *known == name);
    let listed = listed.map(|(_, meaning)| *meaning);
    listed.or_else(|| name.starts_with(TLS).then_some(Instead("ZOO_CFG_EXTRA=\"ssl.…=…\"")))
}

/// Whether a value asks for nothing.
pub(super) fn says_no(value: &str) -> bool {
    ["", "no", "false", "off", "0", "none"].iter().any(|no| value.eq_ignore_ascii_case(no))
}

/// The setting that a variable of Confluent's image is about: `ZOOKEEPER_TICK_TIME` is `tickTime`.
pub(super) fn confluent(name: &str) -> Option<String> {
    let rest = name.strip_prefix("ZOOKEEPER_")?;
    if rest == "SERVER_ID" {
        return Some("ZOO_MY_ID".to_owned());
    }
    if rest == "SERVERS" {
        return Some("ZOO_SERVERS".to_owned());
    }
    let mut words = rest.split('_').map(str::to_ascii_lowercase);
    let mut key = words.next().unwrap_or_default();
    for word in words {
        let mut letters = word.chars();
        key.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        key.push_str(letters.as_str());
    }
    let found = lookup::rows().find(|row| row.key.replace('.', "").eq_ignore_ascii_case(&key))?;
    Some(format!("ZOO_CFG_EXTRA=\"{}=…\"", found.key))
}

/// Whether Kubernetes makes variables of this name, for a service called zoo or zookeeper.
pub(super) fn is_of_a_service(name: &str) -> bool {
    let parts: Vec<&str> = name.split('_').collect();
    let ends = |end: &[&str]| parts.len() > end.len() && parts.ends_with(end);
    let Some(port) = parts.iter().rposition(|part| *part == "PORT") else {
        return ends(&["SERVICE", "HOST"]);
    };
    match &parts[port + 1..] {
        [] => true,
        [number, protocol, rest @ ..] => {
            let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
            let is_rest = matches!(rest, [] | ["PROTO" | "PORT" | "ADDR"]);
            is_number && matches!(*protocol, "TCP" | "UDP" | "SCTP") && is_rest
        }
        _ => port > 0 && parts[port - 1] == "SERVICE",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_variable_is_listed_once_and_none_is_a_setting_of_its_own() {
        for (at, (name, _)) in VARIABLES.iter().enumerate() {
            assert!(VARIABLES[at + 1..].iter().all(|(other, _)| other > name), "{name}");
            assert!(lookup::rows().all(|row| row.variable != *name), "{name}");
        }
    }

    #[test]
    fn settings_named_as_instead_exist() {
        for (name, meaning) in VARIABLES {
            let Instead(text) = meaning else { continue };
            if let Some((_, key)) = text.split_once("ZOO_CFG_EXTRA=\"") {
                let key = key.split('=').next().unwrap();
                assert!(lookup::find(key).is_some(), "{name}: {key}");
            }
        }
    }

    #[test]
    fn variables_of_a_service_are_no_settings() {
        for name in [
            "ZOO_SERVICE_HOST",
            "ZOO_SERVICE_PORT",
            "ZOO_SERVICE_PORT_CLIENT",
            "ZOO_PORT",
            "ZOO_PORT_2181_TCP",
            "ZOO_PORT_2181_TCP_ADDR",
            "ZOO_HEADLESS_SERVICE_HOST",
            "ZOOKEEPER_PORT_2181_TCP_PORT",
        ] {
            assert!(is_of_a_service(name), "{name}");
        }
        for name in ["ZOO_PORT_NUMBER", "ZOO_TLS_PORT_NUMBER", "ZOO_TICKTIME", "ZOO_HOST"] {
            assert!(!is_of_a_service(name), "{name}");
        }
    }

    #[test]
    fn variables_of_confluents_image_name_the_setting() {
        let named = |name| confluent(name).unwrap_or_default();
        assert_eq!(named("ZOOKEEPER_CLIENT_PORT"), "ZOO_CFG_EXTRA=\"clientPort=…\"");
        assert_eq!(named("ZOOKEEPER_TICK_TIME"), "ZOO_CFG_EXTRA=\"tickTime=…\"");
        assert_eq!(
            named("ZOOKEEPER_AUTOPURGE_PURGE_INTERVAL"),
            "ZOO_CFG_EXTRA=\"autopurge.purgeInterval=…\""
        );
        assert_eq!(named("ZOOKEEPER_SERVER_ID"), "ZOO_MY_ID");
        assert_eq!((named("ZOOKEEPER_HOME"), named("ZOO_MY_ID")), (String::new(), String::new()));
    }
}
