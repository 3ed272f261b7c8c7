//! `srvr`, `stat` and `srst`: the server in a few lines, `stat` with its clients, and its
//! counters reset.

use std::fmt::Write;

use ringkeeper_replication::ProposalSizes;

use super::conns;
use super::{Answer, Text, Word};
use crate::admin::collection::{COUNTS, Collection};
use crate::admin::latency::decimal;
use crate::admin::partial::PartialReport;
use crate::admin::state::{DatabaseSize, ServerState};

pub(super) static SRVR: Word = Word::new(
    b"srvr",
    Answer::Report(&COUNTS, Text::Short(|state, report| srvr(&Facts::of(state), report))),
);
pub(super) static STAT: Word = Word::new(
    b"stat",
    Answer::Report(&CLIENTS, Text::Long(|state, report| stat(&Facts::of(state), report))),
);
pub(super) static SRST: Word = Word::new(b"srst", Answer::Report(&RESET, Text::Short(srst)));

/// The numbers, and the clients.
pub(in crate::admin) static CLIENTS: Collection = Collection::list(|slice| {
    slice.count();
    slice.list_conns()
});
/// Resets the numbers of the shards.
pub(in crate::admin) static RESET: Collection = Collection::fixed(|slice| slice.reset());

/// What the texts say beside what the shards count.
struct Facts<'a> {
    version: &'a str,
    mode: &'static str,
    size: DatabaseSize,
    /// How large the proposals of a leader were.
    proposals: Option<ProposalSizes>,
}

impl Facts<'_> {
    fn of(state: &ServerState) -> Facts<'_> {
        let version = &state.sources.facts.version;
        let proposals = *state.sources.gauges.proposals.lock();
        Facts { version, mode: state.mode(), size: state.database_size(), proposals }
    }
}

/// The counters of the connections stay.
fn srst(state: &ServerState, _: &PartialReport) -> String {
    state.reset();
    "Server stats reset.\n".to_owned()
}

/// The text of `srvr`.
fn srvr(facts: &Facts<'_>, report: &PartialReport) -> String {
    format!("Zookeeper version: {}\n{}", facts.version, numbers(facts, report))
}

/// The text of `stat`.
fn stat(facts: &Facts<'_>, report: &PartialReport) -> String {
    let mut text = format!("Zookeeper version: {}\nClients:\n", facts.version);
    for conn in report.conns_of_port() {
        conns::brief(conn, &mut text);
    }
    text.push('\n');
    text.push_str(&numbers(facts, report));
    text
}

fn numbers(facts: &Facts<'_>, report: &PartialReport) -> String {
    let Facts { mode, size, .. } = facts;
    let counts = &report.counts;
    let latency = counts.latencies().millis();
    let mut text = String::new();
    let written = write!(
        text,
        "Latency min/avg/max: {}/{}/{}\nReceived: {}\nSent: {}\nConnections: {}\n\
         Outstanding: {}\nZxid: {}\nMode: {mode}\nNode count: {}\n",
        latency.min,
        decimal(latency.avg),
        latency.max,
        counts.shard.received,
        counts.shard.sent,
        counts.conns,
        counts.outstanding,
        size.applied,
        size.nodes,
    );
    written.expect("writing to a string cannot fail");
    if *mode == "leader" {
        let shown = facts.proposals.map_or_else(
            || "-1/-1/-1".to_owned(),
            |ProposalSizes { last, min, max }| format!("{last}/{min}/{max}"),
        );
        text.push_str(&format!("Proposal sizes last/min/max: {shown}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use ringkeeper_engine::{SessionId, Zxid};

    use super::*;
    use crate::admin::words::conns::tests::line;

    const VERSION: &str = "3.9.5-293c895a, built on 2026-02-11 20:18 UTC";

    fn facts(mode: &'static str, size: DatabaseSize) -> Facts<'static> {
        Facts { version: VERSION, mode, size, proposals: None }
    }

    fn busy() -> (DatabaseSize, PartialReport) {
        let standing = DatabaseSize { applied: Zxid(0x133), nodes: 309, ..DatabaseSize::default() };
        let mut part = PartialReport::default();
        part.counts.shard.received = 334;
        part.counts.shard.sent = 334;
        part.counts.conns = 4;
        for micros in [300, 19_000, 558] {
            part.counts.updates.record(micros);
        }
        part.counts.reads.record(1_000);
        (standing, part)
    }

    #[test]
    fn srvr_is_as_zookeepers() {
        let (standing, part) = busy();
        let text = "Zookeeper version: 3.9.5-293c895a, built on 2026-02-11 20:18 UTC\n\
                    Latency min/avg/max: 0/5.2145/19\nReceived: 334\nSent: 334\n\
                    Connections: 4\nOutstanding: 0\nZxid: 0x133\nMode: standalone\n\
                    Node count: 309\n";
        assert_eq!(srvr(&facts("standalone", standing), &part), text);
        let observer = srvr(&facts("observer", standing), &part);
        assert_eq!(observer, text.replace("standalone", "observer"));
    }

    #[test]
    fn leader_says_how_large_its_proposals_were() {
        let (standing, part) = busy();
        let mut facts = facts("leader", standing);
        let text = srvr(&facts, &part);
        let ends = "Mode: leader\nNode count: 309\nProposal sizes last/min/max: ";
        assert!(text.ends_with(&format!("{ends}-1/-1/-1\n")), "{text}");
        facts.proposals = Some(ProposalSizes { last: 67, min: 36, max: 97 });
        assert!(srvr(&facts, &part).ends_with(&format!("{ends}67/36/97\n")));
    }

    #[test]
    fn a_fresh_server_has_the_root_twice_and_no_latency() {
        let standing = DatabaseSize { nodes: 5, ..DatabaseSize::default() };
        let text = srvr(&facts("standalone", standing), &PartialReport::default());
        assert!(text.contains("\nLatency min/avg/max: 0/0.0/0\n"), "{text}");
        assert!(text.ends_with("\nZxid: 0x0\nMode: standalone\nNode count: 5\n"), "{text}");
    }

    #[test]
    fn stat_lists_clients_before_the_numbers() {
        let (standing, mut part) = busy();
        part.conns = vec![line(49_570, 1, SessionId(7)), line(49_580, 0, SessionId::NONE)];
        let text = "Zookeeper version: 3.9.5-293c895a, built on 2026-02-11 20:18 UTC\nClients:\n \
                    /127.0.0.1:49570[1](queued=0,recved=3,sent=3)\n \
                    /127.0.0.1:49580[0](queued=0,recved=3,sent=3)\n\n\
                    Latency min/avg/max: 0/5.2145/19\n";
        assert!(stat(&facts("standalone", standing), &part).starts_with(text));
    }
}
