//! `srvr` and `stat`: the server in a few lines, and `stat` its clients as well.

use std::fmt::Write;

use ringkeeper_engine::Zxid;

use super::conns;
use crate::admin::latency::decimal;
use crate::admin::part::Part;

/// What the database says about itself.
#[derive(Clone, Copy, Default, Debug)]
pub(in crate::admin) struct Standing {
    /// The last zxid applied.
    pub applied: Zxid,
    /// Nodes, as ZooKeeper counts them.
    pub nodes: u64,
    /// Ephemeral nodes.
    pub ephemerals: u64,
    /// Bytes of paths and data.
    pub data_bytes: u64,
}

/// What a server without company is called.
pub(in crate::admin) const MODE: &str = "standalone";

/// The text of `srvr`.
pub(in crate::admin) fn srvr(version: &str, standing: Standing, part: &Part) -> String {
    format!("Zookeeper version: {version}\n{}", numbers(standing, part))
}

/// The text of `stat`.
pub(in crate::admin) fn stat(version: &str, standing: Standing, part: &Part) -> String {
    let mut text = format!("Zookeeper version: {version}\nClients:\n");
    for conn in &part.conns {
        conns::brief(conn, &mut text);
    }
    text.push('\n');
    text.push_str(&numbers(standing, part));
    text
}

fn numbers(standing: Standing, part: &Part) -> String {
    let counts = &part.counts;
    let latency = counts.latencies().millis();
    let mut text = String::new();
    let written = write!(
        text,
        "Latency min/avg/max: {}/{}/{}\nReceived: {}\nSent: {}\nConnections: {}\n\
         Outstanding: {}\nZxid: {}\nMode: {MODE}\nNode count: {}\n",
        latency.min,
        decimal(latency.avg),
        latency.max,
        counts.shard.received,
        counts.shard.sent,
        counts.conns,
        counts.outstanding,
        standing.applied,
        standing.nodes,
    );
    written.expect("writing to a string cannot fail");
    text
}

#[cfg(test)]
mod tests {
    use ringkeeper_engine::SessionId;

    use super::*;
    use crate::admin::words::conns::tests::line;

    const VERSION: &str = "3.9.5-293c895a, built on 2026-02-11 20:18 UTC";

    fn busy() -> (Standing, Part) {
        let standing = Standing { applied: Zxid(0x133), nodes: 309, ..Standing::default() };
        let mut part = Part::default();
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
        assert_eq!(srvr(VERSION, standing, &part), text);
    }

    #[test]
    fn a_fresh_server_has_the_root_twice_and_no_latency() {
        let standing = Standing { nodes: 5, ..Standing::default() };
        let text = srvr(VERSION, standing, &Part::default());
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
        assert!(stat(VERSION, standing, &part).starts_with(text));
    }
}
