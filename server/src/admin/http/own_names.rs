//! The names that this server is reached by.
//!
//! A page of another site can make a browser ask this server under the name of that site, whose
//! address it changes (DNS rebinding). What changes something is answered under a name of its own
//! only.

use crate::config::{Listen, Settings};

/// The names, beside every address in digits.
pub(super) struct OwnNames(Vec<String>);

impl OwnNames {
    /// Those of the configuration, the host's own, and `localhost`.
    pub(super) fn of(settings: &Settings) -> OwnNames {
        let node = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let mut names = vec!["localhost".to_owned(), node, settings.admin_server_address.clone()];
        if let Listen::Host(host) = &settings.client_port_address {
            names.push(host.clone());
        }
        if let Some(ensemble) = &settings.ensemble {
            names.extend(ensemble.own().addresses.iter().map(|address| address.host.clone()));
        }
        OwnNames(names)
    }

    /// Whether the value of a Host header names this server.
    pub(super) fn contain(&self, host: &str) -> bool {
        let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _port)) => address,
            None => host.rsplit_once(':').map_or(host, |(name, _port)| name),
        };
        let name = name.trim_end_matches('.');
        name.parse::<std::net::IpAddr>().is_ok()
            || self.0.iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_own_names_are_own_with_and_without_a_port() {
        let own = OwnNames(vec!["localhost".into(), "zk1.example.com".into()]);
        for host in [
            "127.0.0.1",
            "10.0.0.1:8080",
            "[::1]",
            "[fe80::1]:8080",
            "localhost:8080",
            "LocalHost",
            "zk1.example.com.:80",
        ] {
            assert!(own.contain(host), "{host}");
        }
        for host in ["evil.example", "evil.example:8080", "", "localhost.evil.example", "[x]:1"] {
            assert!(!own.contain(host), "{host}");
        }
    }
}
