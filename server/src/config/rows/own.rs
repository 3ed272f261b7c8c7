//! Settings ZooKeeper does not have.

use super::super::table::{Kind, Row, Topic, Unit};
use super::{count, millis};

pub(super) const TOPIC: Topic = Topic {
    title: "Ringkeeper's own",
    about: "Settings ZooKeeper does not have; their defaults are meant to be left alone.",
    rows: ROWS,
};

const ROWS: &[Row] = &[
    Row::own("ringkeeper.shards", Kind::AutoOrCount(1024), "auto")
        .doc("How many threads serve clients; auto means one for each processor core."),
    Row::own("ringkeeper.io", Kind::Choice(&["auto", "io_uring", "epoll"]), "auto")
        .doc("How sockets are waited for; auto takes io_uring where the system allows it."),
    Row::own("ringkeeper.include", Kind::Path, "").unset().doc(
        "A further file of settings, such as `ringkeeper tune recommend` writes, by its path from \
         the file that names it; lines of zoo.cfg win over it.",
    ),
    Row::own(
        "ringkeeper.log.device",
        Kind::Choice(&["auto", "mmap", "direct", "uring", "pwrite"]),
        "auto",
    )
    .doc(
        "How the transaction log reaches the device; auto measures in a quiet moment and takes \
         what is clearly faster than the default, but never uring.",
    ),
    Row::own("ringkeeper.log.priority", Kind::Choice(&["high", "normal"]), "high").doc(
        "How the thread that writes the log is scheduled; high means before other work, and \
         before everything while it waits for the processor nevertheless, as far as the system \
         allows it, so that a busy processor does not hold up writes.",
    ),
    Row::own("ringkeeper.commit.target", Kind::CommitTarget, "latency").doc(
        "What waiting for more writes to share a sync is judged by: latency never waits, \
         throughput waits where more is done by it, a bound such as p99<2ms makes as few syncs as \
         keep it; flushDelay, where it is set, rules instead.",
    ),
    Row::own("ringkeeper.log.format", Kind::Choice(&["text", "json"]), "text")
        .doc("How the server's messages look; --log-format wins over it."),
    Row::own(
        "ringkeeper.log.level",
        Kind::Choice(&["error", "warn", "info", "debug", "trace"]),
        "info",
    )
    .doc("Which of the server's messages are written; --log-level wins over it."),
    Row::own("ringkeeper.audit.file", Kind::Path, "").unset().doc(
        "Where the lines of the audit log go; to standard error, among the messages, when unset.",
    ),
    Row::own(
        "ringkeeper.audit.fileMb",
        Kind::Integer { min: 0, max: 1 << 20, unit: Unit::Mebibytes },
        "64",
    )
    .doc("From which size the file of the audit log is renamed and a new one begun; 0 is never."),
    Row::own("ringkeeper.audit.files", count(1, 10_000), "10")
        .doc("How many renamed files of the audit log are kept, the oldest goes."),
    Row::own(
        "ringkeeper.reserveMb",
        Kind::Integer { min: 0, max: 65_536, unit: Unit::Mebibytes },
        "64",
    )
    .doc(
        "Disk space held back for the log, so that a full disk can still be brought back in \
         order: as many whole segments of preAllocSize, from 1 to 64.",
    ),
    Row::own("ringkeeper.replayLimitMs", millis(0, 3_600_000), "5000").doc(
        "How long a start may take to replay the log, about: behind snapCount or \
         snapSizeLimitInKb, a snapshot is taken when the log has grown by as much as the tree \
         holds, or would take this long; 0 leaves all to those two.",
    ),
    Row::own(
        "ringkeeper.earlySnapshotMb",
        Kind::Integer { min: 0, max: 65_536, unit: Unit::Mebibytes },
        "2",
    )
    .doc(
        "How much log is behind a snapshot before another one is taken early, where that costs \
         next to nothing, so that a start has little to replay; 0 leaves all to snapCount, and so \
         do a tree of more than 16 MiB and forceSync=no.",
    ),
    Row::own("ringkeeper.sessionPasswords", Kind::Choice(&["secret", "java"]), "secret").doc(
        "How session passwords are made: secret cannot be guessed, and all servers of an \
             ensemble have the same secret; java is what ZooKeeper computes, for ensembles with \
             servers of both kinds.",
    ),
];
