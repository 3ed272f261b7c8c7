//! The nodes of a run: created before the load, removed after it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use ringkeeper_engine::Code;
use ringkeeper_engine::client::{Client, Create, CreateMode, Error, MultiResult, Options, Request};
use ringkeeper_engine::wire::Acl;

use crate::interrupt;
use crate::load::args::Load;
use crate::load::layout::Layout;
use crate::load::sizes::Sizes;
use crate::load::value::{Origin, SETUP_WRITER};
use crate::model::kind::Kind;
use crate::record::tally::Tally;
use crate::verify::audit::Audit;

/// Writes in one multi while creating and removing.
const BATCH: usize = 200;
/// Bytes in one multi while creating, about.
const BATCH_BYTES: usize = 500_000;
/// How long the session that creates and removes waits for one answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Multis in flight while creating and removing.
const BATCHES_IN_FLIGHT: usize = 8;

/// The nodes of a run, and the session that answers for them.
pub(crate) struct RunTree {
    client: Client,
    layout: Layout,
    path: String,
    servers: Vec<SocketAddr>,
    options: Options,
}

impl RunTree {
    /// Plants what a load needs. What earlier runs left because they were cut short is removed.
    pub(crate) fn create_all(servers: &[SocketAddr], load: &Load, run: &str) -> Result<RunTree> {
        let options = Options { timeout_ms: load.session_ms(), ..Options::default() };
        let client = connect(servers, options)?;
        let layout = Layout::new(load, run);
        let mut tree =
            RunTree { client, layout, path: load.path.clone(), servers: servers.to_vec(), options };
        tree.prepare(load).with_context(|| format!("cannot create nodes below {}", load.path))?;
        Ok(tree)
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Keeps the session alive, without waiting for the answer. If the server is gone, the
    /// sessions under load tell.
    pub(crate) fn keep_alive(&mut self) {
        self.client.queue(&Request::Ping);
        let _ = self.client.flush();
    }

    /// Looks for every write that was acknowledged.
    pub(crate) fn audit(&mut self, load: &Load, tally: &mut Tally) {
        self.reconnect();
        let Tally { ledger, faults, .. } = tally;
        Audit { layout: &self.layout, load, ledger, faults }.run(&mut self.client);
    }

    /// A server may have gone or been restarted under the load: any of them will do for the rest,
    /// with the old session or another. If none does, the next call tells.
    pub(crate) fn reconnect(&mut self) {
        if self.client.ping().is_ok() {
            return;
        }
        let session = self.client.session();
        for server in &self.servers {
            let client = Client::resume(server, self.options, session)
                .or_else(|_| Client::connect(server, self.options));
            if let Ok(mut client) = client {
                client.set_patience(TIMEOUT);
                self.client = client;
                return;
            }
        }
    }

    pub(crate) fn clear(mut self) -> Result<()> {
        self.reconnect();
        let run = self.layout.run.clone();
        remove(&mut self.client, &run).with_context(|| format!("cannot remove {run}"))?;
        // Another run may be under the same node.
        let _ = self.client.delete(&self.path);
        self.client.close()?;
        Ok(())
    }

    fn prepare(&mut self, load: &Load) -> Result<()> {
        self.make_path()?;
        self.remove_stale()?;
        let run = self.layout.run.clone();
        self.client.create(&run, b"")?;
        self.client.create_mode(&Layout::owner(&run), b"", CreateMode::Ephemeral)?;
        self.create_keys(load.value_bytes)?;
        if load.workload.has(&[Kind::Children]) {
            let listed = self.layout.listed();
            self.client.create(&listed, b"")?;
            let children = (0..load.children).map(|n| (format!("{listed}/{n:06}"), Vec::new()));
            create_all(&mut self.client, children)?;
        }
        if load.workload.is_fanout() {
            let layout = &self.layout;
            let nodes = (0..load.threads)
                .flat_map(|thread| [layout.watched(thread), layout.watched_child(thread)]);
            let values = nodes.map(|path| (path, initial_value(0, load.value_bytes)));
            create_all(&mut self.client, values)?;
        }
        if load.reconnect {
            self.client.create(&self.layout.presences(), b"")?;
        }
        let queues = (0..load.workload.queues()).map(|n| (self.layout.queue(n), Vec::new()));
        create_all(&mut self.client, queues)?;
        if load.workload.needs_lanes() {
            let lanes = (0..load.connections).map(|lane| (self.layout.lane(lane), Vec::new()));
            create_all(&mut self.client, lanes)?;
        }
        Ok(())
    }

    fn make_path(&mut self) -> Result<()> {
        for (at, _) in self.path.match_indices('/').skip(1).chain([(self.path.len(), "")]) {
            match self.client.create(&self.path[..at], b"") {
                Err(error) if error.code() != Some(Code::NodeExists) => return Err(error.into()),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// A run whose owner's session is gone was cut short.
    fn remove_stale(&mut self) -> Result<()> {
        for name in self.client.children(&self.path)? {
            let run = format!("{}/{name}", self.path);
            if self.client.exists(&Layout::owner(&run))?.is_none() {
                remove(&mut self.client, &run)?;
            }
        }
        Ok(())
    }

    fn create_keys(&mut self, value_bytes: Sizes) -> Result<()> {
        let inner = self.layout.inner.iter().map(|path| (path.clone(), Vec::new()));
        create_all(&mut self.client, inner)?;
        let keys = (0..).zip(&self.layout.keys);
        let keys = keys.map(|(key, path)| (path.clone(), initial_value(key, value_bytes)));
        create_all(&mut self.client, keys)
    }
}

fn initial_value(key: u32, value_bytes: Sizes) -> Vec<u8> {
    let mut value = Vec::new();
    Origin { key, writer: SETUP_WRITER, seq: 0 }.write(value_bytes, &mut value);
    value
}

/// Opens a session with the first server that is able to.
fn connect(servers: &[SocketAddr], options: Options) -> Result<Client> {
    let mut failure = None;
    for server in servers {
        match Client::connect(server, options) {
            Ok(mut client) => {
                client.set_patience(TIMEOUT);
                return Ok(client);
            }
            Err(error) => {
                failure.get_or_insert(anyhow!("cannot open a session with {server}: {error}"));
            }
        }
    }
    Err(failure.context("a target without a server")?)
}

/// Creates nodes, several multis at a time.
fn create_all(
    client: &mut Client,
    mut nodes: impl Iterator<Item = (String, Vec<u8>)>,
) -> Result<()> {
    let acl = [Acl::open()];
    let mut waiting = 0;
    loop {
        interrupt::check()?;
        let batch = next_batch(&mut nodes);
        if !batch.is_empty() {
            let parts: Vec<_> = batch.iter().map(|(p, value)| create(p, value, &acl)).collect();
            client.queue(&Request::Multi(&parts));
            waiting += 1;
        }
        if waiting == 0 {
            return Ok(());
        }
        if batch.is_empty() || waiting == BATCHES_IN_FLIGHT {
            waiting -= 1;
            let answer = client.receive()?.accepted()?;
            if let Some(MultiResult::Failed(_)) = answer.body().multi()?.first() {
                bail!("a multi of creates was refused: {:?}", answer.body().multi()?);
            }
        }
    }
}

/// Frames of multis stay well below what a server reads: a megabyte.
fn next_batch(nodes: &mut impl Iterator<Item = (String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while batch.len() < BATCH && bytes < BATCH_BYTES {
        let Some(node) = nodes.next() else { break };
        bytes += node.0.len() + node.1.len() + 100;
        batch.push(node);
        // The next one may be as long again.
        bytes += batch.last().map_or(0, |(_, value)| value.len());
    }
    batch
}

/// Removes a node and everything below, several multis at a time.
fn remove(client: &mut Client, path: &str) -> Result<(), Error> {
    let names = match client.children(path) {
        Ok(names) => names,
        Err(error) if error.code() == Some(Code::NoNode) => return Ok(()),
        Err(error) => return Err(error),
    };
    let paths: Vec<String> = names.iter().map(|name| format!("{path}/{name}")).collect();
    let mut batches = paths.chunks(BATCH);
    let mut waiting = VecDeque::new();
    let mut refused = Vec::new();
    loop {
        if let Some(batch) = batches.next() {
            let parts: Vec<_> = batch.iter().map(|path| delete(path)).collect();
            client.queue(&Request::Multi(&parts));
            waiting.push_back(batch);
            if waiting.len() < BATCHES_IN_FLIGHT {
                continue;
            }
        }
        let Some(batch) = waiting.pop_front() else { break };
        let answer = client.receive()?.accepted()?;
        if let Some(MultiResult::Failed(_)) = answer.body().multi()?.first() {
            refused.extend_from_slice(batch);
        }
    }
    for path in refused {
        remove(client, &path)?;
    }
    match client.delete(path) {
        Err(error) if error.code() != Some(Code::NoNode) => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn create<'a>(path: &'a str, value: &'a [u8], acl: &'a [Acl]) -> Request<'a> {
    Request::Create(Create { path, data: Some(value), acl, mode: CreateMode::Persistent })
}

fn delete(path: &str) -> Request<'_> {
    Request::Delete { path, version: -1 }
}
