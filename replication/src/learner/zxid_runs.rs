//! A set of zxids that are added in order and leave in order.

use std::collections::VecDeque;

use ringkeeper_engine::Zxid;

/// Zxids in ascending order, kept as runs without a gap. Where each one may follow the one before,
/// that is one run for an epoch, whatever the number of zxids.
#[derive(Debug, Default)]
pub(super) struct ZxidRuns {
    /// The first and the last of each.
    runs: VecDeque<(Zxid, Zxid)>,
}

impl ZxidRuns {
    /// Adds a zxid that is larger than all before.
    pub(super) fn push(&mut self, zxid: Zxid) {
        self.push_run(zxid, zxid);
    }

    /// Adds zxids of one epoch without a gap, from the first to the last, which are larger than all
    /// before.
    pub(super) fn push_run(&mut self, begin: Zxid, end: Zxid) {
        assert!(begin <= end && begin.epoch() == end.epoch(), "{begin} to {end} is no run");
        match self.runs.back_mut() {
            Some((_, last)) if last.next() == Some(begin) => *last = end,
            Some((_, last)) => {
                assert!(begin > *last, "{begin} was added behind {last}");
                self.runs.push_back((begin, end));
            }
            None => self.runs.push_back((begin, end)),
        }
    }

    pub(super) fn contains(&self, zxid: Zxid) -> bool {
        self.runs.iter().any(|(first, last)| (*first..=*last).contains(&zxid))
    }

    /// Takes the smallest zxid out, if it is not larger than `upto`.
    pub(super) fn pop_upto(&mut self, upto: Zxid) -> Option<Zxid> {
        let (first, last) = self.runs.front_mut()?;
        let zxid = *first;
        if zxid > upto {
            return None;
        }
        match zxid.next().filter(|next| next <= last) {
            Some(next) => *first = next,
            None => drop(self.runs.pop_front()),
        }
        Some(zxid)
    }

    /// Takes out every zxid that is not larger than `upto`; returns the largest of them.
    pub(super) fn remove_upto(&mut self, upto: Zxid) -> Option<Zxid> {
        let mut largest = None;
        while let Some((_, last)) = self.runs.front()
            && *last <= upto
        {
            largest = Some(*last);
            self.runs.pop_front();
        }
        if let Some((first, _)) = self.runs.front_mut()
            && *first <= upto
        {
            largest = Some(upto);
            *first = upto.next().expect("a later one of the epoch is in the run");
        }
        largest
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// All zxids that the test uses, in order.
    fn all() -> Vec<Zxid> {
        (0..3).flat_map(|epoch| (1..4).map(move |counter| Zxid::new(epoch, counter))).collect()
    }

    fn runs_of(set: &BTreeSet<Zxid>) -> ZxidRuns {
        let mut runs = ZxidRuns::default();
        set.iter().for_each(|zxid| runs.push(*zxid));
        runs
    }

    /// The same, added as long as they follow each other.
    fn runs_of_runs(set: &BTreeSet<Zxid>) -> ZxidRuns {
        let mut runs = ZxidRuns::default();
        let mut pending: Option<(Zxid, Zxid)> = None;
        for zxid in set {
            pending = match pending {
                Some((first, last)) if last.next() == Some(*zxid) => Some((first, *zxid)),
                before => {
                    before.into_iter().for_each(|(first, last)| runs.push_run(first, last));
                    Some((*zxid, *zxid))
                }
            };
        }
        pending.into_iter().for_each(|(first, last)| runs.push_run(first, last));
        runs
    }

    fn assert_same(runs: &ZxidRuns, set: &BTreeSet<Zxid>) {
        for zxid in all() {
            assert_eq!(runs.contains(zxid), set.contains(&zxid), "{runs:?} {set:?}");
        }
    }

    /// Every set of nine zxids of three epochs, and every bound.
    #[test]
    fn runs_hold_what_a_set_of_the_same_zxids_holds() {
        for bits in 0..1_u32 << all().len() {
            let mut set: BTreeSet<Zxid> = BTreeSet::new();
            set.extend(all().iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1).map(|x| x.1));
            assert_same(&runs_of(&set), &set);
            assert_same(&runs_of_runs(&set), &set);
            for upto in [Zxid::ZERO].into_iter().chain(all()) {
                let (mut popped, mut left) = (runs_of(&set), set.clone());
                while let Some(zxid) = popped.pop_upto(upto) {
                    assert_eq!(left.pop_first(), Some(zxid));
                    assert!(zxid <= upto);
                }
                assert!(left.first().is_none_or(|first| *first > upto));
                assert_same(&popped, &left);
                let mut removed = runs_of(&set);
                let largest = set.iter().filter(|zxid| **zxid <= upto).max().copied();
                assert_eq!(removed.remove_upto(upto), largest);
                assert_same(&removed, &left);
            }
        }
    }

    #[test]
    fn a_million_zxids_of_one_epoch_are_one_run() {
        let mut runs = ZxidRuns::default();
        (1..1_000_000).for_each(|counter| runs.push(Zxid::new(7, counter)));
        runs.push(Zxid::new(8, 1));
        assert_eq!(runs.runs.len(), 2);
    }
}
