//! The kernel's timers as descriptors: precise where a runtime's own timers count milliseconds.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// A timer that is not set.
pub(super) fn create(flags: TimerfdFlags) -> io::Result<OwnedFd> {
    Ok(timerfd_create(TimerfdClockId::Monotonic, flags | TimerfdFlags::CLOEXEC)?)
}

/// Makes it readable when `duration` has passed.
pub(super) fn set(timer: &OwnedFd, duration: Duration) -> io::Result<()> {
    // Zero would disarm the timer.
    let duration = duration.max(Duration::from_nanos(1));
    let value = Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    };
    let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
    let when = Itimerspec { it_interval: zero, it_value: value };
    timerfd_settime(timer, TimerfdTimerFlags::empty(), &when)?;
    Ok(())
}
