//! The session table and its expiry buckets.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use hashbrown::HashMap;
use rapidhash::fast::SeedableState;

use super::{Lease, Owner};
use crate::{Code, Millis, SessionId};

/// What is known of one session.
#[derive(Debug)]
pub struct Session {
    /// The timeout agreed, which a reconnect may change.
    pub timeout_ms: i32,
    /// Who speaks for it; `None` until a connection takes it up after a restart.
    pub owner: Option<Owner>,
    /// When it was heard of last.
    pub lease: Lease,
    /// Its end is decided but not yet committed: nothing can take it up again.
    pub is_closing: bool,
    /// The bucket that looks at this session next. Entries of other buckets are leftovers.
    bucket: Millis,
}

/// A session that was taken up by a connection.
#[derive(Debug)]
pub struct Attached {
    /// The lease for the shard that holds the connection now. Earlier ones have no effect.
    pub lease: Lease,
    /// Who spoke for the session before; its connection has to be closed.
    pub previous: Option<Owner>,
}

/// All sessions of the ensemble.
///
/// Time is cut into ticks and a session expires at the end of the tick in which its time runs
/// out: never early, at most one tick late. A touch moves nothing. When the tick comes at which a
/// session would be due, its lease is read, and the session goes on to the tick that follows from
/// it; so each session costs one look per timeout, however often it is heard of.
#[derive(Debug)]
pub struct SessionTable {
    sessions: HashMap<SessionId, Session, SeedableState<'static>>,
    /// The same ids, in order: for snapshots, which are written in slices.
    order: BTreeSet<SessionId>,
    /// Sessions by the end of the tick at which to look at them; `None` on a server that does
    /// not lead.
    buckets: Option<BTreeMap<Millis, Vec<SessionId>>>,
    tick_ms: i64,
    timeout_ms_min: i32,
    timeout_ms_max: i32,
}

impl SessionTable {
    /// An empty table that lets sessions expire. All three are in milliseconds; the timeouts are
    /// the bounds of what clients may ask for.
    pub fn new(tick_ms: i32, timeout_ms_min: i32, timeout_ms_max: i32) -> SessionTable {
        assert!(tick_ms > 0 && 0 < timeout_ms_min && timeout_ms_min <= timeout_ms_max);
        SessionTable {
            sessions: HashMap::with_hasher(SeedableState::fixed()),
            order: BTreeSet::new(),
            buckets: Some(BTreeMap::new()),
            tick_ms: i64::from(tick_ms),
            timeout_ms_min,
            timeout_ms_max,
        }
    }

    /// The timeout that a client gets when it asks for this one.
    pub const fn clamp(&self, timeout_ms: i32) -> i32 {
        if timeout_ms < self.timeout_ms_min {
            self.timeout_ms_min
        } else if timeout_ms > self.timeout_ms_max {
            self.timeout_ms_max
        } else {
            timeout_ms
        }
    }

    /// A session begins, or is found in a snapshot or in the log. One that exists already gets
    /// the new timeout and is heard of now.
    pub fn open(&mut self, id: SessionId, timeout_ms: i32, now: Millis) -> Lease {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.timeout_ms = timeout_ms;
            session.lease.touch(now);
        } else {
            let lease = Lease::new(now);
            let bucket = Millis(i64::MAX);
            let session = Session { timeout_ms, owner: None, lease, is_closing: false, bucket };
            self.sessions.insert(id, session);
            self.order.insert(id);
        }
        self.schedule(id);
        self.sessions[&id].lease.clone()
    }

    /// A session ends. False if there was none, which is fine: expiry and the client's own
    /// farewell may cross.
    pub fn close(&mut self, id: SessionId) -> bool {
        self.order.remove(&id);
        self.sessions.remove(&id).is_some()
    }

    /// Marks a session whose end is on its way through the log. False if there is none, or if
    /// its end is on its way already.
    pub fn begin_close(&mut self, id: SessionId) -> bool {
        match self.sessions.get_mut(&id) {
            Some(session) if !session.is_closing => {
                session.is_closing = true;
                true
            }
            _ => false,
        }
    }

    /// A session.
    pub fn get(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(&id)
    }

    /// Whether `owner` may still write for a session: it must live, and nobody else may have
    /// taken it up.
    pub fn check(&self, id: SessionId, owner: Owner) -> Result<(), Code> {
        match self.sessions.get(&id) {
            None => Err(Code::SessionExpired),
            Some(session) if session.is_closing => Err(Code::SessionExpired),
            Some(session) if session.owner.is_some_and(|other| other != owner) => {
                Err(Code::SessionMoved)
            }
            Some(_) => Ok(()),
        }
    }

    /// A connection takes a session up, with a timeout that [`SessionTable::clamp`] let through.
    /// `None` if the session is gone or going: once expiry has been decided, nothing revives it.
    pub fn attach(
        &mut self,
        id: SessionId,
        timeout_ms: i32,
        owner: Owner,
        now: Millis,
    ) -> Option<Attached> {
        let session = self.sessions.get_mut(&id).filter(|session| !session.is_closing)?;
        let lease = Lease::new(now);
        session.lease = lease.clone();
        session.timeout_ms = timeout_ms;
        let previous = session.owner.replace(owner);
        self.schedule(id);
        Some(Attached { lease, previous })
    }

    /// A session was heard of through another server. False if there is none.
    pub fn touch(&mut self, id: SessionId, now: Millis) -> bool {
        match self.sessions.get(&id) {
            Some(session) if !session.is_closing => {
                session.lease.touch(now);
                true
            }
            _ => false,
        }
    }

    /// Begins to let sessions expire, each after a full timeout from now: after a restart, or
    /// when this server begins to lead. Whatever end was on its way is decided anew.
    pub fn arm(&mut self, now: Millis) {
        self.buckets = Some(BTreeMap::new());
        for id in self.order.clone() {
            let session = self.sessions.get_mut(&id).expect("both hold the same ids");
            session.lease.touch(now);
            session.is_closing = false;
            session.bucket = Millis(i64::MAX);
            self.schedule(id);
        }
    }

    /// Lets no session expire any more: this server does not lead.
    pub fn disarm(&mut self) {
        self.buckets = None;
    }

    /// Adds to `out` the sessions that expire now, and marks them as closing: each is told once.
    pub fn due(&mut self, now: Millis, out: &mut Vec<SessionId>) {
        let all_done = self.due_some(now, usize::MAX, out);
        assert!(all_done, "there are fewer sessions than numbers");
    }

    /// As [`SessionTable::due`], but looks at `sessions_max` sessions at most. False if there are
    /// more to look at now.
    pub fn due_some(&mut self, now: Millis, sessions_max: usize, out: &mut Vec<SessionId>) -> bool {
        let mut left = sessions_max;
        while let Some((at, mut ids)) = self.pop_bucket(now) {
            let rest = ids.split_off(ids.len().min(left));
            left -= ids.len();
            for id in ids {
                self.look_at(id, at, now, out);
            }
            if !rest.is_empty() {
                self.buckets.get_or_insert_default().insert(at, rest);
                return false;
            }
        }
        true
    }

    /// When [`SessionTable::due`] has something to look at next.
    pub fn next_due(&self) -> Option<Millis> {
        self.buckets.as_ref()?.keys().next().copied()
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Ids and timeouts in the order of the ids, from the one after `after` on: a snapshot takes
    /// a slice at a time.
    pub fn iter_after(
        &self,
        after: Option<SessionId>,
    ) -> impl Iterator<Item = (SessionId, i32)> + '_ {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let ids = self.order.range((from, Bound::Unbounded));
        ids.map(|id| (*id, self.sessions[id].timeout_ms))
    }

    /// All sessions by the time at which they expire if nothing is heard of them, for the `dump`
    /// word. Monotonic clock.
    pub fn dump(&self) -> BTreeMap<Millis, Vec<SessionId>> {
        let mut dump: BTreeMap<Millis, Vec<SessionId>> = BTreeMap::new();
        for id in &self.order {
            dump.entry(self.sessions[id].deadline(self.tick_ms)).or_default().push(*id);
        }
        dump
    }
}

/// Buckets.
impl SessionTable {
    /// Puts a session into the bucket of its deadline. One that an earlier bucket will look at
    /// stays there: that is what makes a touch free.
    fn schedule(&mut self, id: SessionId) {
        let Some(buckets) = &mut self.buckets else { return };
        let session = self.sessions.get_mut(&id).expect("the caller has it");
        let deadline = session.deadline(self.tick_ms);
        if deadline < session.bucket {
            session.bucket = deadline;
            buckets.entry(deadline).or_default().push(id);
        }
    }

    fn pop_bucket(&mut self, now: Millis) -> Option<(Millis, Vec<SessionId>)> {
        let first = self.buckets.as_mut()?.first_entry()?;
        (*first.key() <= now).then(|| first.remove_entry())
    }

    /// Expires a session, or moves it on to the bucket that its lease calls for now.
    fn look_at(&mut self, id: SessionId, at: Millis, now: Millis, out: &mut Vec<SessionId>) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if session.bucket != at || session.is_closing {
            return;
        }
        let deadline = session.deadline(self.tick_ms);
        if deadline <= now {
            session.is_closing = true;
            out.push(id);
        } else {
            session.bucket = deadline;
            self.buckets.get_or_insert_default().entry(deadline).or_default().push(id);
        }
    }
}

impl Session {
    /// The end of the tick in which the session's time runs out.
    fn deadline(&self, tick_ms: i64) -> Millis {
        let end = self.lease.last_heard().0 + i64::from(self.timeout_ms);
        Millis((end.div_euclid(tick_ms) + 1) * tick_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::ConnId;

    const TICK: i64 = 2_000;

    fn table() -> SessionTable {
        SessionTable::new(2_000, 4_000, 40_000)
    }

    fn owner(conn: u32) -> Owner {
        Owner { server: 1, shard: 0, conn: ConnId(conn) }
    }

    fn due(table: &mut SessionTable, now: i64) -> Vec<SessionId> {
        let mut out = Vec::new();
        table.due(Millis(now), &mut out);
        out
    }

    #[test]
    fn timeouts_are_clamped_on_both_sides() {
        let asked = [i32::MIN, -1, 0, 3_999, 4_000, 25_000, 40_000, 40_001, i32::MAX];
        let given = [4_000, 4_000, 4_000, 4_000, 4_000, 25_000, 40_000, 40_000, 40_000];
        assert_eq!(asked.map(|timeout| table().clamp(timeout)), given);
    }

    #[test]
    fn expiry_is_never_early_and_at_most_a_tick_late() {
        for heard in (0..3 * TICK).step_by(37) {
            for timeout in [4_000, 4_001, 5_999, 40_000] {
                let mut table = table();
                table.open(SessionId(1), timeout, Millis(heard));
                let end = heard + i64::from(timeout);
                assert_eq!(due(&mut table, end), [], "not even at the last moment");
                assert_eq!(due(&mut table, end + TICK), [SessionId(1)]);
                assert_eq!(due(&mut table, end + 9 * TICK), [], "each is told once");
            }
        }
    }

    #[test]
    fn a_touch_moves_the_end_and_nothing_else() {
        let mut table = table();
        let lease = table.open(SessionId(1), 4_000, Millis(0));
        for now in (0..100_000).step_by(500) {
            lease.touch(Millis(now));
            assert_eq!(due(&mut table, now), []);
        }
        assert_eq!(due(&mut table, 99_500 + 4_000), []);
        assert_eq!(due(&mut table, 99_500 + 4_000 + TICK), [SessionId(1)]);
    }

    #[test]
    fn closing_twice_and_closing_what_expires() {
        let mut table = table();
        table.open(SessionId(1), 4_000, Millis(0));
        assert!(table.begin_close(SessionId(1)));
        assert!(!table.begin_close(SessionId(1)));
        assert_eq!(due(&mut table, 100_000), [], "its end is on its way already");
        assert!(table.close(SessionId(1)));
        assert!(!table.close(SessionId(1)));
        assert!(!table.begin_close(SessionId(1)));
        assert!(table.is_empty() && table.iter_after(None).next().is_none());
    }

    #[test]
    fn an_id_that_comes_back_is_a_new_session() {
        let mut table = table();
        table.open(SessionId(1), 4_000, Millis(0));
        table.close(SessionId(1));
        table.open(SessionId(1), 4_000, Millis(100));
        assert_eq!(due(&mut table, 6_000), [SessionId(1)], "once, though it was entered twice");
    }

    #[test]
    fn attach_renegotiates_in_both_directions() {
        let mut table = table();
        table.open(SessionId(1), 40_000, Millis(0));
        let attached = table.attach(SessionId(1), 4_000, owner(1), Millis(1_000)).unwrap();
        assert_eq!(attached.previous, None);
        assert_eq!(due(&mut table, 5_000), []);
        let again = table.attach(SessionId(1), 20_000, owner(2), Millis(5_000)).unwrap();
        assert_eq!(again.previous, Some(owner(1)));
        assert_eq!(due(&mut table, 25_000), []);
        attached.lease.touch(Millis(30_000));
        assert_eq!(due(&mut table, 26_000), [SessionId(1)], "the old lease has no effect");
        assert_eq!(due(&mut table, 90_000), []);
    }

    #[test]
    fn whoever_comes_first_wins_attach_or_expiry() {
        let mut table = table();
        table.open(SessionId(1), 4_000, Millis(0));
        table.open(SessionId(2), 4_000, Millis(0));
        assert!(table.attach(SessionId(1), 4_000, owner(1), Millis(6_000)).is_some());
        assert_eq!(due(&mut table, 6_000), [SessionId(2)]);
        assert!(table.attach(SessionId(2), 4_000, owner(2), Millis(6_000)).is_none());
        assert!(!table.touch(SessionId(2), Millis(6_000)));
        assert!(table.attach(SessionId(3), 4_000, owner(2), Millis(6_000)).is_none());
    }

    #[test]
    fn writes_are_taken_from_the_owner_of_a_living_session() {
        let mut table = table();
        table.open(SessionId(1), 4_000, Millis(0));
        assert_eq!(table.check(SessionId(1), owner(1)), Ok(()), "nobody has taken it up yet");
        table.attach(SessionId(1), 4_000, owner(2), Millis(0)).unwrap();
        assert_eq!(table.check(SessionId(1), owner(1)), Err(Code::SessionMoved));
        assert_eq!(table.check(SessionId(1), owner(2)), Ok(()));
        table.begin_close(SessionId(1));
        assert_eq!(table.check(SessionId(1), owner(2)), Err(Code::SessionExpired));
        assert_eq!(table.check(SessionId(9), owner(2)), Err(Code::SessionExpired));
    }

    #[test]
    fn after_a_restart_every_session_has_a_full_timeout() {
        let mut table = table();
        for id in 1..=3 {
            table.open(SessionId(id), 4_000, Millis(0));
        }
        assert_eq!(due(&mut table, 6_000).len(), 3);
        table.arm(Millis(100_000));
        assert_eq!(due(&mut table, 104_000), []);
        assert_eq!(due(&mut table, 106_000), [1, 2, 3].map(SessionId));
    }

    #[test]
    fn only_who_leads_lets_sessions_expire() {
        let mut table = table();
        table.open(SessionId(1), 4_000, Millis(0));
        table.disarm();
        table.open(SessionId(2), 4_000, Millis(0));
        assert_eq!((due(&mut table, 1 << 40), table.next_due()), (vec![], None));
        table.arm(Millis(0));
        assert_eq!(table.next_due(), Some(Millis(6_000)));
        assert_eq!(due(&mut table, 6_000).len(), 2);
    }

    #[test]
    fn slices_tell_what_one_look_at_everything_tells() {
        let mut table = table();
        for id in 0..1_000 {
            let lease = table.open(SessionId(id + 1), 4_000, Millis(0));
            lease.touch(Millis(id));
        }
        let mut out = Vec::new();
        while !table.due_some(Millis(6_000), 7, &mut out) {}
        assert_eq!(out, (1..=1_000).map(SessionId).collect::<Vec<_>>());
    }

    #[test]
    fn dump_and_snapshot_are_sorted() {
        let mut table = table();
        for (id, timeout) in [(5, 4_000), (1, 8_000), (3, 4_000)] {
            table.open(SessionId(id), timeout, Millis(0));
        }
        let all: Vec<_> = table.iter_after(None).collect();
        assert_eq!(all, [(1, 8_000), (3, 4_000), (5, 4_000)].map(|(id, t)| (SessionId(id), t)));
        assert_eq!(table.iter_after(Some(SessionId(1))).count(), 2);
        let expected = [(6_000, vec![SessionId(3), SessionId(5)]), (10_000, vec![SessionId(1)])];
        assert!(table.dump().into_iter().eq(expected.map(|(at, ids)| (Millis(at), ids))));
    }

    #[test]
    fn a_random_history_keeps_every_promise() {
        let (mut table, mut seed) = (table(), 1_u64);
        let mut model: BTreeMap<SessionId, (i64, i32)> = BTreeMap::new();
        for now in (0..400_000).step_by(100) {
            seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            let id = SessionId((seed >> 60) as i64 + 1);
            let timeout = 4_000 + (seed >> 48) as i32 % 20_000;
            let (at, owner) = (Millis(now), owner(0));
            match (seed >> 40) % 8 {
                0..4 if table.touch(id, at) => model.get_mut(&id).unwrap().0 = now,
                4 if table.attach(id, timeout, owner, at).is_some() => {
                    model.insert(id, (now, timeout));
                }
                5 | 6 if table.get(id).is_none() => {
                    table.open(id, timeout, at);
                    model.insert(id, (now, timeout));
                }
                7 if table.close(id) => model.remove(&id).map_or((), drop),
                _ => {}
            }
            for id in due(&mut table, now) {
                let (heard, timeout) = model.remove(&id).expect("it was alive");
                assert!(now > heard + i64::from(timeout), "early");
                table.close(id);
            }
            for (heard, timeout) in model.values() {
                assert!(now <= heard + i64::from(*timeout) + TICK, "late");
            }
        }
    }
}
