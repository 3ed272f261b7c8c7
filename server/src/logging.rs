//! The server's messages: to standard error, as text or JSON, with the time in UTC.

use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::fmt::time::SystemTime;

use crate::config::{LogFormat, LogLevel, Paint};

/// What is always written, if anything writes it.
const AUDIT: &str = "audit=info";

/// Sends the messages of this process to standard error from now on; only the first call counts.
pub fn start(format: LogFormat, level: LogLevel) {
    // The lines of the audit log are wanted whatever the level is: its own setting asks for them.
    let wanted = EnvFilter::default()
        .add_directive(filter(level).into())
        .add_directive(AUDIT.parse().expect("a directive"));
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_timer(SystemTime)
        .with_env_filter(wanted);
    // A second call is a test in the same process, which is content with the first one's choice.
    let _first_wins = match format {
        LogFormat::Text => {
            builder.with_target(false).with_ansi(Paint::for_stderr() == Paint::Colours).try_init()
        }
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}
