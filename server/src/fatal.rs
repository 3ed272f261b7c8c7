//! Stopping at once, with a reason.

use std::backtrace::{Backtrace, BacktraceStatus};

/// Exit code of a server that stopped because going on could lose data.
pub const EXIT_FATAL: i32 = 70;

/// From now on a panic of any thread ends the process. A server that has lost one of its threads
/// would go on without it, deaf to its clients, and nobody would start it again.
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
    tracing::error!("{reason}");
    eprintln!("ringkeeper: stopped: {reason}");
    std::process::exit(EXIT_FATAL)
}
