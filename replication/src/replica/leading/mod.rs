//! A server that orders: the leader. A standalone server is one whose quorum has one member; the
//! leader of an ensemble also orders what its learners send, and commits with other voters.

mod learners;

use ringkeeper_engine::database::Database;
use ringkeeper_engine::log::LogCapacity;
use ringkeeper_engine::request::{Origin, Outcome, Request, RequestKind};
use ringkeeper_engine::sequencer::Caller;
use ringkeeper_engine::session::{Owner, ServerId, SessionTable};
use ringkeeper_engine::throttle::NewConnection;
use ringkeeper_engine::wire::connect::Password;
use ringkeeper_engine::{Now, SessionId, Zxid};

use super::Common;
use super::closing::{ClosedBy, Closing};
use super::commit_queue::{SyncFrom, UNCONFIRMED};
use super::forwarding::{Forwarding, Kept, KeptRequest};
use super::orderer::{Ordered, Orderer};
use super::quorum::Quorum;
use super::serving::connection_of;
use crate::leader::{Acknowledgement, ToLearners};
use crate::plant::{Bug, is_planted};
use crate::{Committed, Input, Outputs, Proposal, WriteAdmission};

/// Bytes of packets of requests that have waited for a leader, after which a step orders no more of
/// them: as much as a batch of new ones.
const KEPT_BYTES: usize = 1 << 20;

/// The part of a replica that orders, and that decides what is committed.
pub(super) struct Leading {
    pub(super) orderer: Orderer,
    pub(super) quorum: Quorum,
    /// What the leader of an ensemble needs besides.
    pub(super) ensemble: Option<Ensemble>,
    /// What the log can take, as it was told last.
    pub(super) capacity: LeftCapacity,
}

/// What a log can take, and what was in the group by then.
#[derive(Clone, Copy)]
pub(super) struct LeftCapacity {
    capacity: LogCapacity,
    group_bytes: usize,
}

impl Default for LeftCapacity {
    fn default() -> LeftCapacity {
        LeftCapacity { capacity: LogCapacity::UNBOUNDED, group_bytes: 0 }
    }
}

/// What a leader that others may follow keeps.
pub(super) struct Ensemble {
    /// What waited for a leader and is not ordered yet. It comes before all that is new.
    pub(super) kept: Kept,
    /// The number that a quorum has confirmed.
    confirmed: u64,
    /// The number that syncs of this step wait for.
    confirming: Option<u64>,
    /// Requests of learners were dropped, for the log had no space.
    pub(super) has_dropped: bool,
}

impl Ensemble {
    /// Nothing is confirmed.
    pub(super) fn new(kept: Kept) -> Ensemble {
        Ensemble { kept, confirmed: UNCONFIRMED, confirming: None, has_dropped: false }
    }
}

/// What a leader leaves behind that leads no more.
pub(super) struct LeftRole {
    /// The sessions, of which none expires any more.
    pub(super) sessions: SessionTable,
    /// What waits for the next leader.
    pub(super) forwarding: Forwarding,
    /// The epoch that it led.
    pub(super) epoch: u32,
    /// The last transaction that it has ordered, or had before.
    pub(super) last: Zxid,
    /// What is committed.
    pub(super) committed: Zxid,
    /// What its own disk holds.
    pub(super) durable: Zxid,
}

impl Leading {
    /// Ends the role.
    pub(super) fn leave(&mut self) -> LeftRole {
        let ensemble = self.ensemble.take().expect("others can lead");
        LeftRole {
            sessions: self.orderer.take_sessions(),
            forwarding: ensemble.kept.into_forwarding(),
            epoch: self.orderer.epoch(),
            last: self.orderer.last(),
            committed: self.quorum.committed(),
            durable: self.quorum.durable(),
        }
    }

    /// See [`super::Replica::step`].
    pub(super) fn step(&mut self, common: &mut Common, input: Input<'_>, out: &mut Outputs) {
        if let Some(ensemble) = &mut self.ensemble {
            ensemble.confirming = None;
        }
        match input {
            Input::Requests { requests, db, now } => {
                self.look_at(common, db);
                if requests.is_empty() {
                    self.order_kept(common, (db, now), out);
                }
                let waits = self.kept().is_some_and(|kept| !kept.is_empty());
                assert!(requests.is_empty() || !waits, "what has waited comes first");
                prefetch(requests, db);
                for request in requests.drain(..) {
                    self.admit(out);
                    self.on_request(common, request, (db, now), out);
                }
            }
            Input::Flushed(upto) => self.on_flushed(upto),
            Input::Tick { db, now } => {
                self.look_at(common, db);
                self.on_tick(common, (db, now), out);
            }
            Input::Paused { now } => self.orderer.paused(now),
            Input::Capacity(capacity) => {
                self.capacity = LeftCapacity { capacity, group_bytes: out.group.bytes() };
                self.admit(out);
            }
            Input::Acked(acks) => acks.drain(..).for_each(|ack| self.on_ack(ack)),
            Input::Learners { events, db, now } => {
                self.look_at(common, db);
                learners::prefetch(events, db);
                for event in events.drain(..) {
                    self.admit(out);
                    self.on_learner(common, event, (db, now), out);
                }
            }
            Input::Leader { .. } | Input::Replaced { .. } | Input::Unconfirmed { .. } => {
                unreachable!("a server that orders has no leader")
            }
            Input::Lead { .. } | Input::StopLeading { .. } => unreachable!("the replica takes it"),
        }
        self.release(common, out);
    }

    /// What waited for a leader and is not ordered yet.
    pub(super) fn kept(&self) -> Option<&Kept> {
        self.ensemble.as_ref().map(|ensemble| &ensemble.kept)
    }

    /// The database may be behind what is committed, never ahead of it. What it has not applied is
    /// among the outstanding changes.
    fn look_at(&mut self, common: &Common, db: &Database) {
        common.assert_applied(db);
        self.orderer.begin_step(db.applied());
    }

    /// Orders a portion of what has waited for a leader.
    fn order_kept(&mut self, common: &mut Common, at: (&Database, Now), out: &mut Outputs) {
        let mut ordered = 0;
        while ordered < KEPT_BYTES {
            let kept = self.ensemble.as_mut().and_then(|ensemble| ensemble.kept.pop());
            let Some((request, bytes, behind)) = kept else { return };
            ordered += bytes;
            self.on_kept(common, request, at, out);
            behind.into_iter().for_each(|local| common.queue.push(local));
        }
    }

    /// Its client was let in, and has proved what it had to, when the request came.
    fn on_kept(
        &mut self,
        common: &mut Common,
        request: KeptRequest,
        (db, now): (&Database, Now),
        out: &mut Outputs,
    ) {
        match request {
            KeptRequest::Open(session, origin, timeout_ms) => {
                self.open(common, (session, timeout_ms), origin, now, out);
            }
            KeptRequest::Write(caller, origin, write) => {
                let owner = Owner::Connection(origin);
                let ordered = self.orderer.write(db, &caller, owner, write, now);
                common.enter(origin, ordered, out);
            }
            KeptRequest::Close(caller, origin) => {
                self.close(common, origin, caller, (db, now), out);
            }
            KeptRequest::Sync(caller, origin) => self.sync(common, origin, caller, out),
            KeptRequest::Attach(session, origin, timeout_ms) => {
                self.attach_verified(common, origin, (session, timeout_ms), now, out);
            }
        }
    }

    fn on_request(
        &mut self,
        common: &mut Common,
        request: Request,
        (db, now): (&Database, Now),
        out: &mut Outputs,
    ) {
        let Request { origin, caller, kind } = request;
        match kind {
            RequestKind::Open { .. } if !common.serving.admits(NewConnection::Open, now) => {
                common.queue.answer(origin, Outcome::Unavailable);
            }
            RequestKind::Attach { .. } if !common.serving.admits(NewConnection::Renew, now) => {
                common.queue.answer(origin, Outcome::Unavailable);
            }
            RequestKind::Open { timeout_ms } => {
                let session = common.serving.new_session(self.orderer.sessions());
                let timeout_ms = self.orderer.sessions().clamp(timeout_ms);
                self.open(common, (session, timeout_ms), origin, now, out);
            }
            RequestKind::Attach { session, password, timeout_ms } => {
                self.attach(common, origin, (session, password, timeout_ms), now, out);
            }
            RequestKind::Sync => self.sync(common, origin, caller, out),
            RequestKind::Read(read) => common.queue.read(origin, caller, read),
            RequestKind::Close => self.close(common, origin, caller, (db, now), out),
            RequestKind::Write(write) => {
                let owner = Owner::Connection(origin);
                let ordered = self.orderer.write(db, &caller, owner, write, now);
                common.enter(origin, ordered, out);
            }
        }
    }

    /// A client here ends its session.
    fn close(
        &mut self,
        common: &mut Common,
        origin: Origin,
        caller: Caller,
        at: (&Database, Now),
        out: &mut Outputs,
    ) {
        let by = (Owner::Connection(origin), ClosedBy::Client(origin));
        match self.orderer.close(caller, by, at.1) {
            Some(ordered) => common.enter(origin, ordered, out),
            None => self.go_on_closing(common, at, out),
        }
    }

    /// Orders what this step may of the ends of sessions.
    fn go_on_closing(
        &mut self,
        common: &mut Common,
        (db, now): (&Database, Now),
        out: &mut Outputs,
    ) {
        while let Some((txn, ended)) = self.orderer.next_end(db, now) {
            let Some(Closing { by, caller }) = ended else {
                common.queue.propose(Proposal::internal(txn), &mut out.group);
                continue;
            };
            match by {
                ClosedBy::Client(origin) => common.enter(origin, Ordered::Txn(txn), out),
                ClosedBy::Learner => {
                    common.queue.propose(Proposal::internal(txn), &mut out.group);
                }
                ClosedBy::Expiry(owner) => {
                    common.expired += 1;
                    common.queue.propose(Proposal::internal(txn), &mut out.group);
                    if let Some(origin) = owner.and_then(connection_of) {
                        common.queue.close_connection(origin, caller.session);
                    }
                }
            }
        }
    }

    /// A sync is answered behind everything that is ordered, when a quorum has confirmed since it
    /// came that this server leads. A quorum of one has.
    fn sync(&mut self, common: &mut Common, origin: Origin, caller: Caller, out: &mut Outputs) {
        if self.quorum.is_alone() {
            return common.queue.answer(origin, Outcome::Synced);
        }
        let confirmation = self.confirm(common, out);
        let from = SyncFrom::Client(origin, caller);
        common.queue.sync(from, confirmation, self.orderer.last());
    }

    /// The number by which a quorum confirms that this server leads. All syncs of a step share one.
    fn confirm(&mut self, common: &mut Common, out: &mut Outputs) -> u64 {
        let Some(ensemble) = self.ensemble.as_mut().filter(|_| !self.quorum.is_alone()) else {
            return UNCONFIRMED;
        };
        if is_planted(Bug::SyncUnconfirmed) {
            return UNCONFIRMED;
        }
        *ensemble.confirming.get_or_insert_with(|| {
            common.confirmations += 1;
            out.to_learners.push(ToLearners::Confirm(common.confirmations));
            common.confirmations
        })
    }

    fn open(
        &mut self,
        common: &mut Common,
        (session, timeout_ms): (SessionId, i32),
        origin: Origin,
        now: Now,
        out: &mut Outputs,
    ) {
        if self.orderer.admission() != WriteAdmission::All {
            return common.queue.answer(origin, Outcome::Unavailable);
        }
        let owner = Owner::Connection(origin);
        let opened = self.orderer.open(session, timeout_ms, owner, now);
        let Some((txn, attached)) = opened else {
            return common.queue.answer(origin, Outcome::Unavailable);
        };
        let attachment = Some(common.serving.attachment(session, timeout_ms, attached.last_heard));
        let proposal = Proposal { txn, origin: Some(origin), attachment };
        common.queue.propose(proposal, &mut out.group);
    }

    /// The password is verified before anything is disturbed: a stranger who guesses an id does
    /// not disconnect the owner (trap 21).
    fn attach(
        &mut self,
        common: &mut Common,
        origin: Origin,
        (session, password, timeout_ms): (SessionId, Option<Password>, i32),
        now: Now,
        out: &mut Outputs,
    ) {
        if let Err(refusal) = common.serving.verify(session, password.as_ref()) {
            return common.queue.answer(origin, refusal);
        }
        let timeout_ms = self.orderer.sessions().clamp(timeout_ms);
        self.attach_verified(common, origin, (session, timeout_ms), now, out);
    }

    fn attach_verified(
        &mut self,
        common: &mut Common,
        origin: Origin,
        (session, timeout_ms): (SessionId, i32),
        now: Now,
        out: &mut Outputs,
    ) {
        let owner = Owner::Connection(origin);
        let Some(attached) = self.orderer.attach(session, timeout_ms, owner, now) else {
            return common.queue.answer(origin, Outcome::Gone);
        };
        self.session_moved(session, (attached.previous, common.serving.server), out);
        let previous = attached.previous.and_then(connection_of);
        if let Some(previous) = previous.filter(|previous| *previous != origin) {
            common.queue.close_connection(previous, session);
        }
        let attachment = common.serving.attachment(session, timeout_ms, attached.last_heard);
        common.queue.answer(origin, Outcome::Granted(attachment));
    }

    /// A session has gone from whoever had it to a server: connections of it elsewhere are stale,
    /// be it that their servers have not noticed.
    fn session_moved(
        &self,
        session: SessionId,
        (previous, to): (Option<Owner>, ServerId),
        out: &mut Outputs,
    ) {
        let from = match previous {
            // It is closed here.
            Some(Owner::Connection(_)) => return,
            Some(Owner::Server(from)) if from == to => return,
            Some(Owner::Server(from)) => Some(from),
            None => None,
        };
        if self.ensemble.is_some() && !is_planted(Bug::MovedStaysOpen) {
            out.to_learners.push(ToLearners::SessionMoved { session, from, to });
        }
    }

    fn on_flushed(&mut self, upto: Zxid) {
        assert!(upto <= self.orderer.last(), "the log holds what was never ordered");
        self.quorum.flushed(upto);
    }

    fn on_ack(&mut self, ack: Acknowledgement) {
        match ack {
            Acknowledgement::Durable(server, upto) => self.quorum.acked(server, upto),
            Acknowledgement::Confirmed(number) => {
                if let Some(ensemble) = &mut self.ensemble {
                    ensemble.confirmed = ensemble.confirmed.max(number);
                }
            }
        }
    }

    /// What a step may order depends on what it has ordered: a turn of a shard may bring more than
    /// is kept for one.
    fn admit(&mut self, out: &Outputs) {
        let LeftCapacity { capacity, group_bytes } = self.capacity;
        let grown = out.group.bytes().saturating_sub(group_bytes) as u64;
        let LogCapacity { writes, closes } = capacity;
        let left = match capacity {
            LogCapacity::UNBOUNDED => capacity,
            _ => LogCapacity {
                writes: writes.saturating_sub(grown),
                closes: closes.saturating_sub(grown),
            },
        };
        self.orderer.admit(WriteAdmission::of(left));
    }

    fn on_tick(&mut self, common: &mut Common, (db, now): (&Database, Now), out: &mut Outputs) {
        self.orderer.expire(now);
        self.go_on_closing(common, (db, now), out);
        let (queue, group) = (&mut common.queue, &mut out.group);
        let removed = |txn| queue.propose(Proposal::internal(txn), group);
        self.orderer.remove_spent(db, now, removed);
    }

    fn release(&mut self, common: &mut Common, out: &mut Outputs) {
        let (released, before) = (out.committed.len(), common.queue.committed());
        let confirmed = self.ensemble.as_ref().map_or(UNCONFIRMED, |ensemble| ensemble.confirmed);
        let upto = self.quorum.committed();
        let answers = common.queue.release(upto, confirmed, &mut out.committed);
        for committed in &out.committed[released..] {
            if let Committed::Apply(proposal) = committed {
                self.orderer.committed(&proposal.txn);
            }
        }
        let committed = common.queue.committed();
        if self.ensemble.is_some() && committed > before {
            note_committed(committed, &mut out.to_learners);
        }
        out.to_learners.extend(answers);
    }
}

/// Learners hear of the last commit only, where there was nothing in between.
fn note_committed(zxid: Zxid, out: &mut Vec<ToLearners>) {
    match out.last_mut() {
        Some(ToLearners::Committed(before)) => *before = zxid,
        Some(_) | None => out.push(ToLearners::Committed(zxid)),
    }
}

/// Begins to fetch what these requests need, before the first one is ordered.
fn prefetch(requests: &[Request], db: &Database) {
    if requests.len() > 1 {
        let mut paths = db.tree.prefetch();
        for request in requests {
            if let RequestKind::Write(write) = &request.kind {
                write.prefetch(&mut paths);
            }
        }
        paths.finish();
    }
}
