//! The four-letter words, byte for byte as ZooKeeper's where it says the same. A word is a file,
//! or a part of one, and a row here.

pub(super) mod conf;
pub(super) mod conns;
pub(super) mod dump;
pub(super) mod envi;
pub(super) mod mntr;
pub(super) mod mntr_rows;
mod pace;
pub(super) mod srvr;
mod status;
pub(super) mod watches;

use ringkeeper_engine::shard::KnownWord;

use super::word::Word;
use crate::config::FourLetterWords;

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
    fn refusal_names_the_word() {
        let text = "mntr is not executed because it is not in the whitelist.\n";
        assert_eq!(mntr::MNTR.refusal(), text);
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
