//! The listening socket, and who may come in.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::net::sockopt;
use socket2::{Domain, Protocol, Socket, Type};

use crate::client_log::{ClientLog, Refusal};
use crate::tls::material::TlsCounters;
use crate::tls::port_kind::PortKind;

/// A listening socket of one shard.
pub struct Listener {
    fd: OwnedFd,
    address: SocketAddr,
    kind: PortKind,
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
        Ok(Listener { fd: socket.into(), address: bound, kind: PortKind::Plain })
    }

    /// As [`Listener::bind`], for a port that may still be that of the server before this one: when
    /// a process is killed, the kernel takes its ring apart a moment after it is gone, and the
    /// listener with it. A port that stays taken is an error after a second.
    pub fn bind_after_another(
        address: SocketAddr,
        backlog: i32,
        admission: Admission,
    ) -> io::Result<Listener> {
        let since = Instant::now();
        until_free(
            || Listener::bind(address, backlog, admission),
            || {
                std::thread::sleep(Duration::from_millis(1));
                since.elapsed() < RELEASE
            },
        )
    }

    /// The same, for clients that speak this.
    pub fn through(self, kind: PortKind) -> Listener {
        Listener { kind, ..self }
    }

    /// What its clients speak.
    pub fn kind(&self) -> PortKind {
        self.kind
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

/// How long a port is asked for again that somebody has.
const RELEASE: Duration = Duration::from_secs(1);

/// Binds as soon as the address is free, for as long as `wait` waits.
fn until_free<T>(
    mut bind: impl FnMut() -> io::Result<T>,
    mut wait: impl FnMut() -> bool,
) -> io::Result<T> {
    loop {
        match bind() {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && wait() => {}
            bound => return bound,
        }
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

/// Milliseconds for which nothing is accepted after it went wrong.
const PAUSE_MS: i64 = 100;
/// What to do about it, usually.
const MORE_FILES: &str = "allow more open files (LimitNOFILE of the service, or ulimit -n)";
/// Milliseconds between two messages about it.
const SAY_MS: i64 = 60_000;

/// Keeps a listener quiet for a moment after an accept that cannot succeed now, such as one without
/// a free descriptor: asking again at once would only burn the processor, and those who are
/// connected already need it.
#[derive(Default, Debug)]
pub(super) struct Pause {
    until_ms: Option<i64>,
    said_ms: Option<i64>,
}

impl Pause {
    /// An accept failed.
    pub(super) fn failed(&mut self, error: Errno, now_ms: i64) {
        // These are about one client, who has gone.
        if matches!(error, Errno::CONNABORTED | Errno::INTR | Errno::AGAIN | Errno::CANCELED) {
            return;
        }
        self.until_ms = Some(now_ms + PAUSE_MS);
        if self.said_ms.is_none_or(|said| now_ms - said >= SAY_MS) {
            self.said_ms = Some(now_ms);
            let error = io::Error::from(error);
            tracing::warn!("no new client can be let in: {error}; if it is for that, {MORE_FILES}");
        }
    }

    /// Whether it lasts.
    pub(super) fn lasts(&mut self, now_ms: i64) -> bool {
        self.until_ms = self.until_ms.filter(|until| *until > now_ms);
        self.until_ms.is_some()
    }

    /// A sleep of `ms` milliseconds, or less where the pause ends before.
    pub(super) fn cut_sleep(&self, ms: i64, now_ms: i64) -> i64 {
        self.until_ms.map_or(ms, |until| ms.min((until - now_ms).max(0)))
    }
}

/// Counts connections against their limits, for all shards together.
pub struct ConnectionLimiter {
    descriptors_max: usize,
    shards: usize,
    open: Mutex<Open>,
    /// Connections that were turned away.
    pub rejected: AtomicU64,
    /// What is said of them, and of those that are cut off later.
    pub log: Arc<ClientLog>,
    /// What is counted of TLS.
    pub tls: Arc<TlsCounters>,
}

#[derive(Default)]
struct Open {
    per_ip_max: usize,
    total_max: usize,
    total: usize,
    /// When it was last said that there are no descriptors left.
    said_ms: Option<i64>,
    per_ip: HashMap<IpAddr, usize>,
}

impl ConnectionLimiter {
    /// Limits of 0 are no limits (`maxClientCnxns`, `maxCnxns`).
    pub fn new(per_ip_max: usize, total_max: usize) -> ConnectionLimiter {
        ConnectionLimiter {
            descriptors_max: usize::MAX,
            shards: 1,
            open: Mutex::new(Open { per_ip_max, total_max, ..Open::default() }),
            rejected: AtomicU64::new(0),
            log: Arc::default(),
            tls: Arc::default(),
        }
    }

    /// Other limits for those who come from now on; who is connected stays. As with
    /// [`ConnectionLimiter::new`].
    pub fn change(&self, per_ip_max: usize, total_max: usize) {
        let mut open = self.open.lock();
        (open.per_ip_max, open.total_max) = (per_ip_max, total_max);
    }

    /// Lets no more in than there are descriptors for, whatever the settings say. So many shards
    /// take them.
    pub fn bounded(self, descriptors_max: usize, shards: usize) -> ConnectionLimiter {
        ConnectionLimiter { descriptors_max, shards, ..self }
    }

    /// Whether every shard may take so many connections before one of them is counted. Where that
    /// is not so, each has to be counted before the next one is taken: a connection that is turned
    /// away has had a descriptor.
    pub fn has_descriptors_for(&self, each: usize) -> bool {
        let free = self.descriptors_max.saturating_sub(self.open.lock().total);
        free >= each.saturating_mul(self.shards)
    }

    /// Lets one connection in, or turns it away. The time is monotonic.
    pub fn acquire(&self, ip: IpAddr, now_ms: i64) -> Result<(), Refusal> {
        let mut open = self.open.lock();
        let from_ip = open.per_ip.get(&ip).copied().unwrap_or(0);
        let bare = open.total >= self.descriptors_max;
        if bare && open.said_ms.is_none_or(|said| now_ms - said >= SAY_MS) {
            open.said_ms = Some(now_ms);
            let total = open.total;
            tracing::warn!(
                "{total} clients are connected and there are no descriptors for more: {MORE_FILES}"
            );
        }
        let refusal = if bare {
            Some(Refusal::Descriptors(self.descriptors_max))
        } else if open.per_ip_max != 0 && from_ip >= open.per_ip_max {
            Some(Refusal::Address(open.per_ip_max))
        } else if open.total_max != 0 && open.total >= open.total_max {
            Some(Refusal::Total(open.total_max))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.rejected.fetch_add(1, Ordering::Relaxed);
            return Err(refusal);
        }
        open.total += 1;
        open.per_ip.insert(ip, from_ip + 1);
        Ok(())
    }

    /// One connection has gone.
    pub fn release(&self, ip: IpAddr) {
        let mut open = self.open.lock();
        open.total -= 1;
        let left = open.per_ip.get_mut(&ip).expect("who leaves has entered");
        *left -= 1;
        if *left == 0 {
            open.per_ip.remove(&ip);
        }
    }

    /// Says how many clients are connected to a server that stops.
    pub fn say_stop(&self) {
        let clients = self.open();
        tracing::info!(clients, "the server stops; its clients are disconnected");
    }

    /// Connections that are open.
    pub fn open(&self) -> usize {
        self.open.lock().total
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn acquire_many(limiter: &ConnectionLimiter, times: usize, now_ms: i64) -> usize {
        (0..times).filter(|_| limiter.acquire(IP, now_ms).is_ok()).count()
    }

    #[test]
    fn bind_waits_until_the_last_owner_releases_the_port() {
        let address = SocketAddr::new(IP, 0);
        let mut owner = Some(Listener::bind(address, 1, Admission::Alone).unwrap());
        let address = owner.as_ref().unwrap().address();
        let bind = || Listener::bind(address, 1, Admission::Alone);
        let refused = until_free(bind, || false).err().expect("somebody has it");
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        let mut waits = 0;
        let bound = until_free(bind, || {
            waits += 1;
            if waits == 3 {
                owner = None;
            }
            true
        });
        assert_eq!((bound.unwrap().address(), waits), (address, 3));
    }

    #[test]
    fn failed_accept_pauses_accepting() {
        let mut pause = Pause::default();
        assert!(!pause.lasts(5));
        pause.failed(Errno::CONNABORTED, 10);
        assert!(!pause.lasts(10));
        assert_eq!(pause.cut_sleep(500, 10), 500);
        pause.failed(Errno::MFILE, 10);
        assert!(pause.lasts(10) && pause.lasts(109));
        assert_eq!((pause.cut_sleep(500, 30), pause.cut_sleep(20, 30)), (80, 20));
        assert!(!pause.lasts(110));
        assert_eq!(pause.cut_sleep(500, 110), 500);
    }

    #[test]
    fn descriptors_limit_connections_without_a_setting() {
        let limiter = ConnectionLimiter::new(0, 0).bounded(3, 1);
        assert!(limiter.has_descriptors_for(3) && !limiter.has_descriptors_for(4));
        assert_eq!(acquire_many(&limiter, 5, 0), 3);
        assert!(!limiter.has_descriptors_for(1));
        limiter.release(IP);
        assert_eq!(acquire_many(&limiter, 5, 0), 1);
    }

    #[test]
    fn limits_hold_per_address_and_in_total() {
        let limiter = ConnectionLimiter::new(2, 3);
        let other = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!(acquire_many(&limiter, 3, 0), 2);
        assert_eq!(limiter.acquire(IP, 0), Err(Refusal::Address(2)));
        assert_eq!(limiter.acquire(other, 0), Ok(()));
        assert_eq!(limiter.acquire(other, 0), Err(Refusal::Total(3)));
        limiter.release(IP);
        assert_eq!(limiter.acquire(other, 0), Ok(()));
        assert_eq!(limiter.open(), 3);
        limiter.change(3, 0);
        assert_eq!(acquire_many(&limiter, 3, 0), 2);
        limiter.change(1, 3);
        limiter.release(IP);
        assert_eq!(limiter.acquire(IP, 0), Err(Refusal::Address(1)));
    }
}
