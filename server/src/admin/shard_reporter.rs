//! A shard's side of reports: its clients' words, its part of every report, and texts on their
//! way to its clients.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use ringkeeper_engine::shard::{self, Port, Shard, WordEvent};
use ringkeeper_engine::watch::ConnId;
use tokio::task::AbortHandle;

use super::collection::{ShardJob, Size};
use super::coordinator::{ReportCoordinator, ShardTask, TextReceiver};
use super::latency::ShardLatencies;
use super::pending_texts::PendingTexts;
use super::slices::Progress;
use super::words;
use super::words::Answer;

/// Jobs that are completed in one turn at the most.
const JOBS_PER_TURN: usize = 8;

/// The reporter of one shard.
pub struct ShardReporter {
    coordinator: Arc<ReportCoordinator>,
    shard: u16,
    latencies: ShardLatencies,
    jobs: VecDeque<Box<ShardJob>>,
    /// The words that wait for their texts, by connection.
    waiting: HashMap<ConnId, WaitingWord>,
    /// The number of the last of them.
    number: u64,
    texts: PendingTexts,
}

/// A word whose text is made.
struct WaitingWord {
    number: u64,
    answer: AbortHandle,
}

impl ShardReporter {
    /// The reporter of a shard. There is one for each.
    pub fn new(coordinator: Arc<ReportCoordinator>, shard: u16) -> ShardReporter {
        assert!(usize::from(shard) < coordinator.shards.len(), "there is no shard {shard}");
        ShardReporter {
            coordinator,
            shard,
            latencies: ShardLatencies::default(),
            jobs: VecDeque::new(),
            waiting: HashMap::new(),
            number: 0,
            texts: PendingTexts::default(),
        }
    }

    /// Takes the replies that the shard has made since the last turn into the histograms, and
    /// goes on with texts that did not fit into a client's output. Call it with every turn.
    pub fn note_replies(&mut self, shard: &mut Shard) {
        if !shard.outputs.replied.is_empty() {
            // No reply leaves before the turn ends: that is now.
            let now_us = self.coordinator.state.sources.facts.clock.micros();
            let replied = shard.outputs.replied.drain(..);
            replied.for_each(|replied| self.latencies.note(replied, now_us));
        }
        shard.outputs.waited_us.drain(..).for_each(|us| self.latencies.held.record(us));
        if !self.texts.is_empty() {
            self.texts.go_on(shard);
        }
    }

    /// Whether another thread wants something, an answer has come, or a report goes on.
    pub fn has_work(&self) -> bool {
        !self.jobs.is_empty() || self.texts.eager || !self.inbox_is_empty()
    }

    fn inbox_is_empty(&self) -> bool {
        self.coordinator.shards[usize::from(self.shard)].is_empty()
    }

    /// Answers the four-letter words of this shard, and what reports want of it: one slice of it,
    /// so that no turn takes long.
    pub fn serve(&mut self, shard: &mut Shard) {
        for event in std::mem::take(&mut shard.outputs.words) {
            match event {
                WordEvent::Arrived(conn, word) => self.begin(shard, conn, word),
                WordEvent::ClientGone(conn) => self.abandon(shard, conn),
            }
        }
        while let Some(task) = self.coordinator.shards[usize::from(self.shard)].pop() {
            match task {
                // Numbers do not wait for lists.
                ShardTask::Collect(job) if job.size() == Size::Fixed => self.jobs.push_front(job),
                ShardTask::Collect(job) => self.jobs.push_back(job),
                ShardTask::Send(receiver, text) => {
                    if self.is_waiting(receiver) {
                        self.waiting.remove(&receiver.conn);
                        self.texts.push(shard, receiver.conn, text);
                    }
                }
            }
        }
        self.work(shard);
    }

    fn begin(&mut self, shard: &mut Shard, conn: ConnId, request: shard::Word) {
        let word = words::find(request.name).expect("the shard knows these words only");
        let state = &self.coordinator.state;
        let whitelist = state.sources.facts.changing.lock().whitelist.clone();
        if !word.is_allowed(&whitelist) {
            return shard.finish_word(conn, word.refusal().as_bytes());
        }
        if !word.is_due(state) {
            return shard.finish_word(conn, word.not_serving().as_bytes());
        }
        if let Answer::Now(answer) = word.answer {
            return shard.finish_word(conn, answer(state, request.argument).as_bytes());
        }
        self.number += 1;
        let number = self.number;
        let port = shard.conn(conn).map_or(Port::Client, |it| it.port);
        let receiver = TextReceiver { shard: self.shard, conn, port, number };
        let answer = self.coordinator.start(word, receiver);
        self.waiting.insert(conn, WaitingWord { number, answer });
    }

    /// The client has gone: another one may have its permit.
    fn abandon(&mut self, shard: &mut Shard, conn: ConnId) {
        if let Some(word) = self.waiting.remove(&conn) {
            word.answer.abort();
            shard.finish_word(conn, b"");
        }
    }

    fn is_waiting(&self, receiver: TextReceiver) -> bool {
        self.waiting.get(&receiver.conn).is_some_and(|word| word.number == receiver.number)
    }

    fn work(&mut self, shard: &mut Shard) {
        for _ in 0..JOBS_PER_TURN {
            let Some(job) = self.jobs.front_mut() else { break };
            if job.step(shard, &mut self.latencies) == Progress::More {
                break;
            }
            self.jobs.pop_front().into_iter().for_each(|job| job.finish());
        }
    }

    /// How many words wait for their texts.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}
