//! What is found out about a server beside its answers to the load.

use std::net::SocketAddr;
use std::path::Path;

use crate::model::clock::{Clock, Nanos};
use crate::model::second::{Event, Second};
use crate::model::server::Server;
use crate::servers::events;
use crate::servers::four_letter;
use crate::servers::metrics::Commits;
use crate::servers::monitor::{Monitor, Source};
use crate::servers::processes::ServerProcesses;
use crate::servers::storage;

/// Connections of one host that a server takes by default.
const CONNECTIONS_DEFAULT: u32 = 60;

/// What to find out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct ProbeOptions {
    /// Ask for the server's counters while the load runs.
    pub counters: bool,
    /// Measure the disk below the server's log before the load runs.
    pub probe_disk: bool,
    /// Where the server's metrics are read beside its counters.
    pub metrics: Option<SocketAddr>,
}

/// What has been found out so far.
#[derive(Debug)]
pub(crate) struct ServerProbe {
    server: Server,
    monitor: Option<Monitor>,
    /// Why something that was asked for is missing.
    pub missing: Vec<String>,
}

impl ServerProbe {
    /// Looks at the server and begins to watch its counters. Of several servers it is the first
    /// that answers.
    pub(crate) fn begin(
        options: ProbeOptions,
        servers: &[SocketAddr],
        members: &ServerProcesses,
        clock: Clock,
    ) -> ServerProbe {
        let mut server = Server { pids: members.pids(), ..Server::default() };
        let mut missing = Vec::new();
        let answers =
            |server: &SocketAddr| Some((*server, four_letter::query(*server, "conf").ok()?));
        let (source, answer) = servers.iter().find_map(answers).unzip();
        server.source = source.map(|source| source.to_string());
        server.configuration = answer.as_deref().map(storage::configuration).unwrap_or_default();
        let pid = source.and_then(|source| members.pid_of(source));
        server.storage = pid.and_then(|pid| storage::of_server(pid, &server.configuration));
        if options.probe_disk {
            probe(pid, &mut server, &mut missing);
        }
        if let Some(address) = options.metrics
            && Commits::fetch(address).is_none()
        {
            missing.push(format!("http://{address}/metrics tells nothing of commits"));
        }
        let watched = source.filter(|_| options.counters);
        let monitor = watched.map(|address| {
            let metrics = options.metrics;
            Monitor::start(Source { server: address, metrics }, clock)
        });
        ServerProbe { server, monitor, missing }
    }

    /// Why so many sessions on a server may be too many, if its configuration is known.
    pub(crate) fn connections_hint(&self, sessions: u32) -> String {
        let limit = self.server.configuration.get("maxClientCnxns");
        match limit.map_or(Some(CONNECTIONS_DEFAULT), |limit| limit.parse().ok()) {
            // One more creates the nodes.
            Some(limit) if limit > 0 && sessions >= limit => format!(
                "; the server takes {limit} connections from one host (maxClientCnxns): ask for \
                 fewer with -c, or raise that"
            ),
            Some(_) | None => String::new(),
        }
    }

    /// Everything that was found out; the seconds are annotated with it.
    pub(crate) fn end(self, from: Nanos, seconds: &mut [Second]) -> (Server, Vec<Event>) {
        let counted = self.monitor.map(Monitor::stop).unwrap_or_default();
        events::annotate(seconds, &counted, from);
        let counters = events::counters(&counted);
        let changes = events::changes(&counted);
        (Server { counters, changes, ..self.server }, events::events(&counted, from))
    }
}

fn probe(pid: Option<u32>, server: &mut Server, missing: &mut Vec<String>) {
    let Some((pid, storage)) = pid.zip(server.storage.as_mut()) else {
        missing.push("no disk was probed: it is not known where the server keeps its log".into());
        return;
    };
    let directory = storage::seen_from_here(pid, Path::new(&storage.directory));
    match storage::probe(&directory) {
        Ok(probe) => storage.probe = Some(probe),
        Err(error) => missing.push(format!("{error:#}")),
    }
}
