//! Whether a batching delay helps: an experiment, in windows with and without one in turn.
//!
//! Nothing here predicts. A few flushes are made with a delay and a few without, several times
//! over, and the measurements decide. No delay needs no proof; a delay is proved again and again.

use super::target::{Quantile, Target, WHOLE};

/// Limits of the delay in eighths of a sync, in the order in which they are tried. A delay ends as
/// soon as all in-flight writes are collected, so if any is useful, the longest is most useful.
const FOR_THROUGHPUT: &[u32] = &[8, 4, 2];
/// The same with a latency target, which cuts delays as well.
const FOR_BOUND: &[u32] = &[32, 16, 8, 4, 2];

/// Flushes after a change that are not measured: their groups gathered before it.
const SETTLE: u32 = 2;
/// The least flushes of a window, and the least writes.
const WINDOW_FLUSHES: u32 = 16;
const WINDOW_WRITES: u64 = 64;
/// Pairs of windows before a new delay is accepted, and before it is rejected.
const PAIRS: u32 = 8;
const PAIRS_TO_BE_SURE: u32 = 4;
const PAIRS_TO_GIVE_UP: u32 = 2;
/// Flushes between two trials: at first, and when no delay ever helps.
const PAUSE_MIN: u32 = 64;
const PAUSE_MAX: u32 = 16_384;
/// Flushes between two proofs that the delay in force still helps.
const PROOF_MIN: u32 = 256;
const PROOF_MAX: u32 = 4_096;

/// Writes in flight, on average, from which on there are several clients.
const SEVERAL: f64 = 1.75;
/// By which factor a delay has to raise the throughput to be accepted, and to stay.
const GAIN: f64 = 1.03;
const GAIN_SURE: f64 = 1.10;
const NO_LOSS: f64 = 0.98;
/// Late writes that say nothing yet.
const LATE_FEW: f64 = 8.0;
/// By which factor the latency may grow without more throughput before a trial is hopeless.
const LATER: f64 = 1.10;
/// To which part the number of syncs has to fall with a latency target, and to stay at.
const FEWER: f64 = 0.90;
const STILL_FEWER: f64 = 0.95;
/// A window whose throughput falls to this part of the last proof's calls for a new proof.
const DRIFT: f64 = 0.85;

/// What one or several windows measured.
#[derive(Clone, Copy, Default, Debug)]
struct Sum {
    micros: u64,
    flushes: u32,
    writes: u64,
    /// Microseconds from order to durable, of all writes together.
    delay_us: u64,
    /// Writes that took longer than the target's bound.
    late: u64,
}

impl Sum {
    fn add(&mut self, other: &Sum) {
        self.micros += other.micros;
        self.flushes += other.flushes;
        self.writes += other.writes;
        self.delay_us += other.delay_us;
        self.late += other.late;
    }

    /// Writes per microsecond.
    fn rate(&self) -> f64 {
        self.writes as f64 / self.micros.max(1) as f64
    }

    fn delay(&self) -> f64 {
        self.delay_us as f64 / self.writes.max(1) as f64
    }

    fn flushes_per_write(&self) -> f64 {
        f64::from(self.flushes) / self.writes.max(1) as f64
    }

    fn late_share(&self) -> f64 {
        self.late as f64 / self.writes.max(1) as f64
    }
}

/// What one flush adds to the current window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flushed {
    pub(super) writes: u32,
    pub(super) delay_us: u64,
    pub(super) late: u32,
}

/// The load of clients that wait for replies, as far as it can be measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClosedLoopLoad {
    /// Writes in flight, on average.
    pub(super) under_way: f64,
    /// Whether writes follow soon after replies, so that a delay may help.
    pub(super) returns: bool,
}

/// Measures one window after the other.
#[derive(Clone, Copy, Default, Debug)]
struct Window {
    seen: u32,
    start_us: u64,
    sum: Sum,
}

impl Window {
    fn note(&mut self, now_us: u64, flush: Flushed) -> Option<Sum> {
        self.seen += 1;
        if self.seen <= SETTLE {
            self.start_us = now_us;
            return None;
        }
        self.sum.flushes += 1;
        self.sum.writes += u64::from(flush.writes);
        self.sum.delay_us += flush.delay_us;
        self.sum.late += u64::from(flush.late);
        if self.sum.flushes < WINDOW_FLUSHES || self.sum.writes < WINDOW_WRITES {
            return None;
        }
        let sum = Sum { micros: now_us - self.start_us, ..self.sum };
        *self = Window::default();
        Some(sum)
    }
}

/// A trial under way: windows without and with a delay, in turn.
#[derive(Clone, Copy, Default, Debug)]
struct Pairs {
    /// What is tried, eighths of a sync.
    level: u32,
    count: u32,
    /// Pairs with the higher throughput in the window with the delay.
    wins: u32,
    /// The window without of the pair under way; none while that is measured.
    first: Option<Sum>,
    without: Sum,
    with: Sum,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Nothing is tried for so many flushes.
    Rest(u32),
    Try(Pairs),
}

/// What a trial says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Open,
    Helps,
    DoesNot,
}

/// Decides how long groups are delayed.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    target: Target,
    /// The limit in force, eighths of a sync; 0 is no delay.
    level: u32,
    /// Number of the next level to try.
    next: usize,
    phase: Phase,
    pause: u32,
    window: Window,
    /// Writes per microsecond when the level in force was proved, and the share of late writes
    /// without a delay.
    proved_rate: f64,
    base_late: f64,
    /// What that brought, as a part: see [`Trial::gain_percent`].
    gain: f64,
    /// Lateness since the last look at it.
    watch: Sum,
    /// Writes in flight when the last trial began.
    under_way: f64,
}

impl Trial {
    pub(super) fn new(target: Target) -> Trial {
        Trial {
            target,
            level: 0,
            next: 0,
            phase: Phase::Rest(PAUSE_MIN),
            pause: PAUSE_MIN,
            window: Window::default(),
            proved_rate: 0.0,
            base_late: 0.0,
            gain: 0.0,
            watch: Sum::default(),
            under_way: 0.0,
        }
    }

    /// The limit of the delay now, eighths of a sync.
    pub(super) fn limit(&self) -> u32 {
        match self.phase {
            Phase::Rest(_) => self.level,
            Phase::Try(Pairs { first: None, .. }) => 0,
            Phase::Try(pairs) => pairs.level,
        }
    }

    /// The limit that has proved to help, eighths of a sync; 0 where none has.
    pub(super) fn proved(&self) -> u32 {
        self.level
    }

    /// The gain in throughput of the delay in force when it was proved, in percent; with a latency
    /// target, the syncs saved.
    pub(super) fn gain_percent(&self) -> u64 {
        (self.gain * 100.0).max(0.0).round() as u64
    }

    /// A group became durable.
    pub(super) fn note(&mut self, now_us: u64, flush: Flushed, load: ClosedLoopLoad) {
        if self.target == Target::Latency {
            return;
        }
        let window = self.window.note(now_us, flush);
        if self.breaks_the_bound() {
            return self.give_up();
        }
        match &mut self.phase {
            Phase::Rest(left) => {
                *left = left.saturating_sub(1);
                let over = *left == 0;
                self.rest(window, over, load);
            }
            Phase::Try(pairs) => {
                let Some(sum) = window else { return };
                let Some(first) = pairs.first.take() else {
                    pairs.first = Some(sum);
                    return;
                };
                pairs.count += 1;
                pairs.wins += u32::from(sum.rate() > first.rate());
                pairs.without.add(&first);
                pairs.with.add(&sum);
                let pairs = *pairs;
                self.judge(&pairs);
            }
        }
    }

    /// Whether the delay that is being tried has made so many writes late that the verdict is
    /// clear: twice as many as without it, and a few.
    fn breaks_the_bound(&self) -> bool {
        let (Target::Within(bound), Phase::Try(Pairs { first: Some(first), .. })) =
            (self.target, self.phase)
        else {
            return false;
        };
        let usual = (first.late as f64).max(first.writes as f64 * allowed(bound));
        self.window.sum.late as f64 > 2.0 * usual + LATE_FEW
    }

    /// Between trials: looks whether it is time for one.
    fn rest(&mut self, window: Option<Sum>, over: bool, load: ClosedLoopLoad) {
        if self.level == 0 {
            let ratio = load.under_way / self.under_way.max(1.0);
            if !(0.5..2.0).contains(&ratio) && self.pause > PROOF_MIN {
                self.under_way = load.under_way;
                self.pause = PROOF_MIN;
                self.phase = Phase::Rest(PROOF_MIN);
            }
            if over && self.may_help(load) {
                self.begin(self.ladder()[self.next], load);
            }
            return;
        }
        let Some(sum) = window else { return };
        if self.is_late(&sum) {
            return self.give_up();
        }
        if over || sum.rate() < DRIFT * self.proved_rate {
            self.begin(self.level, load);
        }
    }

    /// Whether it is worth a trial. With one writer at a time there is nothing to wait for. Only a
    /// closed loop gains throughput; syncs are also saved in an open loop.
    fn may_help(&self, load: ClosedLoopLoad) -> bool {
        let returns = load.returns || matches!(self.target, Target::Within(_));
        load.under_way >= SEVERAL && returns
    }

    fn begin(&mut self, level: u32, load: ClosedLoopLoad) {
        self.under_way = load.under_way;
        self.window = Window::default();
        self.phase = Phase::Try(Pairs { level, ..Pairs::default() });
    }

    fn ladder(&self) -> &'static [u32] {
        match self.target {
            Target::Within(_) => FOR_BOUND,
            Target::Latency | Target::Throughput => FOR_THROUGHPUT,
        }
    }

    fn judge(&mut self, pairs: &Pairs) {
        match self.verdict(pairs) {
            Verdict::Open => {}
            Verdict::DoesNot => self.give_up(),
            Verdict::Helps => {
                self.pause = match self.level {
                    0 => PROOF_MIN,
                    _ => (self.pause * 2).min(PROOF_MAX),
                };
                self.level = pairs.level;
                self.proved_rate = pairs.with.rate();
                self.base_late = pairs.without.late_share();
                self.gain = match self.target {
                    Target::Within(_) => {
                        1.0 - pairs.with.flushes_per_write() / pairs.without.flushes_per_write()
                    }
                    Target::Latency | Target::Throughput => {
                        pairs.with.rate() / pairs.without.rate() - 1.0
                    }
                };
                self.watch = Sum::default();
                self.window = Window::default();
                self.phase = Phase::Rest(self.pause);
            }
        }
    }

    /// Back to no delay, at once. The next trial is of another limit, and later than this one.
    fn give_up(&mut self) {
        self.pause = match self.level {
            0 => (self.pause * 2).min(PAUSE_MAX),
            _ => PROOF_MIN,
        };
        (self.level, self.gain) = (0, 0.0);
        self.next = (self.next + 1) % self.ladder().len();
        self.window = Window::default();
        self.phase = Phase::Rest(self.pause);
    }

    fn verdict(&self, pairs: &Pairs) -> Verdict {
        let Pairs { count, wins, without, with, .. } = pairs;
        let gain = with.rate() / without.rate();
        if *count >= PAIRS_TO_GIVE_UP && self.is_hopeless(pairs, gain) {
            return Verdict::DoesNot;
        }
        let helps = match self.target {
            Target::Within(bound) => self.saves(pairs, bound),
            Target::Latency | Target::Throughput => {
                // The throughput of an open loop cannot rise, only its latency.
                let proof = self.level != 0;
                let sooner = with.delay() < without.delay();
                sooner && (proof || gain >= GAIN) && gain >= 1.0
            }
        };
        let sure = *wins == *count && gain >= GAIN_SURE;
        match (self.level != 0, sure, *count) {
            (_, _, 0..PAIRS_TO_BE_SURE) => Verdict::Open,
            (true, _, _) | (false, true, _) | (false, false, PAIRS..) => {
                if helps && (self.level != 0 || self.wins_enough(pairs)) {
                    Verdict::Helps
                } else {
                    Verdict::DoesNot
                }
            }
            (false, false, _) => Verdict::Open,
        }
    }

    /// Whether the first pairs show that the others would be waste: each of them costs time.
    fn is_hopeless(&self, pairs: &Pairs, gain: f64) -> bool {
        let Pairs { wins, without, with, .. } = pairs;
        let saves_nothing = match self.target {
            Target::Within(_) => {
                with.flushes_per_write() > STILL_FEWER * without.flushes_per_write()
            }
            Target::Latency | Target::Throughput => {
                gain < GAIN && with.delay() > LATER * without.delay()
            }
        };
        saves_nothing || (*wins == 0 && gain < NO_LOSS)
    }

    /// One window that the disk spoiled outweighs the sums, but not the count of wins.
    fn wins_enough(&self, pairs: &Pairs) -> bool {
        match self.target {
            Target::Within(_) => pairs.wins * 4 >= pairs.count,
            Target::Latency | Target::Throughput => pairs.wins * 4 >= pairs.count * 3,
        }
    }

    /// Fewer syncs, no less throughput, and the target is kept, or missed no more than without.
    fn saves(&self, pairs: &Pairs, bound: Quantile) -> bool {
        let Pairs { without, with, .. } = pairs;
        let few = if self.level == 0 { FEWER } else { STILL_FEWER };
        with.rate() >= NO_LOSS * without.rate()
            && with.flushes_per_write() <= few * without.flushes_per_write()
            && with.late_share() <= allowed(bound).max(without.late_share())
    }

    /// Whether too many writes are late with the delay in force. Judged as soon as there are more
    /// late ones than a long look would allow, so a burst of them ends the delay at once.
    fn is_late(&mut self, sum: &Sum) -> bool {
        let Target::Within(bound) = self.target else { return false };
        self.watch.add(sum);
        let look = 20.0 / allowed(bound);
        let late = self.watch.late as f64 > look * allowed(bound).max(self.base_late);
        if self.watch.writes as f64 >= look {
            self.watch = Sum::default();
        }
        late
    }
}

/// The share of the writes that may be late.
fn allowed(bound: Quantile) -> f64 {
    f64::from(WHOLE - bound.share) / f64::from(WHOLE)
}
