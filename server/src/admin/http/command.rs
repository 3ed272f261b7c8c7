//! The commands: their names, and where their answers come from.

use std::fmt::Write;

use super::answers::{self, Answer, Lookup};
use super::ensemble;
use crate::admin::collection::{COUNTS, Collection};
use crate::admin::words::{conns, dump, srvr, watches};

/// A command.
pub(super) struct Command {
    names: &'static [&'static str],
    /// Where its answer comes from.
    pub(super) work: Work,
}

/// Where an answer comes from.
pub(super) enum Work {
    /// From what is collected from every shard.
    Report(&'static Collection, Answer),
    /// From what every thread can see.
    Lookup(Lookup),
    /// From the thread that takes snapshots.
    Snapshot,
    /// From nowhere.
    Restore,
}

impl Command {
    /// The name that answers carry.
    pub(super) fn name(&self) -> &'static str {
        self.names[0]
    }

    /// Whether it changes something, be it a counter.
    pub(super) fn changes(&self) -> bool {
        CHANGING.contains(&self.name())
    }

    /// Whether it is answered only while clients are served.
    pub(super) fn needs_service(&self) -> bool {
        !WITHOUT_SERVICE.contains(&self.name())
    }
}

const fn report(
    names: &'static [&'static str],
    collection: &'static Collection,
    answer: Answer,
) -> Command {
    Command { names, work: Work::Report(collection, answer) }
}

const fn lookup(names: &'static [&'static str], answer: Lookup) -> Command {
    Command { names, work: Work::Lookup(answer) }
}

/// Commands that ZooKeeper answers whether it serves clients or not.
const WITHOUT_SERVICE: &[&str] =
    &["environment", "get_trace_mask", "set_trace_mask", "system_properties", "zabstate"];

/// Commands that change something.
const CHANGING: &[&str] = &[
    "connection_stat_reset",
    "observer_connection_stat_reset",
    "restore",
    "set_trace_mask",
    "snapshot",
    "stat_reset",
];

/// All commands, in the order of their names.
static COMMANDS: &[Command] = &[
    lookup(&["configuration", "conf", "config"], answers::configuration),
    report(&["connection_stat_reset", "crst"], &conns::RESET, answers::done),
    report(&["connections", "cons"], &conns::CONNECTIONS, answers::connections),
    lookup(&["dirs"], answers::dirs),
    report(&["dump"], &dump::SESSIONS, answers::dump),
    lookup(&["environment", "env", "envi"], answers::environment),
    lookup(&["get_trace_mask", "gtmk"], answers::trace_mask),
    lookup(&["hash"], answers::hash),
    lookup(&["initial_configuration", "icfg"], answers::initial_configuration),
    lookup(&["is_read_only", "isro"], answers::is_read_only),
    lookup(&["last_snapshot", "lsnp"], answers::last_snapshot),
    lookup(&["leader", "lead"], ensemble::leader),
    report(&["monitor", "mntr"], &COUNTS, answers::monitor),
    lookup(&["observer_connection_stat_reset", "orst"], answers::nothing),
    lookup(&["observers", "obsr"], answers::observers),
    Command { names: &["restore", "rest"], work: Work::Restore },
    lookup(&["ruok"], answers::nothing),
    report(&["server_stats", "srvr"], &COUNTS, answers::server_stats),
    lookup(&["set_trace_mask", "stmk"], answers::set_trace_mask),
    Command { names: &["snapshot", "snap"], work: Work::Snapshot },
    report(&["stat_reset", "srst"], &srvr::RESET, answers::stat_reset),
    report(&["stats", "stat"], &srvr::CLIENTS, answers::stats),
    lookup(&["system_properties", "sysp"], answers::system_properties),
    lookup(&["voting_view"], ensemble::voting_view),
    report(&["watch_summary", "wchs"], &watches::SUMMARY, answers::watch_summary),
    report(&["watches", "wchc"], &watches::BY_SESSION, answers::watches),
    report(&["watches_by_path", "wchp"], &watches::BY_PATH, answers::watches_by_path),
    lookup(&["zabstate"], ensemble::zab_state),
];

/// The command with this name, or with this short one.
pub(super) fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.names.contains(&name))
}

/// Links to all commands, for browsers.
pub(super) fn links(path: &str) -> String {
    let mut text = String::new();
    for name in COMMANDS.iter().map(Command::name) {
        writeln!(text, "<a href=\"{path}/{name}\">{name}</a>\n<br/>")
            .expect("writing to a string cannot fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_commands_are_in_order_and_unique() {
        let names: Vec<_> = COMMANDS.iter().map(Command::name).collect();
        let listed = WITHOUT_SERVICE.iter().chain(CHANGING);
        assert!(listed.into_iter().all(|name| names.contains(name)));
        assert!(names.is_sorted());
        let mut all: Vec<_> = COMMANDS.iter().flat_map(|command| command.names).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
