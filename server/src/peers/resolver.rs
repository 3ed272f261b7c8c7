//! Looking up names, each time anew: a name may not resolve yet, and may lead elsewhere later.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread;

use tokio::sync::{Semaphore, oneshot};

/// Lookups at a time. One may take as long as its resolver wants, and nothing can end it.
const LOOKUPS_MAX: usize = 16;

/// Looks names up on threads of their own.
#[derive(Clone)]
pub(super) struct Resolver {
    permits: Arc<Semaphore>,
}

impl Resolver {
    /// None are being looked up.
    pub(super) fn new() -> Resolver {
        Resolver { permits: Arc::new(Semaphore::new(LOOKUPS_MAX)) }
    }

    /// The addresses of a host, one or more.
    pub(super) async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let permit = self.permits.clone().acquire_owned().await.map_err(io::Error::other)?;
        let (answer, answered) = oneshot::channel();
        let name = host.to_owned();
        thread::Builder::new().name("names".into()).spawn(move || {
            let found = (name.as_str(), port).to_socket_addrs().map(Iterator::collect);
            drop(permit);
            // Who asked may have found another way meanwhile.
            let _ = answer.send(found);
        })?;
        let found: Vec<SocketAddr> = answered.await.map_err(io::Error::other)??;
        if found.is_empty() {
            return Err(io::Error::other(format!("{host} has no address")));
        }
        Ok(found)
    }
}
