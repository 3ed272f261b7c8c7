//! Stopping at once, with a reason.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io;

use ringkeeper_engine::log::Fatal;

/// Exit code of a server that stopped because going on could lose data.
pub const EXIT_FATAL: i32 = 70;

/// Exit code of a server that could not start.
const EXIT_UNSTARTED: i32 = 1;

/// From now on a panic of any thread ends the process. A server that has lost one of its threads
/// would go on without it, deaf to its clients, and no supervisor would restart it.
pub fn stop_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("without a name").to_owned();
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            eprintln!("{backtrace}");
        }
        stop(&format!("thread {name} {}", panic.to_string().replace('\n', " ")));
    }));
}

/// Ends the process now. Nothing is flushed on purpose: what the disk holds is the truth that the
/// next start recovers from.
pub fn stop(reason: &str) -> ! {
    stop_with(EXIT_FATAL, reason)
}

/// Ends the process because it cannot do its work as it was started: no data is in danger.
pub fn stop_unstarted(reason: &str) -> ! {
    stop_with(EXIT_UNSTARTED, reason)
}

fn stop_with(code: i32, reason: &str) -> ! {
    tracing::error!("{reason}");
    eprintln!("ringkeeper: stopped: {reason}");
    std::process::exit(code)
}

/// Ends the process because the log cannot be written.
pub fn stop_on_log(error: &Fatal) -> ! {
    stop(&error.to_string())
}

/// From now on a page of a mapped file that the disk cannot give or take ends the process with
/// these words, not with the bare signal. It happens to a log written through a map.
///
/// # Errors
/// When the system does not take a handler.
pub fn stop_on_bus_error() -> io::Result<()> {
    const REASON: &[u8] = b"ringkeeper: stopped: a page of a mapped file of the log could not be \
        written (SIGBUS): its disk has failed, or somebody has cut the file short\n";
    let stderr = io::stderr();
    let end = move || {
        // It may be that stderr is not read.
        let _ = rustix::io::write(&stderr, REASON);
        signal_hook::low_level::exit(EXIT_FATAL);
    };
    // SAFETY: the handler makes two system calls, write and _exit, which POSIX allows in handlers;
    // it neither allocates nor locks, and it never returns to the instruction that failed.
    unsafe { signal_hook::low_level::register(signal_hook::consts::SIGBUS, end) }.map(|_| ())
}
