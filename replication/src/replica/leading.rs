//! A server that orders: the leader. A standalone server is one whose quorum has one member.

use ringkeeper_engine::database::Database;
use ringkeeper_engine::log::LogCapacity;
use ringkeeper_engine::request::{Origin, Outcome, Request, RequestKind};
use ringkeeper_engine::session::Owner;
use ringkeeper_engine::throttle::NewConnection;
use ringkeeper_engine::wire::connect::Password;
use ringkeeper_engine::{Now, SessionId, Zxid};

use super::Common;
use super::orderer::Orderer;
use super::quorum::Quorum;
use super::serving::connection_of;
use crate::{Committed, Input, Outputs, Proposal, WriteAdmission};

/// The part of a replica that orders, and that decides what is committed.
pub(super) struct Leading {
    pub(super) orderer: Orderer,
    pub(super) quorum: Quorum,
}

impl Leading {
    /// See [`super::Replica::step`].
    pub(super) fn step(&mut self, common: &mut Common, input: Input<'_>, out: &mut Outputs) {
        match input {
            Input::Requests { requests, db, now } => {
                self.look_at(common, db);
                for request in requests.drain(..) {
                    self.on_request(common, request, (db, now), out);
                }
            }
            Input::Flushed(upto) => self.on_flushed(common, upto),
            Input::Tick { db, now } => {
                self.look_at(common, db);
                self.on_tick(common, (db, now), out);
            }
            Input::Capacity(capacity) => self.on_capacity(capacity),
            Input::Leader { .. } | Input::Replaced { .. } => {
                unreachable!("a server that orders has no leader")
            }
        }
        self.release(common, out);
    }

    /// The database may be behind what is committed, never ahead of it. What it has not applied is
    /// among the outstanding changes.
    fn look_at(&mut self, common: &Common, db: &Database) {
        common.assert_applied(db);
        self.orderer.applied(db.applied());
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
            RequestKind::Open { timeout_ms } => self.open(common, origin, timeout_ms, now, out),
            RequestKind::Attach { session, password, timeout_ms } => {
                self.attach(common, origin, (session, password, timeout_ms), now);
            }
            RequestKind::Sync => common.queue.answer(origin, Outcome::Synced),
            RequestKind::Read(read) => common.queue.read(origin, caller, read),
            RequestKind::Close => {
                let owner = Owner::Connection(origin);
                let ordered = self.orderer.close(db, &caller, owner, now);
                common.enter(origin, ordered, out);
            }
            RequestKind::Write(write) => {
                let owner = Owner::Connection(origin);
                let ordered = self.orderer.write(db, &caller, owner, write, now);
                common.enter(origin, ordered, out);
            }
        }
    }

    fn open(
        &mut self,
        common: &mut Common,
        origin: Origin,
        timeout_ms: i32,
        now: Now,
        out: &mut Outputs,
    ) {
        if self.orderer.admission() != WriteAdmission::All {
            return common.queue.answer(origin, Outcome::Unavailable);
        }
        let session = common.serving.new_session(self.orderer.sessions());
        let timeout_ms = self.orderer.sessions().clamp(timeout_ms);
        let owner = Owner::Connection(origin);
        let (txn, last_heard) = self.orderer.open(session, timeout_ms, owner, now);
        let attachment = Some(common.serving.attachment(session, timeout_ms, last_heard));
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
    ) {
        if !common.serving.verify(session, password.as_ref()) {
            return common.queue.answer(origin, Outcome::Gone);
        }
        let timeout_ms = self.orderer.sessions().clamp(timeout_ms);
        let owner = Owner::Connection(origin);
        let Some(attached) = self.orderer.attach(session, timeout_ms, owner, now) else {
            return common.queue.answer(origin, Outcome::Gone);
        };
        let previous = attached.previous.and_then(connection_of);
        if let Some(previous) = previous.filter(|previous| *previous != origin) {
            common.queue.close_connection(previous, session);
        }
        let attachment = common.serving.attachment(session, timeout_ms, attached.last_heard);
        common.queue.answer(origin, Outcome::Granted(attachment));
    }

    fn on_flushed(&mut self, common: &Common, upto: Zxid) {
        assert!(upto <= self.orderer.last(), "the log holds what was never ordered");
        self.quorum.acked(common.serving.server, upto);
    }

    fn on_capacity(&mut self, capacity: LogCapacity) {
        self.orderer.admit(WriteAdmission::of(capacity));
    }

    fn on_tick(&mut self, common: &mut Common, (db, now): (&Database, Now), out: &mut Outputs) {
        let (orderer, queue, group) = (&mut self.orderer, &mut common.queue, &mut out.group);
        orderer.expire(db, now, |txn, owner| {
            let session = txn.session;
            queue.propose(Proposal::internal(txn), group);
            if let Some(origin) = owner.and_then(connection_of) {
                queue.close_connection(origin, session);
            }
        });
        orderer.remove_spent(db, now, |txn| queue.propose(Proposal::internal(txn), group));
    }

    fn release(&mut self, common: &mut Common, out: &mut Outputs) {
        let released = out.committed.len();
        common.queue.release(self.quorum.committed(), &mut out.committed);
        for committed in &out.committed[released..] {
            if let Committed::Apply(proposal) = committed {
                self.orderer.committed(&proposal.txn);
            }
        }
    }
}
