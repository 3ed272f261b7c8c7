//! Which clients of this server were heard of: what the answer to a ping carries, so that the
//! leader does not let their sessions expire.

use std::collections::BTreeMap;
use std::ops::Bound;

use ringkeeper_engine::session::LastHeard;
use ringkeeper_engine::{Millis, SessionId};

/// Sessions that are looked at for one portion, and that one packet carries at most.
pub const TOUCHED_SESSIONS_MAX: usize = 256;

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
}

#[derive(Debug)]
struct Entry {
    timeout_ms: i32,
    last_heard: LastHeard,
    /// What `last_heard` was when the session was reported; `None`: it never was.
    reported: Option<Millis>,
}

impl TouchedSessions {
    /// No session is here.
    pub fn new() -> TouchedSessions {
        TouchedSessions::default()
    }

    /// A connection of this server owns the session now, with this timeout in milliseconds. The
    /// next round reports it in any case.
    pub fn attach(&mut self, session: SessionId, timeout_ms: i32, last_heard: LastHeard) {
        self.sessions.insert(session, Entry { timeout_ms, last_heard, reported: None });
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
