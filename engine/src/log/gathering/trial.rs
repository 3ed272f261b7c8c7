//! Whether waiting helps: tried out, window by window, with and without in turn.
//!
//! Nothing here predicts. A few commits are made with a wait and a few without, several times
//! over, and what was measured decides. Not waiting needs no proof; waiting needs one again and
//! again.

use super::target::{Quantile, Target, WHOLE};

/// Eighths of a sync that a group waits at most, in the order in which they are tried. The wait
/// ends as soon as everybody is back, so the longest is also the most useful where any is.
const FOR_THROUGHPUT: &[u32] = &[8, 4, 2];
/// The same where a bound on the time is given, which cuts waits as well.
const FOR_BOUND: &[u32] = &[32, 16, 8, 4, 2];

/// Commits after a change that are not measured: what was gathered before still has its effect.
const SETTLE: u32 = 2;
/// Commits of a window at the least, and writes.
const WINDOW_COMMITS: u32 = 16;
const WINDOW_WRITES: u64 = 64;
/// Pairs of windows before something new is believed, and before it is thrown away.
const PAIRS: u32 = 8;
const PAIRS_TO_BE_SURE: u32 = 4;
const PAIRS_TO_GIVE_UP: u32 = 2;
/// Commits between two trials: at first, and when nothing ever helps.
const PAUSE_MIN: u32 = 64;
const PAUSE_MAX: u32 = 16_384;
/// Commits between two proofs that what is in force still helps.
const PROOF_MIN: u32 = 256;
const PROOF_MAX: u32 = 4_096;

/// Writes under way, on average, from which on there are several clients.
const SEVERAL: f64 = 1.75;
/// How much more has to be done with waiting for it to begin, and to go on.
const GAIN: f64 = 1.03;
const GAIN_SURE: f64 = 1.10;
const NO_LOSS: f64 = 0.98;
/// Late writes that say nothing yet.
const LATE_FEW: f64 = 8.0;
/// How much longer writes take where no more is done, for a trial to be hopeless.
const LATER: f64 = 1.10;
/// Part of the syncs that has to go away where syncs are to be few, and to stay away.
const FEWER: f64 = 0.90;
const STILL_FEWER: f64 = 0.95;
/// A window that does so much less than those of the last proof calls for a new one.
const DRIFT: f64 = 0.85;

/// What one or several windows measured.
#[derive(Clone, Copy, Default, Debug)]
struct Sum {
    micros: u64,
    commits: u32,
    writes: u64,
    /// Microseconds from order to durable, of all writes together.
    delay_us: u64,
    /// Writes that took longer than the target's bound.
    late: u64,
}

impl Sum {
    fn add(&mut self, other: &Sum) {
        self.micros += other.micros;
        self.commits += other.commits;
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

    fn commits_per_write(&self) -> f64 {
        f64::from(self.commits) / self.writes.max(1) as f64
    }

    fn late_share(&self) -> f64 {
        self.late as f64 / self.writes.max(1) as f64
    }
}

/// What one commit adds to the window under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Committed {
    pub(super) writes: u32,
    pub(super) delay_us: u64,
    pub(super) late: u32,
}

/// Who writes, as far as it can be told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crowd {
    /// How many writes are under way usually.
    pub(super) under_way: f64,
    /// Whether writes come soon after others were answered, so that waiting for them may help.
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
    fn note(&mut self, now_us: u64, commit: Committed) -> Option<Sum> {
        self.seen += 1;
        if self.seen <= SETTLE {
            self.start_us = now_us;
            return None;
        }
        self.sum.commits += 1;
        self.sum.writes += u64::from(commit.writes);
        self.sum.delay_us += commit.delay_us;
        self.sum.late += u64::from(commit.late);
        if self.sum.commits < WINDOW_COMMITS || self.sum.writes < WINDOW_WRITES {
            return None;
        }
        let sum = Sum { micros: now_us - self.start_us, ..self.sum };
        *self = Window::default();
        Some(sum)
    }
}

/// A trial under way: windows without and with a wait, in turn.
#[derive(Clone, Copy, Default, Debug)]
struct Pairs {
    /// What is tried, eighths of a sync.
    level: u32,
    count: u32,
    /// Pairs in which more was done with the wait.
    wins: u32,
    /// The window without of the pair under way; none while that is measured.
    first: Option<Sum>,
    without: Sum,
    with: Sum,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Nothing is tried for so many commits.
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

/// Decides how long groups wait.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    target: Target,
    /// What is in force, eighths of a sync; 0 is not to wait.
    level: u32,
    /// Number of the next level to try.
    next: usize,
    phase: Phase,
    pause: u32,
    window: Window,
    /// Writes per microsecond when the level in force was proved, and the share that was late
    /// without waiting.
    proved_rate: f64,
    base_late: f64,
    /// What that brought, as a part: see [`Trial::gain_percent`].
    gain: f64,
    /// Lateness since the last look at it.
    watch: Sum,
    /// How many writes were under way when something was tried last.
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

    /// Eighths of a sync that a group may wait now.
    pub(super) fn limit(&self) -> u32 {
        match self.phase {
            Phase::Rest(_) => self.level,
            Phase::Try(Pairs { first: None, .. }) => 0,
            Phase::Try(pairs) => pairs.level,
        }
    }

    /// Eighths of a sync that have proved to help; 0 where nothing has.
    pub(super) fn proved(&self) -> u32 {
        self.level
    }

    /// Hundredths by which more was done with the wait in force when it was proved, or, where
    /// there is a bound, fewer syncs were made.
    pub(super) fn gain_percent(&self) -> u64 {
        (self.gain * 100.0).max(0.0).round() as u64
    }

    /// A group became durable.
    pub(super) fn note(&mut self, now_us: u64, commit: Committed, crowd: Crowd) {
        if self.target == Target::Latency {
            return;
        }
        let window = self.window.note(now_us, commit);
        if self.breaks_the_bound() {
            return self.give_up();
        }
        match &mut self.phase {
            Phase::Rest(left) => {
                *left = left.saturating_sub(1);
                let over = *left == 0;
                self.rest(window, over, crowd);
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

    /// Whether the wait that is being tried has made so many writes late that no more have to be
    /// seen: as many again as without it, and a few.
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
    fn rest(&mut self, window: Option<Sum>, over: bool, crowd: Crowd) {
        if self.level == 0 {
            let ratio = crowd.under_way / self.under_way.max(1.0);
            if !(0.5..2.0).contains(&ratio) && self.pause > PROOF_MIN {
                self.under_way = crowd.under_way;
                self.pause = PROOF_MIN;
                self.phase = Phase::Rest(PROOF_MIN);
            }
            if over && self.may_help(crowd) {
                self.begin(self.ladder()[self.next], crowd);
            }
            return;
        }
        let Some(sum) = window else { return };
        if self.is_late(&sum) {
            return self.give_up();
        }
        if over || sum.rate() < DRIFT * self.proved_rate {
            self.begin(self.level, crowd);
        }
    }

    /// Whether it is worth a trial. One writer at a time has nobody to wait for. More is done only
    /// by waiting for those who come back; for fewer syncs, others will do as well.
    fn may_help(&self, crowd: Crowd) -> bool {
        let returns = crowd.returns || matches!(self.target, Target::Within(_));
        crowd.under_way >= SEVERAL && returns
    }

    fn begin(&mut self, level: u32, crowd: Crowd) {
        self.under_way = crowd.under_way;
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
                        1.0 - pairs.with.commits_per_write() / pairs.without.commits_per_write()
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

    /// Back to not waiting, at once. The next try is another wait, and later than this one was.
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
                // What arrives at a rate of its own cannot become more, only late.
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

    /// Whether the first pairs say that the others would be waste: each of them costs time.
    fn is_hopeless(&self, pairs: &Pairs, gain: f64) -> bool {
        let Pairs { wins, without, with, .. } = pairs;
        let saves_nothing = match self.target {
            Target::Within(_) => {
                with.commits_per_write() > STILL_FEWER * without.commits_per_write()
            }
            Target::Latency | Target::Throughput => {
                gain < GAIN && with.delay() > LATER * without.delay()
            }
        };
        saves_nothing || (*wins == 0 && gain < NO_LOSS)
    }

    /// Sums follow the one window that the disk spoiled; the count of windows does not.
    fn wins_enough(&self, pairs: &Pairs) -> bool {
        match self.target {
            Target::Within(_) => pairs.wins * 4 >= pairs.count,
            Target::Latency | Target::Throughput => pairs.wins * 4 >= pairs.count * 3,
        }
    }

    /// Fewer syncs, no write less, and the bound holds: or is no worse than without a wait.
    fn saves(&self, pairs: &Pairs, bound: Quantile) -> bool {
        let Pairs { without, with, .. } = pairs;
        let few = if self.level == 0 { FEWER } else { STILL_FEWER };
        with.rate() >= NO_LOSS * without.rate()
            && with.commits_per_write() <= few * without.commits_per_write()
            && with.late_share() <= allowed(bound).max(without.late_share())
    }

    /// Whether too many writes are late with the wait in force. Judged as soon as there are more
    /// late ones than a long look would allow, so a burst of them ends the waiting at once.
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
