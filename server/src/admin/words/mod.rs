//! The four-letter words, byte for byte as ZooKeeper's where it says the same. A word is a file,
//! or a part of one, and a row here.

pub(super) mod conf;
pub(super) mod conns;
pub(super) mod dump;
pub(super) mod envi;
pub(super) mod mntr;
pub(super) mod mntr_rows;
mod pace;
mod role;
pub(super) mod srvr;
mod status;
pub(super) mod watches;

use ringkeeper_engine::shard::KnownWord;

use super::collection::Collection;
use super::partial::PartialReport;
use super::state::{NOT_SERVING, ServerState};
use crate::config::FourLetterWords;
use crate::peers::status::ClientService;

/// A four-letter word.
pub(in crate::admin) struct Word {
    /// The letters.
    pub name: &'static [u8; 4],
    /// Whether a number of eight bytes follows.
    pub has_argument: bool,
    /// Which setting allows it.
    pub access: Access,
    /// When it is answered.
    pub condition: Condition,
    /// Where its answer comes from.
    pub answer: Answer,
}

/// Which setting allows a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::admin) enum Access {
    /// `4lw.commands.whitelist`.
    Whitelist,
    /// None: one of our own, which says no more than `srvr` does.
    Always,
}

/// When a word is answered, as in ZooKeeper.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::admin) enum Condition {
    /// While clients are served. Otherwise the answer is a sentence that says so.
    Serving,
    /// Always.
    Running,
}

/// Where the answer of a word comes from.
pub(in crate::admin) enum Answer {
    /// From the shard that was asked, in the same turn.
    Now(fn(&ServerState, i64) -> String),
    /// From the operating system.
    Host(fn(&ServerState) -> String),
    /// From the data directories. It may wait for the disk.
    Files(fn(&ServerState) -> String),
    /// From all shards.
    Report(&'static Collection, Text),
}

/// How a report becomes a text.
#[derive(Clone, Copy)]
pub(in crate::admin) enum Text {
    /// At once.
    Short(fn(&ServerState, &PartialReport) -> String),
    /// On a thread that may take its time: it is long, or waits for the operating system.
    Long(fn(&ServerState, &PartialReport) -> String),
}

impl Word {
    /// A word with this answer that `4lw.commands.whitelist` allows.
    pub(in crate::admin) const fn new(name: &'static [u8; 4], answer: Answer) -> Word {
        let (access, condition) = (Access::Whitelist, Condition::Serving);
        Word { name, has_argument: false, access, condition, answer }
    }

    /// The same word, answered whether clients are served or not.
    pub(in crate::admin) const fn always(self) -> Word {
        Word { condition: Condition::Running, ..self }
    }

    /// Its name as a text.
    pub(in crate::admin) fn text(&self) -> &'static str {
        std::str::from_utf8(self.name).expect("words are ASCII")
    }

    /// Whether it is answered.
    pub(in crate::admin) fn is_allowed(&self, whitelist: &FourLetterWords) -> bool {
        self.access == Access::Always || whitelist.allow(self.text())
    }

    /// What is answered in its place where it is not allowed.
    pub(in crate::admin) fn refusal(&self) -> String {
        format!("{} is not executed because it is not in the whitelist.\n", self.text())
    }

    /// Whether it is answered with its own text now.
    pub(in crate::admin) fn is_due(&self, state: &ServerState) -> bool {
        self.condition == Condition::Running || state.clients() != ClientService::None
    }

    /// What is answered in its place while clients are not served. ZooKeeper ends the line, but
    /// for `hash`.
    pub(in crate::admin) fn not_serving(&self) -> String {
        let end = if self.name == b"hash" { "" } else { "\n" };
        format!("{NOT_SERVING}{end}")
    }
}

/// Every word.
static WORDS: &[&Word] = &[
    &conf::CONF,
    &conf::DIRS,
    &conns::CONS,
    &conns::CRST,
    &dump::DUMP,
    &envi::ENVI,
    &mntr::MNTR,
    &pace::PACE,
    &role::ROLE,
    &srvr::SRST,
    &srvr::SRVR,
    &srvr::STAT,
    &status::GTMK,
    &status::HASH,
    &status::ISRO,
    &status::RUOK,
    &status::STMK,
    &watches::WCHC,
    &watches::WCHP,
    &watches::WCHS,
];

/// The word with these letters.
pub(super) fn find(name: [u8; 4]) -> Option<&'static Word> {
    WORDS.iter().copied().find(|word| *word.name == name)
}

/// The words that shards know. The argument of a word that is refused is not waited for.
pub fn known(whitelist: &FourLetterWords) -> Vec<KnownWord> {
    let known = |word: &&Word| KnownWord {
        name: *word.name,
        has_argument: word.has_argument && word.is_allowed(whitelist),
    };
    WORDS.iter().map(known).collect()
}

/// A whitelist that replaces the one of the start. Words with an argument stay as they were: shards
/// know from their start whether to wait for it.
pub fn take_over(started: &FourLetterWords, new: &FourLetterWords) -> FourLetterWords {
    let holds = |word: &&&Word| {
        let list = if word.has_argument { started } else { new };
        list.allow(word.text())
    };
    FourLetterWords::Only(WORDS.iter().filter(holds).map(|word| word.text().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_found_by_its_own_name_only() {
        for word in WORDS {
            assert!(std::ptr::eq(find(*word.name).expect("it is in the table"), *word));
        }
        assert!(find(*b"none").is_none());
    }

    #[test]
    fn whitelist_is_replaced_but_for_words_with_an_argument() {
        let started = FourLetterWords::Only(["stmk".to_owned(), "ruok".to_owned()].into());
        let new = FourLetterWords::Only(["mntr".to_owned()].into());
        let words = ["mntr".to_owned(), "stmk".to_owned()];
        assert_eq!(take_over(&started, &new), FourLetterWords::Only(words.into()));
        assert!(take_over(&new, &FourLetterWords::All).allow("ruok"));
        assert!(!take_over(&new, &FourLetterWords::All).allow("stmk"));
    }

    #[test]
    fn argument_of_a_refused_word_is_not_waited_for() {
        let waits = |whitelist: &FourLetterWords| {
            let waiting = known(whitelist).into_iter().filter(|word| word.has_argument);
            waiting.map(|word| word.name).collect::<Vec<_>>()
        };
        assert_eq!(waits(&FourLetterWords::All), [*b"stmk"]);
        assert!(waits(&FourLetterWords::Only(["srvr".to_owned()].into())).is_empty());
    }
}
