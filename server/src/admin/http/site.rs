//! From a request to its answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::{Method, Request, Response, StatusCode};
use parking_lot::Mutex;
use ringkeeper_engine::acl::AuthSettings;
use ringkeeper_engine::shard::Word;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout};

use super::command::{self, Command, Query, Work};
use super::configuration::Configuration;
use super::fields::{Fields, Json};
use super::{auth, snapshot};
use crate::admin::gather::Caller;
use crate::admin::hub::Hub;
use crate::admin::metrics;
use crate::admin::part::Part;
use crate::config::Settings;

/// The body of an answer.
pub(super) type Reply = BoxBody<Bytes, std::io::Error>;

/// Reports that are made at a time; more of them wait.
const REPORTS_MAX: usize = 4;
/// How long a report may take.
const REPORT: Duration = Duration::from_secs(60);
/// How long every thread may take to answer in a server that is ready, and in one that lives.
const READY: Duration = Duration::from_secs(2);
const LIVE: Duration = Duration::from_secs(20);

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Which port a request came by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Door {
    /// That of the commands.
    Admin,
    /// That of the metrics alone.
    Metrics,
}

/// Everything that is answered over HTTP.
pub(super) struct Site {
    pub(super) hub: Arc<Hub>,
    pub(super) auth: AuthSettings,
    pub(super) believes_forwarded: bool,
    pub(super) snapshot_enabled: bool,
    pub(super) snapshot_interval: Duration,
    pub(super) last_snapshot: Mutex<Option<Instant>>,
    /// The path of the commands, without a slash at its end.
    commands: String,
    configuration: Arc<Configuration>,
    reports: Semaphore,
}

impl Site {
    /// Puts the parts together.
    pub(super) fn new(settings: &Settings, hub: Arc<Hub>, auth: AuthSettings) -> Site {
        Site {
            hub,
            auth,
            believes_forwarded: settings.ip_auth_use_x_forwarded_for,
            snapshot_enabled: settings.admin_snapshot_enabled,
            snapshot_interval: Duration::from_millis(settings.admin_rate_limiter_interval_ms),
            last_snapshot: Mutex::new(None),
            commands: settings.admin_command_url.trim_end_matches('/').to_owned(),
            configuration: Arc::new(Configuration::of(settings)),
            reports: Semaphore::new(REPORTS_MAX),
        }
    }

    /// Answers a request.
    pub(super) async fn answer(
        &self,
        door: Door,
        request: Request<Incoming>,
        peer: IpAddr,
    ) -> Response<Reply> {
        match *request.method() {
            Method::GET | Method::HEAD | Method::POST => {}
            Method::OPTIONS => {
                let mut reply = plain(StatusCode::OK, TEXT, String::new());
                reply.headers_mut().insert(ALLOW, ALLOWED);
                return reply;
            }
            Method::TRACE => return plain(StatusCode::FORBIDDEN, TEXT, String::new()),
            _ => return wrong_method(),
        }
        let path = request.uri().path().to_owned();
        if path == "/metrics" {
            return self.metrics(request.method()).await;
        }
        if door == Door::Metrics {
            return nothing_there("/metrics");
        }
        match path.as_str() {
            "/ready" => self.health("ready", READY).await,
            "/live" => self.health("live", LIVE).await,
            _ => match path.strip_prefix(&self.commands) {
                Some("" | "/") => plain(StatusCode::OK, HTML, command::links(&self.commands)),
                Some(name) if name.starts_with('/') => {
                    let asked = request.map(|_| ());
                    self.command(&name[1..], &asked, peer).await
                }
                _ => nothing_there(&format!("{}, /metrics, /ready, /live", self.commands)),
            },
        }
    }

    async fn command(&self, name: &str, request: &Request<()>, peer: IpAddr) -> Response<Reply> {
        let Some(command) = command::find(name) else {
            let text = format!("Unknown command: {name}");
            return refusal(StatusCode::OK, name, &text);
        };
        if matches!(command.work, Work::Snapshot | Work::Restore)
            && let Err((status, text)) = auth::check(self, request, peer)
        {
            return refusal(status, name, text);
        }
        let is_post = *request.method() == Method::POST;
        if is_post != matches!(command.work, Work::Restore) {
            let right = if is_post { "GET" } else { "POST" };
            return refusal(
                StatusCode::METHOD_NOT_ALLOWED,
                name,
                &format!("it takes {right} only"),
            );
        }
        let query = command::query(request.uri().query());
        match command.work {
            Work::Snapshot => snapshot::take(self, &query).await,
            Work::Restore => refusal(
                StatusCode::NOT_IMPLEMENTED,
                "restore",
                "a running server cannot be restored: its log would not lead to the restored \
                 state. Use \"ringkeeper snapshot restore\" with an empty data directory, and \
                 start a server there",
            ),
            Work::Look(_) | Work::Gather(..) => self.report(command, query).await,
        }
    }

    /// Puts an answer into words, beside the event loop: it can be long, and it can need files.
    async fn report(&self, command: &'static Command, query: Query) -> Response<Reply> {
        let late = || too_long(command.name());
        let Ok(_place) = self.reports.acquire().await else { return late() };
        let part = match command.work {
            Work::Gather(word, _) => self.collect(word, REPORT).await,
            Work::Look(_) | Work::Snapshot | Work::Restore => Some(Part::default()),
        };
        let Some(part) = part else { return late() };
        let (hub, configuration) = (self.hub.clone(), self.configuration.clone());
        let make = move || {
            let asked = command::Asked { hub: &hub, configuration: &configuration, query: &query };
            let fields = match command.work {
                Work::Look(answer) => answer(&asked),
                Work::Gather(_, answer) => answer(&asked, &part),
                Work::Snapshot | Work::Restore => unreachable!("they are no reports"),
            };
            finish(fields, command.name()).to_text()
        };
        match tokio::task::spawn_blocking(make).await {
            Ok(text) => plain(StatusCode::OK, JSON, text),
            // Only the end of the server takes a task's thread away.
            Err(_) => late(),
        }
    }

    async fn metrics(&self, method: &Method) -> Response<Reply> {
        if *method == Method::POST {
            return wrong_method();
        }
        let Ok(_place) = self.reports.acquire().await else { return too_long("metrics") };
        let Some(part) = self.collect(Word::Mntr, REPORT).await else { return too_long("metrics") };
        let hub = self.hub.clone();
        match tokio::task::spawn_blocking(move || metrics::text(&hub, &part)).await {
            Ok(text) => plain(StatusCode::OK, METRICS, text),
            Err(_) => too_long("metrics"),
        }
    }

    /// Whether every thread that serves clients or orders writes answers in time.
    async fn health(&self, status: &str, patience: Duration) -> Response<Reply> {
        let fields = Fields::new();
        let (code, fields) = match self.collect(Word::Ruok, patience).await {
            Some(_) => {
                let zxid = self.hub.standing().applied.to_string();
                (StatusCode::OK, fields.with("status", status).with("zxid", zxid))
            }
            None => {
                let seconds = patience.as_secs();
                let reason = format!("not every thread has answered within {seconds} s");
                let fields = fields.with("status", format!("not {status}")).with("reason", reason);
                (StatusCode::SERVICE_UNAVAILABLE, fields)
            }
        };
        plain(code, JSON, fields.to_text())
    }

    /// What the shards say, and the sequencer where the word needs it.
    async fn collect(&self, word: Word, patience: Duration) -> Option<Part> {
        let (caller, parts) = oneshot::channel();
        self.hub.ask(word, Caller::Http(caller));
        let parts = timeout(patience, parts).await.ok()?.ok()?;
        let mut all = Part::default();
        parts.into_iter().for_each(|part| all.add(part));
        Some(all)
    }
}

const ALLOWED: hyper::header::HeaderValue =
    hyper::header::HeaderValue::from_static("GET, HEAD, POST, OPTIONS");

/// Which command was meant, and what went wrong, close every answer.
fn finish(fields: Fields, name: &str) -> Fields {
    let has_error = fields.has("error");
    let fields = fields.with("command", name);
    if has_error { fields } else { fields.with("error", Json::Null) }
}

/// The answer of a command without fields of its own.
pub(super) fn empty(status: StatusCode, name: &str) -> Response<Reply> {
    plain(status, JSON, finish(Fields::new(), name).to_text())
}

/// The answer of a command that was not carried out.
pub(super) fn refusal(status: StatusCode, name: &str, error: &str) -> Response<Reply> {
    let fields = Fields::new().with("command", name).with("error", error);
    plain(status, JSON, fields.to_text())
}

fn too_long(name: &str) -> Response<Reply> {
    refusal(StatusCode::SERVICE_UNAVAILABLE, name, "the server did not answer in time")
}

fn nothing_there(paths: &str) -> Response<Reply> {
    plain(StatusCode::NOT_FOUND, TEXT, format!("there is nothing here; there is {paths}\n"))
}

fn wrong_method() -> Response<Reply> {
    let mut reply = plain(StatusCode::METHOD_NOT_ALLOWED, TEXT, String::new());
    reply.headers_mut().insert(ALLOW, ALLOWED);
    reply
}

fn plain(status: StatusCode, content: &'static str, text: String) -> Response<Reply> {
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed();
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(content));
    reply
}
