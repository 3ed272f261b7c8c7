//! The course of a run, second by second.
//!
//! Every driver thread fills an [`Interval`] for each second and leaves it in its [`Feed`]; the
//! [`Timeline`] puts those of all threads together once no thread can add to a second any more.
//! Seconds count from the end of the warm-up, so those of the warm-up are negative. A measured
//! operation belongs to the second of its reply: seconds behind the end of the run are those in
//! which late replies came. The measured seconds of a run add up to its report, exactly.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::model::interval::Interval;
use crate::model::interval::SecondNumber;

/// Where one thread leaves its seconds.
#[derive(Default, Debug)]
pub(crate) struct Feed {
    inner: Mutex<Fed>,
}

#[derive(Default, Debug)]
struct Fed {
    finished: Vec<Interval>,
    /// The thread adds nothing to the seconds before this one.
    open: Option<SecondNumber>,
}

impl Feed {
    /// Leaves finished seconds; the thread is in second `open` now.
    pub(crate) fn leave(&self, finished: &mut Vec<Interval>, open: SecondNumber) {
        let mut fed = self.inner.lock().expect("no thread panics while it holds this");
        fed.finished.append(finished);
        fed.open = Some(open);
    }

    fn take(&self) -> (Vec<Interval>, Option<SecondNumber>) {
        let mut fed = self.inner.lock().expect("no thread panics while it holds this");
        (std::mem::take(&mut fed.finished), fed.open)
    }
}

/// Puts the seconds of all threads together.
#[derive(Default, Debug)]
pub(crate) struct Timeline {
    pending: BTreeMap<SecondNumber, Interval>,
    next: Option<SecondNumber>,
}

impl Timeline {
    /// Takes what the threads have left, and returns the seconds that are complete by it: each
    /// once, in order, also those in which nothing came.
    pub(crate) fn collect<'a>(&mut self, feeds: impl Iterator<Item = &'a Feed>) -> Vec<Interval> {
        let mut open = Some(SecondNumber::MAX);
        for feed in feeds {
            let (finished, reached) = feed.take();
            finished.iter().for_each(|interval| self.add(interval));
            open = open.zip(reached).map(|(all, this)| all.min(this));
        }
        open.map(|open| self.take_before(open)).unwrap_or_default()
    }

    /// Takes what a thread has left before it ended.
    pub(crate) fn drain(&mut self, feed: &Feed) {
        feed.take().0.iter().for_each(|interval| self.add(interval));
    }

    /// Adds a second of one thread.
    pub(crate) fn add(&mut self, interval: &Interval) {
        let second = interval.second;
        self.pending.entry(second).or_insert_with(|| Interval::new(second)).merge(interval);
    }

    /// The rest, when all threads have ended.
    pub(crate) fn finish(&mut self) -> Vec<Interval> {
        let last = self.pending.keys().next_back().copied();
        last.map(|last| self.take_before(last.saturating_add(1))).unwrap_or_default()
    }

    fn take_before(&mut self, open: SecondNumber) -> Vec<Interval> {
        let first = self.pending.keys().next().copied();
        let begin = self.next.or(first).unwrap_or(open).min(first.unwrap_or(open));
        if begin >= open {
            return Vec::new();
        }
        self.next = Some(open);
        let mut take =
            |second| self.pending.remove(&second).unwrap_or_else(|| Interval::new(second));
        (begin..open).map(&mut take).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::Nanos;
    use crate::model::kind::Kind;

    fn interval(second: SecondNumber, latency: Nanos) -> Interval {
        let mut interval = Interval::new(second);
        interval.record(Kind::Get, latency);
        interval
    }

    #[test]
    fn second_is_complete_when_all_threads_passed_it() {
        let feeds = [Feed::default(), Feed::default()];
        let mut timeline = Timeline::default();
        feeds[0].leave(&mut vec![interval(0, 1_000), interval(1, 2_000)], 3);
        assert!(timeline.collect(feeds.iter()).is_empty(), "the other has said nothing");
        feeds[1].leave(&mut vec![interval(0, 3_000)], 1);
        let complete = timeline.collect(feeds.iter());
        let counts: Vec<_> =
            complete.iter().map(|i| (i.second, i.all_of(&[Kind::Get]).len())).collect();
        assert_eq!(counts, [(0, 2)]);
        feeds[1].leave(&mut vec![], 4);
        let seconds: Vec<_> = timeline.collect(feeds.iter()).iter().map(|i| i.second).collect();
        assert_eq!(seconds, [1, 2], "an empty second is one too");
        feeds[0].leave(&mut vec![interval(3, 1_000)], 3);
        assert!(timeline.collect(feeds.iter()).is_empty());
        assert_eq!(timeline.finish().len(), 1);
        assert!(timeline.finish().is_empty());
    }
}
