//! The server's messages: to standard error, as text or JSON, with the time in UTC.

use std::sync::OnceLock;

use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::reload::Handle;

use crate::config::{LogFormat, LogLevel, Paint};

/// What is always written, if anything writes it.
const AUDIT: &str = "audit=info";

/// Changes the level of what is written; there is one once messages are sent anywhere.
static CHANGE_LEVEL: OnceLock<Box<dyn Fn(LogLevel) + Send + Sync>> = OnceLock::new();

/// Sends the messages of this process to standard error from now on; only the first call counts.
pub fn start(format: LogFormat, level: LogLevel) {
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_timer(SystemTime)
        .with_env_filter(wanted(level));
    // A second call is a test in the same process, which is content with the first one's choice.
    let _first_wins = match format {
        LogFormat::Text => {
            let colours = Paint::for_stderr() == Paint::Colours;
            let builder = builder.with_target(false).with_ansi(colours).with_filter_reloading();
            keep(builder.reload_handle());
            builder.try_init()
        }
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_filter_reloading();
            keep(builder.reload_handle());
            builder.try_init()
        }
    };
}

/// From now on messages of this level are written, and of those above it.
pub(crate) fn change_level(level: LogLevel) {
    if let Some(change) = CHANGE_LEVEL.get() {
        change(level);
    }
}

fn keep<S: 'static>(handle: Handle<EnvFilter, S>) {
    let change = move |level| {
        // It fails when messages are sent nowhere any more.
        let _ = handle.reload(wanted(level));
    };
    let _first_wins = CHANGE_LEVEL.set(Box::new(change));
}

/// The lines of the audit log are wanted whatever the level is: its own setting asks for them.
fn wanted(level: LogLevel) -> EnvFilter {
    EnvFilter::default()
        .add_directive(filter(level).into())
        .add_directive(AUDIT.parse().expect("a directive"))
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
