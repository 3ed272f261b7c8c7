//! What the leader does for all servers: it gives every write its place in the order, and it
//! decides when sessions expire and when spent nodes go. A standalone server leads itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use ringkeeper_engine::database::Database;
use ringkeeper_engine::op::{OpSettings, Write, delete::DeleteSpent};
use ringkeeper_engine::request::Outcome;
use ringkeeper_engine::sequencer::{Caller, QuotaNotes, Sequencer, SessionEnd};
use ringkeeper_engine::session::{Attached, Owner, SessionTable};
use ringkeeper_engine::txn::{Txn, TxnBody};
use ringkeeper_engine::{Code, Millis, Now, SessionId, Zxid};

use super::closing::{ClosedBy, Closing, ClosingSessions};
use crate::WriteAdmission;
use crate::plant::{Bug, is_planted};

/// Sessions looked at in one tick of the clock, at some microseconds each; the rest follow with the
/// next one, which comes at once. Requests are served in between.
const EXPIRIES_MAX: usize = 256;

/// What became of a request that needs the order.
pub(crate) enum Ordered {
    /// It has its place, be it as a refusal that spends a zxid.
    Txn(Txn),
    /// It was refused without a place in the order.
    Refused(Outcome),
}

/// Removal of containers that are empty and TTL nodes whose time is up.
#[derive(Clone, Copy, Debug)]
pub struct SpentRemoval {
    /// How often they are looked for, milliseconds.
    pub interval_ms: i64,
    /// How many of them may be removed per minute.
    pub per_minute: u32,
    /// After how many milliseconds a container goes that never had a child; 0 is never.
    pub never_used_ms: i64,
}

/// The part of a replica that orders.
pub(crate) struct Orderer {
    sequencer: Sequencer,
    sessions: SessionTable,
    admission: WriteAdmission,
    removal: SpentRemoval,
    removal_due: Millis,
    more_due: bool,
    /// Sessions that have begun to end.
    pub(super) closing: ClosingSessions,
    rollover: Rollover,
    epochs: EpochLimits,
    /// Sessions that connections here had before this server led, and have not used since.
    unused: BTreeSet<SessionId>,
}

/// What follows an epoch whose counter is used up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rollover {
    /// This server is its own quorum, and begins the next one.
    NextEpoch,
    /// Members elect the leader of the next one. This one behaves behind `last`, which is of an
    /// epoch before its own.
    Election {
        /// The last transaction of those before.
        last: Zxid,
    },
}

/// How far an ensemble's leader counts in one epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochLimits {
    /// The counter from which on the ensemble elects again: early, so that all that is on its way
    /// by then has its place, while the election takes milliseconds.
    pub elects_from: u32,
    /// The counter from which on nothing is ordered: one step orders fewer than what is left.
    pub orders_until: u32,
}

impl Default for EpochLimits {
    fn default() -> EpochLimits {
        EpochLimits { elects_from: 0xfff0_0000, orders_until: 0xfffe_0000 }
    }
}

/// How a server orders.
#[derive(Clone, Debug)]
pub(crate) struct OrderRules {
    /// Rules of the operations.
    pub(crate) ops: OpSettings,
    /// Seed of the hash tables.
    pub(crate) hash_seed: u64,
    /// When containers and TTL nodes are removed.
    pub(crate) removal: SpentRemoval,
    /// How far an epoch goes.
    pub(crate) epochs: EpochLimits,
}

impl Orderer {
    /// A standalone server begins behind what was recovered. Every known session gets a full
    /// fresh timeout, because no client could ping while the server was away.
    pub(crate) fn alone(
        db: &Database,
        mut sessions: SessionTable,
        rules: &OrderRules,
        now: Now,
    ) -> Orderer {
        for (id, timeout_ms) in db.sessions() {
            sessions.open(id, timeout_ms, now.mono);
        }
        let sequencer = Sequencer::new(db.applied(), rules.ops.clone(), rules.hash_seed);
        Orderer::new(sequencer, sessions, (rules, Rollover::NextEpoch), now)
    }

    /// The leader of an ensemble begins its epoch behind what is applied. Its sessions become those
    /// of the state, each with a full fresh timeout: only the leaders before know which clients
    /// were heard of. Connections here have `attached`, or had them and are gone.
    pub(crate) fn of_ensemble(
        epoch: u32,
        db: &Database,
        (mut sessions, attached): (SessionTable, BTreeSet<SessionId>),
        rules: &OrderRules,
        now: Now,
    ) -> Orderer {
        let mut gone: BTreeSet<SessionId> = sessions.iter_after(None).map(|(id, _)| id).collect();
        for (id, timeout_ms) in db.sessions() {
            if !gone.remove(&id) {
                sessions.open(id, timeout_ms, now.mono);
            }
        }
        for id in gone {
            sessions.close(id);
        }
        let last = db.applied();
        let mut sequencer = Sequencer::new(last, rules.ops.clone(), rules.hash_seed);
        sequencer.begin_epoch(epoch);
        let mut orderer =
            Orderer::new(sequencer, sessions, (rules, Rollover::Election { last }), now);
        orderer.unused = attached;
        orderer
    }

    fn new(
        sequencer: Sequencer,
        mut sessions: SessionTable,
        (rules, rollover): (&OrderRules, Rollover),
        now: Now,
    ) -> Orderer {
        let is_early = is_planted(Bug::ExpiresEarly);
        sessions.arm(if is_early { Millis(now.mono.0 - 3_600_000) } else { now.mono });
        let removal = rules.removal;
        Orderer {
            sequencer,
            sessions,
            admission: WriteAdmission::All,
            removal,
            removal_due: Millis(now.mono.0 + removal.interval_ms),
            more_due: false,
            closing: ClosingSessions::default(),
            rollover,
            epochs: rules.epochs,
            unused: BTreeSet::new(),
        }
    }

    /// This server leads no more: nobody expires. What was ordered decides about ends that were on
    /// their way.
    pub(crate) fn take_sessions(&mut self) -> SessionTable {
        self.sessions.disarm();
        self.sessions.take()
    }

    /// The epoch that it orders in.
    pub(crate) fn epoch(&self) -> u32 {
        self.sequencer.last().epoch()
    }

    /// The sessions.
    pub(crate) fn sessions(&self) -> &SessionTable {
        &self.sessions
    }

    /// The last transaction.
    pub(crate) fn last(&self) -> Zxid {
        match self.rollover {
            Rollover::Election { last } if self.sequencer.last().counter() == 0 => last,
            Rollover::Election { .. } | Rollover::NextEpoch => self.sequencer.last(),
        }
    }

    /// Whether the counter of the epoch is as good as used up, so that another leader has to begin
    /// the next one.
    pub(crate) fn wants_election(&self) -> bool {
        self.is_past(self.epochs.elects_from)
    }

    /// Whether nothing more is ordered in this epoch.
    pub(crate) fn is_used_up(&self) -> bool {
        self.is_past(self.epochs.orders_until)
    }

    fn is_past(&self, counter: u32) -> bool {
        match self.rollover {
            Rollover::NextEpoch => false,
            Rollover::Election { .. } => self.sequencer.last().counter() >= counter,
        }
    }

    /// A step begins: everything up to `zxid` is in the database that its calls get.
    pub(crate) fn begin_step(&mut self, zxid: Zxid) {
        self.sequencer.applied(zxid);
        self.closing.begin_step();
    }

    /// Whether there are ends of sessions that the next step orders, where everything up to
    /// `applied` is in the tree.
    pub(crate) fn wants_step(&self, applied: Zxid) -> bool {
        self.closing.is_due(applied) && self.admission() != WriteAdmission::None
    }

    /// Which requests are accepted from now on.
    pub(crate) fn admit(&mut self, admission: WriteAdmission) {
        self.admission = admission;
    }

    /// Which requests are accepted.
    pub(crate) fn admission(&self) -> WriteAdmission {
        if self.is_used_up() { WriteAdmission::None } else { self.admission }
    }

    /// Notes about quotas since the last call.
    pub(crate) fn take_quota_notes(&mut self) -> Option<QuotaNotes> {
        self.sequencer.take_notes()
    }

    /// Whether the next tick should come at once: more sessions were due than one looks at.
    pub(crate) fn wants_tick(&self) -> bool {
        self.more_due
    }

    /// A client's write.
    pub(crate) fn write(
        &mut self,
        db: &Database,
        caller: &Caller,
        owner: Owner,
        write: Write,
        now: Now,
    ) -> Ordered {
        let standing = self.sessions.check(caller.session, owner);
        self.note_used(caller.session, owner);
        if standing == Err(Code::SessionMoved) {
            return Ordered::Refused(Outcome::Moved);
        }
        if self.admission() != WriteAdmission::All {
            return Ordered::Refused(Outcome::Refused(Code::SystemError));
        }
        Ordered::Txn(match standing {
            Ok(()) => self.order(|sequencer| sequencer.order(db, caller, write, now.wall)),
            Err(code) => self.order(|sequencer| sequencer.order_refusal(caller, code, now.wall)),
        })
    }

    /// A client ends its session. `None` where that begins: [`Orderer::next_end`] has what follows.
    pub(crate) fn close(
        &mut self,
        caller: Caller,
        (owner, by): (Owner, ClosedBy),
        now: Now,
    ) -> Option<Ordered> {
        let standing = self.sessions.check(caller.session, owner);
        self.note_used(caller.session, owner);
        if standing == Err(Code::SessionMoved) {
            return Some(Ordered::Refused(Outcome::Moved));
        }
        if self.admission() == WriteAdmission::None {
            return Some(Ordered::Refused(Outcome::Refused(Code::SystemError)));
        }
        if let Err(code) = standing {
            return Some(Ordered::Txn(self.refuse(&caller, code, now)));
        }
        assert!(self.sessions.begin_close(caller.session), "it was live a moment ago");
        self.closing.push(Closing { caller, by });
        None
    }

    /// A new session, whose id its server has made. The timeout is clamped before.
    ///
    /// A session that exists is opened again; `None` where its end is on its way.
    pub(crate) fn open(
        &mut self,
        session: SessionId,
        timeout_ms: i32,
        owner: Owner,
        now: Now,
    ) -> Option<(Txn, Attached)> {
        self.sessions.open(session, timeout_ms, now.mono);
        let attached = self.sessions.attach(session, timeout_ms, owner, now.mono)?;
        let txn = self.order(|sequencer| sequencer.order_open(session, timeout_ms, now.wall));
        Some((txn, attached))
    }

    /// A session gets a new owner; `None` where it has ended.
    pub(crate) fn attach(
        &mut self,
        session: SessionId,
        timeout_ms: i32,
        owner: Owner,
        now: Now,
    ) -> Option<Attached> {
        self.unused.remove(&session);
        self.sessions.attach(session, timeout_ms, owner, now.mono)
    }

    /// The client of a session was heard of by another server.
    pub(crate) fn touch(&mut self, session: SessionId, now: Now) {
        self.sessions.touch(session, now.mono);
    }

    /// A session that nobody owns, as after an election, becomes that of the first who uses it. One
    /// that a connection here had before the election, and has not used since, may have gone to
    /// another server without this one having heard of it.
    pub(crate) fn claim(&mut self, session: SessionId, owner: Owner) {
        if self.unused.remove(&session) {
            self.sessions.disown_gone(session);
        }
        self.sessions.claim(session, owner);
    }

    /// A connection here uses its session.
    fn note_used(&mut self, session: SessionId, owner: Owner) {
        if let Owner::Connection(_) = owner
            && !self.unused.is_empty()
        {
            self.unused.remove(&session);
        }
    }

    /// A refusal that was decided outside.
    pub(crate) fn refuse(&mut self, caller: &Caller, code: Code, now: Now) -> Txn {
        self.order(|sequencer| sequencer.order_refusal(caller, code, now.wall))
    }

    /// The next transaction of sessions that end, and the session that it ends, if it does. `None`
    /// where this step orders no more of them.
    pub(crate) fn next_end(&mut self, db: &Database, now: Now) -> Option<(Txn, Option<Closing>)> {
        let admitted = self.admission() != WriteAdmission::None;
        let closing = &mut self.closing;
        if !admitted || !closing.is_due(db.applied()) || closing.bytes_left == 0 {
            return None;
        }
        let ending = closing.waiting.pop_front()?;
        let mut left = closing.bytes_left;
        let order = |sequencer: &mut Sequencer| {
            sequencer.order_close_part(db, &ending.caller, &mut left, now.wall)
        };
        let (txn, end) = self.order_with(order);
        self.closing.bytes_left = left;
        match end {
            SessionEnd::Ordered => Some((txn, Some(ending))),
            SessionEnd::Due => {
                self.closing.portion = txn.zxid;
                // The others have their turn before its next one.
                self.closing.waiting.push_back(ending);
                Some((txn, None))
            }
        }
    }

    /// This process did not run for a while. It may have missed what clients sent meanwhile, so the
    /// time that passed does not count (hazards 19 and 24).
    pub(crate) fn paused(&mut self, now: Now) {
        self.sessions.rearm(now.mono);
    }

    /// Begins the end of sessions whose time is up, a bounded number a tick.
    pub(crate) fn expire(&mut self, now: Now) {
        let most = EXPIRIES_MAX.saturating_sub(self.closing.len());
        if self.admission() == WriteAdmission::None || most == 0 {
            return;
        }
        let mut due = Vec::new();
        self.more_due = !self.sessions.due_some(now.mono, most, &mut due);
        for session in due {
            let caller = Caller { session, cxid: 0, ids: Arc::from([]) };
            let owner = self.sessions.get(session).and_then(|session| session.owner);
            self.closing.push(Closing { caller, by: ClosedBy::Expiry(owner) });
        }
    }

    /// Orders the removal of spent nodes, a bounded number a time.
    pub(crate) fn remove_spent(&mut self, db: &Database, now: Now, mut each: impl FnMut(Txn)) {
        if now.mono < self.removal_due || self.admission() != WriteAdmission::All {
            return;
        }
        let SpentRemoval { interval_ms, per_minute, never_used_ms } = self.removal;
        self.removal_due = Millis(now.mono.0 + interval_ms);
        let share = i64::from(per_minute) * interval_ms.max(1) / 60_000;
        let most = usize::try_from(share.max(1)).unwrap_or(usize::MAX);
        let caller = Caller { session: SessionId::NONE, cxid: 0, ids: Arc::from([]) };
        for path in db.tree.spent(now.wall, never_used_ms, most) {
            let write = Write::DeleteSpent(DeleteSpent { path });
            if self.is_used_up() {
                return;
            }
            each(self.order(|sequencer| sequencer.order(db, &caller, write, now.wall)));
        }
    }

    /// A session that has ended is forgotten with its commit.
    pub(crate) fn committed(&mut self, txn: &Txn) {
        if let TxnBody::CloseSession { .. } = txn.body {
            self.sessions.close(txn.session);
        }
    }

    /// Every zxid is born here, so that the epoch of a standalone server which has used its counter
    /// up is followed by the next one.
    fn order(&mut self, order: impl FnOnce(&mut Sequencer) -> Txn) -> Txn {
        self.order_with(order)
    }

    /// As [`Orderer::order`], for an order that says more than its transaction.
    pub(super) fn order_with<T>(&mut self, order: impl FnOnce(&mut Sequencer) -> T) -> T {
        assert!(!self.is_used_up() || self.sequencer.can_order(), "the next epoch is elected");
        if !self.sequencer.can_order() {
            let epoch = self.sequencer.last().epoch().checked_add(1);
            self.sequencer.begin_epoch(epoch.expect("2^64 transactions take longer than disks"));
        }
        order(&mut self.sequencer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now { wall: Millis(5), mono: Millis(5) };

    fn orderer(last: Zxid, rollover: Rollover) -> Orderer {
        let removal = SpentRemoval { interval_ms: 1, per_minute: 60_000, never_used_ms: 0 };
        let (ops, epochs) = (OpSettings::default(), EpochLimits::default());
        let rules = OrderRules { ops, hash_seed: 1, removal, epochs };
        let sequencer = Sequencer::new(last, rules.ops.clone(), rules.hash_seed);
        Orderer::new(sequencer, SessionTable::new(2_000, 4_000, 40_000), (&rules, rollover), NOW)
    }

    fn refuse(orderer: &mut Orderer) -> Zxid {
        let caller = Caller { session: SessionId(1), cxid: 1, ids: Arc::from([]) };
        orderer.refuse(&caller, Code::NoNode, NOW).zxid
    }

    #[test]
    fn standalone_server_begins_the_next_epoch_itself() {
        let mut alone = orderer(Zxid::new(3, u32::MAX - 1), Rollover::NextEpoch);
        assert!(!alone.wants_election() && !alone.is_used_up());
        assert_eq!(refuse(&mut alone), Zxid::new(3, u32::MAX));
        assert_eq!(refuse(&mut alone), Zxid::new(4, 1));
    }

    #[test]
    fn leader_asks_for_an_election_before_its_epoch_is_used_up_and_orders_nothing_then() {
        let election = Rollover::Election { last: Zxid::new(2, 9) };
        let EpochLimits { elects_from, orders_until } = EpochLimits::default();
        let mut leader = orderer(Zxid::new(3, elects_from - 1), election);
        assert!(!leader.wants_election());
        assert_eq!(refuse(&mut leader), Zxid::new(3, elects_from));
        assert!(leader.wants_election() && !leader.is_used_up());
        assert_eq!(leader.admission(), WriteAdmission::All);
        let mut leader = orderer(Zxid::new(3, orders_until), election);
        assert!(leader.is_used_up());
        assert_eq!(leader.admission(), WriteAdmission::None);
        assert_eq!(
            refuse(&mut leader),
            Zxid::new(3, orders_until + 1),
            "a step ends what it began"
        );
    }

    #[test]
    fn beginning_of_an_epoch_is_no_transaction() {
        let last = Zxid::new(2, 9);
        let mut leader = orderer(Zxid::new(3, 0), Rollover::Election { last });
        assert_eq!((leader.last(), leader.epoch()), (last, 3));
        assert_eq!(refuse(&mut leader), Zxid::new(3, 1));
        assert_eq!(leader.last(), Zxid::new(3, 1));
    }
}
