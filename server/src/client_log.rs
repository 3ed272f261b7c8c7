//! Every client that is refused or cut off, and every session that expires, has a line in the log,
//! with its address, its session and the reason. What is beyond a limit is counted, and the count
//! is said.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use ringkeeper_engine::SessionId;
use ringkeeper_engine::shard::{EndSeverity, EndedClient};

/// For so long lines of one reason are counted together.
const WINDOW: Duration = Duration::from_secs(10);
/// Lines of one reason within [`WINDOW`].
const LINES_MAX: u64 = 20;

/// Why a connection is not let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// So many connections of its address are open, which is `maxClientCnxns`.
    Address(usize),
    /// So many connections are open, which is `maxCnxns`.
    Total(usize),
    /// There are descriptors for so many connections only.
    Descriptors(usize),
}

impl Refusal {
    fn word(self) -> &'static str {
        match self {
            Refusal::Address(_) => "address_limit",
            Refusal::Total(_) => "total_limit",
            Refusal::Descriptors(_) => "descriptors",
        }
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refusal::Address(most) => {
                write!(f, "its address has {most} connections, which is maxClientCnxns")
            }
            Refusal::Total(most) => write!(f, "{most} clients are connected, which is maxCnxns"),
            Refusal::Descriptors(most) => {
                write!(f, "{most} clients are connected, and there are descriptors for no more")
            }
        }
    }
}

/// What is said of clients, with a limit for each reason. All shards and the node share it.
#[derive(Default)]
pub struct ClientLog {
    recent: Mutex<BTreeMap<&'static str, Recent>>,
}

/// Lines of one reason.
struct Recent {
    since: Instant,
    lines: u64,
    left_out: u64,
}

impl ClientLog {
    /// A connection was not let in.
    pub fn refused(&self, peer: SocketAddr, refusal: Refusal) {
        let reason = refusal.word();
        if self.is_due(reason, Instant::now()) {
            tracing::warn!(reason, client = %peer, "a client was refused: {refusal}");
        }
    }

    /// The TLS handshake of a client has failed.
    pub fn handshake_failed(&self, peer: SocketAddr, why: &dyn Display) {
        let reason = "tls_handshake";
        if self.is_due(reason, Instant::now()) {
            tracing::warn!(reason, client = %peer, "a TLS handshake has failed: {why}");
        }
    }

    /// The connection of a client was ended.
    pub fn ended(&self, client: &EndedClient) {
        let EndedClient { peer, session, end } = client;
        let reason = end.word();
        if !self.is_due(reason, Instant::now()) {
            return;
        }
        match end.severity() {
            EndSeverity::Usual => tracing::info!(
                reason, client = %peer, session = %session, "a client was cut off: {end}"
            ),
            EndSeverity::Unusual => tracing::warn!(
                reason, client = %peer, session = %session, "a client was cut off: {end}"
            ),
        }
    }

    /// This server leads, or is alone, and has ended a session that was not heard of in time.
    pub fn expired(&self, session: SessionId) {
        if self.is_due("expired_session", Instant::now()) {
            tracing::info!(
                reason = "expired_session", session = %session,
                "a session has expired: it was not heard of in time"
            );
        }
    }

    /// All clients of a shard, so many, were cut off.
    pub fn all_ended(&self, count: usize, why: &impl Display) {
        if count > 0 {
            tracing::warn!(reason = "all", clients = count, "clients were cut off: {why}");
        }
    }

    /// Says what was left out, where the time for it has come.
    pub fn tick(&self) {
        for (reason, left_out) in self.take_left_out(Instant::now()) {
            tracing::warn!(reason, left_out, "more clients had the same reason");
        }
    }

    /// Whether a line of this reason is written now. It is counted in any case.
    fn is_due(&self, reason: &'static str, now: Instant) -> bool {
        let mut recent = self.recent.lock();
        let recent =
            recent.entry(reason).or_insert_with(|| Recent { since: now, lines: 0, left_out: 0 });
        if recent.left_out == 0 && now.duration_since(recent.since) >= WINDOW {
            (recent.since, recent.lines) = (now, 0);
        }
        let due = recent.lines < LINES_MAX;
        if due {
            recent.lines += 1;
        } else {
            recent.left_out += 1;
        }
        due
    }

    fn take_left_out(&self, now: Instant) -> Vec<(&'static str, u64)> {
        let mut recent = self.recent.lock();
        let over = recent.iter_mut().filter(|(_, recent)| {
            recent.left_out > 0 && now.duration_since(recent.since) >= WINDOW
        });
        let begin_anew = |(reason, recent): (&&'static str, &mut Recent)| {
            (recent.since, recent.lines) = (now, 0);
            (*reason, std::mem::take(&mut recent.left_out))
        };
        over.map(begin_anew).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_limit_of_their_reason_are_counted_and_the_count_is_said_once() {
        let log = ClientLog::default();
        let begin = Instant::now();
        let due = |count: u64, at: Instant| (0..count).filter(|_| log.is_due("a", at)).count();
        assert_eq!(due(LINES_MAX + 5, begin), LINES_MAX as usize);
        assert!(log.is_due("b", begin), "each reason has its own limit");
        assert!(log.take_left_out(begin + WINDOW / 2).is_empty());
        assert_eq!(due(3, begin + WINDOW), 0, "not before what was left out is said");
        assert_eq!(log.take_left_out(begin + WINDOW), [("a", 8)]);
        assert!(log.take_left_out(begin + WINDOW * 2).is_empty());
        assert_eq!(due(1, begin + WINDOW), 1);
    }

    #[test]
    fn window_begins_anew_where_nothing_was_left_out() {
        let log = ClientLog::default();
        let begin = Instant::now();
        for window in 0..3 {
            let at = begin + WINDOW * window;
            assert!((0..LINES_MAX).all(|_| log.is_due("a", at)));
        }
        assert!(log.take_left_out(begin + WINDOW * 9).is_empty());
    }
}
