//! Stopping at once, with a reason.

/// Exit code of a server that stopped because going on could lose data.
pub const EXIT_FATAL: i32 = 70;

/// Ends the process now. Nothing is flushed on purpose: what the disk holds is the truth that the
/// next start recovers from.
pub fn stop(reason: &str) -> ! {
    tracing::error!("{reason}");
    eprintln!("ringkeeper: stopped: {reason}");
    std::process::exit(EXIT_FATAL)
}
