//! One session under load, without its socket: bytes in, bytes out.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ringkeeper_engine::Millis;
use ringkeeper_engine::client::{
    Awaited, Broken, Core, Event, Message, Options, Phase, Pulse, Reply, Request,
};

use crate::drive::run_state::RunState;
use crate::model::clock::Nanos;
use crate::model::kind::Kind;
use crate::model::op::Op;
use crate::model::op::Tag;
use crate::model::window::Times;
use crate::record::tally::Tally;
use crate::verify::fault::{Fault, FaultKind};

/// A connection takes as long as a packet that is lost once, at least.
const TIMEOUT_MIN: Duration = Duration::from_millis(1_500);

/// Where a part writes its requests.
pub(crate) struct RequestSender<'a> {
    pub now: Nanos,
    core: &'a mut Core<Tag>,
    out: &'a mut Vec<u8>,
}

impl RequestSender<'_> {
    /// Requests that wait for their replies.
    pub(crate) fn in_flight(&self) -> usize {
        self.core.in_flight()
    }

    /// Writes a request that should have been sent at `intended`.
    pub(crate) fn send(&mut self, request: &Request<'_>, op: Op, intended: Nanos) {
        self.core.request(request, Tag { op, intended, started: self.now }, self.out);
    }
}

/// What a session is for: which requests it sends and what it expects in return.
pub(crate) trait SessionLogic: 'static {
    /// Sends what may be sent now.
    fn fill(&mut self, sender: &mut RequestSender<'_>);
    /// Looks at a reply, and writes down what it acknowledges; a fault means that it is not a
    /// good one.
    fn reply(&mut self, reply: &Reply<'_, Tag>, now: Nanos, tally: &mut Tally)
    -> Result<(), Fault>;
    /// Looks at an event.
    fn event(&mut self, event: &Event<'_>, now: Nanos, tally: &mut Tally);
    /// Takes note of an operation that is due: the arrivals of an open loop.
    fn due(&mut self, _at: Nanos) {
        unreachable!("only pipelined operations have an open loop")
    }
    /// Operations that are due, will not be sent any more, and are forgotten by this call.
    fn give_up(&mut self) -> u64 {
        0
    }
    /// The outcome of this operation is unknown.
    fn unknown(&mut self, _op: Op) {}
    /// Takes note that the session goes on over another connection.
    fn reattached(&mut self) {}
    /// Takes note that the session is lost.
    fn leave(&mut self) {}
    /// Whether it would send nothing more, were everything answered.
    fn is_done(&self, now: Nanos) -> bool;
}

/// What can go wrong with a session as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// The handshake or the load.
    Working,
    /// The connection is lost; another one may take the session up again.
    Disconnected,
    /// The close was sent.
    Closing,
    /// It is closed or lost.
    Ended,
}

/// What the clock asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    Nothing,
    Send,
    /// The connection is of no use any more.
    Cut,
}

/// One session under load.
pub(crate) struct Session<P> {
    core: Core<Tag>,
    part: P,
    stage: Stage,
    ping_due: bool,
    /// Whether a lost connection is replaced, or the end.
    reconnects: bool,
    run_state: Arc<RunState>,
    tally: Rc<RefCell<Tally>>,
}

impl<P: SessionLogic> Session<P> {
    /// A session that is not connected yet.
    pub(crate) fn new(
        part: P,
        options: Options,
        run_state: Arc<RunState>,
        tally: Rc<RefCell<Tally>>,
    ) -> Self {
        let (core, stage) = (Core::new(options), Stage::Working);
        Session { core, part, stage, ping_due: false, reconnects: false, run_state, tally }
    }

    /// A lost connection is not the end of it.
    pub(crate) fn reconnecting(mut self, reconnects: bool) -> Self {
        self.reconnects = reconnects;
        self
    }

    pub(crate) fn open(&mut self, now: Nanos, out: &mut Vec<u8>) {
        self.core.connect(millis(now), out);
    }

    /// The handshake failed: another server may do better.
    pub(crate) fn close_handshake(&mut self) {
        drop(self.core.disconnect());
    }

    /// How long a connection is waited for.
    pub(crate) fn timeout(&self) -> Duration {
        let timeout_ms = u64::try_from(self.core.timeout_ms()).unwrap_or(0);
        Duration::from_millis(timeout_ms / 3).max(TIMEOUT_MIN)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.core.phase() == Phase::Open
    }

    /// Whether there is nothing more to come.
    pub(crate) fn has_ended(&self) -> bool {
        self.stage == Stage::Ended
    }

    /// Whether it waits for another connection.
    pub(crate) fn needs_socket(&self) -> bool {
        self.stage == Stage::Disconnected && self.core.phase() != Phase::Connecting
    }

    /// There will be no other connection.
    pub(crate) fn give_up_reconnecting(&mut self) {
        self.reconnects = false;
        self.abandon(0);
    }

    /// Whether nothing is in flight and nothing more will be sent.
    pub(crate) fn is_settled(&self, now: Nanos) -> bool {
        let idle = self.stage != Stage::Disconnected && self.core.in_flight() == 0;
        self.has_ended() || (idle && self.part.is_done(now))
    }

    /// An operation of an open loop is due.
    pub(crate) fn due(&mut self, at: Nanos) {
        match self.stage {
            Stage::Working | Stage::Disconnected => self.part.due(at),
            Stage::Closing | Stage::Ended => self.tally.borrow_mut().unsent += 1,
        }
    }

    /// Reads messages off `bytes` and returns how many bytes they took.
    pub(crate) fn receive(&mut self, now: Nanos, bytes: &[u8]) -> Result<usize, Broken> {
        self.core.heard(millis(now));
        let tally = &mut *self.tally.borrow_mut();
        let mut rest = bytes;
        while let Some(message) = self.core.receive(&mut rest)? {
            match message {
                Message::Reply(reply) if reply.tag.op.kind == Kind::Close => {
                    self.stage = Stage::Ended;
                }
                Message::Reply(reply) => {
                    tally.checked += 1;
                    let verdict = self.part.reply(&reply, now, tally);
                    if verdict.is_ok() && reply.tag.op.kind.is_write() {
                        self.run_state.acks.take(now);
                    }
                    settle(&reply, now, verdict, tally);
                }
                Message::Event(event) => {
                    tally.checked += 1;
                    self.part.event(&event, now, tally);
                }
                Message::Connected(_) if self.stage == Stage::Disconnected => {
                    self.stage = Stage::Working;
                    self.part.reattached();
                    tally.outages.reattached += 1;
                }
                Message::Connected(_) | Message::Pong | Message::Stray(_) => {}
                Message::Expired => {
                    if self.stage == Stage::Disconnected {
                        let story = "the session had expired when it was to be re-attached";
                        tally.fault(Fault::new(FaultKind::Lost, story));
                        tally.unsent += self.part.give_up();
                        self.part.leave();
                    }
                    self.stage = Stage::Ended;
                }
            }
        }
        for violation in self.core.take_violations() {
            tally.fault(violation.into());
        }
        Ok(bytes.len() - rest.len())
    }

    /// Writes what is to be sent now.
    pub(crate) fn fill(&mut self, now: Nanos, out: &mut Vec<u8>) {
        if self.stage != Stage::Working || !self.is_open() {
            return;
        }
        let before = out.len();
        let nothing = Op { kind: Kind::Close, key: 0, seq: 0 };
        if std::mem::take(&mut self.ping_due) {
            let tag = Tag { op: nothing, intended: now, started: now };
            self.core.request(&Request::Ping, tag, out);
        }
        let mut sender = RequestSender { now, core: &mut self.core, out };
        self.part.fill(&mut sender);
        if self.run_state.is_released() {
            sender.send(&Request::CloseSession, nothing, now);
            self.stage = Stage::Closing;
        }
        if out.len() > before {
            self.core.sent(millis(now));
        }
    }

    pub(crate) fn tick(&mut self, now: Nanos) -> Due {
        if self.run_state.is_past_grace(now)
            && matches!(self.stage, Stage::Working | Stage::Disconnected)
        {
            self.tally.borrow_mut().unsent += self.part.give_up();
        }
        let pulse = self.core.pulse(millis(now));
        match self.stage {
            Stage::Working | Stage::Disconnected if pulse == Pulse::Dead => {
                self.lose("nothing heard for two thirds of the session timeout");
                Due::Cut
            }
            Stage::Working => {
                self.ping_due |= pulse == Pulse::Ping;
                let sends = self.ping_due || self.run_state.is_released();
                if sends { Due::Send } else { Due::Nothing }
            }
            Stage::Disconnected if self.run_state.is_released() => {
                self.stage = Stage::Ended;
                Due::Cut
            }
            Stage::Disconnected | Stage::Closing | Stage::Ended => Due::Nothing,
        }
    }

    /// The connection is gone, for this reason.
    pub(crate) fn lose(&mut self, reason: &str) {
        match self.stage {
            Stage::Working => {
                let lost = self.core.disconnect();
                self.mark_unknown(&lost);
                let tally = &mut *self.tally.borrow_mut();
                tally.outages.disconnects += 1;
                if self.reconnects {
                    self.stage = Stage::Disconnected;
                    return;
                }
                let story = format!("{reason}; {} requests were in flight", lost.len());
                tally.fault(Fault::new(FaultKind::Lost, story));
                tally.unsent += self.part.give_up();
                self.part.leave();
                self.stage = Stage::Ended;
            }
            // A handshake failed: the next server may do better.
            Stage::Disconnected => drop(self.core.disconnect()),
            Stage::Closing | Stage::Ended => self.stage = Stage::Ended,
        }
    }

    fn mark_unknown(&mut self, lost: &[Awaited<Tag>]) {
        let tally = &mut *self.tally.borrow_mut();
        tally.outages.unknown += lost.len() as u64;
        for awaited in lost {
            tally.ledger.mark_unknown(awaited.tag.op);
            self.part.unknown(awaited.tag.op);
        }
    }

    /// Time is up: what is not answered now never will be.
    pub(crate) fn abandon(&mut self, now: Nanos) {
        let missed = self.stage == Stage::Working && !self.is_settled(now);
        let apart = self.stage == Stage::Disconnected;
        let waiting = self.core.disconnect();
        if missed {
            let story = "still not answered when the time for it was over";
            let fault = Fault::new(FaultKind::Unanswered, story);
            // A watcher whose event never came has nothing in flight, and waits all the same.
            let count = (waiting.len() as u64).max(1);
            self.tally.borrow_mut().faults.note_many(count, fault);
            self.mark_unknown(&waiting);
        } else if apart {
            let story = "no server re-attached the session before the time for it was over";
            self.tally.borrow_mut().fault(Fault::new(FaultKind::Lost, story));
        }
        self.stage = Stage::Ended;
    }
}

fn settle(reply: &Reply<'_, Tag>, now: Nanos, verdict: Result<(), Fault>, tally: &mut Tally) {
    let Tag { op, intended, started } = reply.tag;
    match verdict {
        Ok(()) if op.kind == Kind::Presence => {}
        Ok(()) => tally.record(op.kind, Times { intended, started, ended: now }),
        Err(fault) => tally.refuse(op, fault),
    }
}

fn millis(now: Nanos) -> Millis {
    Millis((now / 1_000_000) as i64)
}
