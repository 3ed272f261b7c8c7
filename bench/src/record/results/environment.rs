//! The host that measured.

use serde::{Deserialize, Serialize};

use crate::servers::groups::GroupLimit;
use crate::servers::host::kilobytes;
use crate::servers::root::Root;

/// What the host is.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Host {
    pub kernel: String,
    pub cpu: String,
    /// Processors that this process may use.
    pub cpus: usize,
    /// What chooses their frequency, if anything on this host does.
    pub governor: Option<String>,
    pub memory_bytes: Option<u64>,
    /// Bytes of memory that the driver's control group may use, if it is limited.
    pub cgroup_memory_bytes: Option<u64>,
    /// Processors that the driver's control group may use, if it is limited.
    pub cgroup_cpus: Option<f64>,
    /// The load average at the begin.
    pub load_average: Option<f64>,
    /// Names of the hypervisor or the board, if known.
    pub machine: Option<String>,
}

impl Host {
    pub(crate) fn describe() -> Host {
        let cpuinfo = read("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
        let meminfo = read("/proc/meminfo").unwrap_or_default();
        let memory = limit("memory.max", ("memory", "memory.limit_in_bytes"));
        let cpus = limit("cpu.max", ("cpu", "cpu.cfs_quota_us"));
        Host {
            kernel: read("/proc/sys/kernel/osrelease").unwrap_or_default(),
            cpu: model.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown").into(),
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            memory_bytes: kilobytes(&meminfo, "MemTotal:"),
            cgroup_memory_bytes: memory.and_then(|bytes| bytes.parse().ok()),
            cgroup_cpus: cpus.as_deref().and_then(GroupLimit::cpus),
            load_average: load_average(),
            machine: read("/sys/class/dmi/id/product_name"),
        }
    }
}

/// The load average of the last minute.
pub(crate) fn load_average() -> Option<f64> {
    read("/proc/loadavg")?.split(' ').next()?.parse().ok()
}

fn limit(new: &str, old: (&str, &str)) -> Option<String> {
    match GroupLimit::of(&Root::host(), new, old) {
        GroupLimit::Is(value) => Some(value),
        GroupLimit::None | GroupLimit::Unknown => None,
    }
}

fn read(path: &str) -> Option<String> {
    Root::host().word(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_is_described() {
        let host = Host::describe();
        assert!(!host.kernel.is_empty() && host.cpus > 0, "{host:?}");
        assert!(host.memory_bytes.unwrap() > 1 << 24, "{host:?}");
        assert!(host.load_average.is_some(), "{host:?}");
    }
}
