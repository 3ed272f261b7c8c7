//! Connections over HTTP, and the limits of what is taken on.

use std::convert::Infallible;
use std::net::{self, IpAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;

use super::ports::Ports;
use super::site::{Port, Site};

/// Connections at a time, of both ports together.
const CONNECTIONS_MAX: usize = 64;
/// Bytes of a request without its body.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// How long nothing is accepted after the system has refused it, for want of descriptors mostly.
const AFTER_REFUSAL: Duration = Duration::from_millis(100);
/// What a connection over the limit gets.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\
                      Connection: close\r\n\r\n";

/// What one server may take on.
#[derive(Clone)]
struct Limits {
    connections: Arc<Semaphore>,
    idle: Option<Duration>,
}

/// Answers wherever there is a port to answer on, until it is dropped: that cuts answers off.
pub(in crate::admin) async fn serve(ports: Ports, site: Arc<Site>, idle_ms: u64) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let limits =
        Limits { connections, idle: (idle_ms > 0).then(|| Duration::from_millis(idle_ms)) };
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
                let Ok(permit) = limits.connections.clone().try_acquire_owned() else {
                    // A client that does not take it at once is closed all the same.
                    let _ = stream.try_write(FULL);
                    continue;
                };
                let (site, idle) = (site.clone(), limits.idle);
                let peer = peer.ip().to_canonical();
                connections.spawn(async move {
                    serve_connection(stream, peer, (port, site), idle).await;
                    drop(permit);
                });
            }
            Err(_) => tokio::time::sleep(AFTER_REFUSAL).await,
        }
    }
}

async fn serve_connection(
    stream: TcpStream,
    peer: IpAddr,
    (port, site): (Port, Arc<Site>),
    idle: Option<Duration>,
) {
    // Idle clients and slow requests are closed by the timeout for headers, slow readers by this.
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(idle);
    let service = service_fn(|request: Request<Incoming>| {
        let site = site.clone();
        async move { Ok::<_, Infallible>(site.answer(port, request, peer).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(Box::pin(stream)), service)
        .await;
    // What goes wrong here is the other side's: it went away, was slow, or does not speak HTTP.
    if let Err(error) = served {
        tracing::debug!(%peer, "a connection over HTTP ended: {error}");
    }
}
