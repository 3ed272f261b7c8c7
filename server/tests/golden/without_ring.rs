//! Processes that may not use io_uring, as in many containers.

use std::env::consts::ARCH;
use std::io;
use std::process::{Child, Command};
use std::thread;

use rustix::io::Errno;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

const FORBIDDEN: [i64; 3] =
    [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register];

/// Starts a process to which the kernel answers every call of io_uring with EPERM.
///
/// The filter binds the thread that asks for it and the processes that this thread starts; so a
/// thread of its own asks, and the rest of the tests keep their rights.
pub(crate) fn spawn(command: &mut Command) -> io::Result<Child> {
    let program = filter();
    thread::scope(|scope| {
        let starter = scope.spawn(|| {
            apply_filter(&program).expect("seccomp filters are allowed here");
            command.spawn()
        });
        starter.join().expect("the thread that starts the process does not panic")
    })
}

fn filter() -> BpfProgram {
    let rules = FORBIDDEN.map(|call| (call, Vec::new())).into();
    let denied = u32::try_from(Errno::PERM.raw_os_error()).expect("error numbers are positive");
    let arch = ARCH.try_into().expect("seccompiler knows this processor");
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(denied), arch)
        .and_then(TryInto::try_into)
        .expect("a filter of three calls is well formed")
}
