//! How far a server has learned, which sessions there are, and what its clients wait for.
//!
//! Nothing is applied before the leader has said that it is committed and our own log has it: a
//! restart finds everything that a client has seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ringkeeper_engine::database::Database;
use ringkeeper_engine::forward::{forward_close, forward_open, forward_sync, forward_write};
use ringkeeper_engine::op::{NotForwarded, Write};
use ringkeeper_engine::request::{Origin, Outcome};
use ringkeeper_engine::sequencer::Caller;
use ringkeeper_engine::session::{Attached, LastHeard, Owner, SessionTable};
use ringkeeper_engine::txn::{Txn, TxnBody};
use ringkeeper_engine::wire::peer::LearnerPacket;
use ringkeeper_engine::{Code, Millis, SessionId, Zxid};

use crate::plant::{Bug, is_planted};
use crate::replica::commit_queue::{Dropped, SYNC_PATH};
use crate::replica::forwarding::{
    Answered, Awaited, DueSyncs, Forwarded, Forwarding, GivenUp, NewLink, OutOfOrder, Revalidation,
};
use crate::replica::leading::LeftRole;
use crate::session_life::SessionLife;
use crate::step::SessionAttachment;
use crate::{Committed, LostRequests};

/// Whether the leader takes requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Link {
    /// It does.
    Serving,
    /// It does, and has to say first that everything was sent which it has ordered of the link
    /// before: see [`Forwarding::resend`].
    Resuming,
    /// There is none, or it is not synchronized with this server yet; since this moment.
    Lost(Millis),
}

/// What a server that has a leader keeps of it and for it.
pub(crate) struct LearnerState {
    sessions: SessionTable,
    forwarding: Forwarding,
    /// Requests of clients here whose transactions have come and are not committed, by zxid: they
    /// may be cut off.
    learned_requests: BTreeMap<Zxid, Forwarded>,
    link: Link,
    /// Since when clients that were served have no leader. They read on for a while.
    readers_since: Option<Millis>,
    /// The epoch of the leader that served this server last.
    served: Option<u32>,
    /// Sessions of connections here whose owner is an earlier link, as their leader has it. It
    /// refuses their writes until their clients connect again.
    disowned: BTreeSet<SessionId>,
    /// The last transaction that the leader has sent.
    learned: Zxid,
    /// What the leader has said of.
    committed: Zxid,
    /// What our own log has on the disk.
    durable: Zxid,
    /// Bytes of a record that the leader takes.
    record_bytes_max: usize,
    /// The time of the last input that had one, monotonic clock.
    now: Millis,
}

/// What the commit of a transaction means to the sessions here.
pub(crate) enum Released {
    /// A session of a connection here begins, with this timeout in milliseconds.
    Opened(i32, LastHeard),
    /// A session ends without its client's doing; this is its owner.
    Ended(Owner),
    /// Nothing.
    Nothing,
}

impl LearnerState {
    /// Begins behind what was recovered, without a leader.
    pub(crate) fn new(
        db: &Database,
        mut sessions: SessionTable,
        record_bytes_max: usize,
        now: Millis,
    ) -> LearnerState {
        // Only a leader lets sessions expire.
        sessions.disarm();
        for (id, timeout_ms) in db.sessions() {
            sessions.open(id, timeout_ms, now);
        }
        let applied = db.applied();
        LearnerState {
            sessions,
            forwarding: Forwarding::default(),
            learned_requests: BTreeMap::new(),
            link: Link::Lost(now),
            readers_since: None,
            served: None,
            disowned: BTreeSet::new(),
            learned: applied,
            committed: applied,
            durable: applied,
            record_bytes_max,
            now,
        }
    }

    /// Begins behind what this server has ordered while it led. Clients that were served wait for
    /// the next leader.
    pub(crate) fn after(left: LeftRole, record_bytes_max: usize, now: Millis) -> LearnerState {
        let LeftRole { sessions, forwarding, epoch, last, committed, durable } = left;
        LearnerState {
            sessions,
            forwarding,
            learned_requests: BTreeMap::new(),
            link: Link::Lost(now),
            readers_since: Some(now),
            served: Some(epoch),
            disowned: BTreeSet::new(),
            learned: last,
            committed,
            durable,
            record_bytes_max,
            now,
        }
    }

    /// Gives away the sessions, and what waits for a leader.
    pub(crate) fn give_up_role(&mut self) -> (SessionTable, Forwarding) {
        assert!(matches!(self.link, Link::Lost(_)), "it has another leader");
        (self.sessions.take(), std::mem::take(&mut self.forwarding))
    }

    /// The sessions that connections here have, as a leader hears of them.
    pub(crate) fn attachments(&self) -> impl Iterator<Item = SessionAttachment> + '_ {
        self.sessions.iter_after(None).filter_map(|(id, timeout_ms)| {
            let session = self.sessions.get(id).filter(|session| session.owner.is_some())?;
            let last_heard = session.last_heard.clone();
            Some(SessionAttachment::Attached(id, timeout_ms, last_heard))
        })
    }

    /// Time passes.
    pub(crate) fn pass(&mut self, now: Millis) {
        self.now = now;
    }

    /// The sessions of the ensemble, as far as they are learned.
    pub(crate) fn sessions(&self) -> &SessionTable {
        &self.sessions
    }

    /// The last transaction that the leader has sent.
    pub(crate) fn last(&self) -> Zxid {
        self.learned
    }

    /// What may be applied.
    pub(crate) fn committed(&self) -> Zxid {
        match () {
            () if is_planted(Bug::ApplyBeforeCommit) => self.durable,
            () if is_planted(Bug::ApplyBeforeFlush) => self.committed,
            () => self.committed.min(self.durable),
        }
    }

    /// Requests that the leader has to answer, and what waits behind them.
    pub(crate) fn outstanding(&self) -> usize {
        self.forwarding.len()
    }

    /// Since when clients do without a leader that serves: those who were served when the last one
    /// was lost, and those who wait for what it has to answer.
    pub(crate) fn waits_since(&self) -> Option<Millis> {
        let Link::Lost(since) = self.link else { return None };
        let waits = self.forwarding.since().map(|first| Millis(first.0.max(since.0)));
        self.readers_since.or(waits)
    }

    /// Every connection is closed: nobody reads any more.
    pub(crate) fn end_readers(&mut self) {
        self.readers_since = None;
    }

    /// A client's write. Where it comes back as a refusal, it does not go to the leader.
    pub(crate) fn write(
        &mut self,
        caller: &Caller,
        origin: Origin,
        write: &Write,
        out: &mut Vec<u8>,
    ) -> Result<(), Outcome> {
        let checked = self.sessions.check(caller.session, Owner::Connection(origin));
        if checked == Err(Code::SessionMoved) || self.disowned.contains(&caller.session) {
            return Err(Outcome::Moved);
        }
        let start = out.len();
        let shape = match forward_write(caller, write, self.record_bytes_max, out) {
            Ok(shape) => shape,
            Err(NotForwarded::Refused(code)) => return Err(Outcome::Refused(code)),
            Err(NotForwarded::TooLong) => return Err(Outcome::Refused(Code::BadArguments)),
            Err(NotForwarded::Removal) => unreachable!("clients do not remove spent nodes"),
        };
        let awaited = Awaited::Written(caller.cxid, shape);
        let packet = &out[start..];
        self.forwarding.forward(caller.session, (origin, awaited), packet, self.now);
        if self.link != Link::Serving {
            // It is sent when the link serves, with all that waits.
            out.truncate(start);
        }
        Ok(())
    }

    /// A client ends its session.
    pub(crate) fn close(
        &mut self,
        caller: &Caller,
        origin: Origin,
        out: &mut Vec<u8>,
    ) -> Result<(), Outcome> {
        if self.sessions.check(caller.session, Owner::Connection(origin)) == Err(Code::SessionMoved)
        {
            return Err(Outcome::Moved);
        }
        let mut packet = Vec::new();
        forward_close(caller, &mut packet);
        let awaited = Awaited::Closed(caller.cxid);
        self.forward(caller.session, (origin, awaited), &packet, out);
        Ok(())
    }

    /// A client wants an answer when everything that was committed before is applied here.
    pub(crate) fn sync(&mut self, caller: &Caller, origin: Origin, out: &mut Vec<u8>) {
        let mut packet = Vec::new();
        forward_sync(caller, SYNC_PATH, &mut packet);
        self.forward(caller.session, (origin, Awaited::Synced), &packet, out);
    }

    /// A client begins a session, whose id this server has made.
    pub(crate) fn open(
        &mut self,
        session: SessionId,
        (origin, timeout_ms): (Origin, i32),
        out: &mut Vec<u8>,
    ) {
        let mut packet = Vec::new();
        forward_open(session, timeout_ms, &mut packet);
        self.forward(session, (origin, Awaited::Opened(timeout_ms)), &packet, out);
    }

    /// A client that has proved that a session is its own takes it up here.
    pub(crate) fn revalidate(
        &mut self,
        session: SessionId,
        waiting: (Origin, i32),
        out: &mut Vec<u8>,
    ) {
        let mut packet = Vec::new();
        LearnerPacket::Revalidate { session, timeout_ms: waiting.1 }.encode(&mut packet);
        self.forwarding.revalidate(session, waiting, &packet, self.now);
        if let Link::Serving = self.link {
            out.extend_from_slice(&packet);
        }
    }

    /// Puts an answer or a read behind what its session waits for; it comes back where that is
    /// nothing.
    pub(crate) fn behind(&mut self, session: SessionId, local: Committed) -> Option<Committed> {
        if is_planted(Bug::ReadOvertakes) {
            return Some(local);
        }
        self.forwarding.behind(session, local)
    }

    fn forward(
        &mut self,
        session: SessionId,
        waiting: (Origin, Awaited),
        packet: &[u8],
        out: &mut Vec<u8>,
    ) {
        self.forwarding.forward(session, waiting, packet, self.now);
        if let Link::Serving = self.link {
            out.extend_from_slice(packet);
        }
    }

    /// The leader's next transaction, which goes to the log: the request of ours that it answers,
    /// behind the syncs that it answers as well.
    pub(crate) fn learn(
        &mut self,
        txn: &Txn,
    ) -> Result<(Vec<Answered>, Option<Answered>), OutOfOrder> {
        assert!(txn.zxid.may_follow(self.learned), "the link has let a gap through");
        let due = match self.link {
            Link::Serving => DueSyncs::Come,
            Link::Lost(_) | Link::Resuming => DueSyncs::AreLost,
        };
        let syncs = self.forwarding.answered_before(txn, due);
        let answered = self.forwarding.answered_by(txn)?;
        self.learned = txn.zxid;
        Ok((syncs, answered))
    }

    /// Whether requests of a session wait here for the leader.
    pub(crate) fn waits(&self, session: SessionId) -> bool {
        self.forwarding.waits(session)
    }

    /// As [`LearnerState::learn`], of a transaction of a session that waits for nothing.
    pub(crate) fn learn_foreign(&mut self, zxid: Zxid) {
        assert!(zxid.may_follow(self.learned), "the link has let a gap through");
        self.learned = zxid;
    }

    /// A transaction is committed and applied next. `origin` is the connection that waits for it.
    pub(crate) fn released(&mut self, txn: &Txn, origin: Option<Origin>) -> Released {
        if origin.is_some() {
            self.learned_requests.remove(&txn.zxid);
        }
        match txn.body {
            TxnBody::CreateSession { timeout_ms } => {
                self.sessions.open(txn.session, timeout_ms, self.now);
                let Some(origin) = origin else { return Released::Nothing };
                let owner = Owner::Connection(origin);
                let attached = self.sessions.attach(txn.session, timeout_ms, owner, self.now);
                let attached = attached.expect("the session was opened a line above");
                self.disowned.remove(&txn.session);
                Released::Opened(timeout_ms, attached.last_heard)
            }
            TxnBody::CloseSession { .. } => {
                let owner = self.sessions.get(txn.session).and_then(|session| session.owner);
                self.sessions.close(txn.session);
                self.disowned.remove(&txn.session);
                match owner.filter(|_| origin.is_none()) {
                    Some(owner) => Released::Ended(owner),
                    None => Released::Nothing,
                }
            }
            _ => Released::Nothing,
        }
    }

    /// The leader says that everything up to here is committed.
    pub(crate) fn commit(&mut self, upto: Zxid) {
        assert!(upto <= self.learned, "the link has let a commit of nothing through");
        self.committed = self.committed.max(upto);
    }

    /// Our own log is durable up to here.
    pub(crate) fn flushed(&mut self, upto: Zxid) {
        assert!(upto <= self.learned, "the log holds what was never learned");
        self.durable = self.durable.max(upto);
    }

    /// The leader has answered the oldest sync.
    pub(crate) fn synced(&mut self, out: &mut Vec<u8>) -> Result<Option<Answered>, OutOfOrder> {
        if self.link == Link::Resuming {
            self.link = Link::Serving;
            let given_up = self.forwarding.resend(NewLink::Settled, out);
            assert!(given_up.is_empty(), "what is not here is not ordered");
            return Ok(None);
        }
        self.forwarding.synced()
    }

    /// The leader has said whether a session lives that a client takes up here.
    pub(crate) fn revalidated(
        &mut self,
        session: SessionId,
        life: SessionLife,
    ) -> Result<(Revalidation, Option<Attached>), OutOfOrder> {
        let waiting = self.forwarding.revalidated(session)?;
        if life == SessionLife::Ended {
            return Ok((waiting, None));
        }
        if self.sessions.get(session).is_none() {
            // It began at another server, and the transaction that says so is on its way.
            self.sessions.open(session, waiting.timeout_ms, self.now);
        }
        let owner = Owner::Connection(waiting.origin);
        let attached = self.sessions.attach(session, waiting.timeout_ms, owner, self.now);
        self.disowned.remove(&session);
        Ok((waiting, attached))
    }

    /// A session is another server's. Returns what had it here.
    pub(crate) fn disown(&mut self, session: SessionId) -> Option<Owner> {
        self.disowned.remove(&session);
        self.sessions.disown(session)
    }

    /// The leader of this epoch serves this server from now on: what is not answered goes to it.
    /// Returns what is given up, because nothing says whether it takes effect.
    ///
    /// A leader of ZooKeeper's remembers over which link a session was used, and refuses its writes
    /// over any other until its client connects again (`SessionTracker.checkSession`). It has to: a
    /// client that went to another server in between must not see its earlier writes take effect
    /// later. One of ours remembers the server instead. A new leader remembers nothing.
    pub(crate) fn serve(
        &mut self,
        epoch: u32,
        lost: LostRequests,
        out: &mut Vec<u8>,
    ) -> Vec<GivenUp> {
        assert!(matches!(self.link, Link::Lost(_)), "it serves already");
        self.link = Link::Serving;
        self.readers_since = None;
        self.disowned.clear();
        let is_same = self.served.replace(epoch) == Some(epoch);
        let link = match lost {
            _ if !is_same => NewLink::Settled,
            LostRequests::Unknown => {
                self.disowned = self.attached_sessions();
                NewLink::Unsettled
            }
            LostRequests::OrderedFirst if is_planted(Bug::ResentBeforeSync) => NewLink::Settled,
            LostRequests::OrderedFirst if self.forwarding.len() > 0 => {
                self.link = Link::Resuming;
                let nobody = Caller { session: SessionId::NONE, cxid: 0, ids: Arc::from([]) };
                forward_sync(&nobody, SYNC_PATH, out);
                return Vec::new();
            }
            LostRequests::OrderedFirst => NewLink::Settled,
        };
        self.forwarding.resend(link, out)
    }

    /// The sessions that connections here have.
    pub(crate) fn attached_sessions(&self) -> BTreeSet<SessionId> {
        let all = self.sessions.iter_after(None).map(|(id, _)| id);
        all.filter(|id| self.sessions.get(*id).is_some_and(|found| found.owner.is_some())).collect()
    }

    /// There is no leader any more. Requests are kept for the next one.
    pub(crate) fn lose(&mut self) {
        match self.link {
            Link::Serving | Link::Resuming => {
                self.link = Link::Lost(self.now);
                self.readers_since = Some(self.now);
            }
            Link::Lost(_) => {}
        }
    }

    /// The transaction of a request has come.
    pub(crate) fn keep(&mut self, zxid: Zxid, request: Forwarded) {
        self.learned_requests.insert(zxid, request);
    }

    /// Requests whose transactions are behind `upto`.
    pub(crate) fn take_learned(&mut self, upto: Zxid) -> BTreeMap<Zxid, Forwarded> {
        let mut behind = self.learned_requests.split_off(&upto);
        let first = behind.remove(&upto);
        self.learned_requests.extend(first.map(|request| (upto, request)));
        behind
    }

    /// The log was cut: what was learned behind it is gone. It was not committed. What clients here
    /// have requested of it waits again: it comes back over the next link, or is sent again, as
    /// whatever no leader has ordered.
    ///
    /// What this server has ordered itself while it led cannot be made again. Returns what is given
    /// up: requests behind such a write of the same session do not take effect without it.
    pub(crate) fn cut(&mut self, upto: Zxid, dropped: Dropped) -> Vec<GivenUp> {
        assert!(upto >= self.committed(), "the leader cuts what it has said is committed");
        self.learned = self.learned.min(upto);
        self.durable = self.durable.min(upto);
        self.committed = self.committed.min(upto);
        let given_up = self.forwarding.give_up_sessions(&dropped.writers);
        self.forwarding.put_in_front(dropped.taken, self.now);
        given_up
    }

    /// Gives up what waits for a leader. All connections are closed with it.
    pub(crate) fn give_up(&mut self) -> Vec<GivenUp> {
        self.forwarding.give_up()
    }

    /// The whole state was replaced by one that the leader has sent.
    pub(crate) fn replaced(&mut self, db: &Database) {
        let known: Vec<SessionId> = self.sessions.iter_after(None).map(|(id, _)| id).collect();
        for id in known {
            self.sessions.close(id);
        }
        self.disowned.clear();
        self.learned_requests.clear();
        for (id, timeout_ms) in db.sessions() {
            self.sessions.open(id, timeout_ms, self.now);
        }
        let applied = db.applied();
        (self.learned, self.committed, self.durable) = (applied, applied, applied);
    }
}
