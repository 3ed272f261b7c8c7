//! Listening on the ports between servers.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpListener;

use super::connector::Connector;
use super::logged_once::LoggedOnce;
use super::quorum_port::listen_advice;
use crate::config::Ensemble;

/// Between two attempts to listen on a port.
pub(super) const BIND_PAUSE: Duration = Duration::from_secs(1);

/// How this server listens.
pub(super) struct Ports {
    ensemble: Ensemble,
    connector: Connector,
    log: LoggedOnce,
}

impl Ports {
    /// As the settings of the ensemble say.
    pub(super) fn new(ensemble: &Ensemble, connector: &Connector) -> Ports {
        let (ensemble, connector) = (ensemble.clone(), connector.clone());
        Ports { ensemble, connector, log: LoggedOnce::default() }
    }

    /// All is well: what fails from now on is said again.
    pub(super) fn forget_failures(&self) {
        self.log.forget();
    }

    /// Listens on an election port for as long as the server runs. `accept` takes connections until
    /// the listener fails. Where the settings limit the attempts, the last one ends the process.
    pub(super) async fn listen<F>(&self, host: &str, port: u16, accept: impl Fn(TcpListener) -> F)
    where
        F: Future<Output = io::Error>,
    {
        let mut failures = 0;
        loop {
            let (doing, error) = match self.bind(host, port).await {
                Ok(listener) => {
                    failures = 0;
                    ("accept on", accept(listener).await)
                }
                Err(error) => ("listen on", error),
            };
            failures += 1;
            let text = format!("cannot {doing} the election port {port}: {error}");
            if self.ensemble.settings.election_port_bind_retry.is_some_and(|most| failures >= most)
            {
                let advice = listen_advice(&error, self.ensemble.id.0);
                crate::fatal::stop_unstarted(&format!("{text}; tried {failures} times; {advice}"));
            }
            self.log.warn((-1, "election port"), &format!("{text}; it is tried again"));
            tokio::time::sleep(BIND_PAUSE).await;
        }
    }

    /// Listens at an address of this server, or at all that the host has.
    pub(super) async fn bind(&self, host: &str, port: u16) -> io::Result<TcpListener> {
        if !self.ensemble.settings.listen_on_all_ips {
            let address = self.connector.own_address(host, port).await?;
            return TcpListener::bind(address).await;
        }
        match TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
            Ok(listener) => Ok(listener),
            // A host without IPv6.
            Err(_) => TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await,
        }
    }
}
