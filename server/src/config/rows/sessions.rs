//! Time and sessions.

use super::super::table::Disposition::NotYet;
use super::super::table::{Kind, Row, Topic};
use super::{INT_MAX, millis};

pub(super) const TOPIC: Topic = Topic {
    title: "Sessions",
    about: "The unit of time, and how long a silent client keeps its session.",
    rows: ROWS,
};

const GLOBAL: &str = "every session is known to all servers of an ensemble";

const ROWS: &[Row] = &[
    Row::parsed("tickTime", millis(1, 86_400_000), "3000").variable("ZOO_TICK_TIME").doc(
        "The unit of time: sessions expire on its multiples, and several limits count in ticks.",
    ),
    Row::parsed("minSessionTimeout", millis(-1, INT_MAX), "")
        .derived("2 × tickTime")
        .doc("The shortest session timeout a client gets; -1 means the default."),
    Row::parsed("maxSessionTimeout", millis(-1, INT_MAX), "")
        .derived("20 × tickTime")
        .doc("The longest session timeout a client gets; -1 means the default."),
    Row::parsed("localSessionsEnabled", Kind::Switch, "false")
        .no_meaning(
            "a server on its own replicates no sessions, so all of them are as cheap as local ones",
        )
        .in_ensemble(NotYet(GLOBAL))
        .doc("Whether sessions are kept by the server they were opened on until they need more."),
    Row::parsed("localSessionsUpgradingEnabled", Kind::Switch, "false")
        .no_meaning("a server on its own has no local sessions that would need an upgrade")
        .in_ensemble(NotYet(GLOBAL))
        .doc("Whether a local session becomes a global one when it creates an ephemeral node."),
    Row::property("closeSessionTxn.enabled", Kind::Switch, "true")
        .no_meaning("the end of a session is always recorded with the nodes that went with it")
        .doc("Whether the record of a closed session lists the ephemeral nodes deleted with it."),
];
