//! Ctrl-C: what is under way ends soon and in order, and what was measured is shown.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

/// The signal that came, 0 if none did.
static SIGNAL: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// What a second signal does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Second {
    /// It ends the process at once; the end of the terminal (SIGHUP) does always.
    Kills,
    /// The same as the first one: something has to be put right before the end.
    Waits,
}

/// From here on the first signal is a request.
pub fn listen(second: Second) -> io::Result<()> {
    let (armed, number) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    if SIGNAL.set(number.clone()).is_err() {
        return Ok(());
    }
    let hangup = Some(SIGHUP).filter(|_| second == Second::Waits);
    for signal in [SIGINT, SIGTERM].into_iter().chain(hangup) {
        if second == Second::Kills {
            flag::register_conditional_shutdown(signal, 128 + signal, armed.clone())?;
            flag::register(signal, armed.clone())?;
        }
        flag::register_usize(signal, number.clone(), signal as usize)?;
    }
    Ok(())
}

/// The exit code that a signal asks for, if one has come.
pub(crate) fn exit_code() -> Option<u8> {
    let number = SIGNAL.get().map_or(0, |number| number.load(Ordering::Relaxed));
    u8::try_from(number).ok().filter(|number| *number > 0).map(|number| 128 + number)
}

/// Whether to stop.
pub fn is_wanted() -> bool {
    exit_code().is_some()
}

/// Ends what can be ended by an error.
pub(crate) fn check() -> Result<()> {
    if is_wanted() {
        bail!("interrupted");
    }
    Ok(())
}
