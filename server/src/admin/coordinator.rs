//! Reports about the whole server: scattered to its threads, gathered again, and made a text.

use std::sync::Arc;
use std::time::Duration;

use ringkeeper_engine::shard::Port;
use ringkeeper_engine::watch::ConnId;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::AbortHandle;

use super::collection::{Collection, NodeJob, NodeShare, PRESENCE, ShardJob, Size};
use super::inbox::Inbox;
use super::partial::PartialReport;
use super::state::ServerState;
use super::words::{Answer, Text, Word};
use super::workers::Workers;
use crate::node::waker::Waker;

/// Reports at a time that list connections, sessions or watches. Each may be as long as the server
/// has connections; it is under way until its client has taken it.
const LISTS_MAX: usize = 4;
/// Reports of numbers at a time. They have permits of their own because no client can hold them up:
/// their texts are short.
const NUMBERS_MAX: usize = 8;
/// Words at a time that read the data directories. A disk that does not answer holds up no others.
const FILES_MAX: usize = 8;

/// Asks the threads of the server for their parts of reports. There is one per server.
pub struct ReportCoordinator {
    pub(super) state: Arc<ServerState>,
    pub(super) workers: Workers,
    pub(super) shards: Vec<Inbox<ShardTask>>,
    pub(super) node: Inbox<NodeJob>,
    runtime: Handle,
    permits: Permits,
}

/// How many reports that clients wait for are under way. The others wait in the order of arrival.
struct Permits {
    lists: Arc<Semaphore>,
    numbers: Arc<Semaphore>,
    files: Arc<Semaphore>,
}

/// The client that a word's text is for. Numbers are not used again while the server runs, so a
/// text that comes late goes to no other client with the same connection id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TextReceiver {
    /// Its shard.
    pub shard: u16,
    /// Its connection.
    pub conn: ConnId,
    /// The port of that.
    pub port: Port,
    /// The number of the word on its shard.
    pub number: u64,
}

/// A text, and the right to hold it in memory.
pub(super) struct WordText {
    /// The text.
    pub bytes: Vec<u8>,
    /// Dropped when the client has taken the text.
    pub _permit: OwnedSemaphorePermit,
}

/// Something that a shard is asked to do.
pub(super) enum ShardTask {
    /// Make the shard's part of a report.
    Collect(Box<ShardJob>),
    /// Send a text to its client.
    Send(TextReceiver, WordText),
}

impl ReportCoordinator {
    /// Whether every thread that serves clients or orders writes answers in this time. Not for the
    /// thread that reports are coordinated on.
    pub fn all_answer(&self, patience: Duration) -> bool {
        let answers = async { tokio::time::timeout(patience, self.collect(&PRESENCE)).await };
        self.runtime.block_on(answers).is_ok()
    }

    /// Puts the parts together. `shards` and `node` wake those threads: one where they share it.
    pub(super) fn new(
        state: Arc<ServerState>,
        workers: Workers,
        (shards, node): (Vec<Arc<Waker>>, Arc<Waker>),
        runtime: Handle,
    ) -> ReportCoordinator {
        assert!(!shards.is_empty(), "a server has shards");
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        let permits = Permits {
            lists: semaphore(LISTS_MAX),
            numbers: semaphore(NUMBERS_MAX),
            files: semaphore(FILES_MAX),
        };
        ReportCoordinator {
            state,
            workers,
            shards: shards.into_iter().map(Inbox::new).collect(),
            node: Inbox::new(node),
            runtime,
            permits,
        }
    }

    /// Starts on the answer to a word. It comes as a [`ShardTask::Send`], unless it is aborted.
    pub(super) fn start(
        self: &Arc<ReportCoordinator>,
        word: &'static Word,
        receiver: TextReceiver,
    ) -> AbortHandle {
        let coordinator = self.clone();
        let answer = async move {
            let text = coordinator.answer(word, receiver.port).await;
            coordinator.shards[usize::from(receiver.shard)].push(ShardTask::Send(receiver, text));
        };
        self.runtime.spawn(answer).abort_handle()
    }

    /// A permit stays with the text while a worker makes it, also where the task is aborted: texts
    /// in memory are bounded by permits.
    async fn answer(&self, word: &'static Word, port: Port) -> WordText {
        let state = self.state.clone();
        match word.answer {
            Answer::Now(_) => unreachable!("the shard answers {}", word.text()),
            Answer::Host(lookup) => {
                let permit = acquire(&self.permits.numbers).await;
                let make = move || WordText::new(lookup(&state), permit);
                self.workers.texts.run(make).await
            }
            Answer::Files(lookup) => {
                let permit = acquire(&self.permits.files).await;
                let make = move || WordText::new(lookup(&state), permit);
                self.workers.files.run(make).await
            }
            Answer::Report(collection, text) => {
                let permit = acquire(self.permits.of(collection.size)).await;
                let report = self.collect(collection).await;
                let report = PartialReport { port: Some(port), ..report };
                match text {
                    Text::Short(text) => WordText::new(text(&state, &report), permit),
                    Text::Long(text) => {
                        let make = move || WordText::new(text(&state, &report), permit);
                        self.workers.texts.run(make).await
                    }
                }
            }
        }
    }

    /// Collects a report from all shards, and from the node where it takes part. It ends when the
    /// last of them has answered; where it is dropped before, they stop working on it.
    pub(super) async fn collect(&self, collection: &'static Collection) -> PartialReport {
        let mut parts = Vec::with_capacity(self.shards.len() + 1);
        if collection.node != NodeShare::None {
            let (complete, part) = oneshot::channel();
            self.node.push(NodeJob::new(collection.node, complete));
            parts.push(part);
        }
        for shard in &self.shards {
            let (complete, part) = oneshot::channel();
            let job = ShardJob::new(collection, self.shards.len(), complete);
            shard.push(ShardTask::Collect(Box::new(job)));
            parts.push(part);
        }
        let mut report = PartialReport::default();
        for part in parts {
            // A thread that has ended adds nothing: the server stops.
            report.add(part.await.unwrap_or_default());
        }
        report
    }
}

impl WordText {
    fn new(text: String, permit: OwnedSemaphorePermit) -> WordText {
        WordText { bytes: text.into_bytes(), _permit: permit }
    }
}

impl Permits {
    fn of(&self, size: Size) -> &Arc<Semaphore> {
        match size {
            Size::Fixed => &self.numbers,
            Size::List => &self.lists,
        }
    }
}

async fn acquire(permits: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    permits.clone().acquire_owned().await.expect("the permits are never closed")
}
