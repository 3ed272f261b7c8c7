//! `dump`: sessions and connections by the time at which they end, and the ephemeral nodes.

use std::collections::BTreeMap;
use std::fmt::Write;

use ringkeeper_engine::{Millis, Now, SessionId};

use super::conns::address;
use super::{Answer, Text, Word};
use crate::admin::collection::{Collection, NodeShare};
use crate::admin::date;
use crate::admin::facts::ServerFacts;
use crate::admin::partial::{ConnLine, PartialReport};
use crate::admin::state::Ephemerals;

pub(super) static DUMP: Word = Word::new(
    b"dump",
    Answer::Report(
        &SESSIONS,
        Text::Long(|state, report| {
            let facts = &state.sources.facts;
            let now = facts.clock.now();
            // Only who orders knows when sessions expire.
            let tracked = match state.member() {
                Some(report) if report.leading.is_none() => {
                    global_sessions(&state.global_sessions())
                }
                Some(_) | None => session_sets(report, facts, now),
            };
            dump(report, &tracked, &state.ephemerals(), facts, now)
        }),
    ),
);

/// The sessions and the connections.
pub(in crate::admin) static SESSIONS: Collection =
    Collection { node: NodeShare::Sessions, ..Collection::list(|slice| slice.list_conns()) };

/// The text of `dump`.
fn dump(
    report: &PartialReport,
    tracked: &str,
    ephemerals: &Ephemerals,
    facts: &ServerFacts,
    now: Now,
) -> String {
    let mut text = format!("SessionTracker dump:\n{tracked}");
    dump_ephemerals(ephemerals, &mut text);
    text.push_str("Connections dump:\n");
    let conns = report.conns.iter().map(|conn| (end_of(conn, facts), conn));
    let line = |conn: &ConnLine, text: &mut String| {
        let peer = address(conn.peer);
        writeln!(text, "\tip: /{peer} sessionId: {}", conn.session)
    };
    sets("Connections Sets", by_time(conns), now, line, &mut text);
    text
}

/// The sessions by the time at which they expire.
fn session_sets(report: &PartialReport, facts: &ServerFacts, now: Now) -> String {
    let mut text = String::new();
    let sessions = report.sessions.iter().map(|(session, at)| (facts.tick_of(at.0), session));
    let line = |session: &SessionId, text: &mut String| writeln!(text, "\t{session}");
    sets("Session Sets", by_time(sessions), now, line, &mut text);
    text
}

/// The sessions of the ensemble: only its leader knows when they expire.
fn global_sessions(sessions: &[(SessionId, i32)]) -> String {
    let lines = sessions.iter().map(|(id, timeout_ms)| format!("{id}\t{timeout_ms}ms\n"));
    format!("Global Sessions({}):\n", sessions.len()) + &lines.collect::<String>()
}

/// When a connection would be cut off if nothing is heard of it.
fn end_of(conn: &ConnLine, facts: &ServerFacts) -> Millis {
    let lives_ms = match conn.session {
        SessionId::NONE => facts.handshake_ms,
        _ => i64::from(conn.timeout_ms),
    };
    facts.tick_of(conn.heard.0 + lives_ms)
}

fn date(mono: Millis, now: Now) -> String {
    date::full(now.wall.0 + (mono.0 - now.mono.0))
}

fn by_time<T>(all: impl Iterator<Item = (Millis, T)>) -> BTreeMap<Millis, Vec<T>> {
    let mut buckets: BTreeMap<Millis, Vec<T>> = BTreeMap::new();
    all.for_each(|(at, one)| buckets.entry(at).or_default().push(one));
    buckets
}

fn sets<T>(
    title: &str,
    buckets: BTreeMap<Millis, Vec<&T>>,
    now: Now,
    line: impl Fn(&T, &mut String) -> std::fmt::Result,
    text: &mut String,
) {
    const FITS: &str = "writing to a string cannot fail";
    let all: usize = buckets.values().map(Vec::len).sum();
    writeln!(text, "{title} ({})/({all}):", buckets.len()).expect(FITS);
    for (at, bucket) in buckets {
        writeln!(text, "{} expire at {}:", bucket.len(), date(at, now)).expect(FITS);
        bucket.into_iter().try_for_each(|one| line(one, text)).expect(FITS);
    }
}

fn dump_ephemerals(ephemerals: &Ephemerals, text: &mut String) {
    const FITS: &str = "writing to a string cannot fail";
    text.push_str("ephemeral nodes dump:\n");
    writeln!(text, "Sessions with Ephemerals ({}):", ephemerals.len()).expect(FITS);
    for (session, paths) in ephemerals {
        writeln!(text, "{session}:").expect(FITS);
        for path in paths {
            writeln!(text, "\t{path}").expect(FITS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::words::conf::tests::facts;
    use crate::admin::words::conns::tests::line;
    use crate::config::FourLetterWords;

    const NOW: Now = Now { wall: Millis(1_795_227_467_000), mono: Millis(100_500) };

    fn alone(report: &PartialReport, ephemerals: &Ephemerals) -> String {
        let facts = facts(FourLetterWords::All);
        dump(report, &session_sets(report, &facts, NOW), ephemerals, &facts, NOW)
    }

    #[test]
    fn learner_lists_the_sessions_of_the_ensemble_with_their_timeouts() {
        let sessions = [(0x0100_0180_046b_0000, 10_000), (0x0400_0180_072b_0000, 40_000)];
        let sessions = sessions.map(|(id, timeout_ms)| (SessionId(id), timeout_ms));
        let text = "Global Sessions(2):\n0x1000180046b0000\t10000ms\n0x4000180072b0000\t40000ms\n";
        assert_eq!(global_sessions(&sessions), text);
        assert_eq!(global_sessions(&[]), "Global Sessions(0):\n");
    }

    #[test]
    fn dump_of_a_fresh_server_lists_the_caller_only() {
        let mut caller = line(49_484, 0, SessionId::NONE);
        caller.heard = Millis(100_400);
        let part = PartialReport { conns: vec![caller], ..PartialReport::default() };
        let text = "SessionTracker dump:\nSession Sets (0)/(0):\nephemeral nodes dump:\n\
                    Sessions with Ephemerals (0):\nConnections dump:\nConnections Sets (1)/(1):\n\
                    1 expire at Sat Nov 21 02:17:58 UTC 2026:\n\
                    \tip: /127.0.0.1:49484 sessionId: 0x0\n";
        assert_eq!(alone(&part, &Ephemerals::new()), text);
    }

    #[test]
    fn sessions_and_connections_come_in_buckets() {
        let (one, two, three) = (SessionId(0x10), SessionId(0x11), SessionId(0x12));
        let sessions =
            vec![(one, Millis(110_500)), (two, Millis(109_999)), (three, Millis(111_999))];
        let mut conn = line(49_568, 1, one);
        conn.heard = Millis(100_000);
        let part = PartialReport { sessions, conns: vec![conn], ..PartialReport::default() };
        let paths = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
        let ephemerals = [(one, paths(&["/a/e1", "/a/e2"])), (two, paths(&["/b-e"]))].into();
        let text = "SessionTracker dump:\nSession Sets (2)/(3):\n\
                    1 expire at Sat Nov 21 02:17:56 UTC 2026:\n\t0x11\n\
                    2 expire at Sat Nov 21 02:17:58 UTC 2026:\n\t0x10\n\t0x12\n\
                    ephemeral nodes dump:\nSessions with Ephemerals (2):\n\
                    0x10:\n\t/a/e1\n\t/a/e2\n0x11:\n\t/b-e\nConnections dump:\n\
                    Connections Sets (1)/(1):\n1 expire at Sat Nov 21 02:18:18 UTC 2026:\n\
                    \tip: /127.0.0.1:49568 sessionId: 0x10\n";
        assert_eq!(alone(&part, &ephemerals), text);
    }
}
