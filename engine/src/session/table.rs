//! The session table and its expiry buckets.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

use super::entry::{NO_BUCKET, Session};
use super::map::SessionMap;
use super::{LastHeard, Owner};
use crate::{Code, Millis, SessionId};

/// A session that was attached to a connection.
#[derive(Debug)]
pub struct Attached {
    /// The last_heard for the shard that holds the connection now. Earlier ones have no effect.
    pub last_heard: LastHeard,
    /// The owner before; its connection has to be closed.
    pub previous: Option<Owner>,
}

/// All sessions of the ensemble.
///
/// Time is cut into ticks and a session expires at the end of the tick in which its time runs
/// out: never early, at most one tick late. A touch moves nothing. When the tick comes at which a
/// session would be due, [`LastHeard`] is read, and the session moves to the tick that follows
/// from it; so each session is examined once per timeout, however often its client sends something.
#[derive(Debug)]
pub struct SessionTable {
    sessions: SessionMap,
    /// The same ids, in order: for snapshots, which are written in slices.
    order: BTreeSet<SessionId>,
    /// Sessions by the end of the tick at which to examine them; `None` on a server that does
    /// not lead.
    buckets: Option<BTreeMap<Millis, VecDeque<SessionId>>>,
    tick_ms: i64,
    timeout_ms_min: i32,
    timeout_ms_max: i32,
}

impl SessionTable {
    /// An empty table that lets sessions expire. All three are in milliseconds; the timeouts are
    /// the bounds of what clients may request.
    pub fn new(tick_ms: i32, timeout_ms_min: i32, timeout_ms_max: i32) -> SessionTable {
        assert!(tick_ms > 0 && 0 < timeout_ms_min && timeout_ms_min <= timeout_ms_max);
        SessionTable {
            sessions: SessionMap::new(),
            order: BTreeSet::new(),
            buckets: Some(BTreeMap::new()),
            tick_ms: i64::from(tick_ms),
            timeout_ms_min,
            timeout_ms_max,
        }
    }

    /// The timeout that a client gets when it requests this one.
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
    /// the new timeout, from now.
    pub fn open(&mut self, id: SessionId, timeout_ms: i32, now: Millis) -> LastHeard {
        let session = if let Some(session) = self.sessions.get_mut(id) {
            session.timeout_ms = timeout_ms;
            session.last_heard.touch(now);
            session
        } else {
            self.order.insert(id);
            self.sessions.insert_new(id, Session::new(timeout_ms, now))
        };
        let last_heard = session.last_heard.clone();
        self.schedule(id);
        last_heard
    }

    /// A session ends. False if there was none, which is fine: expiry and the client's own
    /// farewell may cross.
    pub fn close(&mut self, id: SessionId) -> bool {
        self.order.remove(&id);
        self.sessions.remove(id).is_some()
    }

    /// Marks a session whose end is on its way through the log. False if there is none, or if
    /// its end is on its way already.
    pub fn begin_close(&mut self, id: SessionId) -> bool {
        match self.sessions.get_mut(id) {
            Some(session) if !session.is_closing => {
                session.is_closing = true;
                true
            }
            _ => false,
        }
    }

    /// A session.
    pub fn get(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(id)
    }

    /// Whether `owner` may still write for a session: it must live, and no other connection may own it.
    pub fn check(&self, id: SessionId, owner: Owner) -> Result<(), Code> {
        match self.sessions.get(id) {
            None => Err(Code::SessionExpired),
            Some(session) if session.is_closing => Err(Code::SessionExpired),
            Some(session) if session.owner.is_some_and(|other| other != owner) => {
                Err(Code::SessionMoved)
            }
            Some(_) => Ok(()),
        }
    }

    /// Attaches a session to a connection, with a timeout that [`SessionTable::clamp`] let through.
    /// `None` if the session is gone or going: once expiry has been decided, nothing revives it.
    pub fn attach(
        &mut self,
        id: SessionId,
        timeout_ms: i32,
        owner: Owner,
        now: Millis,
    ) -> Option<Attached> {
        let session = self.sessions.get_mut(id).filter(|session| !session.is_closing)?;
        let last_heard = LastHeard::new(now);
        session.last_heard = last_heard.clone();
        session.timeout_ms = timeout_ms;
        let previous = session.owner.replace(owner);
        self.schedule(id);
        Some(Attached { last_heard, previous })
    }

    /// Gives a session that nobody owns to `owner`. Nothing else changes.
    pub fn claim(&mut self, id: SessionId, owner: Owner) {
        if let Some(session) = self.sessions.get_mut(id).filter(|session| !session.is_closing) {
            session.owner.get_or_insert(owner);
        }
    }

    /// Gives up the owner of a session, and returns it.
    pub fn disown(&mut self, id: SessionId) -> Option<Owner> {
        self.sessions.get_mut(id)?.owner.take()
    }

    /// Gives up the owner of a session if that is a connection which is gone. A connection that
    /// ends says nothing of it, because its client may come back.
    pub fn disown_gone(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id)
            && let Some(Owner::Connection(_)) = session.owner
            && !session.last_heard.is_shared()
        {
            session.owner = None;
        }
    }

    /// The client of a session sent something to another server. False if there is none.
    pub fn touch(&mut self, id: SessionId, now: Millis) -> bool {
        match self.sessions.get(id) {
            Some(session) if !session.is_closing => {
                session.last_heard.touch(now);
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
            let session = self.sessions.get_mut(id).expect("both hold the same ids");
            session.last_heard.touch(now);
            session.is_closing = false;
            session.bucket = NO_BUCKET;
            self.schedule(id);
        }
    }

    /// Gives every session a full timeout from now, because this process was paused and cannot
    /// know which clients sent something meanwhile. Ends that are under way stay so.
    pub fn rearm(&mut self, now: Millis) {
        for session in self.order.iter().filter_map(|id| self.sessions.get(*id)) {
            session.last_heard.touch(now);
        }
    }

    /// Lets no session expire any more: this server does not lead. Ends that were on their way may
    /// not come, and which other server owns a session is the leader's to know.
    pub fn disarm(&mut self) {
        self.buckets = None;
        for id in &self.order {
            let session = self.sessions.get_mut(*id).expect("both hold the same ids");
            session.is_closing = false;
            session.bucket = NO_BUCKET;
            session.owner = session.owner.filter(|owner| matches!(owner, Owner::Connection(_)));
        }
    }

    /// Moves all sessions to the table that is returned. This one is empty, with the same bounds.
    pub fn take(&mut self) -> SessionTable {
        let empty = SessionTable {
            sessions: SessionMap::new(),
            order: BTreeSet::new(),
            buckets: None,
            ..*self
        };
        std::mem::replace(self, empty)
    }

    /// Adds to `out` the sessions that expire now, and marks them as closing: each is returned once.
    pub fn due(&mut self, now: Millis, out: &mut Vec<SessionId>) {
        let all_done = self.due_some(now, usize::MAX, out);
        assert!(all_done, "there are fewer sessions than numbers");
    }

    /// As [`SessionTable::due`], but examines `sessions_max` sessions at most. False if more are
    /// due now.
    pub fn due_some(&mut self, now: Millis, sessions_max: usize, out: &mut Vec<SessionId>) -> bool {
        let mut left = sessions_max;
        while let Some((at, mut ids)) = self.pop_bucket(now) {
            while let Some(id) = ids.pop_front() {
                if left == 0 {
                    ids.push_front(id);
                    self.buckets.get_or_insert_default().insert(at, ids);
                    return false;
                }
                left -= 1;
                self.examine(id, at, now, out);
            }
        }
        true
    }

    /// When [`SessionTable::due`] has something to examine next.
    pub fn next_due(&self) -> Option<Millis> {
        self.buckets.as_ref()?.keys().next().copied()
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Ids and timeouts in the order of the ids, from the one after `after` on: a snapshot takes
    /// a slice at a time.
    pub fn iter_after(
        &self,
        after: Option<SessionId>,
    ) -> impl Iterator<Item = (SessionId, i32)> + '_ {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let ids = self.order.range((from, Bound::Unbounded));
        ids.filter_map(|id| Some((*id, self.sessions.get(*id)?.timeout_ms)))
    }

    /// All sessions by the time at which they expire if their clients send nothing, for the `dump`
    /// word. Monotonic clock.
    pub fn dump(&self) -> BTreeMap<Millis, Vec<SessionId>> {
        let mut dump: BTreeMap<Millis, Vec<SessionId>> = BTreeMap::new();
        for (id, session) in self.order.iter().filter_map(|id| Some((id, self.get(*id)?))) {
            dump.entry(session.deadline(self.tick_ms)).or_default().push(*id);
        }
        dump
    }
}

/// Buckets.
impl SessionTable {
    /// Puts a session into the bucket of its deadline. One that is in an earlier bucket
    /// stays there: that is what makes a touch free.
    fn schedule(&mut self, id: SessionId) {
        let Some(buckets) = &mut self.buckets else { return };
        let session = self.sessions.get_mut(id).expect("the caller has it");
        let deadline = session.deadline(self.tick_ms);
        if deadline < session.bucket {
            session.bucket = deadline;
            buckets.entry(deadline).or_default().push_back(id);
        }
    }

    fn pop_bucket(&mut self, now: Millis) -> Option<(Millis, VecDeque<SessionId>)> {
        let first = self.buckets.as_mut()?.first_entry()?;
        (*first.key() <= now).then(|| first.remove_entry())
    }

    /// Expires a session, or moves it on to the bucket that its last_heard calls for now.
    fn examine(&mut self, id: SessionId, at: Millis, now: Millis, out: &mut Vec<SessionId>) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if session.bucket != at || session.is_closing {
            return;
        }
        let deadline = session.deadline(self.tick_ms);
        if deadline <= now {
            session.is_closing = true;
            out.push(id);
        } else {
            session.bucket = deadline;
            self.buckets.get_or_insert_default().entry(deadline).or_default().push_back(id);
        }
    }
}
