//! Connections over HTTP, and the limits of what is taken on.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{self, IpAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{AbortHandle, JoinSet};
use tokio_io_timeout::TimeoutStream;

use super::ports::Ports;
use super::site::{Allowed, Port, Site};

/// Connections at a time, of both ports together.
const CONNECTIONS_MAX: usize = 64;
/// Of them, those that may stay open behind an answer: who connects while there are more asks once.
const KEPT_MAX: usize = 32;
/// Connections beyond them, which may ask for this server's health and nothing else: clients that
/// take their answers slowly keep nobody from asking for it.
const HEALTH_CONNECTIONS: usize = 16;
/// How long one of these may take for its request.
const HEALTH_HEAD: Duration = Duration::from_secs(2);
/// Bytes of a request without its body.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// How long nothing is accepted after the system has refused it, for want of descriptors mostly.
const AFTER_REFUSAL: Duration = Duration::from_millis(100);
/// How long a silent connection may take to give way.
const GIVES_WAY: Duration = Duration::from_millis(100);
/// What a connection over the limit gets.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\
                      Connection: close\r\n\r\n";

/// What one server may take on.
#[derive(Clone)]
struct Limits {
    connections: Arc<Semaphore>,
    health: Arc<Semaphore>,
    idle: Option<Duration>,
    /// Connections that have sent no request yet, the oldest first. They give way to others, so
    /// that whoever connects and says nothing keeps nobody from asking after this server's
    /// health.
    silent: Arc<Mutex<VecDeque<Silent>>>,
}

/// A connection that may have sent no request yet.
struct Silent {
    has_requested: Arc<AtomicBool>,
    allows: Allowed,
    task: AbortHandle,
}

/// A permit for a connection, and what it may ask for.
struct Admission {
    permit: OwnedSemaphorePermit,
    allows: Allowed,
}

impl Limits {
    fn new(idle: Option<Duration>) -> Limits {
        Limits {
            connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            health: Arc::new(Semaphore::new(HEALTH_CONNECTIONS)),
            idle,
            silent: Arc::default(),
        }
    }

    /// Admits one more connection: in place of the oldest silent one where there is no other
    /// permit, and for questions about health where all others are in use.
    async fn admit(&self) -> Option<Admission> {
        if let Ok(permit) = self.connections.clone().try_acquire_owned() {
            return Some(Admission { permit, allows: Allowed::Anything });
        }
        let oldest = {
            let mut silent = self.silent.lock();
            silent.retain(|it| !it.has_requested.load(Relaxed) && !it.task.is_finished());
            silent.pop_front()
        };
        if let Some(oldest) = oldest {
            oldest.task.abort();
            // The task drops its permit as soon as it has ended.
            let permits = match oldest.allows {
                Allowed::Anything => &self.connections,
                Allowed::Health => &self.health,
            };
            let permit = tokio::time::timeout(GIVES_WAY, permits.clone().acquire_owned()).await;
            return Some(Admission { permit: permit.ok()?.ok()?, allows: oldest.allows });
        }
        let permit = self.health.clone().try_acquire_owned().ok()?;
        Some(Admission { permit, allows: Allowed::Health })
    }

    fn note_silent(&self, silent: Silent) {
        let mut all = self.silent.lock();
        if all.len() >= CONNECTIONS_MAX {
            all.retain(|it| !it.has_requested.load(Relaxed) && !it.task.is_finished());
        }
        all.push_back(silent);
    }
}

/// Answers wherever there is a port to answer on, until it is dropped: that cuts answers off.
pub(in crate::admin) async fn serve(ports: Ports, site: Arc<Site>, idle_ms: u64) {
    let limits = Limits::new((idle_ms > 0).then(|| Duration::from_millis(idle_ms)));
    let mut listeners = JoinSet::new();
    for (listener, port) in [(ports.admin, Port::Admin), (ports.metrics, Port::Metrics)] {
        if let Some(listener) = listener {
            listeners.spawn(accept(listener, port, site.clone(), limits.clone()));
        }
    }
    while listeners.join_next().await.is_some() {}
}

async fn accept(listener: net::TcpListener, port: Port, site: Arc<Site>, limits: Limits) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!("no answers over HTTP: {error}"),
    };
    // They end with this task.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Some(Admission { permit, allows }) = limits.admit().await else {
                    // A client that does not take it at once is closed all the same.
                    let _ = stream.try_write(FULL);
                    continue;
                };
                let in_use = CONNECTIONS_MAX - limits.connections.available_permits();
                let has_requested = Arc::new(AtomicBool::new(false));
                let connection = Connection {
                    peer: peer.ip().to_canonical(),
                    idle: match allows {
                        Allowed::Anything => limits.idle,
                        Allowed::Health => Some(HEALTH_HEAD),
                    },
                    stays: allows == Allowed::Anything && in_use <= KEPT_MAX,
                    allows,
                    has_requested: has_requested.clone(),
                };
                let site = site.clone();
                let task = connections.spawn(async move {
                    connection.serve(stream, port, site).await;
                    drop(permit);
                });
                limits.note_silent(Silent { has_requested, allows, task });
            }
            Err(_) => tokio::time::sleep(AFTER_REFUSAL).await,
        }
    }
}

/// A connection that was let in.
struct Connection {
    peer: IpAddr,
    idle: Option<Duration>,
    /// Whether it may ask again.
    stays: bool,
    allows: Allowed,
    has_requested: Arc<AtomicBool>,
}

impl Connection {
    async fn serve(self, stream: TcpStream, port: Port, site: Arc<Site>) {
        let Connection { peer, idle, stays, allows, has_requested } = self;
        // Idle clients and slow requests are closed by the timeout for headers, slow readers by
        // this.
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(idle);
        let service = service_fn(|request: Request<Incoming>| {
            has_requested.store(true, Relaxed);
            let site = site.clone();
            async move { Ok::<_, Infallible>(site.answer((port, allows), request, peer).await) }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(idle)
            .max_buf_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .keep_alive(stays)
            .serve_connection(TokioIo::new(Box::pin(stream)), service)
            .await;
        // What goes wrong here is the other side's: it went away, was slow, or does not speak HTTP.
        if let Err(error) = served {
            tracing::debug!(%peer, "a connection over HTTP ended: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(admitted: &[Admission], allows: Allowed) -> usize {
        admitted.iter().filter(|it| it.allows == allows).count()
    }

    #[test]
    fn connections_that_are_busy_leave_some_for_health() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let limits = Limits::new(None);
            let mut admitted = Vec::new();
            while let Some(one) = limits.admit().await {
                admitted.push(one);
            }
            let counts = (count(&admitted, Allowed::Anything), count(&admitted, Allowed::Health));
            assert_eq!(counts, (CONNECTIONS_MAX, HEALTH_CONNECTIONS));
            admitted.retain(|it| it.allows == Allowed::Health);
            assert_eq!(limits.admit().await.map(|it| it.allows), Some(Allowed::Anything));
        });
    }
}
