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
use super::site::{Port, Site};

/// Connections at a time, of both ports together.
const CONNECTIONS_MAX: usize = 64;
/// Of them, those that may stay open behind an answer: who connects while there are more asks once.
const KEPT_MAX: usize = 32;
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
    idle: Option<Duration>,
    /// Connections that have sent no request yet, the oldest first. They give way to others, so
    /// that whoever connects and says nothing keeps nobody from asking after this server's
    /// health.
    silent: Arc<Mutex<VecDeque<Silent>>>,
}

/// A connection that may have sent no request yet.
struct Silent {
    has_requested: Arc<AtomicBool>,
    task: AbortHandle,
}

impl Limits {
    /// A permit for one more connection, be it that of the oldest silent one.
    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        let free = || self.connections.clone().try_acquire_owned().ok();
        if let Some(permit) = free() {
            return Some(permit);
        }
        let oldest = {
            let mut silent = self.silent.lock();
            silent.retain(|it| !it.has_requested.load(Relaxed) && !it.task.is_finished());
            silent.pop_front()
        };
        oldest?.task.abort();
        // The task drops it as soon as it has ended.
        tokio::time::timeout(GIVES_WAY, self.connections.clone().acquire_owned()).await.ok()?.ok()
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
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let idle = (idle_ms > 0).then(|| Duration::from_millis(idle_ms));
    let limits = Limits { connections, idle, silent: Arc::default() };
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
                let Some(permit) = limits.permit().await else {
                    // A client that does not take it at once is closed all the same.
                    let _ = stream.try_write(FULL);
                    continue;
                };
                let in_use = CONNECTIONS_MAX - limits.connections.available_permits();
                let has_requested = Arc::new(AtomicBool::new(false));
                let connection = Connection {
                    peer: peer.ip().to_canonical(),
                    idle: limits.idle,
                    stays: in_use <= KEPT_MAX,
                    has_requested: has_requested.clone(),
                };
                let site = site.clone();
                let task = connections.spawn(async move {
                    connection.serve(stream, port, site).await;
                    drop(permit);
                });
                limits.note_silent(Silent { has_requested, task });
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
    has_requested: Arc<AtomicBool>,
}

impl Connection {
    async fn serve(self, stream: TcpStream, port: Port, site: Arc<Site>) {
        let Connection { peer, idle, stays, has_requested } = self;
        // Idle clients and slow requests are closed by the timeout for headers, slow readers by
        // this.
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(idle);
        let service = service_fn(|request: Request<Incoming>| {
            has_requested.store(true, Relaxed);
            let site = site.clone();
            async move { Ok::<_, Infallible>(site.answer(port, request, peer).await) }
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
