//! A four-letter word: its name, and where its answer comes from.

use super::collection::Collection;
use super::partial::PartialReport;
use super::state::ServerState;
use crate::config::FourLetterWords;

/// A four-letter word.
pub(super) struct Word {
    /// The letters.
    pub name: &'static [u8; 4],
    /// Whether a number of eight bytes follows.
    pub has_argument: bool,
    /// Which setting allows it.
    pub access: Access,
    /// Where its answer comes from.
    pub answer: Answer,
}

/// Which setting allows a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Access {
    /// `4lw.commands.whitelist`.
    Whitelist,
    /// None: one of our own, which says no more than `srvr` does.
    Always,
}

/// Where the answer of a word comes from.
pub(super) enum Answer {
    /// From the shard that was asked, in the same turn.
    Now(fn(&ServerState, i64) -> String),
    /// From what every thread can see. It may wait for the disk.
    Lookup(fn(&ServerState) -> String),
    /// From all shards.
    Report(&'static Collection, Text),
}

/// How a report becomes a text.
#[derive(Clone, Copy)]
pub(super) enum Text {
    /// At once.
    Short(fn(&ServerState, &PartialReport) -> String),
    /// On a thread that may take its time: it is long, or waits for the operating system.
    Long(fn(&ServerState, &PartialReport) -> String),
}

impl Word {
    /// A word with this answer that `4lw.commands.whitelist` allows.
    pub(super) const fn new(name: &'static [u8; 4], answer: Answer) -> Word {
        Word { name, has_argument: false, access: Access::Whitelist, answer }
    }

    /// Its name as a text.
    pub(super) fn text(&self) -> &'static str {
        std::str::from_utf8(self.name).expect("words are ASCII")
    }

    /// Whether it is answered.
    pub(super) fn is_allowed(&self, whitelist: &FourLetterWords) -> bool {
        self.access == Access::Always || whitelist.allow(self.text())
    }

    /// What is answered in its place where it is not allowed.
    pub(super) fn refusal(&self) -> String {
        format!("{} is not executed because it is not in the whitelist.\n", self.text())
    }
}
