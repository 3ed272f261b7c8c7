//! A shard's place where reports are asked for and answered.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use ringkeeper_engine::op::OpSpec;
use ringkeeper_engine::op::table::LatencyClass;
use ringkeeper_engine::request::Origin;
use ringkeeper_engine::shard::{Phase, Replied, Shard, Word};
use ringkeeper_engine::watch::ConnId;

use super::gather::Caller;
use super::hub::{Errand, Hub};
use super::job::{Progress, SessionJobs, ShardJob, ShardLatencies};
use super::outbox::Outbox;
use super::places::Place;
use super::words;
use crate::node::driver::NodeDriver;
use crate::node::view::View;

/// Jobs that are completed in one turn at the most.
const JOBS_PER_TURN: usize = 8;

/// The desk of one shard.
pub struct Desk {
    hub: Arc<Hub>,
    shard: u16,
    latencies: ShardLatencies,
    jobs: VecDeque<ShardJob>,
    session_jobs: SessionJobs,
    outbox: Outbox,
}

/// What a report may look at beside the shard.
pub struct Reports<'a> {
    /// The database.
    pub view: &'a View,
    /// The sequencer, where it shares the shard's thread.
    pub sequencer: Option<&'a NodeDriver>,
}

impl Desk {
    pub(super) fn new(hub: Arc<Hub>, shard: u16) -> Desk {
        Desk {
            hub,
            shard,
            latencies: ShardLatencies::default(),
            jobs: VecDeque::new(),
            session_jobs: SessionJobs::default(),
            outbox: Outbox::default(),
        }
    }

    /// Takes the replies that the shard has made since the last turn into the histograms, and
    /// goes on with texts that did not fit into a client's output. Call it with every turn.
    pub fn note_replies(&mut self, shard: &mut Shard) {
        if !shard.outputs.replied.is_empty() {
            // No reply leaves before the turn ends: that is now.
            let now_us = self.hub.facts.clock.micros();
            shard
                .outputs
                .replied
                .drain(..)
                .for_each(|replied| self.latencies.note(replied, now_us));
        }
        shard.outputs.waited_us.drain(..).for_each(|us| self.latencies.held.record(us));
        if !self.outbox.is_empty() {
            self.outbox.go_on(shard);
        }
    }

    /// Whether another thread asks for something, an answer has come, or a report goes on.
    pub fn has_work(&self) -> bool {
        !self.jobs.is_empty()
            || !self.session_jobs.is_empty()
            || self.outbox.eager
            || self.hub.shard_has_errands(self.shard)
    }

    /// Answers the four-letter words of this shard, and what others ask of it: one slice of it,
    /// so that no turn takes long.
    pub fn serve(&mut self, shard: &mut Shard, reports: &Reports<'_>) {
        for (conn, word) in std::mem::take(&mut shard.outputs.words) {
            self.begin(shard, conn, word, reports.view);
        }
        for conn in self.hub.places().sweep(self.shard, |conn| is_gone(shard, conn)) {
            shard.finish_word(conn, b"");
        }
        self.take_errands(shard);
        self.work(shard, reports);
        // With one shard a short report is complete by now.
        self.take_errands(shard);
    }

    fn begin(&self, shard: &mut Shard, conn: ConnId, word: Word, view: &View) {
        let hub = &self.hub;
        let origin = Origin { shard: self.shard, conn };
        // Our own word tells no more than `srvr`, which every server answers.
        if word != Word::Pace && !hub.facts.whitelist.allow(word.name()) {
            return shard.finish_word(conn, words::refusal(word).as_bytes());
        }
        let text = match word {
            Word::Ruok => "imok".to_owned(),
            Word::Isro => "rw".to_owned(),
            Word::Gtmk => hub.trace_mask.load(Relaxed).to_string(),
            Word::Stmk(mask) => {
                hub.trace_mask.store(mask, Relaxed);
                mask.to_string()
            }
            Word::Hash => words::hash(view.read().digests()),
            Word::Pace => hub.pace(),
            Word::Conf | Word::Dirs | Word::Envi => return hub.look_up(word, origin),
            Word::Srvr | Word::Stat | Word::Mntr | Word::Cons | Word::Dump => {
                return self.ask(origin, word);
            }
            Word::Crst | Word::Srst | Word::Wchs | Word::Wchc | Word::Wchp => {
                return self.ask(origin, word);
            }
            Word::TelnetClose => String::new(),
        };
        shard.finish_word(conn, text.as_bytes());
    }

    /// Asks for a report now, or when there is a place for it.
    fn ask(&self, origin: Origin, word: Word) {
        if let Some(place) = self.hub.places().enter(&self.hub, origin, word) {
            self.hub.ask(word, Caller::Conn(origin, place));
        }
    }

    /// A word's turn has come. Who has gone meanwhile gives it to the next one.
    fn called(&self, shard: &mut Shard, conn: ConnId, word: Word, place: Place) {
        if is_gone(shard, conn) {
            return shard.finish_word(conn, b"");
        }
        self.hub.ask(word, Caller::Conn(Origin { shard: self.shard, conn }, place));
    }

    fn take_errands(&mut self, shard: &mut Shard) {
        while let Some(errand) = self.hub.shard_errand(self.shard) {
            match errand {
                Errand::Part(gather) => self.jobs.push_back(ShardJob::new(gather)),
                Errand::Sessions(gather) => self.session_jobs.push(gather),
                Errand::Turn(conn, word, place) => self.called(shard, conn, word, place),
                Errand::Text(conn, bytes, place) => self.outbox.give(shard, conn, bytes, place),
            }
        }
    }

    fn work(&mut self, shard: &mut Shard, reports: &Reports<'_>) {
        for _ in 0..JOBS_PER_TURN {
            let Some(job) = self.jobs.front_mut() else { break };
            if job.step(shard, &mut self.latencies) == Progress::More {
                break;
            }
            if let Some(job) = self.jobs.pop_front() {
                self.hub.add(&job.gather, job.part);
            }
        }
        let Some(sequencer) = reports.sequencer else { return };
        if let Some((gather, part)) = self.session_jobs.step(sequencer.replica()) {
            self.hub.add(&gather, part);
        }
    }
}

/// Whether nobody is there to take the text of a word.
fn is_gone(shard: &Shard, conn: ConnId) -> bool {
    shard.conn(conn).is_none_or(|conn| conn.phase != Phase::Word)
}

impl ShardLatencies {
    fn note(&mut self, replied: Replied, now_us: u64) {
        let latency_us = now_us.saturating_sub(replied.since_us);
        match OpSpec::of(replied.op).latency {
            LatencyClass::Unmeasured => {}
            LatencyClass::Update => self.updates.record(latency_us),
            LatencyClass::Read => self.reads.record(latency_us),
        }
    }
}
