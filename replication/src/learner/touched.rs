//! Which clients of this server were heard of: what the answer to a ping carries, so that the
//! leader does not let their sessions expire.

use std::collections::BTreeMap;
use std::ops::Bound;

use ringkeeper_engine::session::LastHeard;
use ringkeeper_engine::{Millis, SessionId};

use crate::plant::{Bug, is_planted};

/// Sessions that are looked at for one portion, and that one packet carries at most.
pub const TOUCHED_SESSIONS_MAX: usize = 256;

/// Sessions that one look at which are confirmed takes in.
const WATCHED_MAX: usize = 4_096;

/// A part of the answer to a ping.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TouchedPortion {
    /// Sessions that were heard of since they were reported last, with their timeouts in
    /// milliseconds: [`ringkeeper_engine::wire::peer::LearnerPacket::Ping`].
    pub touched: Vec<(SessionId, i32)>,
    /// Whether every session was looked at since [`TouchedSessions::begin`].
    pub is_last: bool,
}

/// The sessions that connections of this server own.
///
/// A ping of the leader begins a round, and each portion of it is a packet. The first one is the
/// answer, be it empty. A leader takes further ones at any time, so they follow in later turns. A
/// ping that comes before the round has ended does not begin it anew: every session is reached,
/// however many there are.
#[derive(Debug, Default)]
pub struct TouchedSessions {
    sessions: BTreeMap<SessionId, Entry>,
    /// The round under way goes on behind this session; `None` where none is under way.
    round: Option<Bound<SessionId>>,
    watch: Watch,
}

/// The look at which sessions are confirmed. A look takes several turns where there are many.
#[derive(Debug)]
struct Watch {
    /// When the next look begins.
    next: Millis,
    /// It goes on behind this session.
    from: Bound<SessionId>,
    /// When the first of those that were looked at is due.
    due: Millis,
}

impl Default for Watch {
    fn default() -> Watch {
        Watch { next: Millis(0), from: Bound::Unbounded, due: Millis(i64::MAX) }
    }
}

#[derive(Debug)]
struct Entry {
    timeout_ms: i32,
    last_heard: LastHeard,
    /// What `last_heard` was when the session was reported; `None`: it never was.
    reported: Option<Millis>,
    /// A leader lets the session live for its timeout from this moment, at the least: its client
    /// was heard of, and that was reported; or the leader said so.
    confirmed: Millis,
    /// Its connection was closed because that was too long ago.
    is_left: bool,
}

impl Entry {
    /// When its leader may let it expire.
    fn due(&self) -> Millis {
        Millis(self.confirmed.0 + i64::from(self.timeout_ms))
    }
}

impl TouchedSessions {
    /// No session is here.
    pub fn new() -> TouchedSessions {
        TouchedSessions::default()
    }

    /// A connection of this server owns the session now, with this timeout in milliseconds. The
    /// next round reports it in any case.
    pub fn attach(&mut self, session: SessionId, timeout_ms: i32, last_heard: LastHeard) {
        let (reported, confirmed, is_left) = (None, last_heard.get(), false);
        let entry = Entry { timeout_ms, last_heard, reported, confirmed, is_left };
        self.watch.next = self.watch.next.min(entry.due());
        self.watch.due = self.watch.due.min(entry.due());
        self.sessions.insert(session, entry);
    }

    /// The session has ended, or another server owns it: it is this server's no more.
    pub fn detach(&mut self, session: SessionId) {
        self.sessions.remove(&session);
    }

    /// A ping has come.
    pub fn begin(&mut self) {
        self.round.get_or_insert(Bound::Unbounded);
    }

    /// A new leader knows nothing of what was reported to the one before.
    pub fn forget_reports(&mut self) {
        self.round = None;
        self.sessions.values_mut().for_each(|entry| entry.reported = None);
    }

    /// A new leader gives every session a full timeout.
    pub(super) fn confirm_all(&mut self, now: Millis) {
        self.sessions.values_mut().for_each(|entry| entry.confirmed = now);
    }

    /// This server has led, and knows up to this moment that it did.
    pub(super) fn confirmed_until(&mut self, confirmed: Millis) {
        let all = self.sessions.values_mut();
        all.for_each(|entry| entry.confirmed = entry.confirmed.min(confirmed));
        self.watch = Watch::default();
    }

    /// Sessions that were not confirmed for as long as they live, each once. A call looks at
    /// [`WATCHED_MAX`] sessions at most, and at none before one can be due.
    pub(super) fn unconfirmed(&mut self, now: Millis) -> Vec<SessionId> {
        let mut found = Vec::new();
        if now < self.watch.next || is_planted(Bug::UnconfirmedServed) {
            return found;
        }
        let behind = self.sessions.range_mut((self.watch.from, Bound::Unbounded));
        for (looked_at, (session, entry)) in behind.enumerate() {
            if looked_at == WATCHED_MAX {
                return found;
            }
            self.watch.from = Bound::Excluded(*session);
            if entry.is_left {
                continue;
            }
            if entry.due() <= now {
                entry.is_left = true;
                found.push(*session);
            } else {
                self.watch.due = self.watch.due.min(entry.due());
            }
        }
        let next = self.watch.due;
        self.watch = Watch { next, ..Watch::default() };
        found
    }

    /// Whether a round is under way.
    pub(super) fn has_portion(&self) -> bool {
        self.round.is_some()
    }

    /// The next portion of the round, after a look at no more than [`TOUCHED_SESSIONS_MAX`]
    /// sessions; `None` where no round is under way.
    pub fn next_portion(&mut self) -> Option<TouchedPortion> {
        let from = self.round?;
        let mut touched = Vec::new();
        self.round = None;
        let behind = self.sessions.range_mut((from, Bound::Unbounded));
        for (looked_at, (session, entry)) in behind.enumerate() {
            if looked_at == TOUCHED_SESSIONS_MAX {
                return Some(TouchedPortion { touched, is_last: false });
            }
            self.round = Some(Bound::Excluded(*session));
            let heard = entry.last_heard.get();
            if entry.reported != Some(heard) {
                entry.reported = Some(heard);
                entry.confirmed = entry.confirmed.max(heard);
                touched.push((*session, entry.timeout_ms));
            }
        }
        self.round = None;
        Some(TouchedPortion { touched, is_last: true })
    }
}

#[cfg(test)]
mod tests {
    use ringkeeper_engine::session::SessionTable;

    use super::*;

    /// Sessions 1 to `count`, all heard of at time 0.
    fn sessions(count: i64) -> (TouchedSessions, Vec<LastHeard>) {
        let mut table = SessionTable::new(10, 20, 60_000);
        let mut sessions = TouchedSessions::new();
        let attach = |id| {
            let heard = table.open(SessionId(id), 1_000, Millis(0));
            sessions.attach(SessionId(id), 1_000 + id as i32, heard.clone());
            heard
        };
        let heard = (1..=count).map(attach).collect();
        (sessions, heard)
    }

    /// The portions of one round.
    fn round(sessions: &mut TouchedSessions) -> Vec<Vec<i64>> {
        sessions.begin();
        let mut portions = Vec::new();
        while let Some(portion) = sessions.next_portion() {
            for (id, timeout_ms) in &portion.touched {
                assert_eq!(i64::from(*timeout_ms), 1_000 + id.0);
            }
            portions.push(portion.touched.iter().map(|(id, _)| id.0).collect());
            assert_eq!(portion.is_last, sessions.round.is_none());
        }
        portions
    }

    #[test]
    fn a_session_is_reported_at_first_and_then_when_it_was_heard_of() {
        let (mut sessions, heard) = sessions(3);
        assert_eq!(round(&mut sessions), [[1, 2, 3]]);
        assert_eq!(round(&mut sessions), [[0; 0]]);
        heard[1].touch(Millis(5));
        assert_eq!(round(&mut sessions), [[2]]);
        assert_eq!(round(&mut sessions), [[0; 0]]);
    }

    #[test]
    fn session_that_no_leader_confirms_for_its_timeout_is_left_once() {
        let (mut sessions, heard) = sessions(3);
        assert_eq!(sessions.unconfirmed(Millis(1_000)), []);
        assert_eq!(sessions.unconfirmed(Millis(1_001)), [SessionId(1)]);
        assert_eq!(sessions.unconfirmed(Millis(1_001)), []);
        heard[1].touch(Millis(900));
        // It was heard of, and the leader does not know.
        assert_eq!(sessions.unconfirmed(Millis(1_002)), [SessionId(2)]);
        heard[2].touch(Millis(1_001));
        assert_eq!(round(&mut sessions), [[1, 2, 3]]);
        assert_eq!(sessions.unconfirmed(Millis(2_003)), []);
        assert_eq!(sessions.unconfirmed(Millis(2_004)), [SessionId(3)]);
    }

    #[test]
    fn new_leader_confirms_all_sessions_and_a_leader_that_was_cut_off_none() {
        let (mut sessions, _) = sessions(WATCHED_MAX as i64 + 5);
        sessions.confirm_all(Millis(700));
        assert_eq!(sessions.unconfirmed(Millis(1_700)), []);
        sessions.confirmed_until(Millis(0));
        let found = sessions.unconfirmed(Millis(1_010)).len();
        assert_eq!(found, 10, "those whose time is over");
        let late = Millis(i64::MAX / 2);
        let left: usize = (0..3).map(|_| sessions.unconfirmed(late).len()).sum();
        assert_eq!(left, WATCHED_MAX - 5, "each once, a portion at a time");
    }

    #[test]
    fn a_ping_without_sessions_has_an_empty_answer() {
        let mut sessions = TouchedSessions::new();
        assert_eq!(sessions.next_portion(), None);
        assert_eq!(round(&mut sessions), [[0; 0]]);
        assert_eq!(sessions.next_portion(), None);
    }

    #[test]
    fn a_detached_session_is_reported_no_more_and_an_attached_one_again() {
        let (mut sessions, heard) = sessions(2);
        round(&mut sessions);
        sessions.detach(SessionId(1));
        heard[0].touch(Millis(9));
        assert_eq!(round(&mut sessions), [[0; 0]]);
        sessions.attach(SessionId(1), 1_001, heard[0].clone());
        assert_eq!(round(&mut sessions), [[1]]);
    }

    #[test]
    fn another_leader_gets_every_session() {
        let (mut sessions, _) = sessions(300);
        sessions.begin();
        sessions.next_portion();
        sessions.forget_reports();
        assert_eq!(sessions.next_portion(), None);
        assert_eq!(round(&mut sessions).concat(), (1..=300).collect::<Vec<i64>>());
    }

    #[test]
    fn many_sessions_come_in_bounded_portions_each_once() {
        for count in [255, 256, 257, 512, 1_000] {
            let (mut sessions, heard) = sessions(count);
            for time in 0..3 {
                heard.iter().for_each(|heard| heard.touch(Millis(time)));
                let portions = round(&mut sessions);
                let all: Vec<i64> = (1..=count).collect();
                assert_eq!(portions.concat(), all, "{count}");
                assert!(portions.iter().all(|portion| portion.len() <= TOUCHED_SESSIONS_MAX));
                assert_eq!(portions.len(), (count as usize).div_ceil(TOUCHED_SESSIONS_MAX));
            }
        }
    }

    /// Sessions come, go and are heard of between the portions, and pings come too early.
    #[test]
    fn a_round_reaches_every_session_that_stays_whatever_happens_meanwhile() {
        let (mut sessions, heard) = sessions(1_000);
        round(&mut sessions);
        heard.iter().for_each(|heard| heard.touch(Millis(1)));
        sessions.begin();
        let mut reported = Vec::new();
        while let Some(portion) = sessions.next_portion() {
            reported.extend(portion.touched.iter().map(|(id, _)| id.0));
            let Some(last) = reported.last().copied() else { continue };
            sessions.detach(SessionId(last));
            sessions.detach(SessionId(last + 1));
            if !portion.is_last {
                sessions.begin();
            }
        }
        let expected: Vec<i64> = (1..=1_000).filter(|id| ![257, 514, 771].contains(id)).collect();
        assert_eq!(reported, expected);
    }
}
