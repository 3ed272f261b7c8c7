//! The kernel's timers: precise where a runtime's own timers count milliseconds.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;

/// Wakes one task. Both runtimes are tokio's, whose reactor the descriptor is registered with.
pub(crate) struct Timer {
    fd: AsyncFd<OwnedFd>,
}

impl Timer {
    /// A timer for one task.
    #[expect(
        deprecated,
        reason = "its successor is unsafe, for types that do not keep their \
                                   descriptor as an OwnedFd does"
    )]
    pub(crate) fn new() -> io::Result<Timer> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Timer { fd: AsyncFd::new(timerfd_create(TimerfdClockId::Monotonic, flags)?)? })
    }

    pub(crate) async fn wait(&mut self, duration: Duration) -> io::Result<()> {
        // Zero would disarm the timer.
        let duration = duration.max(Duration::from_nanos(1));
        let value = Timespec::try_from(duration).map_err(io::Error::other)?;
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let when = Itimerspec { it_interval: zero, it_value: value };
        timerfd_settime(self.fd.get_ref(), TimerfdTimerFlags::empty(), &when)?;
        let mut count = [0; 8];
        loop {
            let mut ready = self.fd.readable().await?;
            match ready.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut count)?)) {
                Ok(read) => return read.map(drop),
                Err(_) => continue,
            }
        }
    }
}
