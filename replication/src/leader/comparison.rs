//! What the members have said of their states, and what came of comparing them.

use std::collections::{BTreeMap, VecDeque};

use ringkeeper_engine::Zxid;
use ringkeeper_engine::session::ServerId;

use super::LinkId;

/// Transactions behind which digests are remembered: those of 131,072 writes. A learner that is
/// further behind is not compared there.
const REMEMBERED_MAX: usize = 1_024;
/// Outcomes that wait to be taken.
const OUTCOMES_MAX: usize = 64;

/// Two members have different states behind the same transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Comparison {
    /// A majority of the voters has another state than this server: it is replaced.
    Minority {
        /// Whose state it is; it may be the leader's.
        server: ServerId,
        /// Behind this transaction.
        zxid: Zxid,
        /// The digest of the majority.
        expected: u64,
        /// The server's.
        found: u64,
    },
    /// As many have one state as another, or too few have said theirs. Nothing is done about it.
    Undecided {
        /// A learner.
        server: ServerId,
        /// Behind this transaction.
        zxid: Zxid,
        /// The leader's digest.
        leader: u64,
        /// The learner's.
        learner: u64,
    },
}

/// What the members have said behind one transaction.
#[derive(Default, Debug)]
pub(super) struct Said {
    pub(super) own: Option<u64>,
    pub(super) learners: BTreeMap<LinkId, u64>,
    /// An outcome that was not decided was reported.
    pub(super) is_reported: bool,
}

/// What the members have said of their states.
#[derive(Default, Debug)]
pub(super) struct Digests {
    pub(super) said: BTreeMap<Zxid, Said>,
    pub(super) outcomes: VecDeque<Comparison>,
    /// The leader's own state is the wrong one: what a majority has.
    pub(super) own: Option<(Zxid, u64, u64)>,
}

impl Digests {
    /// What was said behind a transaction; nothing where that is too long ago.
    pub(super) fn at(&mut self, zxid: Zxid) -> Option<&mut Said> {
        if self.said.len() >= REMEMBERED_MAX && !self.said.contains_key(&zxid) {
            let (oldest, _) = self.said.first_key_value()?;
            if zxid < *oldest {
                return None;
            }
            self.said.pop_first();
        }
        Some(self.said.entry(zxid).or_default())
    }

    pub(super) fn report(&mut self, outcome: Comparison) {
        if self.outcomes.len() < OUTCOMES_MAX {
            self.outcomes.push_back(outcome);
        }
    }
}
