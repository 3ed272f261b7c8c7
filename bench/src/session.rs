//! One session under load, without its socket: bytes in, bytes out.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use ringkeeper_engine::Millis;
use ringkeeper_engine::client::{
    Broken, Core, Event, Message, Options, Phase, Pulse, Reply, Request,
};

use crate::clock::Nanos;
use crate::course::Course;
use crate::fault::{Fault, FaultKind};
use crate::kind::Kind;
use crate::tally::{Tally, Times};
use crate::workload::Op;

/// What is kept with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tag {
    /// What was asked for.
    pub op: Op,
    /// When it should have been sent.
    pub intended: Nanos,
    /// When it was sent.
    pub started: Nanos,
}

/// Where a part writes its requests.
pub(crate) struct Desk<'a> {
    /// The time.
    pub now: Nanos,
    core: &'a mut Core<Tag>,
    out: &'a mut Vec<u8>,
}

impl Desk<'_> {
    /// Requests that wait for their replies.
    pub(crate) fn in_flight(&self) -> usize {
        self.core.in_flight()
    }

    /// Writes a request that should have been sent at `intended`.
    pub(crate) fn ask(&mut self, request: &Request<'_>, op: Op, intended: Nanos) {
        self.core.request(request, Tag { op, intended, started: self.now }, self.out);
    }
}

/// What a session is for: which requests it sends and what it expects in return.
pub(crate) trait Part: 'static {
    /// Sends what may be sent now.
    fn fill(&mut self, desk: &mut Desk<'_>);
    /// Looks at a reply; a fault means that it is not a good one.
    fn reply(&mut self, reply: &Reply<'_, Tag>, now: Nanos) -> Result<(), Fault>;
    /// Looks at an event.
    fn event(&mut self, event: &Event<'_>, now: Nanos, tally: &mut Tally);
    /// Takes note of an operation that is due: the arrivals of an open loop.
    fn arrive(&mut self, at: Nanos);
    /// Operations that are due, will not be sent any more, and are forgotten by this call.
    fn give_up(&mut self) -> u64;
    /// Takes note that the session is lost.
    fn leave(&mut self);
    /// Whether it would send nothing more, were everything answered.
    fn is_content(&self, now: Nanos) -> bool;
}

/// What can go wrong with a session as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// The handshake or the load.
    Working,
    /// The close was sent.
    Closing,
    /// It is closed or lost.
    Ended,
}

/// One session under load.
pub(crate) struct Session<P> {
    core: Core<Tag>,
    part: P,
    stage: Stage,
    ping_due: bool,
    course: Arc<Course>,
    tally: Rc<RefCell<Tally>>,
}

impl<P: Part> Session<P> {
    /// A session that is not connected yet.
    pub(crate) fn new(
        part: P,
        options: Options,
        course: Arc<Course>,
        tally: Rc<RefCell<Tally>>,
    ) -> Self {
        let core = Core::new(options);
        Session { core, part, stage: Stage::Working, ping_due: false, course, tally }
    }

    /// Writes the handshake.
    pub(crate) fn open(&mut self, now: Nanos, out: &mut Vec<u8>) {
        self.core.connect(millis(now), out);
    }

    /// Whether the handshake has succeeded.
    pub(crate) fn is_open(&self) -> bool {
        self.core.phase() == Phase::Open
    }

    /// Whether there is nothing more to come.
    pub(crate) fn has_ended(&self) -> bool {
        self.stage == Stage::Ended
    }

    /// Whether nothing is in flight and nothing more will be sent.
    pub(crate) fn is_settled(&self, now: Nanos) -> bool {
        self.has_ended() || (self.core.in_flight() == 0 && self.part.is_content(now))
    }

    /// An operation of an open loop is due.
    pub(crate) fn arrive(&mut self, at: Nanos) {
        match self.stage {
            Stage::Working => self.part.arrive(at),
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
                    settle(&reply, now, self.part.reply(&reply, now), tally);
                }
                Message::Event(event) => {
                    tally.checked += 1;
                    self.part.event(&event, now, tally);
                }
                Message::Connected(_) | Message::Pong | Message::Stray(_) => {}
                Message::Expired => self.stage = Stage::Ended,
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
        let mut desk = Desk { now, core: &mut self.core, out };
        self.part.fill(&mut desk);
        if self.course.is_released() {
            desk.ask(&Request::CloseSession, nothing, now);
            self.stage = Stage::Closing;
        }
        if out.len() > before {
            self.core.sent(millis(now));
        }
    }

    /// Looks at the clock. True if there is something to send.
    pub(crate) fn tick(&mut self, now: Nanos) -> bool {
        if self.stage != Stage::Working {
            return false;
        }
        if self.course.is_past_grace(now) {
            self.tally.borrow_mut().unsent += self.part.give_up();
        }
        let pulse = self.core.pulse(millis(now));
        self.ping_due |= pulse == Pulse::Ping;
        if pulse == Pulse::Dead {
            self.lose("nothing heard for two thirds of the session timeout");
        }
        self.ping_due || self.course.is_released()
    }

    /// The connection is gone, for this reason.
    pub(crate) fn lose(&mut self, reason: &str) {
        if self.stage == Stage::Working {
            let lost = self.core.disconnect().len() as u64;
            let story = format!("{reason}; {lost} requests were in flight");
            let tally = &mut *self.tally.borrow_mut();
            tally.fault(Fault::new(FaultKind::Lost, story));
            tally.ledger.unsure += lost;
            tally.unsent += self.part.give_up();
            self.part.leave();
        }
        self.stage = Stage::Ended;
    }

    /// Time is up: what is not answered now never will be.
    pub(crate) fn abandon(&mut self, now: Nanos) {
        let missed = self.stage == Stage::Working && !self.is_settled(now);
        let waiting = self.core.disconnect().len() as u64;
        if missed {
            let story = "still not answered when the time for it was over";
            let fault = Fault::new(FaultKind::Unanswered, story);
            // A watcher whose event never came has nothing in flight, and waits all the same.
            let tally = &mut *self.tally.borrow_mut();
            tally.faults.note_many(waiting.max(1), fault);
            tally.ledger.unsure += waiting;
        }
        self.stage = Stage::Ended;
    }
}

fn settle(reply: &Reply<'_, Tag>, now: Nanos, verdict: Result<(), Fault>, tally: &mut Tally) {
    let Tag { op, intended, started } = reply.tag;
    match verdict {
        Ok(()) => tally.settle(op, Times { intended, started, ended: now }),
        Err(fault) => tally.refuse(op, fault),
    }
}

fn millis(now: Nanos) -> Millis {
    Millis((now / 1_000_000) as i64)
}
