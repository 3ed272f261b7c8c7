//! What io_uring can do here, and if nothing, why.

use io_uring::{IoUring, Probe, opcode};
use serde::{Deserialize, Serialize};

use ringkeeper_bench::servers::root::Root;

/// io_uring.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
pub(crate) struct RingFacts {
    /// Whether a ring can be made.
    pub(crate) works: bool,
    pub(crate) blocked: Option<String>,
    /// Operations of the server that the kernel knows.
    pub(crate) operations: Vec<String>,
    /// Operations of the server that it does not know.
    pub(crate) missing: Vec<String>,
    /// Ways to set a ring up that work.
    pub(crate) modes: Vec<String>,
}

/// A ring with entries of the ordinary size.
type Ring = IoUring<io_uring::squeue::Entry, io_uring::cqueue::Entry>;

/// The operations that the server uses or would.
const OPERATIONS: [(&str, u8); 11] = [
    ("write", opcode::Write::CODE),
    ("fsync", opcode::Fsync::CODE),
    ("accept", opcode::Accept::CODE),
    ("recv", opcode::Recv::CODE),
    ("send", opcode::Send::CODE),
    ("provide_buffers", opcode::ProvideBuffers::CODE),
    ("read", opcode::Read::CODE),
    ("async_cancel", opcode::AsyncCancel::CODE),
    ("timeout", opcode::Timeout::CODE),
    ("msg_ring", opcode::MsgRingData::CODE),
    ("futex_wait", opcode::FutexWait::CODE),
];

pub(crate) fn query(root: &Root) -> RingFacts {
    let ring = match Ring::new(8) {
        Ok(ring) => ring,
        Err(error) => {
            return RingFacts { blocked: Some(why(root, &error)), ..RingFacts::default() };
        }
    };
    let mut probe = Probe::new();
    let known = ring.submitter().register_probe(&mut probe).is_ok();
    let (has, lacks): (Vec<_>, Vec<_>) =
        OPERATIONS.iter().partition(|(_, code)| known && probe.is_supported(*code));
    let names = |list: Vec<&(&str, u8)>| list.iter().map(|(name, _)| (*name).to_owned()).collect();
    RingFacts {
        works: true,
        blocked: None,
        operations: names(has),
        missing: names(lacks),
        modes: modes(),
    }
}

fn modes() -> Vec<String> {
    let mut modes = Vec::new();
    let mut note = |name: &str, works: bool| {
        if works {
            modes.push(name.to_owned());
        }
    };
    note("coop_taskrun", Ring::builder().setup_coop_taskrun().build(2).is_ok());
    let mut builder = Ring::builder();
    builder.setup_single_issuer().setup_defer_taskrun();
    note("single_issuer+defer_taskrun", builder.build(2).is_ok());
    note("sqpoll", Ring::builder().setup_sqpoll(10).build(2).is_ok());
    modes
}

/// The reasons, distinguished by what the system says elsewhere.
pub(crate) fn why(root: &Root, error: &std::io::Error) -> String {
    let seccomp = root
        .read("/proc/self/status")
        .is_ok_and(|text| text.lines().any(|line| line.split_whitespace().eq(["Seccomp:", "2"])));
    let sysctl: Option<u32> = root.number("/proc/sys/kernel/io_uring_disabled");
    let errno = rustix::io::Errno::from_io_error(error);
    match (errno, sysctl) {
        (Some(rustix::io::Errno::PERM), Some(2)) => {
            "kernel.io_uring_disabled=2 forbids it to all users".to_owned()
        }
        (Some(rustix::io::Errno::PERM), Some(1)) => {
            "kernel.io_uring_disabled=1 forbids it to this user, who is not in the group \
             kernel.io_uring_group"
                .to_owned()
        }
        (Some(rustix::io::Errno::PERM | rustix::io::Errno::ACCESS), _) if seccomp => {
            "a seccomp filter forbids it, as the default profiles of containers do".to_owned()
        }
        (Some(rustix::io::Errno::NOSYS), _) if seccomp => {
            "a seccomp filter hides it, or the kernel does not have it".to_owned()
        }
        (Some(rustix::io::Errno::NOSYS), _) => "the kernel does not have it".to_owned(),
        (Some(rustix::io::Errno::NOMEM), _) => {
            "there is not enough lockable memory (RLIMIT_MEMLOCK)".to_owned()
        }
        (_, _) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Error;

    #[test]
    fn io_uring_failure_has_its_reason() {
        let held = tempfile::tempdir().unwrap();
        let at = |path: &str| held.path().join(path);
        std::fs::create_dir_all(at("proc/self")).unwrap();
        std::fs::create_dir_all(at("proc/sys/kernel")).unwrap();
        let root = Root::new(held.path());
        let reason = |errno: rustix::io::Errno| why(&root, &Error::from(errno));
        assert!(reason(rustix::io::Errno::NOSYS).contains("kernel does not"));
        std::fs::write(at("proc/self/status"), "Name:\tx\nSeccomp:\t2\n").unwrap();
        assert!(reason(rustix::io::Errno::PERM).contains("seccomp filter forbids"));
        std::fs::write(at("proc/sys/kernel/io_uring_disabled"), "2\n").unwrap();
        assert!(reason(rustix::io::Errno::PERM).contains("io_uring_disabled=2"));
        std::fs::write(at("proc/sys/kernel/io_uring_disabled"), "1\n").unwrap();
        assert!(reason(rustix::io::Errno::PERM).contains("io_uring_group"));
        assert!(reason(rustix::io::Errno::MFILE).contains("os error"));
    }

    #[test]
    fn ring_works_or_is_blocked() {
        let facts = query(&Root::host());
        assert_eq!(facts.works, facts.blocked.is_none());
        assert!(!facts.works || facts.operations.contains(&"fsync".to_owned()), "{facts:?}");
    }
}
