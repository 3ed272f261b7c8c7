//! Where and how clients connect.

use super::super::table::{Kind, Row, Topic};
use super::{INT_MAX, PORT, bytes, count, millis};

pub(super) const TOPIC: Topic =
    Topic { title: "Clients", about: "Where clients connect, and how many of them.", rows: ROWS };

const ROWS: &[Row] = &[
    Row::parsed("clientPort", PORT, "").unset().doc(
        "The TCP port for clients; a start without a zoo.cfg uses 2181, and 0 on the command line \
         asks the system for a free port.",
    ),
    Row::parsed("clientPortAddress", Kind::Host, "").unset().doc(
        "The address to listen on for clients; every address when unset, 127.0.0.1 for a start \
         without any configuration.",
    ),
    Row::parsed("clientPortListenBacklog", count(-1, INT_MAX), "4096")
        .apache("-1 (50)", "a queue of 50 drops clients when all of them reconnect at once")
        .doc("How many new connections may wait to be accepted; -1 means the default."),
    Row::parsed("maxClientCnxns", count(0, INT_MAX), "60")
        .variable("ZOO_MAX_CLIENT_CNXNS")
        .doc("The most connections from one IP address; 0 removes the limit."),
    Row::property("maxCnxns", count(0, INT_MAX), "0")
        .doc("The most client connections in all; 0 removes the limit."),
    Row::property("clientTcpKeepAlive", Kind::Switch, "false")
        .doc("Whether the system probes idle client connections."),
    Row::property("nio.sessionlessCnxnTimeout", millis(1, INT_MAX), "10000")
        .doc("How long a connection may stay open without opening a session."),
    Row::property("jute.maxbuffer", bytes(1, INT_MAX), "1048575")
        .properties(&["jute.maxbuffer"])
        .doc("The largest request, and so about the largest znode; clients have the same limit."),
    Row::property("jute.maxbuffer.extrasize", bytes(0, INT_MAX), "")
        .derived("jute.maxbuffer")
        .no_meaning("what a request of allowed size turns into is always recorded")
        .doc("What a recorded transaction may be larger than jute.maxbuffer."),
    Row::property("4lw.commands.whitelist", Kind::Words, "srvr")
        .variable("ZOO_4LW_COMMANDS_WHITELIST")
        .doc("The four-letter words that are answered, between commas; * means all of them."),
    Row::property("extendedTypesEnabled", Kind::Switch, "false")
        .doc("Whether clients may create nodes with a time to live."),
    Row::property("emulate353TTLNodes", Kind::Switch, "false")
        .refused(
            "nodes with a time to live written by ZooKeeper 3.5.3 are not understood here; let a \
             newer ZooKeeper rewrite them first",
        )
        .doc("Whether the 3.5.3 encoding of nodes with a time to live is used."),
    Row::property("enforceQuota", Kind::Switch, "false")
        .doc("Whether a write beyond a hard quota is refused."),
    Row::property("znode.container.checkIntervalMs", millis(1, INT_MAX), "60000")
        .properties(&["znode.container.checkIntervalMs"])
        .doc("How often empty containers and outlived nodes are looked for."),
    Row::property("znode.container.maxPerMinute", count(1, INT_MAX), "10000")
        .properties(&["znode.container.maxPerMinute"])
        .doc("The most containers and outlived nodes deleted in a minute."),
    Row::property("znode.container.maxNeverUsedIntervalMs", millis(0, i64::MAX), "0")
        .properties(&["znode.container.maxNeverUsedIntervalMs"])
        .doc("After how long a container that never had a child is deleted; 0 means never."),
];
