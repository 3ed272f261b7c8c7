//! What one driver thread counts and times.

use hdrhistogram::Histogram;

use crate::model::clock::Nanos;
use crate::model::interval::{Interval, SecondNumber, second_of};
use crate::model::kind::Kind;
use crate::model::op::Op;
use crate::model::outage::Outages;
use crate::model::quantiles::histogram;
use crate::model::window::Basis;
use crate::model::window::Times;
use crate::model::window::Window;
use crate::record::timeline::Feed;
use crate::verify::fault::{Fault, FaultKind, FaultLog};
use crate::verify::ledger::Ledger;

/// Times of one kind of operation.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// From the intended start (closed loop: from the sending) to the reply.
    pub response: Histogram<u64>,
    /// From the sending to the reply; only kept apart in an open loop.
    pub service: Option<Histogram<u64>>,
    /// Replies that came inside the measured time.
    pub in_time: u64,
    pub errors: u64,
}

impl Row {
    pub(crate) fn new(service: Option<Histogram<u64>>) -> Row {
        Row { response: histogram(), service, in_time: 0, errors: 0 }
    }

    pub(crate) fn add(&mut self, other: &Row) {
        self.response.add(&other.response).expect("all histograms have the same bounds");
        if let (Some(mine), Some(theirs)) = (&mut self.service, &other.service) {
            mine.add(theirs).expect("all histograms have the same bounds");
        }
        self.in_time += other.in_time;
        self.errors += other.errors;
    }
}

/// What one driver thread counts and times.
#[derive(Debug)]
pub(crate) struct Tally {
    rows: [Option<Box<Row>>; Kind::COUNT],
    basis: Basis,
    window: Window,
    /// Writes, warm-up included.
    pub ledger: Ledger,
    /// Lost connections, and requests that were in flight on them; warm-up included.
    pub outages: Outages,
    /// Faults, warm-up included.
    pub faults: FaultLog,
    /// Replies and events looked at, warm-up included.
    pub checked: u64,
    /// When the last measured reply came.
    pub last: Nanos,
    /// Arrivals of an open loop that had not been sent when time was up.
    pub unsent: u64,
    /// The second under way.
    interval: Interval,
    /// Seconds that are over and not handed out yet.
    finished: Vec<Interval>,
}

impl Tally {
    pub(crate) fn new(basis: Basis, window: Window) -> Tally {
        Tally {
            rows: [const { None }; Kind::COUNT],
            basis,
            window,
            ledger: Ledger::default(),
            outages: Outages::default(),
            faults: FaultLog::default(),
            checked: 0,
            last: 0,
            unsent: 0,
            interval: Interval::new(SecondNumber::MIN),
            finished: Vec::new(),
        }
    }

    /// Says what is measured, once that is known.
    pub(crate) fn set_window(&mut self, window: Window) {
        self.window = window;
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = (Kind, &Row)> {
        Kind::all().filter_map(|kind| Some((kind, self.row(kind)?)))
    }

    /// One row, if it was used.
    pub(crate) fn row(&self, kind: Kind) -> Option<&Row> {
        self.rows[kind.index()].as_deref()
    }

    /// Times an operation that did what it was asked for.
    pub(crate) fn record(&mut self, kind: Kind, times: Times) {
        let instant = match self.basis {
            Basis::Ended => times.ended,
            Basis::Started => times.started,
            Basis::Intended => times.intended,
        };
        let window = self.window;
        let measured = window.holds(instant);
        if measured || times.ended < window.from {
            self.turn_to(times.ended);
            self.interval.record(kind, times.ended.saturating_sub(times.intended));
        }
        if !measured {
            return;
        }
        let row = self.row_mut(kind);
        row.in_time += u64::from(window.holds(times.ended));
        row.response.saturating_record(times.ended.saturating_sub(times.intended));
        if let Some(service) = &mut row.service {
            service.saturating_record(times.ended.saturating_sub(times.started));
        }
        self.last = self.last.max(times.ended);
    }

    /// Takes in an operation with a bad reply: it is not timed.
    pub(crate) fn refuse(&mut self, op: Op, fault: Fault) {
        self.row_mut(op.kind).errors += 1;
        match fault.kind {
            // Its effect is known: it was acknowledged before it was found to be wrong.
            FaultKind::Stale | FaultKind::Damaged => {}
            FaultKind::Order
            | FaultKind::ZxidBack
            | FaultKind::LateEvent
            | FaultKind::ErrorCode
            | FaultKind::LostWrite
            | FaultKind::Malformed
            | FaultKind::Lost
            | FaultKind::Exclusion
            | FaultKind::Unanswered => self.ledger.mark_unknown(op),
        }
        self.fault(fault);
    }

    pub(crate) fn fault(&mut self, fault: Fault) {
        self.interval.faults += 1;
        self.faults.note(fault);
    }

    /// Hands out the seconds that are over.
    pub(crate) fn hand_out(&mut self, now: Nanos, feed: &Feed) {
        self.turn_to(now);
        feed.leave(&mut self.finished, self.interval.second);
    }

    /// Seconds that were not handed out while the load ran.
    pub(crate) fn rest(&mut self) -> Vec<Interval> {
        self.turn(SecondNumber::MIN);
        std::mem::take(&mut self.finished)
    }

    /// Begins the second of this instant, if it has not begun.
    fn turn_to(&mut self, at: Nanos) {
        let second = second_of(at, self.window.from);
        if second > self.interval.second {
            self.turn(second);
        }
    }

    /// The interval before the first second holds nothing.
    fn turn(&mut self, second: SecondNumber) {
        let over = std::mem::replace(&mut self.interval, Interval::new(second));
        if over.second != SecondNumber::MIN {
            self.finished.push(over);
        }
    }

    pub(crate) fn merge(&mut self, other: &Tally) {
        for (kind, theirs) in other.rows() {
            self.row_mut(kind).add(theirs);
        }
        self.ledger.merge(&other.ledger);
        self.outages.merge(&other.outages);
        self.faults.merge(&other.faults);
        self.checked += other.checked;
        self.last = self.last.max(other.last);
        self.unsent += other.unsent;
    }

    fn row_mut(&mut self, kind: Kind) -> &mut Row {
        let service = self.basis == Basis::Intended;
        self.rows[kind.index()].get_or_insert_with(|| Box::new(Row::new(service.then(histogram))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { from: 100, until: 200 };

    fn times(intended: Nanos, started: Nanos, ended: Nanos) -> Times {
        Times { intended, started, ended }
    }

    #[test]
    fn closed_loop_counts_replies_inside_window() {
        let mut tally = Tally::new(Basis::Ended, WINDOW);
        for ended in [99, 100, 199, 200] {
            tally.record(Kind::Get, times(50, 50, ended));
        }
        let row = tally.row(Kind::Get).unwrap();
        assert_eq!((row.in_time, row.response.len(), tally.last), (2, 2, 199));
        let rest = tally.rest();
        let counts: Vec<_> =
            rest.iter().map(|i| (i.second, i.all_of(&[Kind::Get]).len())).collect();
        assert_eq!(counts, [(-1, 1), (0, 2)], "what came too late is not counted");
    }

    #[test]
    fn open_loop_counts_from_intended_start() {
        let mut tally = Tally::new(Basis::Intended, WINDOW);
        tally.record(Kind::Get, times(99, 100, 150));
        tally.record(Kind::Get, times(150, 100_150, 100_250));
        let row = tally.row(Kind::Get).unwrap();
        assert_eq!((row.in_time, row.response.len()), (0, 1));
        assert!(row.response.max() >= 100_000);
        assert!(row.service.as_ref().unwrap().max() < 200);
    }
}
