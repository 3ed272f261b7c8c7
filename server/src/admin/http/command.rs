//! The commands: their names, and where their answers come from.

use std::fmt::Write;

use ringkeeper_engine::shard::Word;

use super::answers::{self, Answer, LookUp};
use super::configuration::Configuration;
use crate::admin::hub::Hub;

/// A command.
pub(super) struct Command {
    names: &'static [&'static str],
    /// Where its answer comes from.
    pub(super) work: Work,
}

/// Where an answer comes from.
pub(super) enum Work {
    /// From every shard, which contribute what they do to the four-letter word.
    Gather(Word, Answer),
    /// From what everybody can see.
    Look(LookUp),
    /// From the thread that takes snapshots.
    Snapshot,
    /// From nowhere.
    Restore,
}

/// What an answer is made from, beside the parts of the shards.
pub(super) struct Asked<'a> {
    pub(super) hub: &'a Hub,
    pub(super) configuration: &'a Configuration,
    pub(super) query: &'a Query,
}

/// The words behind the question mark.
pub(super) type Query = Vec<(String, String)>;

impl Command {
    /// The name that answers carry.
    pub(super) fn name(&self) -> &'static str {
        self.names[0]
    }
}

const fn gather(names: &'static [&'static str], word: Word, answer: Answer) -> Command {
    Command { names, work: Work::Gather(word, answer) }
}

const fn look(names: &'static [&'static str], answer: LookUp) -> Command {
    Command { names, work: Work::Look(answer) }
}

/// All commands, in the order of their names.
static COMMANDS: &[Command] = &[
    look(&["configuration", "conf", "config"], answers::configuration),
    gather(&["connection_stat_reset", "crst"], Word::Crst, answers::done),
    gather(&["connections", "cons"], Word::Cons, answers::connections),
    look(&["dirs"], answers::dirs),
    gather(&["dump"], Word::Dump, answers::dump),
    look(&["environment", "env", "envi"], answers::environment),
    look(&["get_trace_mask", "gtmk"], answers::trace_mask),
    look(&["hash"], answers::hash),
    look(&["initial_configuration", "icfg"], answers::initial_configuration),
    look(&["is_read_only", "isro"], answers::is_read_only),
    look(&["last_snapshot", "lsnp"], answers::last_snapshot),
    look(&["leader", "lead"], answers::leader),
    gather(&["monitor", "mntr"], Word::Mntr, answers::monitor),
    look(&["observer_connection_stat_reset", "orst"], answers::nothing),
    look(&["observers", "obsr"], answers::observers),
    Command { names: &["restore", "rest"], work: Work::Restore },
    look(&["ruok"], answers::nothing),
    gather(&["server_stats", "srvr"], Word::Srvr, answers::server_stats),
    look(&["set_trace_mask", "stmk"], answers::set_trace_mask),
    Command { names: &["snapshot", "snap"], work: Work::Snapshot },
    gather(&["stat_reset", "srst"], Word::Srst, answers::stat_reset),
    gather(&["stats", "stat"], Word::Stat, answers::stats),
    look(&["system_properties", "sysp"], answers::system_properties),
    look(&["voting_view"], answers::voting_view),
    gather(&["watch_summary", "wchs"], Word::Wchs, answers::watch_summary),
    gather(&["watches", "wchc"], Word::Wchc, answers::watches),
    gather(&["watches_by_path", "wchp"], Word::Wchp, answers::watches_by_path),
    look(&["zabstate"], answers::zab_state),
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

/// Takes the words apart. The first of several with one name counts.
pub(super) fn query(text: Option<&str>) -> Query {
    form_urlencoded::parse(text.unwrap_or_default().as_bytes()).into_owned().collect()
}

/// The word with a name.
pub(super) fn word<'a>(query: &'a Query, name: &str) -> Option<&'a str> {
    query.iter().find(|(known, _)| known == name).map(|(_, word)| word.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_order_and_nobody_shares_one() {
        let names: Vec<_> = COMMANDS.iter().map(Command::name).collect();
        assert!(names.is_sorted());
        let mut all: Vec<_> = COMMANDS.iter().flat_map(|command| command.names).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn a_query_is_taken_apart() {
        let query = query(Some("traceMask=1%30&traceMask=7&x&=&a+b=%"));
        assert_eq!(word(&query, "traceMask"), Some("10"));
        assert_eq!(word(&query, "x"), Some(""));
        assert_eq!(word(&query, "a b"), Some("%"));
        assert_eq!(word(&query, "none"), None);
    }
}
