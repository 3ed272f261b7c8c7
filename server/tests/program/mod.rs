//! The binary under test. It is started here only, so that nothing of the host reaches it.

use std::process::{Command, Stdio};

/// The program with these arguments: no variable of this process, no input, and a working directory
/// in which nobody has left anything. A test that needs more says so.
pub(crate) fn ringkeeper(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringkeeper"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command.current_dir(env!("CARGO_TARGET_TMPDIR"));
    command
}
