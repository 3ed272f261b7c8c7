//! Opening connections to other servers.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::resolver::Resolver;
use crate::config::{EnsembleSettings, Member};

/// How connections to other servers are opened.
#[derive(Clone)]
pub(super) struct Connector {
    names: Resolver,
    /// How long opening one to an election port may take; nothing is as long as the system wants.
    election: Option<Duration>,
    /// How long one of several addresses of a server is tried before the next one is.
    each: Option<Duration>,
    keep_alive: bool,
    nodelay: bool,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("election", &self.election).finish_non_exhaustive()
    }
}

impl Connector {
    /// As the settings say.
    pub(super) fn new(settings: &EnsembleSettings) -> Connector {
        let checks = settings.multi_address && settings.reachability_check;
        Connector {
            names: Resolver::new(),
            election: settings.cnx_timeout,
            each: checks.then_some(settings.reachability_check_timeout),
            keep_alive: settings.tcp_keep_alive,
            nodelay: settings.follower_nodelay,
        }
    }

    /// Connects to the election port of a server.
    pub(super) async fn election_port(&self, member: &Member) -> io::Result<TcpStream> {
        let ports = member.addresses.iter().map(|it| (it.host.as_str(), it.election_port));
        let stream = self.first(ports.collect(), self.election).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Connects to the port at which a leader takes learners.
    pub(super) async fn quorum_port(
        &self,
        member: &Member,
        limit: Duration,
    ) -> io::Result<TcpStream> {
        let ports = member.addresses.iter().map(|it| (it.host.as_str(), it.quorum_port));
        let stream = self.first(ports.collect(), Some(limit)).await?;
        stream.set_nodelay(self.nodelay)?;
        Ok(stream)
    }

    /// Sets what every connection between servers has.
    pub(super) fn prepare(&self, stream: &TcpStream) {
        // Where it is not set, a connection that is cut off ends after its silence all the same.
        let _ = SockRef::from(stream).set_keepalive(self.keep_alive);
    }

    /// The address of a name that this host can listen at.
    pub(super) async fn own_address(&self, host: &str, port: u16) -> io::Result<SocketAddr> {
        let found = self.names.resolve(host, port).await?;
        Ok(found[0])
    }

    /// The first address that can be reached; the last failure if none can.
    async fn first(
        &self,
        ports: Vec<(&str, u16)>,
        limit: Option<Duration>,
    ) -> io::Result<TcpStream> {
        let mut failure = io::Error::other("it has no address");
        let limit = if ports.len() > 1 { self.each.or(limit) } else { limit };
        for (host, port) in ports {
            match within(limit, self.connect(host, port)).await {
                Ok(stream) => {
                    self.prepare(&stream);
                    return Ok(stream);
                }
                Err(error) => {
                    let text = format!("{host}:{port}: {error}");
                    failure = io::Error::new(error.kind(), text);
                }
            }
        }
        Err(failure)
    }

    async fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let mut failure = None;
        for address in self.names.resolve(host, port).await? {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.expect("a name has an address"))
    }
}

async fn within<T>(
    limit: Option<Duration>,
    connecting: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    match limit {
        None => connecting.await,
        Some(limit) => timeout(limit, connecting).await.unwrap_or_else(|_| {
            let text = format!("it could not be reached within {} ms", limit.as_millis());
            Err(io::Error::new(io::ErrorKind::TimedOut, text))
        }),
    }
}
