//! Writes that were acknowledged, to be found again when all is over.

use std::collections::BTreeMap;

use ringkeeper_engine::wire::Stat;

use crate::load::value::Origin;
use crate::load::workload::Script;
use crate::model::kind::Kind;
use crate::model::op::Op;

/// Versions of a key that are tracked: one bit each.
const VERSIONS_MAX: u64 = 1 << 20;

/// What is known of the writes to one key.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct KeyWrites {
    pub sets: u32,
    /// Sets whose outcome is unknown.
    pub unknown: u32,
    /// The newest state that was acknowledged to its writer; zxid 0 says that there is none.
    pub mzxid: i64,
    pub version: i32,
    pub writer: u32,
    /// That session's number of the write.
    pub seq: u64,
}

impl KeyWrites {
    fn merge(&mut self, other: &KeyWrites) {
        let newest = if other.mzxid > self.mzxid { *other } else { *self };
        let (sets, unknown) = (self.sets + other.sets, self.unknown + other.unknown);
        *self = KeyWrites { sets, unknown, ..newest };
    }
}

/// Numbers that hold: nodes that one session has created, or versions of a key. A bit for each.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Bits {
    words: Vec<u64>,
}

impl Bits {
    fn put(&mut self, number: u64, holds: bool) {
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        if holds { self.words[word] |= bit } else { self.words[word] &= !bit }
    }

    /// Adds those of another, and returns how many held in both.
    fn merge(&mut self, other: &Bits) -> u64 {
        self.words.resize(self.words.len().max(other.words.len()), 0);
        let mut both = 0;
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            both += u64::from((*mine & theirs).count_ones());
            *mine |= theirs;
        }
        both
    }

    pub(crate) fn holds(&self, number: u64) -> bool {
        self.words.get((number / 64) as usize).is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    pub(crate) fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }
}

/// Writes of a thread or a run.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Ledger {
    pub keys: Vec<KeyWrites>,
    /// The versions of each key that were acknowledged.
    versions: Vec<Bits>,
    /// Versions that were acknowledged more than once: what was written before under the same
    /// number is lost, even where writes of unknown outcome make up for it in the count.
    pub versions_twice: u64,
    /// Each session's nodes: those that have to be there.
    pub made: BTreeMap<u32, Bits>,
    /// Creates and deletes whose outcome is unknown.
    pub unknown_nodes: u64,
}

impl Ledger {
    /// Nothing written yet to so many keys.
    pub(crate) fn new(keys: usize) -> Ledger {
        let versions = vec![Bits::default(); keys];
        Ledger { keys: vec![KeyWrites::default(); keys], versions, ..Ledger::default() }
    }

    /// A set of a key was acknowledged with this stat.
    pub(crate) fn set(&mut self, origin: Origin, stat: &Stat) {
        let Some(key) = self.keys.get_mut(origin.key as usize) else { return };
        let (mzxid, version) = (stat.mzxid, stat.version);
        let Origin { writer, seq, .. } = origin;
        key.merge(&KeyWrites { sets: 1, unknown: 0, mzxid, version, writer, seq });
        let versions = &mut self.versions[origin.key as usize];
        if let Ok(version) = u64::try_from(version)
            && version < VERSIONS_MAX
        {
            self.versions_twice += u64::from(versions.holds(version));
            versions.put(version, true);
        }
    }

    /// A create or a delete of a session's own node was acknowledged. Nodes that go by themselves
    /// are not written down.
    pub(crate) fn node(&mut self, op: Op) {
        if Script::is_lasting(op) {
            let lane = self.made.entry(op.key).or_default();
            lane.put(op.seq, op.kind == Kind::Create);
        }
    }

    /// The outcome of this operation is unknown.
    pub(crate) fn mark_unknown(&mut self, op: Op) {
        match op.kind {
            Kind::Set | Kind::Multi => {
                if let Some(key) = self.keys.get_mut(op.key as usize) {
                    key.unknown += 1;
                }
            }
            Kind::Create => self.unknown_nodes += 1,
            Kind::Delete if Script::is_lasting(op) => {
                self.unknown_nodes += 1;
                self.made.entry(op.key).or_default().put(op.seq, false);
            }
            Kind::Delete
            | Kind::Ephemeral
            | Kind::Get
            | Kind::Exists
            | Kind::Children
            | Kind::Sync
            | Kind::SyncGet
            | Kind::Event
            | Kind::Arm
            | Kind::Acquire
            | Kind::TakeOver
            | Kind::Connect
            | Kind::Close
            | Kind::Session
            | Kind::Presence => {}
        }
    }

    /// Adds what another thread wrote down.
    pub(crate) fn merge(&mut self, other: &Ledger) {
        for (mine, theirs) in self.keys.iter_mut().zip(&other.keys) {
            mine.merge(theirs);
        }
        for (mine, theirs) in self.versions.iter_mut().zip(&other.versions) {
            self.versions_twice += mine.merge(theirs);
        }
        self.versions_twice += other.versions_twice;
        for (lane, theirs) in &other.made {
            self.made.insert(*lane, theirs.clone());
        }
        self.unknown_nodes += other.unknown_nodes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ledger_keeps_newest_acknowledged_state() {
        let mut ledger = Ledger::new(2);
        let stat = |mzxid, version| Stat { mzxid, version, ..Stat::default() };
        ledger.set(Origin { key: 1, writer: 5, seq: 9 }, &stat(20, 2));
        ledger.set(Origin { key: 1, writer: 4, seq: 3 }, &stat(10, 1));
        ledger.mark_unknown(Op { kind: Kind::Set, key: 1, seq: 4 });
        let mut all = Ledger::new(2);
        all.merge(&ledger);
        let expected = KeyWrites { sets: 2, unknown: 1, mzxid: 20, version: 2, writer: 5, seq: 9 };
        assert_eq!(all.keys, [KeyWrites::default(), expected]);
    }

    #[test]
    fn version_acknowledged_twice_is_counted() {
        let stat = |version| Stat { mzxid: 7, version, ..Stat::default() };
        let origin = Origin { key: 0, writer: 1, seq: 1 };
        let written = |versions: &[i32]| {
            let mut ledger = Ledger::new(1);
            versions.iter().for_each(|version| ledger.set(origin, &stat(*version)));
            ledger
        };
        let mut all = written(&[1, 2, 70]);
        all.merge(&written(&[3, 64]));
        assert_eq!(all.versions_twice, 0);
        all.merge(&written(&[70, 4, 300]));
        assert_eq!(all.versions_twice, 1, "by two threads");
        assert_eq!(written(&[5, 5, i32::MAX, i32::MAX, -1]).versions_twice, 1, "by one");
    }

    #[test]
    fn deleted_and_unknown_nodes_are_not_expected() {
        let mut ledger = Ledger::new(0);
        for seq in [1, 2, 70] {
            ledger.node(Op { kind: Kind::Create, key: 3, seq });
        }
        ledger.node(Op { kind: Kind::Delete, key: 3, seq: 2 });
        ledger.mark_unknown(Op { kind: Kind::Delete, key: 3, seq: 70 });
        ledger.mark_unknown(Op { kind: Kind::Create, key: 3, seq: 71 });
        let made = &ledger.made[&3];
        assert!(made.holds(1) && !made.holds(2) && !made.holds(70) && !made.holds(71));
        assert_eq!((made.count(), ledger.unknown_nodes), (1, 2));
    }
}
