//! Words that no name may have, each with the words to use in its place.
//!
//! Names are the words of ZooKeeper, etcd, Raft and TigerBeetle: `docs/glossary.md` lists them.

use crate::Finding;
use crate::files::Source;
use crate::items::{Kind, items, parts};

/// A word, or several that follow each other, and what to use instead.
struct Banned {
    /// In lower case, as the words of a name; a plural has a row of its own word.
    word: &'static str,
    instead: &'static str,
    /// Folders where it is banned; everywhere without any.
    under: &'static [&'static str],
    kinds: Kinds,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kinds {
    All,
    /// A verb is fine, a thing is not.
    TypesAndFiles,
}

const fn ban(word: &'static str, instead: &'static str) -> Banned {
    Banned { word, instead, under: &[], kinds: Kinds::All }
}

const fn ban_under(
    under: &'static [&'static str],
    word: &'static str,
    instead: &'static str,
) -> Banned {
    Banned { word, instead, under, kinds: Kinds::All }
}

const fn ban_type(word: &'static str, instead: &'static str) -> Banned {
    Banned { word, instead, under: &[], kinds: Kinds::TypesAndFiles }
}

/// Where connections are served.
const SHARDS: &[&str] = &["engine/src/shard", "server/src/shards"];

const BANNED: &[Banned] = &[
    // Words that name no responsibility.
    ban("manager", "what it owns or decides: Table, Pool, Supervisor, Coordinator"),
    ban("helper", "the verb that it does"),
    ban("util", "the name of the type or of the verb that it is about"),
    ban("info", "Stats, Status, Settings, Description, or the thing itself"),
    ban("handler", "the event: on_packet, on_timeout; or serve, dispatch"),
    ban("processor", "the stage: Sequencer, CommitQueue, LogWriter"),
    ban("context", "what it holds: Turn, State, Settings"),
    // Words of a household, where the field has its own.
    ban("desk", "Reporter, as in ShardReporter"),
    ban("errand", "Task"),
    ban("seat", "Inbox"),
    ban_type("gather", "FanIn, or Gathering for the batching of writes"),
    ban("place", "Permit, Position, Slot or Offset"),
    ban("turnstile", "ConnectionLimiter"),
    ban("newcomer", "NewConnection"),
    ban("greet", "on_first_bytes, or handshake"),
    ban("hub", "Coordinator, as in ReportCoordinator"),
    ban("ask", "request, query, call; as a type RequestKind"),
    ban("asker", "Caller"),
    ban("asked", "InFlight, ReplyKind, requested"),
    ban("mail", "Message, Outbox, Mailbox"),
    ban("post", "send; as a type ShardOutbox"),
    ban("carry out", "execute, or apply_committed"),
    ban("take up", "dispatch, or re_attach for a session"),
    ban("look after", "service"),
    ban_under(SHARDS, "touch", "mark_ready; as a type ReadyList"),
    ban_under(SHARDS, "touched", "ready, or dirty"),
    ban("rush", "Backlog"),
    ban("wish", "Interest, as in IoInterest"),
    ban("course", "RunState, Phase, SchedTuner"),
    ban("keeper", "Supervisor"),
    ban("notebook", "ResultWriter"),
    ban("inquiry", "ServerProbe"),
    ban("throw away", "EphemeralServer"),
    ban("around", "RunTelemetry"),
    ban_under(&["engine/", "server/"], "rank", "SchedPolicy, Priority, Precedence"),
    ban("company", "batching, in_flight"),
    ban("crowd", "ClosedLoopLoad, Clients"),
    ban("everybody", "who it is: all_in_flight, all_clients"),
    ban("nobody", "none, no_owner, no_session"),
    ban("somebody", "who it is: a session, a client, an identity"),
    ban("anybody", "anyone of the scheme world, or who it is"),
    ban("whoever", "who it is: the caller, the client, the owner"),
    ban("lease", "LastHeard; a lease is an exclusive right for a time"),
    ban("room", "Capacity, Admission, free bytes"),
    ban("evict", "CloseConnection"),
    ban("tell", "report, notify, send"),
    ban("told", "reported, notified, sent"),
    ban("vacant", "Empty, as in EmptyDir"),
    ban("put back", "restore"),
    ban("rival", "Compare, Competitor"),
    ban("hog", "LoadGenerator"),
    ban_under(&["tuning/"], "apart", "Pinning"),
];

/// Names that have such a word and keep it, and why.
const EXEMPT: &[(&str, &str)] = &[
    ("info", "the module of `ServerInfo`"),
    ("ServerInfo", "what reports say of the server; a better name is welcome"),
    ("LearnerInfo", "ZooKeeper's record of this name"),
    ("FollowerInfo", "ZooKeeper's packet of this name"),
    ("ObserverInfo", "ZooKeeper's packet of this name"),
    ("LeaderInfo", "ZooKeeper's packet of this name"),
    ("ZooKeeper", "the product"),
    ("keeper_bench", "the tool of ClickHouse whose files are read"),
];

/// How many names still have a banned word. A number may only go down, and at 0 its row goes.
pub(crate) const STILL: &[(&str, usize)] = &[];

const HERE: &str = "server/tests/tidy/words.rs";

/// What something is called, and where.
struct Name {
    path: String,
    line: usize,
    kind: Kind,
    name: String,
    words: Vec<String>,
}

pub(crate) fn banned(still: &[(&str, usize)], sources: &[Source]) -> Vec<Finding> {
    let names: Vec<Name> = sources.iter().flat_map(names).collect();
    let mut findings = Vec::new();
    for ban in BANNED {
        let found: Vec<&Name> = names.iter().filter(|name| ban.is_about(name)).collect();
        let row = still.iter().find(|(word, _)| *word == ban.word);
        let limit = row.map_or(0, |(_, limit)| *limit);
        if found.len() < limit || row.is_some_and(|_| limit == 0) {
            let what = match found.len() {
                0 => format!("no name has the word `{}` any more: take its row out", ban.word),
                left => format!("write (\"{}\", {left}) in place of {limit}", ban.word),
            };
            findings.push(Finding::new(HERE, 1, format!("STILL: {what}")));
        }
        if found.len() > limit {
            findings.extend(found.iter().map(|name| ban.complaint(name, found.len(), limit)));
        }
    }
    for (word, _) in still.iter().filter(|(word, _)| BANNED.iter().all(|ban| ban.word != *word)) {
        let what = format!("STILL: `{word}` is known, but not banned: take its row out");
        findings.push(Finding::new(HERE, 1, what));
    }
    findings
}

/// Whether a word alone is banned, if only in some folders.
pub(crate) fn is_banned(word: &str) -> bool {
    BANNED.iter().any(|ban| ban.is_in(&[word.to_owned()]))
}

/// The names of a file: its own, and those of its items.
fn names(source: &Source) -> Vec<Name> {
    let items = items(source).into_iter().map(|item| (item.line, item.kind, item.name));
    let all = [(1, Kind::Module, module(&source.path))].into_iter().chain(items);
    all.filter(|(_, kind, name)| {
        *kind != Kind::Test && !EXEMPT.iter().any(|(exempt, _)| exempt == name)
    })
    .map(|(line, kind, name)| Name {
        path: source.path.clone(),
        line,
        kind,
        words: parts(&name),
        name,
    })
    .collect()
}

/// The name of the module that a file is.
fn module(path: &str) -> String {
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

impl Banned {
    fn is_about(&self, name: &Name) -> bool {
        let inside = self.under.is_empty() || self.under.iter().any(|u| name.path.starts_with(u));
        let counts = match self.kinds {
            Kinds::All => true,
            Kinds::TypesAndFiles => matches!(name.kind, Kind::Type | Kind::Module),
        };
        inside && counts && self.is_in(&name.words)
    }

    /// Whether it is among the words of a name, or all of it in a row. Plurals count.
    fn is_in(&self, words: &[String]) -> bool {
        let own: Vec<&str> = self.word.split(' ').collect();
        let same =
            |(word, own): (&String, &&str)| word == own || word.strip_suffix('s') == Some(own);
        words.windows(own.len()).any(|window| window.iter().zip(&own).all(same))
    }

    fn complaint(&self, name: &Name, found: usize, limit: usize) -> Finding {
        let many = match limit {
            0 => String::new(),
            _ => format!(" ({found} names have the word, {limit} are known)"),
        };
        let what = format!("`{}`: {} is banned, use {}{many}", name.name, self.word, self.instead);
        Finding::new(&name.path, name.line, what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(still: &[(&str, usize)], path: &str, text: &str) -> Vec<String> {
        let findings = banned(still, &[Source::new(path, text)]);
        findings.into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn every_kind_of_name_is_looked_at() {
        let count = |text: &str| found(&[], "a.rs", text).len();
        assert_eq!(count("pub struct EventHandler;\nfn read_utils() {}\nmod context {}\n"), 3);
        assert_eq!(
            count("struct A { desk: u8 }\nenum B { Mail }\nconst NEWCOMERS_MAX: u8 = 1;"),
            3
        );
        assert_eq!(count("fn carry_out() {}\nfn carry() {}\nfn gather() {}\nstruct Gather;"), 2);
        assert_eq!(count("fn utilise(information: Handler) -> Context {}\n// a manager\n"), 0);
        assert_eq!(count("#[test]\nfn nobody_is_asked() {}\nenum A { ZooKeeper }\n"), 0);
        assert_eq!(found(&[], "engine/src/utils.rs", "").len(), 1);
        assert_eq!(found(&[], "engine/src/shard/touch/mod.rs", "").len(), 1);
        assert_eq!(found(&[], "engine/src/session/mod.rs", "fn touch() {}").len(), 0);
    }

    #[test]
    fn finding_names_the_word_to_use() {
        assert_eq!(found(&[], "a.rs", "struct Seat;"), ["`Seat`: seat is banned, use Inbox"]);
        assert_eq!(
            found(&[("seat", 1)], "a.rs", "struct Seat;\nfn seat() {}"),
            [
                "`Seat`: seat is banned, use Inbox (2 names have the word, 1 are known)",
                "`seat`: seat is banned, use Inbox (2 names have the word, 1 are known)"
            ]
        );
    }

    #[test]
    fn known_numbers_go_down_only() {
        let seat = "struct Seat;\n";
        assert!(found(&[("seat", 1)], "a.rs", seat).is_empty());
        let said = found(&[("seat", 2)], "a.rs", seat);
        assert!(said.len() == 1 && said[0].ends_with("write (\"seat\", 1) in place of 2"));
        let said = found(&[("seat", 2)], "a.rs", "");
        assert!(said.len() == 1 && said[0].ends_with("`seat` any more: take its row out"));
        assert!(found(&[("chair", 2)], "a.rs", "")[0].contains("not banned"));
    }
}
