//! What an import found, for people and for programs.

use std::io::{self, Write};
use std::path::Path;

use ringkeeper_engine::Zxid;
use ringkeeper_engine::tree::{NodeId, Tree};
use ringkeeper_engine::txn::NodeKind;
use ringkeeper_engine::zookeeper::{Counts, DigestCheck};
use serde_json::json;

use super::source::Source;
use super::state::State;

/// What was found.
pub(super) struct Report {
    snapshot_dir: String,
    log_dir: String,
    snapshot: Option<String>,
    logs: Vec<String>,
    last: Zxid,
    applied: Zxid,
    kinds: Kinds,
    bytes: u64,
    sessions: usize,
    counts: Counts,
    digests: DigestCheck,
    notes: Vec<String>,
}

/// How many nodes there are of each kind, the root counted once.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Kinds {
    all: u64,
    ephemeral: u64,
    container: u64,
    ttl: u64,
}

impl Report {
    pub(super) fn new(source: &Source, state: &State) -> Report {
        let State { imported, snapshot, logs, notes } = state;
        let tree = &imported.tree;
        let mut report = Report {
            snapshot_dir: source.snapshot_dir.display().to_string(),
            log_dir: source.log_dir.display().to_string(),
            snapshot: snapshot.as_ref().map(|snapshot| snapshot.found.name.clone()),
            logs: logs.iter().map(|log| log.found.name.clone()).collect(),
            last: imported.last,
            applied: tree.applied(),
            kinds: Kinds::of(tree),
            bytes: tree.find("/").map_or(0, |root| tree.subtree_bytes(root)),
            sessions: imported.sessions.len(),
            counts: imported.counts,
            digests: imported.digests,
            notes: notes.clone(),
        };
        report.add_notes();
        report
    }

    /// What an operator has to know from the counts.
    fn add_notes(&mut self) {
        let Report { counts, digests, .. } = *self;
        let mut note = |is_so: bool, text: String| {
            if is_so {
                self.notes.push(text);
            }
        };
        if let Some(zxid) = digests.first_other {
            let since = match digests.last_equal {
                Some(last) => format!("; the last that is equal is behind {last}"),
                None => String::new(),
            };
            note(
                true,
                format!(
                    "from {zxid} on the tree is not what ZooKeeper expected it to be (its digest \
                 differs{since}): the ensemble was inconsistent, or a file is damaged"
                ),
            );
        }
        if let Some(zxid) = counts.first_misfit {
            note(
                true,
                format!(
                    "{} changes do not fit the state and were passed over, as ZooKeeper does; the \
                 first is in {zxid}",
                    counts.misfits
                ),
            );
        }
        note(
            counts.repeated > 0,
            format!(
                "{} transactions stand in the log a second time and were passed over",
                counts.repeated
            ),
        );
        note(
            counts.closed_nodes > 0,
            format!(
                "the ACL of {} nodes is in no file; only a superuser can use them now",
                counts.closed_nodes
            ),
        );
        note(
            counts.orphans > 0,
            format!(
                "{} ephemeral nodes were removed because their sessions are gone, as ZooKeeper does \
             when it starts",
                counts.orphans
            ),
        );
        note(
            counts.unlisted_closes > 0,
            format!(
                "the log does not say which nodes went with {} sessions, as before 3.6; where they \
                 ended while the snapshot was written, the pzxid of the parents may be older than \
                 it was",
                counts.unlisted_closes
            ),
        );
        note(
            counts.config_bytes > 0,
            format!(
                "the members of the ensemble ({} bytes in /zookeeper/config) were not taken over, for \
             clients would follow them back",
                counts.config_bytes
            ),
        );
    }

    /// For people.
    pub(super) fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut line = |name: &str, value: String| writeln!(out, "{name:<14}{value}");
        let Kinds { all, ephemeral, container, ttl } = self.kinds;
        let logs = match &self.logs[..] {
            [] => String::from("no log"),
            [log] => log.clone(),
            [first, .., last] => format!("{first} to {last} ({} files)", self.logs.len()),
        };
        line("from", self.snapshot_dir.clone())?;
        if self.log_dir != self.snapshot_dir {
            line("", self.log_dir.clone())?;
        }
        let snapshot = self.snapshot.as_deref().unwrap_or("no snapshot");
        line("files", format!("{snapshot}, {logs}"))?;
        line(
            "last zxid",
            match self.applied == self.last {
                true => self.last.to_string(),
                false => format!("{}, with the epoch {}", self.last, self.applied),
            },
        )?;
        line(
            "replayed",
            format!(
                "{} transactions, of which {} are refusals",
                self.counts.replayed, self.counts.refusals
            ),
        )?;
        line(
            "znodes",
            format!("{all} ({ephemeral} ephemeral, {container} containers, {ttl} with a TTL)"),
        )?;
        line("bytes", self.bytes.to_string())?;
        line("sessions", self.sessions.to_string())?;
        line(
            "digests",
            match (self.digests.compared, self.digests.first_other) {
                (0, _) => "none in the files to compare with".into(),
                (compared, None) => format!("{compared} compared, all equal"),
                (compared, Some(zxid)) => format!("{compared} compared, different from {zxid} on"),
            },
        )?;
        self.notes.iter().try_for_each(|note| writeln!(out, "note: {note}"))
    }

    /// For programs. `to` is where the state is now, if it was written.
    pub(super) fn write_json(&self, to: Option<&Path>, out: &mut dyn Write) -> io::Result<()> {
        let Counts { replayed, refusals, repeated, left_to_log, missed, .. } = self.counts;
        let Counts { misfits, unlisted_closes, closed_nodes, orphans, .. } = self.counts;
        let Kinds { all, ephemeral, container, ttl } = self.kinds;
        let hex = |zxid: Zxid| zxid.to_string();
        let object = json!({
            "from": { "snapshots": self.snapshot_dir, "log": self.log_dir },
            "to": to.map(|to| to.display().to_string()),
            "snapshot": self.snapshot,
            "logs": self.logs,
            "last_zxid": hex(self.last),
            "applied_zxid": hex(self.applied),
            "znodes": all,
            "ephemerals": ephemeral,
            "containers": container,
            "ttl_nodes": ttl,
            "bytes": self.bytes,
            "sessions": self.sessions,
            "transactions": {
                "replayed": replayed,
                "refusals": refusals,
                "repeated": repeated,
                "missed": missed,
                "misfits": misfits,
                "left_to_log": left_to_log,
                "unlisted_closes": unlisted_closes,
            },
            "closed_nodes": closed_nodes,
            "orphans": orphans,
            "digests": {
                "compared": self.digests.compared,
                "first_different": self.digests.first_other.map(hex),
            },
            "notes": self.notes,
        });
        writeln!(out, "{object}")
    }
}

impl Kinds {
    /// Counts them.
    fn of(tree: &Tree) -> Kinds {
        let mut kinds = Kinds::default();
        let mut next: Vec<NodeId> = tree.find("/").into_iter().collect();
        while let Some(id) = next.pop() {
            kinds.all += 1;
            match tree.kind(id) {
                NodeKind::Persistent => {}
                NodeKind::Ephemeral(_) => kinds.ephemeral += 1,
                NodeKind::Container => kinds.container += 1,
                NodeKind::Ttl(_) => kinds.ttl += 1,
            }
            next.extend(tree.child_nodes(id));
        }
        kinds
    }
}
