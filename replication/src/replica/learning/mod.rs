//! A server that has a leader: it learns transactions in the leader's order, and sends its clients'
//! writes there.

mod state;

use std::collections::BTreeSet;
use std::sync::Arc;

use ringkeeper_engine::database::Database;
use ringkeeper_engine::log::ChunkTxn;
use ringkeeper_engine::request::{Origin, Outcome, Request, RequestKind};
use ringkeeper_engine::session::SessionTable;
use ringkeeper_engine::throttle::NewConnection;
use ringkeeper_engine::txn::TxnBody;
use ringkeeper_engine::wire::connect::Password;
use ringkeeper_engine::zookeeper::Entry;
use ringkeeper_engine::{Millis, Now, SessionId, Zxid};

use self::state::{LearnerState, Released};
use super::Common;
use super::commit_queue::{BY_COMMIT, SyncFrom, UNCONFIRMED};
use super::forwarding::{Awaited, Forwarded, Forwarding, GivenUp, OutOfOrder};
use super::leading::Leading;
use super::serving::connection_of;
use crate::plant::{Bug, is_planted};
use crate::session_life::SessionLife;
use crate::step::{LeaderEvent, LeaderFault, SessionAttachment};
use crate::{Committed, Input, Outputs, Proposal};

/// How a server has a leader.
#[derive(Clone, Copy, Debug)]
pub struct LearningSettings {
    /// Bytes of a record that the leader takes: its `jute.maxbuffer`.
    pub record_bytes_max: usize,
    /// How long clients read on and wait without a leader, milliseconds. Then all connections are
    /// closed, so that they look for another server.
    pub hold_ms: i64,
}

/// The part of a replica that has a leader.
pub(super) struct Learning {
    state: LearnerState,
    hold_ms: i64,
    /// The leader has done what no leader does, and the link has not ended yet.
    is_faulty: bool,
    /// Used again by each release.
    released: Vec<Committed>,
}

impl Learning {
    /// Begins behind what was recovered, without a leader.
    pub(super) fn new(
        db: &Database,
        sessions: SessionTable,
        settings: LearningSettings,
        now: Millis,
    ) -> Learning {
        let state = LearnerState::new(db, sessions, settings.record_bytes_max, now);
        Learning { state, hold_ms: settings.hold_ms, is_faulty: false, released: Vec::new() }
    }

    /// Begins behind what this server has ordered, without a leader. `leading` is of no use after it.
    pub(super) fn after(
        leading: &mut Leading,
        common: &mut Common,
        settings: LearningSettings,
        now: Millis,
        out: &mut Outputs,
    ) -> Learning {
        for origin in leading.orderer.closing.take_clients() {
            // Its session lives: the next leader lets it expire.
            common.queue.answer(origin, Outcome::Moved);
        }
        let syncs = common.queue.take_syncs();
        let mut left = leading.leave();
        left.forwarding.put_in_front(syncs, now);
        for session in common.queue.opening() {
            // Its commit opens it.
            left.sessions.close(session);
        }
        let state = LearnerState::after(left, settings.record_bytes_max, now);
        out.sessions.extend(state.attachments());
        Learning { state, hold_ms: settings.hold_ms, is_faulty: false, released: Vec::new() }
    }

    /// Gives away the sessions, and what waits for a leader: this server is it. Nobody asks it any
    /// more whose clients are connected here.
    pub(super) fn give_up_role(
        &mut self,
        out: &mut Outputs,
    ) -> (SessionTable, BTreeSet<SessionId>, Forwarding) {
        let attached = self.state.attached_sessions();
        out.sessions.extend(attached.iter().copied().map(SessionAttachment::Ended));
        let (sessions, forwarding) = self.state.give_up_role();
        (sessions, attached, forwarding)
    }

    /// Whether everything that was learned is committed and on the disk, and ends here.
    pub(super) fn is_at(&self, zxid: Zxid) -> bool {
        self.state.last() == zxid && self.state.committed() == zxid
    }

    /// The sessions of the ensemble, as far as they are learned.
    pub(super) fn sessions(&self) -> &SessionTable {
        self.state.sessions()
    }

    /// The last transaction that the leader has sent.
    pub(super) fn last(&self) -> Zxid {
        self.state.last()
    }

    /// Requests that the leader has to answer, and what waits behind them.
    pub(super) fn outstanding(&self) -> usize {
        self.state.outstanding()
    }

    /// See [`super::Replica::step`].
    pub(super) fn step(&mut self, common: &mut Common, input: Input<'_>, out: &mut Outputs) {
        match input {
            Input::Requests { requests, db, now } => {
                common.assert_applied(db);
                self.state.pass(now.mono);
                for request in requests.drain(..) {
                    self.on_request(common, request, now, out);
                }
            }
            Input::Flushed(upto) => self.state.flushed(upto),
            Input::Paused { .. } => {}
            Input::Tick { db, now } => {
                common.assert_applied(db);
                self.state.pass(now.mono);
                self.on_tick(common, now, out);
            }
            // What the leader has ordered goes to the log. Where that has no space, the node closes
            // the link: see [`crate::LogSpace`].
            Input::Capacity(_) => {}
            Input::Leader { event, now } => {
                self.state.pass(now.mono);
                self.on_link(common, event, out);
            }
            Input::Unconfirmed { sessions, now } => {
                self.state.pass(now.mono);
                self.leave(sessions, out);
            }
            Input::Replaced { db, now } => {
                self.state.pass(now.mono);
                self.on_replaced(common, db, out);
            }
            // What comes of a leadership that has ended.
            Input::Acked(acks) => acks.clear(),
            Input::Learners { events, .. } => events.clear(),
            Input::Lead { .. } | Input::StopLeading { .. } => unreachable!("the replica takes it"),
        }
        self.release(common, out);
    }

    fn on_request(&mut self, common: &mut Common, request: Request, now: Now, out: &mut Outputs) {
        let Request { origin, caller, kind } = request;
        let (state, packets) = (&mut self.state, &mut out.to_leader);
        let session = caller.session;
        let refused = match kind {
            RequestKind::Open { .. } if !common.serving.admits(NewConnection::Open, now) => {
                return common.queue.answer(origin, Outcome::Unavailable);
            }
            RequestKind::Attach { .. } if !common.serving.admits(NewConnection::Renew, now) => {
                return common.queue.answer(origin, Outcome::Unavailable);
            }
            RequestKind::Open { timeout_ms } => {
                let session = common.serving.new_session(state.sessions());
                let timeout_ms = state.sessions().clamp(timeout_ms);
                return state.open(session, (origin, timeout_ms), packets);
            }
            RequestKind::Attach { session, password, timeout_ms } => {
                let attach = (session, password, timeout_ms);
                return self.attach(common, origin, attach, packets);
            }
            RequestKind::Read(read) => {
                let read = Committed::Read(origin, caller, read);
                return self.behind(common, session, read);
            }
            RequestKind::Sync => return state.sync(&caller, origin, packets),
            RequestKind::Close => state.close(&caller, origin, packets),
            RequestKind::Write(write) => state.write(&caller, origin, &write, packets),
        };
        if let Err(outcome) = refused {
            self.behind(common, session, Committed::Answer(origin, outcome));
        }
    }

    /// Puts an answer or a read behind what its session waits for, be it an answer of the leader
    /// or the commit of what was learned by now.
    fn behind(&mut self, common: &mut Common, session: SessionId, local: Committed) {
        if let Some(local) = self.state.behind(session, local) {
            common.queue.push(local);
        }
    }

    /// The password is verified here: a stranger who guesses an id gets no further.
    fn attach(
        &mut self,
        common: &mut Common,
        origin: Origin,
        (session, password, timeout_ms): (SessionId, Option<Password>, i32),
        packets: &mut Vec<u8>,
    ) {
        if let Err(refusal) = common.serving.verify(session, password.as_ref()) {
            return common.queue.answer(origin, refusal);
        }
        let timeout_ms = self.state.sessions().clamp(timeout_ms);
        self.state.revalidate(session, (origin, timeout_ms), packets);
    }

    /// What follows a fault is not looked at: the link ends.
    fn on_link(&mut self, common: &mut Common, event: LeaderEvent, out: &mut Outputs) {
        match event {
            LeaderEvent::Lost => self.is_faulty = false,
            _ if self.is_faulty => return,
            _ => {}
        }
        if let Err(fault) = self.on_event(common, event, out) {
            self.is_faulty = true;
            out.fault = Some(fault);
        }
    }

    fn on_event(
        &mut self,
        common: &mut Common,
        event: LeaderEvent,
        out: &mut Outputs,
    ) -> Result<(), LeaderFault> {
        match event {
            LeaderEvent::Learned(entry) => self.learn(common, *entry, None, out)?,
            LeaderEvent::LearnedChunk(chunk) => {
                for framed in chunk.each() {
                    self.learn_framed(common, framed, out)?;
                }
            }
            LeaderEvent::Committed(upto) => self.state.commit(upto),
            LeaderEvent::Synced => {
                let synced = self.state.synced(&mut out.to_leader);
                if let Some((first, behind)) = synced.map_err(fault("a sync"))? {
                    common.queue.answer(first.origin, Outcome::Synced);
                    behind.into_iter().for_each(|local| common.queue.push(local));
                }
            }
            LeaderEvent::Revalidated(session, life) => {
                self.revalidated(common, (session, life), out)?;
            }
            LeaderEvent::SessionMoved(session) => self.session_moved(common, session, out),
            LeaderEvent::Serving(epoch, lost) => {
                out.close_connections |= is_planted(Bug::DiffCloses);
                common.serving.passwords.settle();
                let given_up = self.state.serve(epoch, lost, &mut out.to_leader);
                answer_given_up(common, given_up);
            }
            LeaderEvent::Lost => self.state.lose(),
            LeaderEvent::Cut(upto) => {
                let dropped = common.queue.cut(upto, self.state.take_learned(upto));
                answer_given_up(common, self.state.cut(upto, dropped));
            }
        }
        Ok(())
    }

    /// What a leader of our kind has framed for the log stays the bytes that it is, unless somebody
    /// here may wait for it.
    fn learn_framed(
        &mut self,
        common: &mut Common,
        framed: ChunkTxn,
        out: &mut Outputs,
    ) -> Result<(), LeaderFault> {
        if framed.is_of_session() || self.state.waits(framed.session()) {
            let entry = Entry { txn: framed.read(), lists_paths: true, digest: None };
            return self.learn(common, entry, Some(framed), out);
        }
        self.state.learn_foreign(framed.zxid());
        common.queue.propose_framed(framed, None, &mut out.group);
        Ok(())
    }

    fn learn(
        &mut self,
        common: &mut Common,
        entry: Entry,
        framed: Option<ChunkTxn>,
        out: &mut Outputs,
    ) -> Result<(), LeaderFault> {
        let Entry { txn, lists_paths, digest } = entry;
        if !lists_paths {
            return Err(LeaderFault::PathsMissing);
        }
        let before = self.state.last();
        let (syncs, answered) = self.state.learn(&txn).map_err(fault("a write"))?;
        for (sync, behind) in syncs {
            common.queue.sync(SyncFrom::Implied(sync.origin), BY_COMMIT, before);
            behind.into_iter().for_each(|local| common.queue.push(local));
        }
        let mut refused_session = None;
        let (origin, behind) = match answered {
            None => (None, Vec::new()),
            Some((Forwarded { origin, awaited: Awaited::Opened(_), .. }, behind))
                if matches!(txn.body, TxnBody::Error(_)) =>
            {
                refused_session = Some(origin);
                (None, behind)
            }
            Some((forwarded, behind)) => {
                let origin = forwarded.origin;
                self.state.keep(txn.zxid, forwarded);
                (Some(origin), behind)
            }
        };
        let verify = digest.map(|digest| Committed::Verify {
            digest,
            session: txn.session,
            created: created(&txn.body),
        });
        let proposal = Proposal { txn, origin, attachment: None };
        match framed {
            Some(framed) => common.queue.propose_framed(framed, Some(proposal), &mut out.group),
            None => common.queue.propose(proposal, &mut out.group),
        }
        verify.into_iter().for_each(|verify| common.queue.push(verify));
        if let Some(origin) = refused_session {
            common.queue.answer(origin, Outcome::Unavailable);
        }
        behind.into_iter().for_each(|local| common.queue.push(local));
        Ok(())
    }

    fn revalidated(
        &mut self,
        common: &mut Common,
        (session, life): (SessionId, SessionLife),
        out: &mut Outputs,
    ) -> Result<(), LeaderFault> {
        let found = self.state.revalidated(session, life);
        let (waiting, attached) = found.map_err(fault("a session's renewal"))?;
        let Some(attached) = attached else {
            common.queue.answer(waiting.origin, Outcome::Gone);
            return Ok(());
        };
        let previous = attached.previous.and_then(connection_of);
        if let Some(previous) = previous.filter(|previous| *previous != waiting.origin) {
            common.queue.close_connection(previous, session);
        }
        let timeout_ms = waiting.timeout_ms;
        let last_heard = attached.last_heard.clone();
        out.sessions.push(SessionAttachment::Attached(session, timeout_ms, last_heard));
        let attachment = common.serving.attachment(session, timeout_ms, attached.last_heard);
        common.queue.answer(waiting.origin, Outcome::Granted(attachment));
        Ok(())
    }

    /// The client of a session has gone to another server.
    fn session_moved(&mut self, common: &mut Common, session: SessionId, out: &mut Outputs) {
        if let Some(origin) = self.state.disown(session).and_then(connection_of) {
            out.sessions.push(SessionAttachment::Ended(session));
            common.queue.close_connection(origin, session);
        }
    }

    /// Clients that are without a leader for too long are sent to look for another server.
    fn on_tick(&mut self, common: &mut Common, now: Now, out: &mut Outputs) {
        let waits = self.state.waits_since();
        if waits.is_some_and(|since| now.mono.0 - since.0 >= self.hold_ms) {
            self.close_connections(common, out);
        }
    }

    /// These connections are closed at once: what their sessions wait for may not come for long.
    fn leave(&mut self, sessions: &[SessionId], out: &mut Outputs) {
        for session in sessions {
            let owner = self.state.sessions().get(*session).and_then(|found| found.owner);
            if let Some(origin) = owner.and_then(connection_of) {
                out.committed.push(Committed::CloseConnection(origin, *session));
            }
        }
    }

    fn on_replaced(&mut self, common: &mut Common, db: &Database, out: &mut Outputs) {
        common.queue.restart(db.applied());
        self.close_connections(common, out);
        self.state.replaced(db);
    }

    /// Gives up what waits for the leader. Each request is answered once, also where its
    /// connection is closed.
    fn close_connections(&mut self, common: &mut Common, out: &mut Outputs) {
        answer_given_up(common, self.state.give_up());
        self.state.end_readers();
        out.close_connections = !is_planted(Bug::SnapLeavesOpen);
    }

    /// Moves on what the leader has committed and our own log has.
    pub(super) fn release(&mut self, common: &mut Common, out: &mut Outputs) {
        let answers = common.queue.release(self.state.committed(), UNCONFIRMED, &mut self.released);
        assert!(answers.is_empty(), "who has a leader has no learners");
        for mut released in self.released.drain(..) {
            let mut ended = None;
            if let Committed::Apply(proposal) = &mut released {
                if let TxnBody::CloseSession { .. } = proposal.txn.body {
                    out.sessions.push(SessionAttachment::Ended(proposal.txn.session));
                }
                match self.state.released(&proposal.txn, proposal.origin) {
                    Released::Nothing => {}
                    Released::Opened(timeout_ms, last_heard) => {
                        let (session, serving) = (proposal.txn.session, &common.serving);
                        let heard = last_heard.clone();
                        out.sessions.push(SessionAttachment::Attached(session, timeout_ms, heard));
                        let attachment = serving.attachment(session, timeout_ms, last_heard);
                        proposal.attachment = Some(attachment);
                    }
                    Released::Ended(owner) => {
                        ended = connection_of(owner).map(|origin| (origin, proposal.txn.session));
                    }
                }
            }
            out.committed.push(released);
            if let Some((origin, session)) = ended {
                out.committed.push(Committed::CloseConnection(origin, session));
            }
        }
    }
}

/// Answers each request that is given up: what could change something cuts its connection off.
fn answer_given_up(common: &mut Common, all: Vec<GivenUp>) {
    for given_up in all {
        match given_up {
            GivenUp::Forwarded(origin, Awaited::Opened(_)) | GivenUp::Revalidation(origin) => {
                common.queue.answer(origin, Outcome::Unavailable);
            }
            GivenUp::Forwarded(origin, _) => common.queue.answer(origin, Outcome::Moved),
            GivenUp::Local(local) => common.queue.push(local),
        }
    }
}

/// The nodes that a transaction creates.
fn created(body: &TxnBody) -> Vec<Arc<str>> {
    match body {
        TxnBody::Create(create) => vec![create.path.clone()],
        TxnBody::Multi(bodies) => bodies.iter().flat_map(created).collect(),
        TxnBody::Delete { .. }
        | TxnBody::SetData { .. }
        | TxnBody::SetAcl { .. }
        | TxnBody::Reconfig { .. }
        | TxnBody::Check { .. }
        | TxnBody::CreateSession { .. }
        | TxnBody::CloseSession { .. }
        | TxnBody::Error(_) => Vec::new(),
    }
}

fn fault(what: &'static str) -> impl FnOnce(OutOfOrder) -> LeaderFault {
    move |OutOfOrder| LeaderFault::OutOfOrder(what)
}
