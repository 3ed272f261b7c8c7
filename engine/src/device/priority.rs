//! The scheduling priority of a thread.

use std::fmt;

/// The priority among real-time threads: the lowest.
const REAL_TIME: i32 = 1;
/// Where that is not allowed: the nice value.
const NICE: i32 = -10;

/// How the kernel schedules a thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Priority {
    /// Real-time: it preempts all normal threads (`SCHED_FIFO`).
    RealTime,
    /// Before other normal threads (a negative nice value).
    Nice,
    /// As all other threads.
    Normal,
    /// Only idle processor time (`SCHED_IDLE`).
    Idle,
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Priority::RealTime => "real-time",
            Priority::Nice => "nice -10",
            Priority::Normal => "usual",
            Priority::Idle => "idle",
        })
    }
}

impl Priority {
    /// Puts the calling thread before other normal threads, as far as the system allows.
    pub fn prefer() -> Priority {
        normal();
        if nice() { Priority::Nice } else { Priority::Normal }
    }

    /// Gives the calling thread only idle processor time: any other thread preempts it at once. A
    /// nice value is not enough for that: with one, the kernel lets a thread run for up to a tick.
    pub fn give_way() -> Priority {
        // SAFETY: the structure is plain numbers, for which zero is a value.
        let param: libc::sched_param = unsafe { std::mem::zeroed() };
        // SAFETY: the pointer is to a structure that is borrowed for the call; 0 is this thread.
        let idle = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const param) == 0 };
        if idle { Priority::Idle } else { Priority::Normal }
    }

    /// Raises that of the calling thread as far as the system allows. Only for a thread that
    /// blocks after every bit of work: nothing else gets the processor while it runs. Threads and
    /// processes that it starts are normal ones.
    pub fn raise() -> Priority {
        if real_time() {
            Priority::RealTime
        } else if nice() {
            Priority::Nice
        } else {
            Priority::Normal
        }
    }
}

fn real_time() -> bool {
    // SAFETY: the structure is plain numbers, for which zero is a value.
    let mut param: libc::sched_param = unsafe { std::mem::zeroed() };
    param.sched_priority = REAL_TIME;
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: the pointer is to a structure that is borrowed for the call; 0 is this thread.
    unsafe { libc::sched_setscheduler(0, policy, &raw const param) == 0 }
}

/// A thread may always give up a real-time priority.
fn normal() {
    // SAFETY: the structure is plain numbers, for which zero is a value.
    let param: libc::sched_param = unsafe { std::mem::zeroed() };
    let policy = libc::SCHED_OTHER | libc::SCHED_RESET_ON_FORK;
    // SAFETY: the pointer is to a structure that is borrowed for the call; 0 is this thread.
    // Where the call is forbidden altogether, there is no such priority to give up.
    let _ = unsafe { libc::sched_setscheduler(0, policy, &raw const param) };
}

fn nice() -> bool {
    // SAFETY: the call takes numbers only; 0 is this thread.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is allowed depends on who runs the tests; what is claimed has to be true.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "the thread of this test must not be changed")]
    fn claimed_priority_matches_the_kernel() {
        let raised = std::thread::spawn(|| {
            let is_so = |claimed| {
                // SAFETY: both calls take numbers only; 0 is this thread.
                let policy = unsafe { libc::sched_getscheduler(0) } & !libc::SCHED_RESET_ON_FORK;
                // SAFETY: as above.
                let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
                match claimed {
                    Priority::RealTime => policy == libc::SCHED_FIFO,
                    Priority::Nice => policy == libc::SCHED_OTHER && nice == NICE,
                    Priority::Normal => policy == libc::SCHED_OTHER && nice > NICE,
                    Priority::Idle => policy == libc::SCHED_IDLE,
                }
            };
            is_so(Priority::prefer())
                && is_so(Priority::raise())
                && is_so(Priority::prefer())
                && is_so(Priority::give_way())
        });
        assert!(raised.join().unwrap());
    }
}
