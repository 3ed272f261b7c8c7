//! The ports for clients: where they are, and the listeners of each shard.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use anyhow::Context;

use crate::config::{ClientPort, Listen, Settings};
use crate::shards::{Admission, Listener};
use crate::tls::port_kind::PortKind;

/// The ports for clients, at least one.
#[derive(Debug)]
pub(super) struct ClientPorts {
    ports: Vec<(PortKind, SocketAddr)>,
    backlog: i32,
}

impl ClientPorts {
    /// What the settings say.
    ///
    /// # Errors
    /// An address that this host does not have.
    pub(super) fn of(settings: &Settings) -> anyhow::Result<ClientPorts> {
        let plain = if settings.port_unification { PortKind::Either } else { PortKind::Plain };
        let said = [
            (plain, settings.client_port, &settings.client_port_address, "clientPortAddress"),
            (
                PortKind::Secure,
                settings.secure_client_port,
                &settings.secure_client_port_address,
                "secureClientPortAddress",
            ),
        ];
        let mut ports = Vec::new();
        for (kind, ClientPort(port), listen, key) in said {
            if let Some(port) = port {
                ports.push((kind, address(port, listen, key)?));
            }
        }
        assert!(!ports.is_empty(), "the configuration asks for a port");
        let backlog = i32::try_from(settings.listen_backlog).unwrap_or(i32::MAX);
        Ok(ClientPorts { ports, backlog })
    }

    /// Binds a listener for each port. Where a port was free to choose, the next call follows.
    ///
    /// # Errors
    /// A port that somebody else has.
    pub(super) fn bind(&mut self, admission: Admission) -> anyhow::Result<Vec<Listener>> {
        let backlog = self.backlog;
        let bind = |(kind, address): &mut (PortKind, SocketAddr)| {
            let listener = Listener::bind_after_another(*address, backlog, admission)
                .with_context(|| format!("cannot listen on {address}; is another server there?"))?;
            *address = listener.address();
            Ok(listener.through(*kind))
        };
        self.ports.iter_mut().map(bind).collect()
    }

    /// Where clients without TLS connect.
    pub(super) fn plain(&self) -> Option<SocketAddr> {
        let mut ports = self.ports.iter();
        ports.find(|(kind, _)| *kind != PortKind::Secure).map(|(_, address)| *address)
    }

    /// Where clients with TLS alone connect.
    pub(super) fn secure(&self) -> Option<SocketAddr> {
        let mut ports = self.ports.iter();
        ports.find(|(kind, _)| *kind == PortKind::Secure).map(|(_, address)| *address)
    }
}

fn address(port: u16, listen: &Listen, key: &str) -> anyhow::Result<SocketAddr> {
    match listen {
        Listen::Any if has_ipv6() => Ok((IpAddr::V6(Ipv6Addr::UNSPECIFIED), port).into()),
        Listen::Any => Ok((IpAddr::V4(Ipv4Addr::UNSPECIFIED), port).into()),
        Listen::Host(host) => {
            let mut all = (host.as_str(), port)
                .to_socket_addrs()
                .with_context(|| format!("{key}={host} is no address of this host"))?;
            // The first one, as ZooKeeper does: a host name means one socket.
            all.next().with_context(|| format!("{key}={host} is no address of this host"))
        }
    }
}

fn has_ipv6() -> bool {
    std::net::UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}
