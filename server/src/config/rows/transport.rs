//! TLS.

use super::super::table::Disposition::Refused;
use super::super::table::{Kind, Row, Topic};
use super::PORT;

pub(super) const TOPIC: Topic = Topic {
    title: "TLS",
    about: "Encryption. This release has none, so everything that asks for it is refused.",
    rows: ROWS,
};

const NO_TLS: &str = "this release has no TLS; put a TLS proxy before it, or stay with ZooKeeper \
                      until it does";

const NO_PEER_TLS: &str = "servers have no TLS between each other in this release; keep them in a \
                           network of their own without it, or stay with ZooKeeper until they do";

const ROWS: &[Row] = &[
    Row::parsed("secureClientPort", PORT, "0").refused(NO_TLS).doc("The TCP port for TLS clients."),
    Row::parsed("secureClientPortAddress", Kind::Host, "")
        .unset()
        .refused(NO_TLS)
        .doc("The address to listen on for TLS clients."),
    Row::property("client.portUnification", Kind::Switch, "false")
        .refused(NO_TLS)
        .doc("Whether the client port takes TLS clients too."),
    Row::property("client.certReload", Kind::Switch, "false")
        .refused(NO_TLS)
        .doc("Whether changed certificates are loaded while running."),
    Row::property("ssl.*", Kind::Text, "")
        .unset()
        .refused(NO_TLS)
        .doc("Keys, certificates, protocols and checks of TLS for clients."),
    Row::property("ssl.quorum.*", Kind::Text, "")
        .unset()
        .refused(NO_TLS)
        .in_ensemble(Refused(NO_PEER_TLS))
        .doc("Keys, certificates, protocols and checks of TLS between servers."),
    Row::parsed("sslQuorum", Kind::Switch, "false")
        .properties(&["zookeeper.sslQuorum"])
        .refused(NO_TLS)
        .in_ensemble(Refused(NO_PEER_TLS))
        .doc("Whether servers talk TLS to each other."),
    Row::parsed("portUnification", Kind::Switch, "false")
        .refused(NO_TLS)
        .in_ensemble(Refused(NO_PEER_TLS))
        .doc("Whether the ports between servers take both plain and TLS connections."),
    Row::parsed("sslQuorumReloadCertFiles", Kind::Switch, "false")
        .refused(NO_TLS)
        .in_ensemble(Refused(NO_PEER_TLS))
        .doc("Whether changed certificates between servers are loaded while running."),
    Row::property("fips-mode", Kind::Switch, "true")
        .no_meaning("it restricts TLS and the DIGEST-MD5 exchange, and this release has neither")
        .doc("Whether only what FIPS 140 allows is used in TLS and SASL."),
];
