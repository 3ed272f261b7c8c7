//! What can be seen from outside.

use super::super::table::{Kind, Row, Topic};
use super::{INT_MAX, PORT, count, millis};

pub(super) const TOPIC: Topic = Topic {
    title: "Observation",
    about: "The audit log, the HTTP administration and the metrics.",
    rows: ROWS,
};

const NO_ADMIN: &str = "this release has no HTTP administration; use the four-letter words";
const NO_METRICS: &str = "this release exports no metrics over HTTP; use the four-letter word mntr";

const ROWS: &[Row] = &[
    Row::property("audit.enable", Kind::Switch, "false")
        .doc("Whether every change is written to the audit log with who asked for it."),
    Row::property("audit.impl.class", Kind::Text, "org.apache.zookeeper.audit.Slf4jAuditLogger")
        .no_meaning("audit lines go to the server's own log; there are no Java classes to load")
        .doc("The class that writes the audit log."),
    Row::property("admin.enableServer", Kind::Switch, "true")
        .variable("ZOO_ADMINSERVER_ENABLED")
        .not_yet(NO_ADMIN)
        .doc("Whether commands can be given over HTTP."),
    Row::property("admin.serverAddress", Kind::Host, "0.0.0.0")
        .not_yet(NO_ADMIN)
        .doc("The address to listen on for HTTP commands."),
    Row::property("admin.serverPort", PORT, "8080")
        .not_yet(NO_ADMIN)
        .doc("The TCP port for HTTP commands."),
    Row::property("admin.idleTimeout", millis(0, INT_MAX), "30000")
        .not_yet(NO_ADMIN)
        .doc("How long an HTTP connection may be idle."),
    Row::property("admin.commandURL", Kind::Text, "/commands")
        .not_yet(NO_ADMIN)
        .doc("The path under which HTTP commands are found."),
    Row::property("admin.httpVersion", count(0, 20), "11")
        .not_yet(NO_ADMIN)
        .doc("The version of HTTP, 10 or 11."),
    Row::property("admin.portUnification", Kind::Switch, "false")
        .refused("this release has neither HTTP administration nor TLS")
        .doc("Whether the port for HTTP commands takes both plain and TLS connections."),
    Row::property("admin.forceHttps", Kind::Switch, "false")
        .refused("this release has neither HTTP administration nor TLS")
        .doc("Whether HTTP commands need TLS."),
    Row::property("admin.needClientAuth", Kind::Switch, "false")
        .refused("this release has neither HTTP administration nor TLS")
        .doc("Whether HTTP commands need a client certificate."),
    Row::property("admin.rateLimiterIntervalInMS", millis(0, INT_MAX), "300000")
        .not_yet(NO_ADMIN)
        .doc("How often a snapshot or a restore can be asked for over HTTP."),
    Row::property("admin.snapshot.enabled", Kind::Switch, "true")
        .not_yet(NO_ADMIN)
        .doc("Whether a snapshot can be asked for over HTTP."),
    Row::property("admin.restore.enabled", Kind::Switch, "true")
        .not_yet(NO_ADMIN)
        .doc("Whether a restore can be asked for over HTTP."),
    Row::parsed(
        "metricsProvider.className",
        Kind::Text,
        "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider",
    )
    .not_yet(NO_METRICS)
    .doc("The class that exports metrics; that of Prometheus is the one in use."),
    Row::parsed("metricsProvider.*", Kind::Text, "")
        .unset()
        .not_yet(NO_METRICS)
        .doc("Settings of the metrics class, such as metricsProvider.httpPort."),
];
