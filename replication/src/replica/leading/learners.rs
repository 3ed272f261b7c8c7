//! What the learners of a leader send.
//!
//! Every forwarded request that needs the order gets a transaction, be it a refusal: a learner
//! answers its client with what comes back in the order, and with nothing else. So a request that
//! makes no sense is refused with a zxid as well.

use ringkeeper_engine::database::Database;
use ringkeeper_engine::op::{OpClass, OpSpec, Write, prefetch_record};
use ringkeeper_engine::request::Outcome;
use ringkeeper_engine::sequencer::Caller;
use ringkeeper_engine::session::{Owner, ServerId};
use ringkeeper_engine::txn::NodeKind;
use ringkeeper_engine::wire::Reader;
use ringkeeper_engine::wire::opcode::op;
use ringkeeper_engine::{Code, Now, SessionId};

use super::Leading;
use crate::leader::{ForwardedRequest, LearnerEvent, LearnerEventKind, LinkId, ToLearners};
use crate::replica::Common;
use crate::replica::closing::ClosedBy;
use crate::replica::commit_queue::SyncFrom;
use crate::replica::orderer::Ordered;
use crate::replica::serving::connection_of;
use crate::{Outputs, Proposal, SessionLife, WriteAdmission};

impl Leading {
    pub(super) fn on_learner(
        &mut self,
        common: &mut Common,
        event: LearnerEvent,
        at: (&Database, Now),
        out: &mut Outputs,
    ) {
        let LearnerEvent { link, server, kind } = event;
        match kind {
            LearnerEventKind::Request(request) if request.op == op::SYNC => {
                self.orderer.touch(request.session, at.1);
                let confirmation = self.confirm(common, out);
                let from = SyncFrom::Learner(link);
                common.queue.sync(from, confirmation, self.orderer.last());
            }
            LearnerEventKind::Request(request) => {
                self.on_forwarded(common, (server, request), at, out);
            }
            LearnerEventKind::Revalidate { session, timeout_ms } => {
                self.revalidate(common, (link, server), (session, timeout_ms), at.1, out);
            }
            LearnerEventKind::Touched(sessions) => {
                // A learner also reports sessions whose clients have gone to another server without
                // its having heard of it: that it has heard of one does not make it the owner.
                sessions.into_iter().for_each(|(session, _)| self.orderer.touch(session, at.1));
            }
        }
    }

    fn on_forwarded(
        &mut self,
        common: &mut Common,
        (server, request): (ServerId, ForwardedRequest),
        (db, now): (&Database, Now),
        out: &mut Outputs,
    ) {
        let ForwardedRequest { session, cxid, op, record, identities } = request;
        let has_identities = identities.is_some();
        let caller = Caller { session, cxid, ids: identities.unwrap_or_default() };
        let owner = Owner::Server(server);
        // Its client was heard of a moment ago, and a ping that says so may be lost with the link.
        self.orderer.touch(session, now);
        let mut reader = Reader::new(&record);
        let ordered = match (op, OpSpec::of(op).class) {
            (op::CREATE_SESSION, _) => match reader.int() {
                Ok(timeout_ms) => {
                    return self.open_elsewhere(common, &caller, (timeout_ms, owner), now, out);
                }
                Err(_) => refused(Code::MarshallingError),
            },
            (op::CLOSE_SESSION, _) => {
                self.orderer.claim(session, owner);
                let by = (owner, ClosedBy::Learner);
                match self.orderer.close(caller.clone(), by, now) {
                    Some(ordered) => ordered,
                    None => return self.go_on_closing(common, (db, now), out),
                }
            }
            (_, OpClass::Write(..)) if !has_identities => refused(Code::MarshallingError),
            (_, OpClass::Write(..)) => match Write::decode(op, &mut reader) {
                Err(_) => refused(Code::MarshallingError),
                Ok(write) => {
                    self.orderer.claim(session, owner);
                    self.orderer.write(db, &caller, owner, write, now)
                }
            },
            (
                _,
                OpClass::Read
                | OpClass::Ordered
                | OpClass::Local
                | OpClass::Auth
                | OpClass::Internal,
            ) => refused(Code::Unimplemented),
        };
        self.enter_forwarded(common, &caller, ordered, now, out);
    }

    /// A session that begins at another server, which has made its id.
    fn open_elsewhere(
        &mut self,
        common: &mut Common,
        caller: &Caller,
        (timeout_ms, owner): (i32, Owner),
        now: Now,
        out: &mut Outputs,
    ) {
        let session = caller.session;
        if NodeKind::from_owner(session.0) != NodeKind::Ephemeral(session) {
            let ordered = refused(Code::BadArguments);
            return self.enter_forwarded(common, caller, ordered, now, out);
        }
        if self.orderer.admission() != WriteAdmission::All {
            let ordered = refused(Code::SystemError);
            return self.enter_forwarded(common, caller, ordered, now, out);
        }
        let Some((txn, attached)) = self.orderer.open(session, timeout_ms, owner, now) else {
            let ordered = refused(Code::SessionExpired);
            return self.enter_forwarded(common, caller, ordered, now, out);
        };
        common.queue.propose(Proposal::internal(txn), &mut out.group);
        if let Some(previous) = attached.previous.and_then(connection_of) {
            common.queue.close_connection(previous, session);
        }
    }

    /// A refusal spends a zxid, so it needs space in the log. Where there is none, or the epoch has
    /// no number left, the request is dropped. This server asks for an election as soon as one
    /// helps, and the learner sends what is not answered to the next leader.
    fn enter_forwarded(
        &mut self,
        common: &mut Common,
        caller: &Caller,
        ordered: Ordered,
        now: Now,
        out: &mut Outputs,
    ) {
        let code = match ordered {
            Ordered::Txn(txn) => {
                return common.queue.propose(Proposal::internal(txn), &mut out.group);
            }
            Ordered::Refused(Outcome::Refused(code)) => code,
            Ordered::Refused(_) => Code::SessionMoved,
        };
        if self.orderer.admission() != WriteAdmission::None {
            let txn = self.orderer.refuse(caller, code, now);
            common.queue.propose(Proposal::internal(txn), &mut out.group);
        } else if let Some(ensemble) = &mut self.ensemble {
            ensemble.has_dropped = true;
        }
    }

    /// A client takes a session up at another server, which has verified its password. That a
    /// session lives is said at once. That it has ended is said when its end is committed: before,
    /// another leader may know nothing of that end.
    fn revalidate(
        &mut self,
        common: &mut Common,
        (link, server): (LinkId, ServerId),
        (session, timeout_ms): (SessionId, i32),
        now: Now,
        out: &mut Outputs,
    ) {
        let attached = self.orderer.attach(session, timeout_ms, Owner::Server(server), now);
        let Some(attached) = attached else {
            let ended = ToLearners::Revalidated(link, session, SessionLife::Ended);
            return common.queue.answer_learner(ended);
        };
        self.session_moved(session, (attached.previous, server), out);
        if let Some(previous) = attached.previous.and_then(connection_of) {
            common.queue.close_connection(previous, session);
        }
        out.to_learners.push(ToLearners::Revalidated(link, session, SessionLife::Lives));
    }
}

/// Begins to fetch what these requests need, before the first one is ordered.
pub(super) fn prefetch(events: &[LearnerEvent], db: &Database) {
    if events.len() > 1 {
        let mut paths = db.tree.prefetch();
        for event in events {
            if let LearnerEventKind::Request(request) = &event.kind {
                prefetch_record(request.op, &request.record, &mut paths);
            }
        }
        paths.finish();
    }
}

/// A refusal that was decided here.
fn refused(code: Code) -> Ordered {
    Ordered::Refused(Outcome::Refused(code))
}
