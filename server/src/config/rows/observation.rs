//! What can be seen from outside.

use super::super::table::{Kind, Row, Topic};
use super::{INT_MAX, LONG_MAX, PORT, count, millis};

pub(super) const TOPIC: Topic = Topic {
    title: "Observation",
    about: "The audit log, the HTTP administration and the metrics.",
    rows: ROWS,
};

const NO_TLS: &str = "the commands over HTTP have no TLS; keep their port on a private address";
const NO_QUEUE: &str = "metrics are counted where they arise, without threads or queues for them";

const ROWS: &[Row] = &[
    Row::property("audit.enable", Kind::Switch, "false")
        .doc("Whether every change is written to the audit log with who asked for it."),
    Row::property("audit.impl.class", Kind::Text, "org.apache.zookeeper.audit.Slf4jAuditLogger")
        .no_meaning("audit lines go to the server's own log; there are no Java classes to load")
        .doc("The class that writes the audit log."),
    Row::property("admin.enableServer", Kind::Switch, "true")
        .variable("ZOO_ADMINSERVER_ENABLED")
        .doc("Whether commands, metrics and the state of health can be had over HTTP."),
    Row::property("admin.serverAddress", Kind::Host, "0.0.0.0").doc(
        "The address to listen on for HTTP commands; a start without a zoo.cfg takes 127.0.0.1.",
    ),
    Row::property("admin.serverPort", PORT, "8080").doc("The TCP port for HTTP commands."),
    Row::property("admin.idleTimeout", millis(0, INT_MAX), "30000")
        .doc("How long an HTTP connection may be idle; 0 means for ever."),
    Row::property("admin.commandURL", Kind::Text, "/commands")
        .doc("The path under which HTTP commands are found."),
    Row::property("admin.httpVersion", count(0, 20), "11")
        .no_meaning("it is about TLS in ZooKeeper; both versions are always understood")
        .doc("The version of HTTP, 10 or 11."),
    Row::property("admin.portUnification", Kind::Switch, "false")
        .refused(NO_TLS)
        .doc("Whether the port for HTTP commands takes both plain and TLS connections."),
    Row::property("admin.forceHttps", Kind::Switch, "false")
        .refused(NO_TLS)
        .doc("Whether HTTP commands need TLS."),
    Row::property("admin.needClientAuth", Kind::Switch, "false")
        .refused(NO_TLS)
        .doc("Whether HTTP commands need a client certificate."),
    Row::property("admin.rateLimiterIntervalInMS", millis(0, INT_MAX), "300000")
        .doc("How often a snapshot can be asked for over HTTP."),
    Row::property("admin.snapshot.enabled", Kind::Switch, "true")
        .doc("Whether a snapshot can be asked for over HTTP."),
    Row::property("admin.restore.enabled", Kind::Switch, "true")
        .not_yet("a running server is not restored here; see ringkeeper snapshot restore")
        .doc("Whether a restore can be asked for over HTTP."),
    Row::parsed(
        "metricsProvider.className",
        Kind::Text,
        "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider",
    )
    .doc("The class that exports metrics; PrometheusMetricsProvider opens a port for them."),
    Row::parsed("metricsProvider.httpHost", Kind::Host, "0.0.0.0")
        .doc("The address to listen on for requests for metrics."),
    Row::parsed("metricsProvider.httpPort", PORT, "7000")
        .doc("The TCP port for requests for metrics, under the path /metrics."),
    Row::parsed("metricsProvider.exportJvmInfo", Kind::Switch, "true")
        .no_meaning("there is no Java virtual machine here; metrics of the process are there")
        .doc("Whether metrics of the Java virtual machine are exported."),
    Row::parsed("metricsProvider.numWorkerThreads", count(0, INT_MAX), "1")
        .no_meaning(NO_QUEUE)
        .doc("How many threads take metrics in."),
    Row::parsed("metricsProvider.maxQueueSize", count(1, INT_MAX), "1000000")
        .no_meaning(NO_QUEUE)
        .doc("How many metrics may wait to be taken in."),
    Row::parsed("metricsProvider.workerShutdownTimeoutMs", millis(0, LONG_MAX), "1000")
        .no_meaning(NO_QUEUE)
        .doc("How long a stop waits for metrics to be taken in."),
    Row::parsed("metricsProvider.httpsPort", PORT, "")
        .unset()
        .refused(NO_TLS)
        .doc("The TCP port for requests for metrics under TLS."),
    Row::parsed("metricsProvider.ssl.*", Kind::Text, "")
        .unset()
        .refused(NO_TLS)
        .doc("Keys and certificates for requests for metrics under TLS."),
    Row::parsed("metricsProvider.*", Kind::Text, "")
        .unset()
        .no_meaning("the only class here is that of Prometheus, and it does not know the setting")
        .doc("Settings of the class that exports metrics."),
];
