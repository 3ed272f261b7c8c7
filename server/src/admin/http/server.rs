//! The thread that answers over HTTP, and the limits of what it takes on.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use ringkeeper_engine::acl::AuthSettings;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};

use super::idle::IdleStream;
use super::ports::Ports;
use super::site::{Door, Reply, Site};
use crate::admin::Hub;
use crate::config::Settings;

/// Connections at a time, of both ports together.
const CONNECTIONS_MAX: usize = 64;
/// Bytes of a request without its body.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// Threads beside the event loop, for what takes time.
const THREADS_MAX: usize = 4;
/// How long nothing is accepted after the system has refused it, for want of descriptors mostly.
const AFTER_REFUSAL: Duration = Duration::from_millis(100);
/// What a connection is told that there is no room for.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\
                      Connection: close\r\n\r\n";

/// The HTTP side while it runs.
pub struct HttpServer {
    /// Where to find what, for people; nothing where there is nothing.
    pub words: Option<String>,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Ports {
    /// Starts answering, wherever there is a port to answer on.
    pub fn serve(
        self,
        settings: &Settings,
        hub: Arc<Hub>,
        auth: AuthSettings,
    ) -> io::Result<HttpServer> {
        let words = self.words(&settings.admin_command_url);
        if self.admin.is_none() && self.metrics.is_none() {
            return Ok(HttpServer { words, running: None });
        }
        let site = Arc::new(Site::new(settings, hub, auth));
        let limits = Limits::new(settings.admin_idle_timeout_ms);
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("http".into())
            .spawn(move || run(self, &site, limits, stopped))?;
        Ok(HttpServer { words, running: Some((stop, thread)) })
    }
}

impl HttpServer {
    /// Ends it. Answers under way are cut off.
    pub fn stop(self) {
        let Some((stop, thread)) = self.running else { return };
        // It may have ended by itself already.
        let _ = stop.send(());
        let _ = thread.join();
    }
}

/// What one server may take on.
#[derive(Clone)]
struct Limits {
    places: Arc<Semaphore>,
    idle: Option<Duration>,
}

impl Limits {
    fn new(idle_ms: u64) -> Limits {
        let idle = (idle_ms > 0).then(|| Duration::from_millis(idle_ms));
        Limits { places: Arc::new(Semaphore::new(CONNECTIONS_MAX)), idle }
    }
}

fn run(ports: Ports, site: &Arc<Site>, limits: Limits, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(THREADS_MAX)
        .thread_name("report")
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!("no answers over HTTP: {error}"),
    };
    runtime.block_on(async {
        let doors = [(ports.admin, Door::Admin), (ports.metrics, Door::Metrics)];
        for (listener, door) in doors.into_iter().filter_map(|(l, door)| Some((l?, door))) {
            match TcpListener::from_std(listener) {
                Ok(listener) => {
                    tokio::spawn(accept(listener, door, site.clone(), limits.clone()));
                }
                Err(error) => tracing::error!("no answers over HTTP: {error}"),
            }
        }
        // A sender that was dropped is an end as well.
        let _ = stopped.await;
    });
    runtime.shutdown_background();
}

async fn accept(listener: TcpListener, door: Door, site: Arc<Site>, limits: Limits) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Ok(place) = limits.places.clone().try_acquire_owned() else {
                    // Who does not take it at once is closed all the same.
                    let _ = stream.try_write(FULL);
                    continue;
                };
                let (site, idle) = (site.clone(), limits.idle);
                let peer = peer.ip().to_canonical();
                tokio::spawn(async move {
                    serve(stream, peer, (door, site), idle).await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(AFTER_REFUSAL).await,
        }
    }
}

async fn serve(
    stream: TcpStream,
    peer: IpAddr,
    (door, site): (Door, Arc<Site>),
    idle: Option<Duration>,
) {
    let working = Arc::new(AtomicBool::new(false));
    let stream = IdleStream::new(stream, idle, working.clone());
    let service = service_fn(|request: Request<Incoming>| {
        let (site, working) = (site.clone(), working.clone());
        async move {
            working.store(true, Relaxed);
            let reply: Response<Reply> = site.answer(door, request, peer).await;
            working.store(false, Relaxed);
            Ok::<_, Infallible>(reply)
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    // What goes wrong here is the other side's: it went away, was slow, or does not speak HTTP.
    if let Err(error) = served {
        tracing::debug!(%peer, "a connection over HTTP ended: {error}");
    }
}
