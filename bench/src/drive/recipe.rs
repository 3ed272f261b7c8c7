//! Locks and elections, as Curator makes them: contenders queue as sequential ephemeral nodes, the
//! first one holds, and everybody else watches the one before.
//!
//! All contenders are in this process, so that it is known for certain whether two of them held the
//! same lock at the same time: each marks the holder's place when it learns that it is first, makes
//! one write, and leaves the place just before it sends the delete of its node.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ringkeeper_engine::Code;
use ringkeeper_engine::client::{Create, CreateMode, Event, Reply, Request};
use ringkeeper_engine::wire::Acl;
use ringkeeper_engine::wire::event::EventType;

use crate::drive::run_state::Course;
use crate::drive::session::{Desk, Part};
use crate::model::clock::Nanos;
use crate::model::kind::Kind;
use crate::model::op::Op;
use crate::model::op::Tag;
use crate::model::window::Times;
use crate::record::tally::Tally;
use crate::verify::check;
use crate::verify::fault::{Fault, FaultKind};

/// Name of the nodes in a queue, before their number.
const PREFIX: &str = "lock-";

/// What is timed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Recipe {
    /// From asking for a lock to holding it.
    Lock,
    /// From the resignation of one leader to the next one's knowing that it leads.
    Election,
}

/// The holder's place of one queue.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// The session that holds, plus one; 0 is nobody.
    holder: AtomicU64,
    /// When the last holder began to leave.
    left: AtomicU64,
}

/// The places of all queues of a run.
pub(crate) type Places = Arc<[Place]>;

/// Where a contender stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stand {
    /// It has no node.
    Idle,
    /// It waits for an answer.
    Asking,
    /// It has to look who is before it.
    Looking,
    /// The watch of the one before is set or on its way.
    Watching,
    /// It holds, and has something to do meanwhile.
    Holding,
    /// It has to leave.
    Leaving,
}

/// A session that queues again and again.
pub(crate) struct Contender {
    recipe: Recipe,
    lane: u64,
    queue: String,
    places: Places,
    place: usize,
    course: Arc<Course>,
    stand: Stand,
    /// Its node, while it has one.
    node: String,
    /// The node before its own.
    ahead: String,
    /// When it asked.
    asked: Nanos,
    acl: [Acl; 1],
}

impl Contender {
    /// A contender of one queue.
    pub(crate) fn new(
        recipe: Recipe,
        lane: u32,
        (queue, place): (String, usize),
        places: Places,
        course: Arc<Course>,
    ) -> Contender {
        Contender {
            recipe,
            lane: u64::from(lane) + 1,
            queue,
            places,
            place,
            course,
            stand: Stand::Idle,
            node: String::new(),
            ahead: String::new(),
            asked: 0,
            acl: [Acl::open()],
        }
    }

    fn ask_create(&mut self, desk: &mut Desk<'_>) {
        (self.stand, self.asked) = (Stand::Asking, desk.now);
        let path = format!("{}/{PREFIX}", self.queue);
        let mode = CreateMode::EphemeralSequential;
        let create = Create { path: &path, data: Some(b""), acl: &self.acl, mode };
        desk.ask(&Request::Create(create), op(Kind::Ephemeral), desk.now);
    }

    fn ask_list(&mut self, desk: &mut Desk<'_>) {
        self.stand = Stand::Asking;
        let request = Request::GetChildren { path: &self.queue, watch: false };
        desk.ask(&request, op(Kind::Children), desk.now);
    }

    /// What is guarded: a write, so that holding takes the time of one.
    fn ask_work(&mut self, desk: &mut Desk<'_>) {
        self.stand = Stand::Asking;
        let data = Some(&b"held"[..]);
        let request = Request::SetData { path: &self.queue, data, version: -1 };
        desk.ask(&request, op(Kind::Set), desk.now);
    }

    /// Its place is free before anybody else can learn so.
    fn ask_delete(&mut self, desk: &mut Desk<'_>) {
        self.stand = Stand::Asking;
        self.vacate(desk.now);
        let request = Request::Delete { path: &self.node, version: -1 };
        desk.ask(&request, op(Kind::Delete), desk.now);
    }

    fn vacate(&mut self, now: Nanos) {
        let place = &self.places[self.place];
        place.left.store(now.max(1), Ordering::SeqCst);
        // A place that somebody else has taken meanwhile is counted there.
        let _ = place.holder.compare_exchange(self.lane, 0, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Finds out whether it is first, or whom to watch.
    fn listed(
        &mut self,
        reply: &Reply<'_, Tag>,
        now: Nanos,
        tally: &mut Tally,
    ) -> Result<(), Fault> {
        let own = self.node.rsplit('/').next().unwrap_or_default();
        let mut before: Option<String> = None;
        let mut found = false;
        for name in check::readable(reply.body.names())? {
            found |= name == own;
            let is_nearer = before.as_deref().is_none_or(|before| before < name.as_ref());
            if name.as_ref() < own && is_nearer {
                before = Some(name.into_owned());
            }
        }
        if !found {
            let story = format!("{} is not in its queue, and nobody deleted it", self.node);
            return Err(Fault::new(FaultKind::LostWrite, story));
        }
        match before {
            None => self.hold(now, tally),
            Some(before) => {
                self.ahead = format!("{}/{before}", self.queue);
                self.stand = Stand::Watching;
                Ok(())
            }
        }
    }

    fn hold(&mut self, now: Nanos, tally: &mut Tally) -> Result<(), Fault> {
        self.stand = Stand::Holding;
        let place = &self.places[self.place];
        let other = place.holder.swap(self.lane, Ordering::SeqCst);
        if other != 0 {
            let story = format!("sessions {} and {} in {}", other - 1, self.lane - 1, self.queue);
            return Err(Fault::new(FaultKind::Exclusion, story));
        }
        let left = place.left.load(Ordering::SeqCst);
        let (kind, intended) = match self.recipe {
            Recipe::Lock => (Kind::Acquire, self.asked),
            // Nobody led before the first one.
            Recipe::Election if left == 0 => (Kind::TakeOver, self.asked),
            Recipe::Election => (Kind::TakeOver, left),
        };
        tally.record(kind, Times { intended, started: self.asked, ended: now });
        Ok(())
    }
}

fn op(kind: Kind) -> Op {
    Op { kind, key: 0, seq: 0 }
}

impl Part for Contender {
    fn fill(&mut self, desk: &mut Desk<'_>) {
        match self.stand {
            Stand::Idle if self.course.may_start(desk.now, 1) => self.ask_create(desk),
            Stand::Looking => self.ask_list(desk),
            Stand::Holding => self.ask_work(desk),
            Stand::Leaving => self.ask_delete(desk),
            Stand::Watching if !self.ahead.is_empty() => {
                let path = std::mem::take(&mut self.ahead);
                let request = Request::GetData { path: &path, watch: true };
                desk.ask(&request, op(Kind::Arm), desk.now);
            }
            Stand::Idle | Stand::Asking | Stand::Watching => {}
        }
    }

    fn reply(
        &mut self,
        reply: &Reply<'_, Tag>,
        now: Nanos,
        tally: &mut Tally,
    ) -> Result<(), Fault> {
        let kind = reply.tag.op.kind;
        // The one before has left between the list and the watch.
        if kind == Kind::Arm && reply.err == Code::NoNode.to_wire() {
            self.stand = Stand::Looking;
            return Ok(());
        }
        let accepted = check::accepted(reply);
        if accepted.is_err() {
            self.stand = Stand::Idle;
        }
        accepted?;
        match kind {
            Kind::Ephemeral => {
                self.node = check::readable(reply.body.path())?.into_owned();
                self.stand = Stand::Looking;
            }
            Kind::Children => return self.listed(reply, now, tally),
            Kind::Arm => {}
            Kind::Set => self.stand = Stand::Leaving,
            _ => self.stand = Stand::Idle,
        }
        Ok(())
    }

    fn event(&mut self, event: &Event<'_>, _now: Nanos, tally: &mut Tally) {
        let expected = self.stand == Stand::Watching
            && event.kind == EventType::NodeDeleted
            && event.path.starts_with(&self.queue);
        if expected {
            self.stand = Stand::Looking;
        } else {
            let story = format!("an event {:?} for {} out of turn", event.kind, event.path);
            tally.fault(Fault::new(FaultKind::Order, story));
        }
    }

    /// A session that is lost holds nothing any more.
    fn leave(&mut self) {
        self.vacate(self.course.clock.now());
    }

    /// Everybody who has queued has its turn.
    fn is_content(&self, now: Nanos) -> bool {
        self.course.is_over(now) && self.stand == Stand::Idle
    }
}
