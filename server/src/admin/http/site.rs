//! From a request to its answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ALLOW, HOST};
use hyper::{Method, Request, Response, StatusCode};
use ringkeeper_engine::Millis;
use ringkeeper_engine::acl::AuthSettings;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::auth::Authorizer;
use super::command::{self, Command, Work};
use super::configuration::Configuration;
use super::fields::Fields;
use super::input::{CommandInput, Query, query, value};
use super::own_names::OwnNames;
use super::reply::{
    ALLOWED, HTML, JSON, METRICS, Reply, ReportPermit, TEXT, counted, finish, not_found, plain,
    refusal, too_long, wrong_method,
};
use super::snapshot::SnapshotCommand;
use crate::admin::collection::{COUNTS, Collection, PRESENCE};
use crate::admin::coordinator::ReportCoordinator;
use crate::admin::member::doing;
use crate::admin::metrics;
use crate::admin::partial::PartialReport;
use crate::admin::state::NOT_SERVING;
use crate::config::Settings;
use crate::peers::status::{ClientService, MemberReport};

/// Reports that are made or read at a time; more of them wait.
const REPORTS_MAX: usize = 4;
/// How long a report may take.
const REPORT: Duration = Duration::from_secs(60);
/// How long every thread may take to answer in a server that is ready, and in one that lives.
const READY: Duration = Duration::from_secs(2);
const LIVE: Duration = Duration::from_secs(20);
/// What a connection beyond the usual number gets that asks for anything but health.
const TOO_MANY: &str = "too many connections are open; ask again, or close some\n";

/// Which port a request came by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Port {
    /// That of the commands.
    Admin,
    /// That of the metrics alone.
    Metrics,
}

/// What a connection may ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Allowed {
    /// Whatever its port answers.
    Anything,
    /// Whether the server is healthy: too many others are open.
    Health,
}

/// What a health check wants to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Health {
    /// Whether clients may be sent here.
    Ready,
    /// Whether it has started, so that the next member can be: it answers, and may wait for the
    /// others.
    Started,
    /// Whether the process had better be started anew.
    Live,
}

impl Health {
    fn question(self) -> (&'static str, Duration) {
        match self {
            Health::Ready => ("ready", READY),
            Health::Started => ("started", READY),
            Health::Live => ("live", LIVE),
        }
    }

    /// What is wrong with a member of an ensemble. While it looks for its leader it lives, and it
    /// is ready as long as its sessions may read.
    fn objection(self, member: &MemberReport, now: Millis) -> Option<String> {
        match (self, member.clients) {
            (Health::Ready, ClientService::None) => Some(doing(member, now)),
            (Health::Ready, ClientService::Reads | ClientService::All) => None,
            (Health::Started | Health::Live, _) => None,
        }
    }
}

/// Everything that is answered over HTTP.
pub(in crate::admin) struct Site {
    coordinator: Arc<ReportCoordinator>,
    authorizer: Authorizer,
    snapshot: SnapshotCommand,
    /// The path of the commands, without a slash at its end.
    commands: String,
    configuration: Arc<Configuration>,
    own_names: OwnNames,
    reports: Arc<Semaphore>,
    /// Those of metrics, which lists that nobody reads must not hold up.
    metrics: Arc<Semaphore>,
}

impl Site {
    /// Puts the parts together.
    pub(in crate::admin) fn new(
        settings: &Settings,
        coordinator: Arc<ReportCoordinator>,
        auth: AuthSettings,
    ) -> Site {
        let believes_forwarded = settings.ip_auth_use_x_forwarded_for;
        Site {
            coordinator,
            authorizer: Authorizer { settings: auth, believes_forwarded },
            snapshot: SnapshotCommand::new(settings),
            commands: settings.admin_command_url.trim_end_matches('/').to_owned(),
            configuration: Arc::new(Configuration::of(settings)),
            own_names: OwnNames::of(settings),
            reports: Arc::new(Semaphore::new(REPORTS_MAX)),
            metrics: Arc::new(Semaphore::new(REPORTS_MAX)),
        }
    }

    /// Answers a request.
    pub(super) async fn answer(
        &self,
        (port, allows): (Port, Allowed),
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
        if allows == Allowed::Health && !matches!(path.as_str(), "/ready" | "/live") {
            return plain(StatusCode::SERVICE_UNAVAILABLE, TEXT, TOO_MANY.to_owned());
        }
        if path == "/metrics" {
            return self.metrics(request.method()).await;
        }
        if port == Port::Metrics {
            return not_found("/metrics");
        }
        match path.as_str() {
            "/ready" => match value(&query(request.uri().query()), "mode") {
                None | Some("serve") => self.health(Health::Ready).await,
                Some("start") => self.health(Health::Started).await,
                Some(_) => not_found("/ready, /ready?mode=start, /ready?mode=serve"),
            },
            "/live" => self.health(Health::Live).await,
            _ => match path.strip_prefix(&self.commands) {
                Some("" | "/") => plain(StatusCode::OK, HTML, command::links(&self.commands)),
                Some(name) if name.starts_with('/') => {
                    let head = request.map(|_| ());
                    self.command(&name[1..], &head, peer).await
                }
                _ => not_found(&format!("{}, /metrics, /ready, /live", self.commands)),
            },
        }
    }

    async fn command(&self, name: &str, request: &Request<()>, peer: IpAddr) -> Response<Reply> {
        let Some(command) = command::find(name) else {
            let text = format!("Unknown command: {name}");
            return refusal(StatusCode::OK, name, &text);
        };
        let host = request.headers().get(HOST).map(|host| host.to_str().unwrap_or_default());
        if command.changes() && host.is_some_and(|host| !self.own_names.contain(host)) {
            let text = "the Host of the request is no name of this server; ask its address, \
                        localhost, or the name in admin.serverAddress";
            return refusal(StatusCode::FORBIDDEN, name, text);
        }
        let sources = &self.coordinator.state.sources;
        if command.needs_service() && self.coordinator.state.clients() == ClientService::None {
            return refusal(StatusCode::OK, name, NOT_SERVING);
        }
        if matches!(command.work, Work::Snapshot | Work::Restore)
            && let Err((status, text)) = self.authorizer.check(&sources.view, request, peer)
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
        let query = query(request.uri().query());
        match command.work {
            Work::Snapshot => {
                let files = (&*sources.facts.data_dir, &self.coordinator.workers.files);
                self.snapshot.take(&sources.snapshots, files, &query).await
            }
            Work::Restore => refusal(
                StatusCode::NOT_IMPLEMENTED,
                "restore",
                "a running server cannot be restored: its log would not lead to the restored \
                 state. Use \"ringkeeper snapshot restore\" with an empty data directory, and \
                 start a server there",
            ),
            Work::Lookup(lookup) => {
                let answer = move |input: &CommandInput<'_>, _: &PartialReport| lookup(input);
                self.report(command, query, None, answer).await
            }
            Work::Report(collection, answer) => {
                self.report(command, query, Some(collection), answer).await
            }
        }
    }

    /// Makes the text of an answer, beside the event loop: it can be long, and it can need files.
    async fn report(
        &self,
        command: &'static Command,
        query: Query,
        collection: Option<&'static Collection>,
        answer: impl FnOnce(&CommandInput<'_>, &PartialReport) -> Fields + Send + 'static,
    ) -> Response<Reply> {
        let configuration = self.configuration.clone();
        let make = move |coordinator: &ReportCoordinator, report: &PartialReport| {
            let (state, configuration) = (&coordinator.state, &configuration);
            let input = CommandInput { state, configuration, query: &query };
            finish(answer(&input, report), command.name()).to_text()
        };
        match self.text(&self.reports, collection, make).await {
            Some((text, permit)) => counted(JSON, text, permit),
            None => too_long(command.name()),
        }
    }

    async fn metrics(&self, method: &Method) -> Response<Reply> {
        if *method == Method::POST {
            return wrong_method();
        }
        let make = |coordinator: &ReportCoordinator, report: &PartialReport| {
            metrics::text(&coordinator.state, report)
        };
        match self.text(&self.metrics, Some(&COUNTS), make).await {
            Some((text, permit)) => counted(METRICS, text, permit),
            None => too_long("metrics"),
        }
    }

    /// A text that a worker makes from a report; `None` where the shards take too long. The permit
    /// stays with it, so that requests that are cut off make no more than others, and then with the
    /// text until it is read.
    async fn text(
        &self,
        permits: &Arc<Semaphore>,
        collection: Option<&'static Collection>,
        make: impl FnOnce(&ReportCoordinator, &PartialReport) -> String + Send + 'static,
    ) -> Option<(String, ReportPermit)> {
        let permit = permits.clone().acquire_owned().await.expect("they are never closed");
        let report = match collection {
            Some(collection) => self.collect(collection, REPORT).await?,
            None => PartialReport::default(),
        };
        let coordinator = self.coordinator.clone();
        let job = move || (make(&coordinator, &report), permit);
        Some(self.coordinator.workers.http.run(job).await)
    }

    /// Whether every thread that serves clients or orders writes answers in time, and whether a
    /// server that shall be ready serves clients.
    async fn health(&self, health: Health) -> Response<Reply> {
        let (status, patience) = health.question();
        let state = &self.coordinator.state;
        let now = state.sources.facts.clock.now().mono;
        let presence = self.collect(&PRESENCE, patience).await;
        let wrong = match (presence, state.member()) {
            (None, _) => {
                let seconds = patience.as_secs();
                Some(format!("not every thread has answered within {seconds} s"))
            }
            (Some(_), Some(member)) => health.objection(&member, now),
            (Some(_), None) => None,
        };
        let waits_for = state.member().filter(|_| health == Health::Started);
        let waits_for = waits_for.and_then(|member| Health::Ready.objection(&member, now));
        let fields = Fields::new();
        let (code, fields) = match wrong {
            None => {
                let zxid = state.database_size().applied.to_string();
                let fields = fields.with("status", status).with("zxid", zxid);
                let fields = match waits_for {
                    Some(what) => fields.with("waits_for", what),
                    None => fields,
                };
                (StatusCode::OK, fields)
            }
            Some(reason) => {
                let fields = fields.with("status", format!("not {status}")).with("reason", reason);
                (StatusCode::SERVICE_UNAVAILABLE, fields)
            }
        };
        plain(code, JSON, fields.to_text())
    }

    /// What the shards answer within a time.
    async fn collect(
        &self,
        collection: &'static Collection,
        patience: Duration,
    ) -> Option<PartialReport> {
        timeout(patience, self.coordinator.collect(collection)).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::member::tests::observing;

    #[test]
    fn member_that_serves_nobody_lives_and_is_not_ready() {
        let mut member = observing().report();
        let now = Millis(2_620);
        for clients in [ClientService::All, ClientService::Reads] {
            member.clients = clients;
            assert_eq!(Health::Ready.objection(&member, now), None);
        }
        member.clients = ClientService::None;
        let reason = "following server 3 at 127.0.0.1:24023 for 1 s";
        assert_eq!(Health::Ready.objection(&member, now).as_deref(), Some(reason));
        assert_eq!(Health::Live.objection(&member, now), None);
        assert_eq!(Health::Started.objection(&member, now), None, "it waits for the others");
    }
}
