//! What only makes sense inside a Java virtual machine, or inside ZooKeeper's own classes.

use super::super::table::{Kind, Row, Topic};
use super::{INT_MAX, LONG_MAX, count, millis};

pub(super) const TOPIC: Topic = Topic {
    title: "Java",
    about: "Settings of the Java virtual machine and of the insides of ZooKeeper's Java code.",
    rows: ROWS,
};

const NO_JVM: &str = "there is no Java virtual machine here";
const NO_CLASSES: &str = "there are no Java classes to choose from here";
const NO_NETTY: &str = "there is no Netty here";
const SHARDS: &str = "ringkeeper.shards says how many threads there are";
const NO_CACHE: &str = "replies are made as fast as a cache could hold them";
const WATCHES: &str = "there is one kind of watch table, and it frees dead watches at once";
const CLIENT: &str = "it is a setting of clients, not of servers";

const ROWS: &[Row] = &[
    Row::parsed("jvm.pause.monitor", Kind::Switch, "false")
        .no_meaning(NO_JVM)
        .doc("Whether pauses of the virtual machine are reported."),
    Row::parsed("jvm.pause.sleep.time.ms", millis(1, LONG_MAX), "500")
        .properties(&["jvm.pause.sleep.time.ms"])
        .no_meaning(NO_JVM)
        .doc("How often pauses of the virtual machine are looked for."),
    Row::parsed("jvm.pause.info-threshold.ms", millis(0, LONG_MAX), "1000")
        .no_meaning(NO_JVM)
        .doc("From which length a pause is mentioned."),
    Row::parsed("jvm.pause.warn-threshold.ms", millis(0, LONG_MAX), "10000")
        .no_meaning(NO_JVM)
        .doc("From which length a pause is a warning."),
    Row::property(
        "serverCnxnFactory",
        Kind::Text,
        "org.apache.zookeeper.server.NIOServerCnxnFactory",
    )
    .no_meaning(NO_CLASSES)
    .doc("The class that serves client connections."),
    Row::property("nio.numSelectorThreads", count(1, INT_MAX), "")
        .derived("√(cores ÷ 2)")
        .no_meaning(SHARDS)
        .doc("How many threads wait for client connections."),
    Row::property("nio.numWorkerThreads", count(0, INT_MAX), "")
        .derived("2 × cores")
        .no_meaning(SHARDS)
        .doc("How many threads read from and write to client connections."),
    Row::property("nio.directBufferBytes", count(0, INT_MAX), "65536")
        .no_meaning(NO_JVM)
        .doc("The size of the buffers outside the Java heap."),
    Row::property("nio.shutdownTimeout", millis(0, INT_MAX), "5000")
        .no_meaning(SHARDS)
        .doc("How long a stop waits for the threads of the client connections."),
    Row::property("netty.advancedFlowControl.enabled", Kind::Switch, "false")
        .aliases(&["advancedFlowControlEnabled"])
        .no_meaning(NO_NETTY)
        .doc("Whether Netty reads only what can be worked on."),
    Row::property("netty.server.outstandingHandshake.limit", count(-1, INT_MAX), "-1")
        .aliases(&["outstandingHandshake.limit"])
        .no_meaning("each shard has at most 64 handshakes under way")
        .doc("The most TLS handshakes at a time."),
    Row::property("netty.server.earlyDropSecureConnectionHandshakes", Kind::Switch, "false")
        .no_meaning("nothing listens before the server can answer")
        .doc("Whether TLS connections are dropped before the server is ready."),
    Row::property("commitProcessor.numWorkerThreads", count(0, INT_MAX), "")
        .derived("cores")
        .no_meaning(SHARDS)
        .doc("How many threads answer requests."),
    Row::property("commitProcessor.maxReadBatchSize", count(-1, INT_MAX), "-1")
        .no_meaning("reads do not wait for writes here")
        .doc("How many reads are answered before writes get their turn."),
    Row::property("commitProcessor.maxCommitBatchSize", count(0, INT_MAX), "1")
        .no_meaning("reads do not wait for writes here")
        .doc("How many writes are answered before reads get their turn."),
    Row::property("commitProcessor.shutdownTimeout", millis(0, INT_MAX), "5000")
        .no_meaning(SHARDS)
        .doc("How long a stop waits for the threads that answer requests."),
    Row::property("maxResponseCacheSize", count(-1, INT_MAX), "400")
        .no_meaning(NO_CACHE)
        .doc("How many encoded replies to getData are kept."),
    Row::property("maxGetChildrenResponseCacheSize", count(-1, INT_MAX), "400")
        .no_meaning(NO_CACHE)
        .doc("How many encoded replies to getChildren are kept."),
    Row::property("watchManagerName", Kind::Text, "org.apache.zookeeper.server.watch.WatchManager")
        .aliases(&["watchManaggerName"])
        .no_meaning(WATCHES)
        .doc("The class that keeps the watches."),
    Row::property("watcherCleanThreadsNum", count(1, INT_MAX), "2")
        .no_meaning(WATCHES)
        .doc("How many threads free dead watches."),
    Row::property("watcherCleanThreshold", count(1, INT_MAX), "1000")
        .no_meaning(WATCHES)
        .doc("How many dead watches are freed together."),
    Row::property("watcherCleanIntervalInSeconds", count(1, INT_MAX), "600")
        .no_meaning(WATCHES)
        .doc("How long dead watches are kept at most, in seconds."),
    Row::property("maxInProcessingDeadWatchers", count(-1, INT_MAX), "-1")
        .no_meaning(WATCHES)
        .doc("How many dead watches may wait to be freed."),
    Row::property("bitHashCacheSize", count(0, INT_MAX), "10")
        .no_meaning(WATCHES)
        .doc("The size of a cache in the table of watches."),
    Row::property("pathStats.*", Kind::Text, "")
        .unset()
        .no_meaning("the paths that are used most are not counted here")
        .doc("Statistics about the paths that are used most."),
    Row::property("messageTracker.*", Kind::Text, "")
        .unset()
        .no_meaning("packets between servers are not kept here")
        .doc("A record of the last packets between servers."),
    Row::property("jmx.*", Kind::Text, "")
        .unset()
        .no_meaning(NO_JVM)
        .doc("Settings of the Java management interface."),
    Row::property("log.*", Kind::Text, "")
        .unset()
        .no_meaning("messages go to standard error; see ringkeeper.log.level and .format")
        .doc("Directory, file and level of ZooKeeper's log, as its scripts set them."),
    Row::property("root.logger", Kind::Text, "")
        .unset()
        .no_meaning("messages go to standard error; see ringkeeper.log.level and .format")
        .doc("Level and targets of ZooKeeper's log, as its scripts set them."),
    Row::property("console.threshold", Kind::Text, "")
        .unset()
        .no_meaning("messages go to standard error; see ringkeeper.log.level and .format")
        .doc("Level of ZooKeeper's messages on the console, as its scripts set it."),
    Row::property("tracelog.*", Kind::Text, "")
        .unset()
        .no_meaning("messages go to standard error; see ringkeeper.log.level and .format")
        .doc("Directory and file of ZooKeeper's trace, as its scripts set them."),
    Row::property("testingonly.initialZxid", count(0, LONG_MAX), "")
        .unset()
        .refused("it is made for ZooKeeper's own tests; the first write has the zxid 1")
        .doc("The zxid to begin with."),
    Row::property("test.allowDiscontinuousProposals", Kind::Switch, "false")
        .refused("it is made for ZooKeeper's own tests and hides lost writes")
        .doc("Whether gaps between writes are accepted."),
    Row::property("controllerPort", count(0, INT_MAX), "")
        .unset()
        .no_meaning("it is made for ZooKeeper's own tests")
        .doc("The TCP port of the test controller."),
    Row::property("request.timeout", millis(0, LONG_MAX), "0")
        .no_meaning(CLIENT)
        .doc("How long a client waits for a reply."),
    Row::property("client.secure", Kind::Switch, "false")
        .no_meaning(CLIENT)
        .doc("Whether a client talks TLS."),
    Row::property("clientCnxnSocket", Kind::Text, "")
        .unset()
        .no_meaning(CLIENT)
        .doc("The class a client connects with."),
    Row::property("disableAutoWatchReset", Kind::Switch, "false")
        .no_meaning(CLIENT)
        .doc("Whether a client leaves its watches behind when it reconnects."),
    Row::property("sasl.*", Kind::Text, "")
        .unset()
        .no_meaning(CLIENT)
        .doc("SASL settings of a client."),
    Row::property("server.principal", Kind::Text, "")
        .unset()
        .no_meaning(CLIENT)
        .doc("The Kerberos principal a client expects of servers."),
    Row::property("server.realm", Kind::Text, "")
        .unset()
        .no_meaning(CLIENT)
        .doc("The Kerberos realm a client expects of servers."),
    Row::property("kinit", Kind::Text, "")
        .unset()
        .no_meaning("this release has no Kerberos login that would need renewal")
        .doc("The path of the kinit program."),
];
