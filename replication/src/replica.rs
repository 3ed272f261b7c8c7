//! One node: it orders, waits until a quorum holds the record, and releases what is committed.

use std::collections::VecDeque;
use std::sync::Arc;

use ringkeeper_engine::database::Database;
use ringkeeper_engine::op::{OpSettings, Write, delete::DeleteSpent};
use ringkeeper_engine::sequencer::{Caller, QuotaNotes, Sequencer};
use ringkeeper_engine::session::{Owner, Passwords, SessionIdSource, SessionTable};
use ringkeeper_engine::throttle::{ConnectionThrottle, NewConnection};
use ringkeeper_engine::txn::Txn;
use ringkeeper_engine::wire::connect::Password;
use ringkeeper_engine::{Code, Millis, Now, SessionId, Zxid};

use ringkeeper_engine::op::Read;
use ringkeeper_engine::request::{Grant, Origin, Outcome, Request, RequestKind};

use crate::{Committed, Input, Outputs, Proposal, WriteAdmission};

/// What a replica is told at its start.
pub struct ReplicaSettings {
    /// Rules of the operations.
    pub ops: OpSettings,
    /// Seed of the hash tables, random per process.
    pub hash_seed: u64,
    /// How session passwords are made.
    pub passwords: Passwords,
    /// Where session ids come from.
    pub session_ids: SessionIdSource,
    /// How often spent containers and TTL nodes are looked for, milliseconds.
    pub removal_interval_ms: i64,
    /// How many of them may go per minute.
    pub removals_per_minute: u32,
    /// After how long a container goes that never had a child; 0 is never.
    pub never_used_ms: i64,
    /// Who comes in; `None`: everybody.
    pub connections: Option<ConnectionThrottle>,
}

/// A request that is ordered but not committed, or an answer that waits its turn behind one.
enum Waiting {
    Proposal(Proposal),
    Answer(Origin, Outcome),
    Read(Origin, Caller, Box<Read>),
    Evict(Origin, SessionId),
}

/// Sessions looked at in one tick of the clock, at some microseconds each; the rest follow with the
/// next one, which is told at once. Requests are served in between.
const EXPIRIES_MAX: usize = 256;
/// Milliseconds without a tick after which this process is taken to have been paused.
const PAUSE_MS: i64 = 1_500;

/// One node of an ensemble; alone, it is its own quorum.
pub struct Replica {
    sequencer: Sequencer,
    sessions: SessionTable,
    settings: ReplicaSettings,
    waiting: VecDeque<Waiting>,
    durable: Zxid,
    committed: Zxid,
    admission: WriteAdmission,
    removal_due: Millis,
    /// When time was told last, monotonic clock.
    ticked: Millis,
    more_due: bool,
}

impl Replica {
    /// Takes up the work behind what was recovered. Every known session gets a full fresh
    /// timeout, because nobody could ping while the server was away.
    pub fn new(
        db: &Database,
        mut sessions: SessionTable,
        settings: ReplicaSettings,
        now: Now,
    ) -> Replica {
        for (id, timeout_ms) in db.sessions() {
            sessions.open(id, timeout_ms, now.mono);
        }
        sessions.arm(now.mono);
        let last = db.applied();
        let removal_due = Millis(now.mono.0 + settings.removal_interval_ms);
        Replica {
            sequencer: Sequencer::new(last, settings.ops.clone(), settings.hash_seed),
            sessions,
            settings,
            waiting: VecDeque::new(),
            durable: last,
            committed: last,
            admission: WriteAdmission::All,
            removal_due,
            ticked: now.mono,
            more_due: false,
        }
    }

    /// The only way in. Every effect leaves through `out`; the database is read, never changed.
    pub fn step(&mut self, db: &Database, input: Input<'_>, out: &mut Outputs) {
        assert!(db.applied() == self.committed, "something committed was not applied");
        self.sequencer.applied(self.committed);
        match input {
            Input::Requests(requests, now) => {
                for request in requests.drain(..) {
                    self.on_request(db, request, now, out);
                }
            }
            Input::Durable(upto) => self.on_durable(upto),
            Input::Tick(now) => self.on_tick(db, now, out),
        }
        self.release(out);
    }

    /// Says whether the log can take more.
    pub fn set_admission(&mut self, admission: WriteAdmission) {
        self.admission = admission;
    }

    /// The sessions, for reports.
    pub fn sessions(&self) -> &SessionTable {
        &self.sessions
    }

    /// The last zxid given.
    pub fn last(&self) -> Zxid {
        self.sequencer.last()
    }

    /// Requests that wait for their commit.
    pub fn outstanding(&self) -> usize {
        self.waiting.len()
    }

    fn on_request(&mut self, db: &Database, request: Request, now: Now, out: &mut Outputs) {
        let Request { origin, caller, kind } = request;
        match kind {
            RequestKind::Open { .. } if !self.admits(NewConnection::Open, now) => {
                self.answer(origin, Outcome::Unavailable);
            }
            RequestKind::Attach { .. } if !self.admits(NewConnection::Renew, now) => {
                self.answer(origin, Outcome::Unavailable);
            }
            RequestKind::Open { timeout_ms } => self.open(origin, timeout_ms, now, out),
            RequestKind::Attach { session, password, timeout_ms } => {
                self.attach(origin, session, password, timeout_ms, now);
            }
            RequestKind::Sync => self.answer(origin, Outcome::Synced),
            RequestKind::Read(read) => self.waiting.push_back(Waiting::Read(origin, caller, read)),
            RequestKind::Close => self.close(db, origin, &caller, now, out),
            RequestKind::Write(write) => {
                self.write(db, (origin, caller), write, now, out);
            }
        }
    }

    fn admits(&mut self, who: NewConnection, now: Now) -> bool {
        let throttle = self.settings.connections.as_mut();
        throttle.is_none_or(|throttle| throttle.admit(who, now.mono))
    }

    /// What there is to tell about quotas since the last call.
    pub fn take_quota_notes(&mut self) -> Option<QuotaNotes> {
        self.sequencer.take_notes()
    }

    /// What decides who comes in, for reports.
    pub fn connections(&mut self) -> Option<&mut ConnectionThrottle> {
        self.settings.connections.as_mut()
    }

    fn write(
        &mut self,
        db: &Database,
        (origin, caller): (Origin, Caller),
        write: Write,
        now: Now,
        out: &mut Outputs,
    ) {
        let standing = self.sessions.check(caller.session, owner(origin));
        let refused = match standing {
            Err(Code::SessionMoved) => Some(Outcome::Moved),
            _ if self.admission != WriteAdmission::All => Some(Outcome::Refused(Code::SystemError)),
            _ => None,
        };
        if let Some(outcome) = refused {
            return self.answer(origin, outcome);
        }
        let txn = match standing {
            Ok(()) => self.order(|sequencer| sequencer.order(db, &caller, write, now.wall)),
            Err(code) => self.order(|sequencer| sequencer.order_refusal(&caller, code, now.wall)),
        };
        let origin = Some(origin);
        self.propose(Proposal { txn, origin, grant: None }, out);
    }

    fn close(
        &mut self,
        db: &Database,
        origin: Origin,
        caller: &Caller,
        now: Now,
        out: &mut Outputs,
    ) {
        let standing = self.sessions.check(caller.session, owner(origin));
        if standing == Err(Code::SessionMoved) {
            return self.answer(origin, Outcome::Moved);
        }
        if self.admission == WriteAdmission::None {
            return self.answer(origin, Outcome::Refused(Code::SystemError));
        }
        let txn = match standing {
            Ok(()) => {
                assert!(self.sessions.begin_close(caller.session), "it was live a moment ago");
                self.order(|sequencer| sequencer.order_close(db, caller, now.wall))
            }
            Err(code) => self.order(|sequencer| sequencer.order_refusal(caller, code, now.wall)),
        };
        let origin = Some(origin);
        self.propose(Proposal { txn, origin, grant: None }, out);
    }

    fn open(&mut self, origin: Origin, timeout_ms: i32, now: Now, out: &mut Outputs) {
        if self.admission != WriteAdmission::All {
            return self.answer(origin, Outcome::Unavailable);
        }
        let session = self.settings.session_ids.next_free(&self.sessions);
        let timeout_ms = self.sessions.clamp(timeout_ms);
        self.sessions.open(session, timeout_ms, now.mono);
        let attached = self.sessions.attach(session, timeout_ms, owner(origin), now.mono);
        let last_heard = attached.expect("the session was opened a line above").last_heard;
        let password = self.settings.passwords.of(session);
        let grant = Grant { session, timeout_ms, password, last_heard };
        let txn = self.order(|sequencer| sequencer.order_open(session, timeout_ms, now.wall));
        let (origin, grant) = (Some(origin), Some(Box::new(grant)));
        self.propose(Proposal { txn, origin, grant }, out);
    }

    /// The password is verified before anything is disturbed: a stranger who guesses an id does
    /// not throw the owner out (trap 21).
    fn attach(
        &mut self,
        origin: Origin,
        session: SessionId,
        password: Option<Password>,
        timeout_ms: i32,
        now: Now,
    ) {
        let given = password.as_ref().map(|password| &password[..]);
        if !self.settings.passwords.verify(session, given) {
            return self.answer(origin, Outcome::Gone);
        }
        let timeout_ms = self.sessions.clamp(timeout_ms);
        let attached = self.sessions.attach(session, timeout_ms, owner(origin), now.mono);
        let Some(attached) = attached else { return self.answer(origin, Outcome::Gone) };
        let before = attached.previous.map(to_origin).filter(|before| *before != origin);
        if let Some(before) = before {
            self.waiting.push_back(Waiting::Evict(before, session));
        }
        let last_heard = attached.last_heard;
        let password = self.settings.passwords.of(session);
        let grant = Grant { session, timeout_ms, password, last_heard };
        self.answer(origin, Outcome::Granted(Box::new(grant)));
    }

    /// Every zxid is ordered here, so that an epoch which has used its counter up is followed by
    /// the next one.
    fn order(&mut self, order: impl FnOnce(&mut Sequencer) -> Txn) -> Txn {
        if !self.sequencer.can_order() {
            let epoch = self.sequencer.last().epoch().checked_add(1);
            self.sequencer.begin_epoch(epoch.expect("2^64 transactions take longer than disks"));
        }
        order(&mut self.sequencer)
    }

    fn propose(&mut self, proposal: Proposal, out: &mut Outputs) {
        out.group.push(&proposal.txn);
        self.waiting.push_back(Waiting::Proposal(proposal));
    }

    /// Answers after everything that is ordered by now.
    fn answer(&mut self, origin: Origin, outcome: Outcome) {
        self.waiting.push_back(Waiting::Answer(origin, outcome));
    }

    fn on_durable(&mut self, upto: Zxid) {
        assert!(upto >= self.durable, "the log cannot become less durable");
        assert!(upto <= self.sequencer.last(), "the log holds what was never ordered");
        self.durable = upto;
    }

    /// Whether time should be told again at once: more sessions were due than one step looks at.
    pub fn wants_tick(&self) -> bool {
        self.more_due
    }

    fn on_tick(&mut self, db: &Database, now: Now, out: &mut Outputs) {
        let gap_ms = now.mono.0 - self.ticked.0;
        self.ticked = now.mono;
        if gap_ms > PAUSE_MS {
            // This process did not run. Clients may have been heard of meanwhile without our
            // noticing, so nobody's time counts (hazards 19 and 24).
            self.sessions.rearm(now.mono);
        }
        if self.admission == WriteAdmission::None {
            return;
        }
        let mut due = Vec::new();
        self.more_due = !self.sessions.due_some(now.mono, EXPIRIES_MAX, &mut due);
        for session in due {
            let caller = Caller { session, cxid: 0, ids: Arc::from([]) };
            let owner = self.sessions.get(session).and_then(|session| session.owner);
            let txn = self.order(|sequencer| sequencer.order_close(db, &caller, now.wall));
            self.propose(Proposal::own(txn), out);
            if let Some(owner) = owner {
                self.waiting.push_back(Waiting::Evict(to_origin(owner), session));
            }
        }
        if now.mono >= self.removal_due && self.admission == WriteAdmission::All {
            self.remove_spent(db, now, out);
        }
    }

    /// Deletes containers that are empty and TTL nodes whose time is up, a bounded number a time.
    fn remove_spent(&mut self, db: &Database, now: Now, out: &mut Outputs) {
        let interval = self.settings.removal_interval_ms;
        self.removal_due = Millis(now.mono.0 + interval);
        let share = i64::from(self.settings.removals_per_minute) * interval.max(1) / 60_000;
        let most = usize::try_from(share.max(1)).unwrap_or(usize::MAX);
        let spent = db.tree.spent(now.wall, self.settings.never_used_ms, most);
        let caller = Caller { session: SessionId::NONE, cxid: 0, ids: Arc::from([]) };
        for path in spent {
            let write = Write::DeleteSpent(DeleteSpent { path });
            let txn = self.order(|sequencer| sequencer.order(db, &caller, write, now.wall));
            self.propose(Proposal::own(txn), out);
        }
    }

    /// Releases, in order, what a quorum holds and what waits behind nothing else.
    fn release(&mut self, out: &mut Outputs) {
        while let Some(front) = self.waiting.front() {
            if let Waiting::Proposal(proposal) = front {
                if proposal.txn.zxid > self.quorum_durable() {
                    return;
                }
                self.committed = proposal.txn.zxid;
            }
            let next = self.waiting.pop_front().expect("the front was looked at");
            out.committed.push(match next {
                Waiting::Proposal(proposal) => Committed::Apply(self.settle(proposal)),
                Waiting::Answer(origin, outcome) => Committed::Answer(origin, outcome),
                Waiting::Read(origin, caller, read) => Committed::Read(origin, caller, read),
                Waiting::Evict(origin, session) => Committed::CloseConnection(origin, session),
            });
        }
    }

    /// A session that has ended is forgotten with its commit.
    fn settle(&mut self, proposal: Proposal) -> Proposal {
        use ringkeeper_engine::txn::TxnBody;
        if let TxnBody::CloseSession { .. } = proposal.txn.body {
            self.sessions.close(proposal.txn.session);
        }
        proposal
    }

    /// What a quorum of one holds is what we hold.
    fn quorum_durable(&self) -> Zxid {
        self.durable
    }
}

fn owner(origin: Origin) -> Owner {
    Owner { server: 0, shard: origin.shard, conn: origin.conn }
}

fn to_origin(owner: Owner) -> Origin {
    Origin { shard: owner.shard, conn: owner.conn }
}
