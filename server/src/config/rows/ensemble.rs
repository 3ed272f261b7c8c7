//! Servers among each other.

use super::super::table::Disposition::{Honoured, NoMeaning, NotYet, Refused};
use super::super::table::{Kind, Row, Topic};
use super::{INT_MAX, LONG_MAX, PORT, count, millis, ticks};

pub(super) const TOPIC: Topic =
    Topic { title: "Ensemble", about: "Several servers as one service.", rows: ROWS };

const ALONE: &str = "it is between servers, and this release runs one server on its own";
const NEEDLESS: &str = "alone, a server does not need it, and a default keeps the file short";
const NO_ENSEMBLE: &str = "this release runs one server on its own";
const NO_SASL: &str = "servers do not authenticate to each other in this release";
const NO_PEER_SASL: &str = "servers do not authenticate to each other in this release; remove it, \
                            or stay with ZooKeeper until they do";
const NO_GROUPS: &str = "every vote counts the same in this release; remove the groups and \
                         weights, or stay with ZooKeeper";
const NO_OBSERVER_MASTER: &str = "followers feed no observers in this release; remove it";
const NO_ORACLE: &str = "a majority decides here, and no oracle; remove it and list three servers \
                         that vote";
const NEVER_BLOCKS: &str = "connections between servers never hold up a thread here";
const KEEPS_LOG: &str = "an observer always keeps a log and snapshots here";
const FROM_LOG: &str = "a learner is sent what it lacks from the log wherever that reaches back";
const INIT_LIMIT: &str = "a new leader waits for the others for initLimit";
const SOONER: &str = "a vote that was lost is sent again soon";
const WINDOW: &str = "no more than 32 MiB of them are kept either, and sharing them costs nothing";
const NO_STEPS: &str = "there is no chain of processors here that a request could leave out";

const ROWS: &[Row] = &[
    Row::parsed("server.*", Kind::Text, "").unset().variable("ZOO_SERVERS").doc(
        "A server of the ensemble, as host:port:port, optionally :observer and ;clientPort; one \
         such line is a server on its own, more are an ensemble.",
    ),
    Row::parsed("dynamicConfigFile", Kind::Path, "")
        .unset()
        .doc("The file with the server lines, where ZooKeeper has moved them out of zoo.cfg."),
    Row::parsed("standaloneEnabled", Kind::Switch, "true")
        .variable("ZOO_STANDALONE_ENABLED")
        .refused(NO_ENSEMBLE)
        .in_ensemble(Honoured)
        .doc("Whether a single server runs on its own, without the means to become an ensemble."),
    Row::parsed("reconfigEnabled", Kind::Switch, "false").doc(
        "Whether the ensemble can be changed; one server on its own answers reconfig with an \
             error either way.",
    ),
    Row::property("readonlymode.enabled", Kind::Switch, "false")
        .properties(&["readonlymode.enabled"])
        .doc(
            "Whether a server cut off from the others answers reads; alone, it only adds the word \
             isro.",
        ),
    Row::parsed("initLimit", ticks(0, INT_MAX), "10")
        .apache("none", NEEDLESS)
        .variable("ZOO_INIT_LIMIT")
        .no_meaning(ALONE)
        .in_ensemble(Honoured)
        .doc("How long a follower may take to connect to the leader and catch up."),
    Row::parsed("syncLimit", ticks(0, INT_MAX), "5")
        .apache("none", NEEDLESS)
        .variable("ZOO_SYNC_LIMIT")
        .no_meaning(ALONE)
        .in_ensemble(Honoured)
        .doc("How far a follower may be behind the leader."),
    Row::parsed("connectToLearnerMasterLimit", ticks(0, INT_MAX), "0")
        .no_meaning(ALONE)
        .in_ensemble(Honoured)
        .doc("How long a follower may take to connect to the leader; 0 means initLimit."),
    Row::parsed("electionAlg", Kind::Choice(&["3"]), "3")
        .refused("there is only the election ZooKeeper calls 3, fast leader election")
        .doc("The algorithm that elects the leader."),
    Row::parsed("group.*", Kind::Text, "")
        .unset()
        .refused(NO_ENSEMBLE)
        .in_ensemble(Refused(NO_GROUPS))
        .doc("A group of servers of a hierarchical quorum."),
    Row::parsed("weight.*", Kind::Text, "")
        .unset()
        .refused(NO_ENSEMBLE)
        .in_ensemble(Refused(NO_GROUPS))
        .doc("How much the vote of a server counts in its group."),
    Row::parsed("peerType", Kind::Choice(&["participant", "observer"]), "participant")
        .refused(NO_ENSEMBLE)
        .in_ensemble(Honoured)
        .doc("Whether the server votes or only observes."),
    Row::parsed("quorumListenOnAllIPs", Kind::Switch, "false")
        .no_meaning(ALONE)
        .in_ensemble(Honoured)
        .doc("Whether the ports between servers listen on every address."),
    Row::parsed("observerMasterPort", PORT, "0")
        .refused(NO_ENSEMBLE)
        .in_ensemble(Refused(NO_OBSERVER_MASTER))
        .doc("The TCP port on which a follower feeds observers."),
    Row::parsed("syncEnabled", Kind::Switch, "true")
        .properties(&["zookeeper.observer.syncEnabled"])
        .no_meaning("it is about observers, and this release runs one server on its own")
        .in_ensemble(NotYet(KEEPS_LOG))
        .doc("Whether an observer keeps a log and snapshots."),
    Row::parsed("oraclePath", Kind::Path, "")
        .unset()
        .refused(NO_ENSEMBLE)
        .in_ensemble(Refused(NO_ORACLE))
        .doc("The file that decides between two servers that cannot reach each other."),
    Row::parsed("multiAddress.enabled", Kind::Switch, "false")
        .properties(&["zookeeper.multiAddress.enabled"])
        .no_meaning(ALONE)
        .in_ensemble(Honoured)
        .doc("Whether a server line may have several addresses."),
    Row::parsed("multiAddress.reachabilityCheckEnabled", Kind::Switch, "true")
        .properties(&["zookeeper.multiAddress.reachabilityCheckEnabled"])
        .no_meaning(ALONE)
        .in_ensemble(Honoured)
        .doc("Whether it is tried which address of a server can be reached."),
    Row::parsed("multiAddress.reachabilityCheckTimeoutMs", millis(1, INT_MAX), "1000")
        .properties(&["zookeeper.multiAddress.reachabilityCheckTimeoutMs"])
        .no_meaning(ALONE)
        .in_ensemble(Honoured)
        .doc("How long it is tried which address of a server can be reached."),
    Row::parsed("quorum.auth.enableSasl", Kind::Switch, "false")
        .refused(NO_SASL)
        .in_ensemble(Refused(NO_PEER_SASL))
        .doc("Whether servers authenticate to each other."),
    Row::parsed("quorum.auth.serverRequireSasl", Kind::Switch, "false")
        .refused(NO_SASL)
        .in_ensemble(Refused(NO_PEER_SASL))
        .doc("Whether a server turns away servers that do not authenticate."),
    Row::parsed("quorum.auth.learnerRequireSasl", Kind::Switch, "false")
        .refused(NO_SASL)
        .in_ensemble(Refused(NO_PEER_SASL))
        .doc("Whether a server connects only to servers that ask for authentication."),
    Row::parsed("quorum.auth.kerberos.servicePrincipal", Kind::Text, "zkquorum/localhost")
        .refused(NO_SASL)
        .in_ensemble(Refused(NO_PEER_SASL))
        .doc("The Kerberos principal of the servers."),
    Row::parsed("quorum.auth.learner.saslLoginContext", Kind::Text, "QuorumLearner")
        .refused(NO_SASL)
        .in_ensemble(Refused(NO_PEER_SASL))
        .doc("The section of the JAAS file a connecting server uses."),
    Row::parsed("quorum.auth.server.saslLoginContext", Kind::Text, "QuorumServer")
        .refused(NO_SASL)
        .in_ensemble(Refused(NO_PEER_SASL))
        .doc("The section of the JAAS file an accepting server uses."),
    Row::parsed("quorum.cnxn.threads.size", count(1, INT_MAX), "20")
        .no_meaning(ALONE)
        .in_ensemble(NoMeaning("servers do not authenticate to each other in this release"))
        .doc("How many threads authenticate servers to each other."),
    Row::property("leaderServes", Kind::YesNo, "yes")
        .no_meaning("one server on its own has to serve the clients")
        .in_ensemble(Honoured)
        .doc("Whether the leader takes clients."),
    Row::property("leader.nodelay", Kind::Switch, "true")
        .properties(&["leader.nodelay"])
        .no_meaning(ALONE)
        .in_ensemble(Honoured)
        .doc("Whether the leader sends small packets at once."),
    Row::property("follower.nodelay", Kind::Switch, "true")
        .properties(&["follower.nodelay"])
        .no_meaning(ALONE)
        .in_ensemble(Honoured)
        .doc("Whether a follower sends small packets at once."),
    Row::property("cnxTimeout", millis(0, INT_MAX), "5000")
        .no_meaning(ALONE)
        .in_ensemble(Honoured)
        .doc("How long opening a connection for an election may take."),
    Row::property("quorumCnxnTimeoutMs", millis(-1, INT_MAX), "-1")
        .no_meaning(ALONE)
        .in_ensemble(Honoured)
        .doc(
            "How long a connection for elections may be silent; -1 means it depends on syncLimit.",
        ),
    Row::property("tcpKeepAlive", Kind::Switch, "false")
        .no_meaning(ALONE)
        .in_ensemble(Honoured)
        .doc("Whether the system probes idle connections between servers."),
    Row::property("electionPortBindRetry", count(0, INT_MAX), "3")
        .no_meaning(ALONE)
        .in_ensemble(Honoured)
        .doc("How often listening on the election port is tried; 0 means for ever."),
    Row::property("fastleader.minNotificationInterval", millis(1, INT_MAX), "200")
        .no_meaning(ALONE)
        .in_ensemble(Honoured)
        .doc("How soon a vote is sent again at first."),
    Row::property("fastleader.maxNotificationInterval", millis(1, INT_MAX), "2000")
        .apache("60000", SOONER)
        .no_meaning(ALONE)
        .in_ensemble(Honoured)
        .doc("How late a vote is sent again at last."),
    Row::property("leader.maxTimeToWaitForEpoch", millis(-1, INT_MAX), "-1")
        .aliases(&["maxTimeToWaitForEpoch"])
        .no_meaning(ALONE)
        .in_ensemble(NotYet(INIT_LIMIT))
        .doc("How long a new leader waits for the others to agree on its epoch."),
    Row::property("leader.maxConcurrentSnapSyncs", count(1, INT_MAX), "10")
        .aliases(&["maxConcurrentSnapSyncs"])
        .no_meaning(ALONE)
        .in_ensemble(Honoured)
        .doc("How many followers are sent a snapshot at a time."),
    Row::property("leader.maxConcurrentDiffSyncs", count(1, INT_MAX), "100")
        .aliases(&["maxConcurrentDiffSyncs"])
        .no_meaning(ALONE)
        .in_ensemble(Honoured)
        .doc("How many followers are sent missing writes at a time."),
    Row::property("leader.closeSocketAsync", Kind::Switch, "false")
        .properties(&["zookeeper.leader.closeSocketAsync", "leader.closeSocketAsync"])
        .no_meaning(ALONE)
        .in_ensemble(NoMeaning(NEVER_BLOCKS))
        .doc("Whether the leader closes connections in the background."),
    Row::property("leader.ackLoggingFrequency", count(1, INT_MAX), "1000")
        .no_meaning(ALONE)
        .in_ensemble(NotYet("the time to an acknowledgement is not logged"))
        .doc("How often the time to an acknowledgement is logged."),
    Row::property("learner.closeSocketAsync", Kind::Switch, "false")
        .properties(&["zookeeper.learner.closeSocketAsync", "learner.closeSocketAsync"])
        .no_meaning(ALONE)
        .in_ensemble(NoMeaning(NEVER_BLOCKS))
        .doc("Whether a follower closes connections in the background."),
    Row::property("learner.asyncSending", Kind::Switch, "false")
        .properties(&["zookeeper.learner.asyncSending", "learner.asyncSending"])
        .no_meaning(ALONE)
        .in_ensemble(NoMeaning(NEVER_BLOCKS))
        .doc("Whether a follower sends to the leader in the background."),
    Row::property("follower.skipLearnerRequestToNextProcessor", Kind::Switch, "false")
        .no_meaning(ALONE)
        .in_ensemble(NoMeaning(NO_STEPS))
        .doc("Whether a follower skips a step for the requests of other servers."),
    Row::property("forward_learner_requests_to_commit_processor_disabled", Kind::Switch, "false")
        .no_meaning(ALONE)
        .in_ensemble(NoMeaning(NO_STEPS))
        .doc("Whether a server skips a step for the requests of other servers."),
    Row::property("leaderConnectDelayDuringRetryMs", millis(0, INT_MAX), "100")
        .no_meaning(ALONE)
        .in_ensemble(Honoured)
        .doc("How long a follower waits before it tries the leader again."),
    Row::property("observer.reconnectDelayMs", millis(0, LONG_MAX), "0")
        .no_meaning(ALONE)
        .in_ensemble(Honoured)
        .doc("How long an observer waits before it connects again."),
    Row::property("observer.election.DelayMs", millis(0, LONG_MAX), "200")
        .no_meaning(ALONE)
        .in_ensemble(Honoured)
        .doc("How long an observer waits before it takes part in an election."),
    Row::property("observerMaster.sizeLimit", count(0, INT_MAX), "33554432")
        .no_meaning(ALONE)
        .in_ensemble(NoMeaning("followers feed no observers in this release"))
        .doc("How many bytes of writes a follower keeps for observers."),
    Row::own("ringkeeper.leaderlessMs", millis(0, INT_MAX), "0")
        .no_meaning(ALONE)
        .in_ensemble(Honoured)
        .doc(
            "How long clients stay connected while the server has no leader: reads go on and \
             writes wait; 0 means syncLimit.",
        ),
    Row::property("commitLogCount", count(0, INT_MAX), "1048576")
        .apache("500", WINDOW)
        .no_meaning(ALONE)
        .in_ensemble(Honoured)
        .doc("How many writes are kept in memory for followers that fell behind."),
    Row::property("snapshotSizeFactor", Kind::Decimal { min: -1.0, max: 1000.0 }, "0.33")
        .no_meaning(ALONE)
        .in_ensemble(NotYet(FROM_LOG))
        .doc("How much log, compared with a snapshot, a follower may be sent instead of one."),
    Row::property("forceSnapshotSync", Kind::Switch, "false")
        .no_meaning(ALONE)
        .in_ensemble(NotYet(FROM_LOG))
        .doc("Whether followers are always sent a snapshot; for tests."),
];
