//! What is found out about a server beside its answers to the load.

use std::net::SocketAddr;
use std::path::Path;

use ringkeeper_engine::client::four_letter_word;

use crate::clock::{Clock, Nanos};
use crate::events;
use crate::monitor::Monitor;
use crate::results::{Event, Second, Server};
use crate::storage;

/// What to find out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Inquiry {
    /// Ask for the server's counters while the load runs.
    pub counters: bool,
    /// Measure the disk below the server's log before the load runs.
    pub probe_disk: bool,
}

/// An inquiry under way.
#[derive(Debug)]
pub(crate) struct Inquest {
    server: Server,
    monitor: Option<Monitor>,
    /// Why something that was asked for is missing.
    pub missing: Vec<String>,
}

impl Inquest {
    /// Looks at the server and begins to watch its counters. With several servers it is the
    /// first that is looked at.
    pub(crate) fn begin(
        inquiry: Inquiry,
        servers: &[SocketAddr],
        pids: &[u32],
        clock: Clock,
    ) -> Inquest {
        let mut server = Server { pids: pids.to_vec(), ..Server::default() };
        let mut missing = Vec::new();
        let first = servers.first().copied();
        if let Some(answer) = first.and_then(|address| four_letter_word(address, "conf").ok()) {
            server.configuration = storage::configuration(&answer);
        }
        server.storage =
            pids.first().and_then(|pid| storage::of_server(*pid, &server.configuration));
        if inquiry.probe_disk {
            probe(pids, &mut server, &mut missing);
        }
        let watched = first.filter(|_| inquiry.counters);
        let monitor = watched.map(|address| Monitor::start(address, clock));
        Inquest { server, monitor, missing }
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

fn probe(pids: &[u32], server: &mut Server, missing: &mut Vec<String>) {
    let Some((pid, storage)) = pids.first().zip(server.storage.as_mut()) else {
        missing.push("no disk was probed: it is not known where the server keeps its log".into());
        return;
    };
    let directory = storage::seen_from_here(*pid, Path::new(&storage.directory));
    match storage::probe(&directory) {
        Ok(probe) => storage.probe = Some(probe),
        Err(error) => missing.push(format!("{error:#}")),
    }
}
