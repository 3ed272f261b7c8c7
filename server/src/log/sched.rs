//! The scheduling policy of the log writer thread: a negative nice value, and, while that is not
//! enough, real-time (`SCHED_FIFO`).
//!
//! Performance machinery: a reader may skip this file on first reading; see
//! `docs/understand/performance.md`.
//!
//! A real-time thread is woken on the processor on which it ran last, and preempts the thread that
//! runs there even if another processor is idle. On a host with idle processors that costs every
//! write more than it gains. On a host whose processors are all busy, a normal thread waits in the
//! run queue, at times for a tick of the scheduler. The kernel counts the time that a thread waits
//! there (`schedstat`), so the thread can tell the two hosts apart.

use std::fs::File;
use std::os::unix::fs::FileExt;

use ringkeeper_engine::device::Priority;

use crate::config::LogPriority;

/// Flushes between two readings of the time waited: so many that one long wait does not matter.
/// Fewer after a time as a real-time thread, since they cost time if nothing has changed.
const LOOK: u32 = 1_024;
const LOOK_AGAIN: u32 = 128;
/// Flushes between readings of the time waited that only notice long waits: where each flush waits
/// for milliseconds, the next [`LOOK`] is a long time away.
const GLANCE: u32 = 64;
/// Nanoseconds in the run queue per flush that count as long, if they are seen twice in a row.
const LONG_WAIT_NS: u64 = 10 * WAIT_NS;
/// Nanoseconds in the run queue per flush from which on the thread becomes real-time.
const WAIT_NS: u64 = 15_000;
/// Flushes for which it stays real-time: at first, and where the next reading says the same.
const STAY_MIN: u32 = 8_192;
const STAY_MAX: u32 = 65_536;

/// Sets the scheduling policy of the calling thread. That thread has to block after every bit of
/// work, so that it delays no other thread for long.
pub(crate) struct SchedTuner {
    /// What the kernel counts; nothing where the policy is fixed.
    waited: Option<File>,
    choice: PolicyChoice,
}

impl SchedTuner {
    /// Sets the first policy.
    pub(crate) fn start(priority: LogPriority) -> SchedTuner {
        let choice = PolicyChoice::new();
        match priority {
            LogPriority::Normal => SchedTuner { waited: None, choice },
            LogPriority::High => SchedTuner { waited: begin(), choice },
        }
    }

    /// A flush is over.
    pub(crate) fn flushed(&mut self) {
        let Some(file) = &self.waited else { return };
        if !self.choice.is_due() {
            return;
        }
        let decided = waited_ns(file).map(|total_ns| self.choice.look(total_ns));
        match decided {
            Some(Some(SchedPolicy::RealTime)) => {
                // What is not allowed is not tried again.
                if Priority::raise() != Priority::RealTime {
                    self.waited = None;
                }
            }
            Some(Some(SchedPolicy::Normal)) => {
                let _ = Priority::prefer();
            }
            Some(None) => {}
            None => self.waited = None,
        }
    }
}

/// Where the kernel does not tell the time waited, the highest priority is the safe one.
fn begin() -> Option<File> {
    let file = File::open("/proc/thread-self/schedstat").ok();
    let file = file.filter(|file| waited_ns(file).is_some());
    let highest = Priority::raise();
    tracing::debug!("the priority of the log's thread is {highest} at the most");
    if highest == Priority::Normal {
        tracing::info!(
            "the log's thread is scheduled as all others: ringkeeper.log.priority=high is not \
             allowed here (CAP_SYS_NICE, or LimitRTPRIO=1 of the service); with other work on the \
             processor, writes take longer"
        );
    }
    if file.is_some() {
        let _ = Priority::prefer();
    }
    file
}

/// Nanoseconds that the thread has waited in a run queue since its begin.
fn waited_ns(file: &File) -> Option<u64> {
    let mut bytes = [0; 96];
    let length = file.read_at(&mut bytes, 0).ok()?;
    std::str::from_utf8(&bytes[..length]).ok()?.split_whitespace().nth(1)?.parse().ok()
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum SchedPolicy {
    Normal,
    RealTime,
}

/// Which policy is right, from the time waited.
#[derive(Clone, Copy, Debug)]
struct PolicyChoice {
    policy: SchedPolicy,
    /// Flushes until the next reading.
    left: u32,
    /// Flushes for which it stays real-time.
    stay: u32,
    /// The time waited at the last reading.
    last_ns: u64,
    /// Whether it has been normal for less than one reading.
    fresh: bool,
    /// The time waited at the last glance, and whether that was long.
    glanced_ns: u64,
    was_long: bool,
}

impl PolicyChoice {
    fn new() -> PolicyChoice {
        PolicyChoice {
            policy: SchedPolicy::Normal,
            left: LOOK,
            stay: STAY_MIN,
            last_ns: 0,
            fresh: false,
            glanced_ns: 0,
            was_long: false,
        }
    }

    fn is_due(&mut self) -> bool {
        self.left -= 1;
        let glances = self.policy == SchedPolicy::Normal && self.left.is_multiple_of(GLANCE);
        self.left == 0 || glances
    }

    /// The new policy, if it changes.
    fn look(&mut self, total_ns: u64) -> Option<SchedPolicy> {
        if self.left > 0 {
            return self.glance(total_ns);
        }
        (self.glanced_ns, self.was_long) = (total_ns, false);
        let flushes = if self.fresh { LOOK_AGAIN } else { LOOK };
        let waited_ns = total_ns.saturating_sub(self.last_ns) / u64::from(flushes);
        self.last_ns = total_ns;
        match self.policy {
            SchedPolicy::RealTime => {
                (self.policy, self.left, self.fresh) = (SchedPolicy::Normal, LOOK_AGAIN, true);
                Some(SchedPolicy::Normal)
            }
            SchedPolicy::Normal if waited_ns < WAIT_NS => {
                (self.left, self.fresh) = (LOOK, false);
                None
            }
            SchedPolicy::Normal => Some(self.be_real_time()),
        }
    }

    fn glance(&mut self, total_ns: u64) -> Option<SchedPolicy> {
        let waited_ns = total_ns.saturating_sub(self.glanced_ns) / u64::from(GLANCE);
        self.glanced_ns = total_ns;
        let is_long = waited_ns >= LONG_WAIT_NS;
        let again = std::mem::replace(&mut self.was_long, is_long) && is_long;
        if !again {
            return None;
        }
        self.last_ns = total_ns;
        Some(self.be_real_time())
    }

    fn be_real_time(&mut self) -> SchedPolicy {
        self.stay = if self.fresh { (self.stay * 2).min(STAY_MAX) } else { STAY_MIN };
        (self.policy, self.left) = (SchedPolicy::RealTime, self.stay);
        self.policy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs so many flushes that each wait so long. Returns each change and when it came.
    fn run(
        choice: &mut PolicyChoice,
        total_ns: &mut u64,
        each_ns: u64,
        flushes: u32,
    ) -> Vec<(u32, SchedPolicy)> {
        let mut became = Vec::new();
        for flush in 1..=flushes {
            let waits = choice.policy == SchedPolicy::Normal;
            *total_ns += if waits { each_ns } else { 0 };
            if choice.is_due()
                && let Some(policy) = choice.look(*total_ns)
            {
                became.push((flush, policy));
            }
        }
        became
    }

    #[test]
    fn idle_host_keeps_the_normal_policy() {
        let (mut choice, mut total) = (PolicyChoice::new(), 7);
        assert_eq!(run(&mut choice, &mut total, WAIT_NS - 1, 100_000), []);
    }

    #[test]
    fn busy_host_goes_real_time_at_once_and_backs_off() {
        let (mut choice, mut total) = (PolicyChoice::new(), 0);
        let became = run(&mut choice, &mut total, 4 * WAIT_NS, 1_000_000);
        assert_eq!(became[0], (LOOK, SchedPolicy::RealTime));
        assert_eq!(became[1], (LOOK + STAY_MIN, SchedPolicy::Normal));
        let looks = became.iter().filter(|(_, policy)| *policy == SchedPolicy::Normal).count();
        assert!((15..25).contains(&looks), "{looks}");
    }

    #[test]
    fn long_waits_are_noticed_before_so_many_flushes_are_over() {
        let (mut choice, mut total) = (PolicyChoice::new(), 0);
        let became = run(&mut choice, &mut total, LONG_WAIT_NS, LOOK);
        assert_eq!(became, [(2 * GLANCE, SchedPolicy::RealTime)]);
        assert_eq!(choice.stay, STAY_MIN);
    }

    #[test]
    fn one_long_wait_changes_nothing() {
        let (mut choice, mut total) = (PolicyChoice::new(), 0);
        total += LONG_WAIT_NS * u64::from(GLANCE);
        assert_eq!(run(&mut choice, &mut total, 0, 100_000), []);
    }

    #[test]
    fn host_idle_again_returns_to_the_normal_policy() {
        let (mut choice, mut total) = (PolicyChoice::new(), 0);
        run(&mut choice, &mut total, 4 * WAIT_NS, 200_000);
        assert_eq!(choice.policy, SchedPolicy::RealTime);
        run(&mut choice, &mut total, 0, STAY_MAX + LOOK);
        assert_eq!((choice.policy, choice.fresh), (SchedPolicy::Normal, false));
        // The next time it begins with the short stay.
        run(&mut choice, &mut total, 4 * WAIT_NS, 2 * LOOK);
        assert_eq!((choice.policy, choice.stay), (SchedPolicy::RealTime, STAY_MIN));
    }

    #[test]
    fn kernel_reports_the_time_waited() {
        if let Ok(file) = File::open("/proc/thread-self/schedstat") {
            let before = waited_ns(&file).expect("a number");
            assert!(waited_ns(&file).expect("a number") >= before);
        }
    }
}
