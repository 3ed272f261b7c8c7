//! Locks and elections, as Curator makes them: contenders queue as sequential ephemeral nodes, the
//! first one holds, and each of the others watches the one before.
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

use crate::drive::run_state::RunState;
use crate::drive::session::{RequestSender, SessionLogic};
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
pub(crate) struct HolderSlot {
    /// The session that holds, plus one; 0 if none does.
    holder: AtomicU64,
    /// When the last holder began to leave.
    released_at: AtomicU64,
}

/// The places of all queues of a run.
pub(crate) type HolderSlots = Arc<[HolderSlot]>;

/// Where a contender stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ContenderState {
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
    slots: HolderSlots,
    slot: usize,
    run_state: Arc<RunState>,
    state: ContenderState,
    /// Its node, while it has one.
    node: String,
    /// The node before its own.
    ahead: String,
    /// When it asked.
    requested_at: Nanos,
    acl: [Acl; 1],
}

impl Contender {
    pub(crate) fn new(
        recipe: Recipe,
        lane: u32,
        (queue, slot): (String, usize),
        slots: HolderSlots,
        run_state: Arc<RunState>,
    ) -> Contender {
        Contender {
            recipe,
            lane: u64::from(lane) + 1,
            queue,
            slots,
            slot,
            run_state,
            state: ContenderState::Idle,
            node: String::new(),
            ahead: String::new(),
            requested_at: 0,
            acl: [Acl::open()],
        }
    }

    fn send_create(&mut self, sender: &mut RequestSender<'_>) {
        (self.state, self.requested_at) = (ContenderState::Asking, sender.now);
        let path = format!("{}/{PREFIX}", self.queue);
        let mode = CreateMode::EphemeralSequential;
        let create = Create { path: &path, data: Some(b""), acl: &self.acl, mode };
        sender.send(&Request::Create(create), op(Kind::Ephemeral), sender.now);
    }

    fn send_list(&mut self, sender: &mut RequestSender<'_>) {
        self.state = ContenderState::Asking;
        let request = Request::GetChildren { path: &self.queue, watch: false };
        sender.send(&request, op(Kind::Children), sender.now);
    }

    /// What is guarded: a write, so that holding takes the time of one.
    fn send_set(&mut self, sender: &mut RequestSender<'_>) {
        self.state = ContenderState::Asking;
        let data = Some(&b"held"[..]);
        let request = Request::SetData { path: &self.queue, data, version: -1 };
        sender.send(&request, op(Kind::Set), sender.now);
    }

    /// The slot is released before another contender can see that.
    fn send_delete(&mut self, sender: &mut RequestSender<'_>) {
        self.state = ContenderState::Asking;
        self.release(sender.now);
        let request = Request::Delete { path: &self.node, version: -1 };
        sender.send(&request, op(Kind::Delete), sender.now);
    }

    fn release(&mut self, now: Nanos) {
        let slot = &self.slots[self.slot];
        slot.released_at.store(now.max(1), Ordering::SeqCst);
        // A slot that another session has taken meanwhile was counted there.
        let _ = slot.holder.compare_exchange(self.lane, 0, Ordering::SeqCst, Ordering::SeqCst);
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
            let story = format!("{} is not in its queue, but was not deleted", self.node);
            return Err(Fault::new(FaultKind::LostWrite, story));
        }
        match before {
            None => self.hold(now, tally),
            Some(before) => {
                self.ahead = format!("{}/{before}", self.queue);
                self.state = ContenderState::Watching;
                Ok(())
            }
        }
    }

    fn hold(&mut self, now: Nanos, tally: &mut Tally) -> Result<(), Fault> {
        self.state = ContenderState::Holding;
        let slot = &self.slots[self.slot];
        let other = slot.holder.swap(self.lane, Ordering::SeqCst);
        if other != 0 {
            let story = format!("sessions {} and {} in {}", other - 1, self.lane - 1, self.queue);
            return Err(Fault::new(FaultKind::Exclusion, story));
        }
        let released_at = slot.released_at.load(Ordering::SeqCst);
        let (kind, intended) = match self.recipe {
            Recipe::Lock => (Kind::Acquire, self.requested_at),
            // There was no leader before the first one.
            Recipe::Election if released_at == 0 => (Kind::TakeOver, self.requested_at),
            Recipe::Election => (Kind::TakeOver, released_at),
        };
        tally.record(kind, Times { intended, started: self.requested_at, ended: now });
        Ok(())
    }
}

fn op(kind: Kind) -> Op {
    Op { kind, key: 0, seq: 0 }
}

impl SessionLogic for Contender {
    fn fill(&mut self, sender: &mut RequestSender<'_>) {
        match self.state {
            ContenderState::Idle if self.run_state.may_start(sender.now, 1) => {
                self.send_create(sender)
            }
            ContenderState::Looking => self.send_list(sender),
            ContenderState::Holding => self.send_set(sender),
            ContenderState::Leaving => self.send_delete(sender),
            ContenderState::Watching if !self.ahead.is_empty() => {
                let path = std::mem::take(&mut self.ahead);
                let request = Request::GetData { path: &path, watch: true };
                sender.send(&request, op(Kind::Arm), sender.now);
            }
            ContenderState::Idle | ContenderState::Asking | ContenderState::Watching => {}
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
            self.state = ContenderState::Looking;
            return Ok(());
        }
        let accepted = check::accepted(reply);
        if accepted.is_err() {
            self.state = ContenderState::Idle;
        }
        accepted?;
        match kind {
            Kind::Ephemeral => {
                self.node = check::readable(reply.body.path())?.into_owned();
                self.state = ContenderState::Looking;
            }
            Kind::Children => return self.listed(reply, now, tally),
            Kind::Arm => {}
            Kind::Set => self.state = ContenderState::Leaving,
            _ => self.state = ContenderState::Idle,
        }
        Ok(())
    }

    fn event(&mut self, event: &Event<'_>, _now: Nanos, tally: &mut Tally) {
        let expected = self.state == ContenderState::Watching
            && event.kind == EventType::NodeDeleted
            && event.path.starts_with(&self.queue);
        if expected {
            self.state = ContenderState::Looking;
        } else {
            let story = format!("an event {:?} for {} out of turn", event.kind, event.path);
            tally.fault(Fault::new(FaultKind::Order, story));
        }
    }

    /// A session that is lost holds nothing any more.
    fn leave(&mut self) {
        self.release(self.run_state.clock.now());
    }

    /// Each queued contender has its turn.
    fn is_done(&self, now: Nanos) -> bool {
        self.run_state.is_over(now) && self.state == ContenderState::Idle
    }
}
