//! The host as the checks see it.

use std::path::{Path, PathBuf};

use ringkeeper_engine::device::{Directory, Disk, Durability, Strategy};

use crate::probe::disk::BlockDevice;
use crate::probe::ring::{self, RingFacts};
use ringkeeper_bench::servers::groups::GroupLimit;
use ringkeeper_bench::servers::mounts::{Mount, existing};
use ringkeeper_bench::servers::root::Root;

/// Processes that set the clock.
const CLOCK_SETTERS: [&str; 7] =
    ["chronyd", "ntpd", "systemd-timesyn", "openntpd", "ptp4l", "phc2sys", "VBoxService"];

/// Why a limit is not known.
pub(super) const NO_GROUPS: &str = "the files of control groups are not to be seen";

/// What the server is configured to use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Configured {
    /// The directory of the snapshots.
    pub data_dir: PathBuf,
    /// The directory of the log.
    pub log_dir: PathBuf,
    /// Bytes of disk held back for the log.
    pub reserve_bytes: u64,
    /// Bytes of a segment of the log.
    pub segment_bytes: u64,
    /// Connections that may wait to be accepted.
    pub backlog: u32,
    /// Client connections at most; nothing where there is no limit.
    pub connections: Option<u32>,
}

/// The host, or a copy of its `/proc` and `/sys`.
pub(crate) struct Host {
    pub(crate) root: Root,
    pub(crate) configured: Configured,
    /// Bytes free below the log and below the data; known of a real host only.
    pub(crate) free_log: Option<u64>,
    pub(crate) free_data: Option<u64>,
    /// What io_uring can do; known of a real host only.
    pub(crate) ring: Option<RingFacts>,
}

impl Host {
    pub(crate) fn new(root: Root, configured: Configured) -> Host {
        let live = root.is_host();
        let free = |directory: &Path| if live { free_bytes(directory) } else { None };
        Host {
            free_log: free(&configured.log_dir),
            free_data: free(&configured.data_dir),
            ring: live.then(|| ring::query(&root)),
            root,
            configured,
        }
    }

    /// The mount below a directory of the server. In a copy of a host paths are not followed.
    pub(crate) fn mount(&self, directory: &Path) -> Option<Mount> {
        let path = if self.root.is_host() { existing(directory) } else { directory.to_owned() };
        Mount::of(&self.root, &path)
    }

    /// The disks below a directory.
    pub(crate) fn disks(&self, directory: &Path) -> Vec<BlockDevice> {
        let device = self.mount(directory).and_then(|mount| BlockDevice::of(&self.root, &mount));
        device.map_or(Vec::new(), |device| device.bottom(&self.root))
    }

    /// Whether this is a container, where some of what is seen is another host's.
    pub(crate) fn is_container(&self) -> bool {
        let groups = self.root.read("/proc/1/cgroup").unwrap_or_default();
        let named = ["docker", "kubepods", "containerd", "libpod", "lxc"];
        self.root.has("/.dockerenv")
            || self.root.has("/run/.containerenv")
            || named.iter().any(|name| groups.contains(name))
    }

    /// The process that keeps the clock right, as far as processes can be seen.
    pub(crate) fn clock_setter(&self) -> Option<String> {
        let pids = self.root.names("/proc");
        let pids = pids.iter().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        pids.filter_map(|pid| self.root.word(format!("/proc/{pid}/comm")))
            .find(|comm| CLOCK_SETTERS.contains(&comm.as_str()))
    }

    /// The limit of a control group.
    pub(crate) fn group_limit(&self, new: &str, old: (&str, &str)) -> GroupLimit {
        GroupLimit::of(&self.root, new, old)
    }

    /// A line of `/proc/self/limits`: the soft and the hard limit; `u64::MAX` is none.
    pub(crate) fn limit(&self, name: &str) -> Option<(u64, u64)> {
        let text = self.root.read("/proc/self/limits").ok()?;
        let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
        let mut words = rest.split_whitespace().map(|word| match word {
            "unlimited" => Some(u64::MAX),
            number => number.parse().ok(),
        });
        Some((words.next()??, words.next()??))
    }
}

fn free_bytes(directory: &Path) -> Option<u64> {
    let device = Disk::open(&existing(directory), Strategy::Pwrite, Durability::Synced).ok()?;
    device.free_bytes().ok()
}
