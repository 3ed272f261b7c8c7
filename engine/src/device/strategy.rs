//! The strategies to make a flush durable.

use std::fmt;
use std::str::FromStr;

/// How the bytes of a flush reach the disk. With each of them the caller waits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Strategy {
    /// Whole blocks from a page-aligned buffer, `O_DIRECT | O_DSYNC`, one call.
    Direct,
    /// An `io_uring` write linked to an fdatasync, one call.
    Uring,
    /// `pwrite`, then `fdatasync`: works everywhere.
    Pwrite,
    /// Stores into the mapped file, then an fdatasync through `io_uring`.
    Mmap,
}

impl Strategy {
    /// All of them, the preferred ones first.
    pub const ALL: [Strategy; 4] =
        [Strategy::Direct, Strategy::Uring, Strategy::Pwrite, Strategy::Mmap];

    /// The default strategy among those that work: one system call that waits for the disk alone,
    /// which is the right choice nearly everywhere, on a busy machine too.
    pub fn default_among(mut works: impl FnMut(Strategy) -> bool) -> Strategy {
        if works(Strategy::Direct) { Strategy::Direct } else { Strategy::Pwrite }
    }

    /// The word that settings and reports use.
    pub const fn name(self) -> &'static str {
        match self {
            Strategy::Direct => "direct",
            Strategy::Uring => "uring",
            Strategy::Pwrite => "pwrite",
            Strategy::Mmap => "mmap",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that names no strategy.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("'{0}' is no way to write the log; there are direct, uring, pwrite and mmap")]
pub struct UnknownStrategy(String);

impl FromStr for Strategy {
    type Err = UnknownStrategy;

    fn from_str(word: &str) -> Result<Strategy, UnknownStrategy> {
        let found = Strategy::ALL.into_iter().find(|strategy| strategy.name() == word);
        found.ok_or_else(|| UnknownStrategy(word.to_owned()))
    }
}

/// Whether a flush waits for the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// It does.
    Synced,
    /// It does not (`forceSync=no`): a power failure loses acknowledged writes.
    Unsynced,
}
