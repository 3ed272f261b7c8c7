//! Directories, the log, snapshots and their removal.

use super::super::table::{Kind, Row, Topic, Unit};
use super::{INT_MAX, LONG_MAX, count, millis};

pub(super) const TOPIC: Topic = Topic {
    title: "Storage",
    about: "Where state is kept, when it is durable, and when old files go away.",
    rows: ROWS,
};

const fn kib(min: i64, max: i64) -> Kind {
    Kind::Integer { min, max, unit: Unit::Kibibytes }
}

const ROWS: &[Row] = &[
    Row::parsed("dataDir", Kind::Path, "").unset().variable("ZOO_DATA_DIR").doc(
        "The directory of the snapshots and of myid; required in a zoo.cfg, ./ringkeeper-data or \
         $STATE_DIRECTORY for a start without one.",
    ),
    Row::parsed("dataLogDir", Kind::Path, "")
        .derived("dataDir")
        .variable("ZOO_DATA_LOG_DIR")
        .doc("The directory of the transaction log; a device of its own keeps writes fast."),
    Row::property("datadir.autocreate", Kind::Switch, "true")
        .doc("Whether a data directory that does not exist is created."),
    Row::property("db.autocreate", Kind::Switch, "true").doc(
        "Whether a server without any state starts empty; if not, it needs a file named \
         initialize in its dataDir, which goes once it has started.",
    ),
    Row::property("forceSync", Kind::YesNo, "yes").doc(
        "Whether a write is on the device before it is answered; with no, a power failure loses \
         acknowledged writes.",
    ),
    Row::property("fsync.warningthresholdms", millis(0, LONG_MAX), "1000")
        .properties(&["zookeeper.fsync.warningthresholdms", "fsync.warningthresholdms"])
        .doc("A sync of the log that takes longer than this is reported."),
    Row::property("flushDelay", millis(0, INT_MAX), "0")
        .doc("The least time between two syncs of the log, so that more writes share one."),
    Row::property("maxWriteQueuePollTime", millis(0, INT_MAX), "")
        .derived("flushDelay ÷ 3")
        .doc("With flushDelay, how long to wait for a next write before syncing anyway."),
    Row::property("maxBatchSize", count(0, INT_MAX), "1000")
        .doc("The most writes that share one sync of the log; 0 removes the limit."),
    Row::property("snapCount", count(2, INT_MAX), "100000").doc(
        "A snapshot is taken after about this many writes at the earliest; the number is drawn \
         anew each time. Of a large tree see ringkeeper.replayLimitMs.",
    ),
    Row::property("snapSizeLimitInKb", kib(-1, LONG_MAX), "4194304").doc(
        "Or after this much log at the earliest, where there are fewer writes; 0 or -1 leaves it \
         to snapCount.",
    ),
    Row::property("preAllocSize", kib(1, 16 * 1024 * 1024), "16384")
        .apache(
            "65536",
            "a start reads and a first start writes one such file: a smaller one is ready sooner",
        )
        .doc("The space that is reserved for the log ahead of its growth."),
    Row::property("txnLogSizeLimitInKb", kib(-1, LONG_MAX), "-1")
        .no_meaning(
            "the log is made of segments of a fixed size, so no file of it grows without bounds",
        )
        .doc("The size at which a new file of the log is begun."),
    Row::parsed("autopurge.snapRetainCount", count(0, INT_MAX), "3")
        .variable("ZOO_AUTOPURGE_SNAPRETAINCOUNT")
        .doc("How many snapshots are kept when old ones are deleted; less than 3 is taken as 3."),
    Row::parsed(
        "autopurge.purgeInterval",
        Kind::Integer { min: 0, max: INT_MAX, unit: Unit::Hours },
        "",
    )
    .derived("after each snapshot")
    .apache("0", "a disk that fills up stops the service, and old snapshots are of no use to it")
    .variable("ZOO_AUTOPURGE_PURGEINTERVAL")
    .doc(
        "How often old snapshots and logs are deleted; 0 means never, but as the value of the \
         variable, where it is the image's default, after each snapshot.",
    ),
    Row::property("digest.enabled", Kind::Switch, "true").doc(
        "Whether a digest of the tree is kept with every write, to notice a copy that differs.",
    ),
    Row::property("snapshot.compression.method", Kind::Choice(&["", "gz", "snappy"]), "")
        .no_meaning("snapshots are always compressed")
        .doc("How snapshots are compressed."),
    Row::property("snapshot.trust.empty", Kind::Switch, "false")
        .no_meaning(
            "a log without a snapshot is always complete from the first write on, or refused",
        )
        .doc("Whether a log without any snapshot is accepted at the start."),
    Row::property("serializeLastProcessedZxid.enabled", Kind::Switch, "true")
        .no_meaning("a snapshot always says up to which write it reaches")
        .doc("Whether a snapshot records the zxid of its last write."),
    Row::property("intBufferStartingSizeBytes", count(0, INT_MAX), "1024")
        .no_meaning("records are written straight to the log")
        .doc("The first size of the buffer a transaction is written to."),
];
