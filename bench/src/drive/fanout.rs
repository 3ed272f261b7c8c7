//! Watch fan-out: one session of a thread sets a node, all others watch it.
//!
//! A round begins with the set and ends when every watcher has seen its event and, with one-shot
//! watches, has read the node again, which sets the watch for the next round.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use ringkeeper_engine::client::{Event, Reply, Request, WatchMode};
use ringkeeper_engine::wire::event::EventType;

use crate::drive::run_state::RunState;
use crate::drive::session::{RequestSender, SessionLogic};
use crate::drive::signal::Signal;
use crate::load::args::Load;
use crate::load::layout::Layout;
use crate::load::sizes::Sizes;
use crate::load::value::Origin;
use crate::model::clock::Nanos;
use crate::model::kind::Kind;
use crate::model::op::Op;
use crate::model::op::Tag;
use crate::model::window::Times;
use crate::record::tally::Tally;
use crate::verify::check;
use crate::verify::fault::{Fault, FaultKind};

/// Kinds of watch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WatchKind {
    /// Fires once.
    OneShot,
    /// Stays.
    Persistent,
    /// Stays, and sees everything below a node.
    Recursive,
}

/// What the sessions of one thread share.
pub(crate) struct FanoutGroup {
    watched: String,
    /// The node that is set: the one that is watched, or one below it.
    written: String,
    value_bytes: Sizes,
    watch_kind: WatchKind,
    watchers: u32,
    /// Watchers that are not ready for the next round.
    waiting: u32,
    round: u64,
    started: Nanos,
    writer: Rc<Signal>,
}

impl FanoutGroup {
    /// The group of one thread before its first round: every watcher still has to set its watch.
    pub(crate) fn new(
        layout: &Layout,
        thread: u32,
        watch_kind: WatchKind,
        load: &Load,
    ) -> FanoutGroup {
        let watched = layout.watched(thread);
        let written = match watch_kind {
            WatchKind::OneShot | WatchKind::Persistent => watched.clone(),
            WatchKind::Recursive => layout.watched_child(thread),
        };
        FanoutGroup {
            watched,
            written,
            value_bytes: load.value_bytes,
            watch_kind,
            watchers: 0,
            waiting: 0,
            round: 0,
            started: 0,
            writer: Rc::default(),
        }
    }

    pub(crate) fn set_watchers(&mut self, watchers: u32) {
        (self.watchers, self.waiting) = (watchers, watchers);
    }

    /// What wakes the session that writes.
    pub(crate) fn writer(&self) -> Rc<Signal> {
        self.writer.clone()
    }

    fn ready(&mut self) {
        self.waiting -= 1;
        if self.waiting == 0 {
            self.writer.raise();
        }
    }
}

/// Where a watcher stands in a round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WatcherState {
    /// It has to set its watch.
    Unarmed,
    /// The watch is being set.
    Arming,
    /// It has seen this round and set its watch.
    Armed,
}

/// A session of the fan-out.
pub(crate) struct Fanout {
    group: Rc<RefCell<FanoutGroup>>,
    run_state: Arc<RunState>,
    role: Role,
}

enum Role {
    /// Sets the node, to this value.
    Writer(Vec<u8>),
    /// Watches the node, and has seen this round.
    Watcher { round: u64, state: WatcherState },
}

impl Fanout {
    pub(crate) fn writer(group: Rc<RefCell<FanoutGroup>>, run_state: Arc<RunState>) -> Fanout {
        Fanout { group, run_state, role: Role::Writer(Vec::new()) }
    }

    pub(crate) fn watcher(group: Rc<RefCell<FanoutGroup>>, run_state: Arc<RunState>) -> Fanout {
        let role = Role::Watcher { round: 0, state: WatcherState::Unarmed };
        Fanout { group, run_state, role }
    }
}

/// Begins a round if the one before is over.
fn begin_round(
    group: &mut FanoutGroup,
    run_state: &RunState,
    value: &mut Vec<u8>,
    sender: &mut RequestSender<'_>,
) {
    let idle = group.waiting == 0 && sender.in_flight() == 0;
    if !idle || !run_state.may_start(sender.now, group.watchers) {
        return;
    }
    group.round += 1;
    group.waiting = group.watchers;
    group.started = sender.now;
    Origin { key: 0, writer: 0, seq: group.round }.write(group.value_bytes, value);
    let request = Request::SetData { path: &group.written, data: Some(value), version: -1 };
    sender.send(&request, Op { kind: Kind::Set, key: 0, seq: group.round }, sender.now);
}

fn set_watch(group: &FanoutGroup, sender: &mut RequestSender<'_>) {
    let (op, path) = (Op { kind: Kind::Arm, key: 0, seq: group.round }, &group.watched[..]);
    let request = match group.watch_kind {
        WatchKind::OneShot => Request::GetData { path, watch: true },
        WatchKind::Persistent => Request::AddWatch { path, mode: WatchMode::Persistent },
        WatchKind::Recursive => Request::AddWatch { path, mode: WatchMode::PersistentRecursive },
    };
    sender.send(&request, op, sender.now);
}

/// What is read after an event is not older than the event.
fn check_arm(group: &FanoutGroup, reply: &Reply<'_, Tag>, round: u64) -> Result<(), Fault> {
    if group.watch_kind != WatchKind::OneShot {
        return Ok(());
    }
    let (data, _) = check::readable(reply.body.data_stat())?;
    let origin = check::value(data, 0, group.value_bytes)?;
    if Origin::is_signed(data.map_or(0, <[u8]>::len)) && origin.seq < round {
        let story = format!("round {} was read after the event of round {round}", origin.seq);
        return Err(Fault::new(FaultKind::Stale, story));
    }
    Ok(())
}

impl SessionLogic for Fanout {
    fn fill(&mut self, sender: &mut RequestSender<'_>) {
        let group = &mut *self.group.borrow_mut();
        match &mut self.role {
            Role::Writer(value) => begin_round(group, &self.run_state, value, sender),
            Role::Watcher { state, .. } => {
                if *state == WatcherState::Unarmed {
                    *state = WatcherState::Arming;
                    set_watch(group, sender);
                }
            }
        }
    }

    fn reply(
        &mut self,
        reply: &Reply<'_, Tag>,
        _now: Nanos,
        _tally: &mut Tally,
    ) -> Result<(), Fault> {
        check::accepted(reply)?;
        let group = &mut *self.group.borrow_mut();
        match &mut self.role {
            Role::Writer(_) => {
                let stat = check::readable(reply.body.stat())?;
                check::length(&stat, group.value_bytes)
            }
            Role::Watcher { round, state } => {
                *state = WatcherState::Armed;
                group.ready();
                check_arm(group, reply, *round)
            }
        }
    }

    fn event(&mut self, event: &Event<'_>, now: Nanos, tally: &mut Tally) {
        let group = &mut *self.group.borrow_mut();
        let expected = match &mut self.role {
            Role::Writer(_) => false,
            Role::Watcher { round, state } => {
                let due = *round < group.round && *state == WatcherState::Armed;
                if due {
                    *round = group.round;
                    let started = group.started;
                    tally.record(Kind::Event, Times { intended: started, started, ended: now });
                    match group.watch_kind {
                        WatchKind::OneShot => *state = WatcherState::Unarmed,
                        WatchKind::Persistent | WatchKind::Recursive => group.ready(),
                    }
                }
                due && event.path == group.written && event.kind == EventType::NodeDataChanged
            }
        };
        if !expected {
            let story = format!("an event {:?} for {} out of turn", event.kind, event.path);
            tally.fault(Fault::new(FaultKind::Order, story));
        }
    }

    /// The rounds go on without a watcher that is lost.
    fn leave(&mut self) {
        if let Role::Watcher { round, state } = &self.role {
            let mut group = self.group.borrow_mut();
            group.watchers -= 1;
            if *round < group.round || *state != WatcherState::Armed {
                group.ready();
            }
        }
    }

    /// A round that has begun is finished by all.
    fn is_done(&self, now: Nanos) -> bool {
        let finished = match &self.role {
            Role::Writer(_) => true,
            Role::Watcher { round, state } => {
                *round == self.group.borrow().round && *state == WatcherState::Armed
            }
        };
        finished && self.run_state.is_over(now)
    }
}
