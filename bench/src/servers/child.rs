//! Processes that a tool starts for itself alone.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

/// The kernel ends the process of this command when the one that starts it ends, however that
/// comes about: a tool that is killed leaves no server and no load behind.
pub(super) fn die_with_parent(command: &mut Command) {
    let parent = getpid();
    let in_child = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have died before the call.
        let orphan = getppid() != Some(parent);
        if orphan { Err(io::ErrorKind::NotFound.into()) } else { Ok(()) }
    };
    // SAFETY: between fork and exec only async-signal-safe work is allowed; this is two system
    // calls and a comparison, without memory or locks.
    unsafe {
        command.pre_exec(in_child);
    }
}
