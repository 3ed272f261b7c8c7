//! The part of most sessions: a script of operations, several in flight.

use std::collections::VecDeque;
use std::sync::Arc;

use ringkeeper_engine::client::{Create, CreateMode, Event, Reply, Request};
use ringkeeper_engine::wire::{Acl, Stat};

use crate::drive::presence::Presence;
use crate::drive::run_state::RunState;
use crate::drive::session::{RequestSender, SessionLogic};
use crate::load::args::Load;
use crate::load::keys::Chooser;
use crate::load::layout::Layout;
use crate::load::mix::Mix;
use crate::load::rng::Rng;
use crate::load::sizes::Sizes;
use crate::load::value::Origin;
use crate::load::workload::Script;
use crate::model::clock::Nanos;
use crate::model::kind::Kind;
use crate::model::op::Op;
use crate::model::op::Tag;
use crate::record::tally::Tally;
use crate::verify::check::{self, Seen};
use crate::verify::fault::{Fault, FaultKind};
use crate::verify::ledger::Ledger;

/// A session that works through a script.
pub(crate) struct Pipelined {
    lane: u32,
    script: Script,
    seen: Seen,
    /// Operations that are due, in an open loop.
    arrivals: Option<VecDeque<Nanos>>,
    load: Arc<Load>,
    layout: Arc<Layout>,
    run_state: Arc<RunState>,
    names: Names,
    value: Vec<u8>,
    acl: [Acl; 1],
    /// Its ephemeral node, if it is re-attached when its connection is lost.
    presence: Option<Presence>,
}

/// Paths that this session makes up.
struct Names {
    /// The node below which it creates, with a slash.
    dir: String,
    listed: String,
    path: String,
}

impl Names {
    /// The node of this operation.
    fn made(&mut self, op: Op) -> &str {
        self.path.clear();
        self.path.push_str(&self.dir);
        Layout::push_created(op, &mut self.path);
        &self.path
    }
}

impl Pipelined {
    /// The part of one session; `lane` is its number among all.
    pub(crate) fn new(
        lane: u32,
        (mix, chooser): (Mix, Chooser),
        load: &Arc<Load>,
        layout: &Arc<Layout>,
        run_state: &Arc<RunState>,
    ) -> Self {
        let rng = Rng::new(load.seed, u64::from(lane));
        Pipelined {
            lane,
            script: Script::new(mix, chooser, lane, rng),
            seen: Seen::new(layout.keys.len() as u32),
            arrivals: load.rate.map(|_| VecDeque::new()),
            load: load.clone(),
            layout: layout.clone(),
            run_state: run_state.clone(),
            names: Names {
                dir: format!("{}/", layout.lane(lane)),
                listed: layout.listed(),
                path: String::new(),
            },
            value: Vec::new(),
            acl: [Acl::open()],
            presence: load.reconnect.then(|| Presence::new(lane, layout.presence(lane))),
        }
    }

    /// When the next operation should have started, if there is one to start now.
    fn next_start(&mut self, now: Nanos) -> Option<Nanos> {
        match &mut self.arrivals {
            Some(arrivals) => arrivals.pop_front(),
            None => self.run_state.may_start(now, 1).then_some(now),
        }
    }

    fn origin(&self, op: Op) -> Origin {
        Origin { key: op.key, writer: self.lane, seq: op.seq }
    }

    fn send(&mut self, op: Op, intended: Nanos, sender: &mut RequestSender<'_>) {
        let key = self.layout.keys.get(op.key as usize).map_or("", String::as_str);
        match op.kind {
            Kind::Create => self.send_create(op, CreateMode::Persistent, intended, sender),
            Kind::Ephemeral => self.send_create(op, CreateMode::Ephemeral, intended, sender),
            Kind::Multi => self.send_multi(op, intended, sender),
            Kind::Delete => {
                let path = self.names.made(op);
                sender.send(&Request::Delete { path, version: -1 }, op, intended);
            }
            Kind::Set => {
                self.origin(op).write(self.load.value_bytes, &mut self.value);
                let data = Some(&self.value[..]);
                sender.send(&Request::SetData { path: key, data, version: -1 }, op, intended);
            }
            Kind::Get => sender.send(&Request::GetData { path: key, watch: false }, op, intended),
            Kind::Exists => sender.send(&Request::Exists { path: key, watch: false }, op, intended),
            Kind::SyncGet => {
                sender.send(&Request::Sync { path: key }, Op { kind: Kind::Sync, ..op }, intended);
                sender.send(&Request::GetData { path: key, watch: false }, op, intended);
            }
            Kind::Children => {
                let path = &self.names.listed;
                sender.send(&Request::GetChildren { path, watch: false }, op, intended);
            }
            Kind::Sync
            | Kind::Event
            | Kind::Arm
            | Kind::Acquire
            | Kind::TakeOver
            | Kind::Connect
            | Kind::Close
            | Kind::Session
            | Kind::Presence => unreachable!("no script holds {:?}", op.kind),
        }
    }

    fn send_create(
        &mut self,
        op: Op,
        mode: CreateMode,
        intended: Nanos,
        sender: &mut RequestSender<'_>,
    ) {
        self.origin(op).write(self.load.value_bytes, &mut self.value);
        let (path, data) = (self.names.made(op), Some(&self.value[..]));
        sender.send(&Request::Create(Create { path, data, acl: &self.acl, mode }), op, intended);
    }

    /// Create, set, set one of the keys, delete: every kind of result, and the tree stays as big.
    fn send_multi(&mut self, op: Op, intended: Nanos, sender: &mut RequestSender<'_>) {
        self.origin(op).write(self.load.value_bytes, &mut self.value);
        let key = &self.layout.keys[op.key as usize];
        let (path, data) = (self.names.made(op), Some(&self.value[..]));
        let mode = CreateMode::Persistent;
        let parts = [
            Request::Create(Create { path, data, acl: &self.acl, mode }),
            Request::SetData { path, data, version: 0 },
            Request::SetData { path: key, data, version: -1 },
            Request::Delete { path, version: 1 },
        ];
        sender.send(&Request::Multi(&parts), op, intended);
    }

    fn check(&mut self, reply: &Reply<'_, Tag>, ledger: &mut Ledger) -> Result<(), Fault> {
        let (op, sizes, body) = (reply.tag.op, self.load.value_bytes, reply.body);
        match op.kind {
            Kind::Create | Kind::Ephemeral => {
                check::names(&check::readable(body.path())?, self.names.made(op))?;
                if op.kind == Kind::Create {
                    self.script.created(op.seq);
                }
                ledger.node(op);
                Ok(())
            }
            Kind::Delete => {
                ledger.node(op);
                Ok(())
            }
            Kind::Get | Kind::SyncGet => {
                let (data, stat) = check::readable(body.data_stat())?;
                let origin = check::value(data, op.key, sizes)?;
                let signed = Origin::is_signed(data.map_or(0, <[u8]>::len));
                self.seen.see(op.key, &stat, Some(origin).filter(|_| signed))
            }
            Kind::Set => self.wrote(op, &check::readable(body.stat())?, ledger),
            Kind::Exists => {
                let stat = check::readable(body.stat())?;
                check::length(&stat, sizes)?;
                self.seen.see(op.key, &stat, None)
            }
            Kind::Children => check::children(body, self.load.children),
            Kind::Multi => {
                let results = check::readable(body.multi())?;
                let stat = check::multi(&results, self.names.made(op))?;
                self.wrote(op, &stat, ledger)
            }
            Kind::Sync => check::readable(body.path()).map(drop),
            Kind::Event
            | Kind::Arm
            | Kind::Acquire
            | Kind::TakeOver
            | Kind::Connect
            | Kind::Close
            | Kind::Session
            | Kind::Presence => unreachable!("no script holds {:?}", op.kind),
        }
    }

    /// A set of a key was acknowledged.
    fn wrote(&mut self, op: Op, stat: &Stat, ledger: &mut Ledger) -> Result<(), Fault> {
        let origin = self.origin(op);
        let bytes = origin.bytes(self.load.value_bytes);
        ledger.set(origin, stat);
        check::length(stat, Sizes::fixed(bytes))?;
        self.seen.see(op.key, stat, Some(origin).filter(|_| Origin::is_signed(bytes)))
    }
}

impl SessionLogic for Pipelined {
    fn fill(&mut self, sender: &mut RequestSender<'_>) {
        if let Some(presence) = &mut self.presence {
            presence.fill(sender);
        }
        while sender.in_flight() < self.load.pipeline as usize {
            let Some(intended) = self.next_start(sender.now) else { break };
            let op = self.script.next_op();
            self.send(op, intended, sender);
        }
    }

    fn reply(
        &mut self,
        reply: &Reply<'_, Tag>,
        _now: Nanos,
        tally: &mut Tally,
    ) -> Result<(), Fault> {
        if let Some(presence) = &mut self.presence
            && reply.tag.op.kind == Kind::Presence
        {
            return presence.reply(reply, &mut tally.outages);
        }
        check::accepted(reply).and_then(|()| self.check(reply, &mut tally.ledger))
    }

    fn event(&mut self, event: &Event<'_>, _now: Nanos, tally: &mut Tally) {
        let story = format!("an event for {} without a watch", event.path);
        tally.fault(Fault::new(FaultKind::Order, story));
    }

    fn due(&mut self, at: Nanos) {
        self.arrivals.as_mut().expect("arrivals belong to an open loop").push_back(at);
    }

    fn give_up(&mut self) -> u64 {
        let Some(arrivals) = &mut self.arrivals else { return 0 };
        let count = arrivals.len() as u64;
        arrivals.clear();
        count
    }

    fn unknown(&mut self, op: Op) {
        match &mut self.presence {
            Some(presence) if op.kind == Kind::Presence => presence.unknown(op),
            Some(_) | None => self.script.forget(op),
        }
    }

    fn reattached(&mut self) {
        if let Some(presence) = &mut self.presence {
            presence.reattached();
        }
    }

    fn is_done(&self, now: Nanos) -> bool {
        self.run_state.is_over(now)
            && self.arrivals.as_ref().is_none_or(VecDeque::is_empty)
            && self.presence.as_ref().is_none_or(Presence::is_settled)
    }
}
