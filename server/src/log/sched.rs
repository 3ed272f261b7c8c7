//! How the thread that writes the log gets the processor: before other ordinary threads, and,
//! while that is not enough, before everything that is not real-time.
//!
//! A real-time thread is woken where it ran last and takes the processor from who is there, even
//! if another one is idle. On a quiet host that costs every write more than it gains. On a host
//! whose processors are all wanted, an ordinary thread waits for its turn, at times for a tick of
//! the scheduler. The kernel counts what a thread waits, so it is known which of the two it is.

use std::fs::File;
use std::os::unix::fs::FileExt;

use ringkeeper_engine::device::Priority;

use crate::config::LogPriority;

/// Commits between two looks at what was waited: so many that one long wait says nothing. Fewer
/// where it was real-time before, since they cost time if nothing has changed.
const LOOK: u32 = 1_024;
const LOOK_AGAIN: u32 = 128;
/// Nanoseconds that the thread waits for the processor per commit from which on it does not wait
/// any more.
const WAIT_NS: u64 = 15_000;
/// Commits for which it then does not: at first, and where the next look finds the same.
const STAY_MIN: u32 = 8_192;
const STAY_MAX: u32 = 65_536;

/// The rank of the calling thread, which blocks after every bit of work: it holds up nobody for
/// long, and every write waits for it.
pub(crate) struct Rank {
    /// What the kernel counts, where the rank may change.
    waited: Option<File>,
    course: Course,
}

impl Rank {
    /// Ranks the calling thread.
    pub(crate) fn take(priority: LogPriority) -> Rank {
        let course = Course::new();
        match priority {
            LogPriority::Normal => Rank { waited: None, course },
            LogPriority::High => Rank { waited: begin(), course },
        }
    }

    /// A commit is over.
    pub(crate) fn committed(&mut self) {
        let Some(file) = &self.waited else { return };
        if !self.course.is_due() {
            return;
        }
        let rank = waited_ns(file).map(|total_ns| self.course.look(total_ns));
        match rank {
            Some(Some(Place::RealTime)) => {
                // What is not allowed is not tried again.
                if Priority::raise() != Priority::RealTime {
                    self.waited = None;
                }
            }
            Some(Some(Place::Ordinary)) => {
                let _ = Priority::prefer();
            }
            Some(None) => {}
            None => self.waited = None,
        }
    }
}

/// Where the kernel does not tell what was waited, the highest rank is the safe one.
fn begin() -> Option<File> {
    let file = File::open("/proc/thread-self/schedstat").ok();
    let file = file.filter(|file| waited_ns(file).is_some());
    let highest = Priority::raise();
    tracing::debug!("the priority of the log's thread is {highest} at the most");
    if highest == Priority::Usual {
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

/// Nanoseconds that the thread has waited for a processor since its begin.
fn waited_ns(file: &File) -> Option<u64> {
    let mut bytes = [0; 96];
    let length = file.read_at(&mut bytes, 0).ok()?;
    std::str::from_utf8(&bytes[..length]).ok()?.split_whitespace().nth(1)?.parse().ok()
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Ordinary,
    RealTime,
}

/// Which rank it should be, from what was waited.
#[derive(Clone, Copy, Debug)]
struct Course {
    place: Place,
    /// Commits until the next look.
    left: u32,
    /// How long it stays real-time.
    stay: u32,
    /// What was waited at the last look.
    last_ns: u64,
    /// Whether it has been ordinary for less than a look.
    fresh: bool,
}

impl Course {
    fn new() -> Course {
        Course { place: Place::Ordinary, left: LOOK, stay: STAY_MIN, last_ns: 0, fresh: false }
    }

    fn is_due(&mut self) -> bool {
        self.left -= 1;
        self.left == 0
    }

    /// What to become; nothing where it stays what it is.
    fn look(&mut self, total_ns: u64) -> Option<Place> {
        let commits = if self.fresh { LOOK_AGAIN } else { LOOK };
        let waited_ns = total_ns.saturating_sub(self.last_ns) / u64::from(commits);
        self.last_ns = total_ns;
        match self.place {
            Place::RealTime => {
                (self.place, self.left, self.fresh) = (Place::Ordinary, LOOK_AGAIN, true);
                Some(Place::Ordinary)
            }
            Place::Ordinary if waited_ns < WAIT_NS => {
                (self.left, self.fresh) = (LOOK, false);
                None
            }
            Place::Ordinary => {
                self.stay = if self.fresh { (self.stay * 2).min(STAY_MAX) } else { STAY_MIN };
                (self.place, self.left) = (Place::RealTime, self.stay);
                Some(Place::RealTime)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes so many commits that wait so long; what it became, and after how many.
    fn run(
        course: &mut Course,
        total_ns: &mut u64,
        each_ns: u64,
        commits: u32,
    ) -> Vec<(u32, Place)> {
        let mut became = Vec::new();
        for commit in 1..=commits {
            let waits = course.place == Place::Ordinary;
            *total_ns += if waits { each_ns } else { 0 };
            if course.is_due()
                && let Some(place) = course.look(*total_ns)
            {
                became.push((commit, place));
            }
        }
        became
    }

    #[test]
    fn a_quiet_host_never_makes_it_real_time() {
        let (mut course, mut total) = (Course::new(), 7);
        assert_eq!(run(&mut course, &mut total, WAIT_NS - 1, 100_000), []);
    }

    #[test]
    fn a_busy_host_does_at_once_and_less_and_less_is_lost_by_looking() {
        let (mut course, mut total) = (Course::new(), 0);
        let became = run(&mut course, &mut total, 4 * WAIT_NS, 1_000_000);
        assert_eq!(became[0], (LOOK, Place::RealTime));
        assert_eq!(became[1], (LOOK + STAY_MIN, Place::Ordinary));
        let looks = became.iter().filter(|(_, place)| *place == Place::Ordinary).count();
        assert!((15..25).contains(&looks), "{looks}");
    }

    #[test]
    fn when_the_host_is_quiet_again_it_is_ordinary_again() {
        let (mut course, mut total) = (Course::new(), 0);
        run(&mut course, &mut total, 4 * WAIT_NS, 200_000);
        assert_eq!(course.place, Place::RealTime);
        run(&mut course, &mut total, 0, STAY_MAX + LOOK);
        assert_eq!((course.place, course.fresh), (Place::Ordinary, false));
        // The next time it begins with a short stay.
        run(&mut course, &mut total, 4 * WAIT_NS, 2 * LOOK);
        assert_eq!((course.place, course.stay), (Place::RealTime, STAY_MIN));
    }

    #[test]
    fn the_kernel_counts_what_this_thread_waits() {
        if let Ok(file) = File::open("/proc/thread-self/schedstat") {
            let before = waited_ns(&file).expect("a number");
            assert!(waited_ns(&file).expect("a number") >= before);
        }
    }
}
