//! Opening connections to other servers.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::resolver::Resolver;
use crate::config::{EnsembleSettings, Member};

/// Attempts to connect to a leader: ZooKeeper's.
const CONNECT_ATTEMPTS: u32 = 5;

/// When another attempt to connect begins beside those under way, and how many there are at most.
const BESIDE: Duration = Duration::from_secs(1);
const BESIDE_MAX: usize = 10;

/// How long the own name may take to be looked up: a start waits for it.
const OWN_NAME: Duration = Duration::from_secs(5);

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
        self.election_address(ports.collect()).await
    }

    /// Connects to an election port at the first of these addresses that can be reached.
    pub(super) async fn election_address(&self, ports: Vec<(&str, u16)>) -> io::Result<TcpStream> {
        let stream = self.first(ports, self.election).await?;
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

    /// Connects to a server that leads. One that was just elected may not listen yet.
    pub(super) async fn leader_port(
        &self,
        member: &Member,
        settings: &EnsembleSettings,
    ) -> io::Result<std::net::TcpStream> {
        let limit = settings.connect_to_learner_master_limit / CONNECT_ATTEMPTS;
        let mut attempt = 1;
        loop {
            let connected = self.quorum_port(member, limit).await;
            match connected.and_then(TcpStream::into_std) {
                Ok(stream) => return Ok(stream),
                Err(error) if attempt == CONNECT_ATTEMPTS => return Err(error),
                Err(_) => tokio::time::sleep(settings.leader_connect_delay).await,
            }
            attempt += 1;
        }
    }

    /// Sets what every connection between servers has.
    pub(super) fn prepare(&self, stream: &TcpStream) {
        // Where it is not set, a connection that is cut off ends after its silence all the same.
        let _ = SockRef::from(stream).set_keepalive(self.keep_alive);
    }

    /// The address of a name that this host can listen at.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] where the name leads nowhere within [`OWN_NAME`].
    pub(super) async fn own_address(&self, host: &str, port: u16) -> io::Result<SocketAddr> {
        match within(Some(OWN_NAME), self.names.resolve(host, port)).await {
            Ok(found) => Ok(found[0]),
            Err(error) => {
                let text = format!("the name {host} of this server is not known: {error}");
                Err(io::Error::new(io::ErrorKind::NotFound, text))
            }
        }
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
            match connect_again(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.expect("a name has an address"))
    }
}

/// Connects, with another attempt beside those under way every second: what was lost while the way
/// was cut is sent again late by the system, and later each time.
async fn connect_again(address: SocketAddr) -> io::Result<TcpStream> {
    let mut attempts = JoinSet::new();
    loop {
        attempts.spawn(TcpStream::connect(address));
        let is_last = attempts.len() == BESIDE_MAX;
        let limit = if is_last { Duration::MAX } else { BESIDE };
        if let Ok(Some(connected)) = timeout(limit, attempts.join_next()).await {
            return connected.map_err(io::Error::other)?;
        }
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

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use tokio::runtime::{Builder, Runtime};

    use super::*;
    use crate::config::ensemble::tests::observer_of_three;
    use crate::config::{Ensemble, PeerAddress};

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_io().enable_time().build().unwrap()
    }

    /// A member with these quorum ports, whose election ports are these too.
    fn member(ensemble: &Ensemble, ports: &[(&str, u16)]) -> Member {
        let address = |(host, port): &(&str, u16)| PeerAddress {
            host: (*host).to_owned(),
            quorum_port: *port,
            election_port: *port,
        };
        Member { addresses: ports.iter().map(address).collect(), ..ensemble.own().clone() }
    }

    fn listener() -> (TcpListener, u16) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    #[test]
    fn first_address_that_can_be_reached_is_taken() {
        let (ensemble, (listener, port)) = (observer_of_three(), listener());
        // Nothing listens at the first one.
        let closed = { self::listener().1 };
        let ports = [("127.0.0.1", closed), ("localhost", port)];
        let member = member(&ensemble, &ports);
        let connector = Connector::new(&ensemble.settings);
        runtime().block_on(async {
            let stream = connector.election_port(&member).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap().port(), port);
            assert!(stream.nodelay().unwrap());
            let limit = Duration::from_secs(30);
            connector.quorum_port(&member, limit).await.unwrap();
        });
        drop(listener);
    }

    #[test]
    fn failure_names_the_address() {
        let ensemble = observer_of_three();
        let closed = { listener().1 };
        let member = member(&ensemble, &[("127.0.0.1", closed)]);
        let connector = Connector::new(&ensemble.settings);
        let failure = runtime().block_on(connector.election_port(&member)).unwrap_err();
        assert_eq!(failure.kind(), io::ErrorKind::ConnectionRefused);
        assert!(failure.to_string().starts_with(&format!("127.0.0.1:{closed}: ")), "{failure}");
    }

    #[test]
    fn own_name_that_leads_nowhere_is_named() {
        let connector = Connector::new(&observer_of_three().settings);
        // No name is longer than 255 bytes, so no name server has to be asked.
        let name = "x".repeat(300);
        let failure = runtime().block_on(connector.own_address(&name, 1)).unwrap_err();
        assert_eq!(failure.kind(), io::ErrorKind::NotFound);
        assert!(failure.to_string().contains(&name), "{failure}");
    }

    #[test]
    fn attempt_that_takes_too_long_ends_at_its_limit() {
        let never = std::future::pending::<io::Result<()>>();
        let limit = Duration::from_millis(1);
        let failure = runtime().block_on(within(Some(limit), never)).unwrap_err();
        assert_eq!(failure.kind(), io::ErrorKind::TimedOut);
        assert_eq!(failure.to_string(), "it could not be reached within 1 ms");
    }
}
