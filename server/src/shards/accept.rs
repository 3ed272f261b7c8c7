//! The listening socket, and who may come in.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rustix::net::sockopt;
use socket2::{Domain, Protocol, Socket, Type};

/// A listening socket of one shard.
pub struct Listener {
    fd: OwnedFd,
    address: SocketAddr,
}

/// Whether several shards share the port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// One shard listens.
    Alone,
    /// Every shard listens; the kernel spreads the connections.
    Shared,
}

impl Listener {
    /// Binds and listens. A port of 0 takes any free one.
    pub fn bind(address: SocketAddr, backlog: i32, admission: Admission) -> io::Result<Listener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if admission == Admission::Shared {
            socket.set_reuse_port(true)?;
        }
        if address.is_ipv6() && address.ip().is_unspecified() {
            socket.set_only_v6(false)?;
        }
        socket.bind(&address.into())?;
        socket.listen(backlog)?;
        socket.set_nonblocking(true)?;
        let bound = socket.local_addr()?.as_socket().unwrap_or(address);
        Ok(Listener { fd: socket.into(), address: bound })
    }

    /// The address that is really bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The other side of a socket that was just accepted.
pub(super) fn peer(fd: BorrowedFd<'_>) -> io::Result<SocketAddr> {
    let address = rustix::net::getpeername(fd)?.ok_or(io::ErrorKind::NotConnected)?;
    SocketAddr::try_from(address).map_err(|_| io::ErrorKind::Unsupported.into())
}

/// Prepares a socket that was just accepted: replies leave at once.
pub(super) fn prepare(fd: BorrowedFd<'_>, keep_alive: bool) -> io::Result<()> {
    sockopt::set_tcp_nodelay(fd, true)?;
    if keep_alive {
        sockopt::set_socket_keepalive(fd, true)?;
    }
    Ok(())
}

/// Counts connections against their limits, for all shards together.
pub struct Turnstile {
    per_ip_max: usize,
    total_max: usize,
    open: Mutex<Open>,
    /// Connections that were turned away.
    pub rejected: AtomicU64,
}

#[derive(Default)]
struct Open {
    total: usize,
    per_ip: HashMap<IpAddr, usize>,
}

impl Turnstile {
    /// Limits of 0 are no limits (`maxClientCnxns`, `maxCnxns`).
    pub fn new(per_ip_max: usize, total_max: usize) -> Turnstile {
        Turnstile { per_ip_max, total_max, open: Mutex::default(), rejected: AtomicU64::new(0) }
    }

    /// Lets one connection in, or turns it away.
    pub fn enter(&self, ip: IpAddr) -> bool {
        let mut open = self.open.lock();
        let from_ip = open.per_ip.get(&ip).copied().unwrap_or(0);
        let full = (self.per_ip_max != 0 && from_ip >= self.per_ip_max)
            || (self.total_max != 0 && open.total >= self.total_max);
        if full {
            self.rejected.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        open.total += 1;
        open.per_ip.insert(ip, from_ip + 1);
        true
    }

    /// One connection has gone.
    pub fn leave(&self, ip: IpAddr) {
        let mut open = self.open.lock();
        open.total -= 1;
        let left = open.per_ip.get_mut(&ip).expect("who leaves has entered");
        *left -= 1;
        if *left == 0 {
            open.per_ip.remove(&ip);
        }
    }

    /// Connections that are open.
    pub fn open(&self) -> usize {
        self.open.lock().total
    }
}
