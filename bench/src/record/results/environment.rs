//! The host that measured.

use serde::{Deserialize, Serialize};

use crate::servers::host::kilobytes;
use crate::servers::root::Root;

/// What the host is.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Host {
    /// Release of the kernel.
    pub kernel: String,
    /// Model of the processor.
    pub cpu: String,
    /// Processors that this process may use.
    pub cpus: usize,
    /// What chooses their frequency, if anything on this host does.
    pub governor: Option<String>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Bytes of memory that the driver's control group may use, if it is limited.
    pub cgroup_memory_bytes: Option<u64>,
    /// Processors that the driver's control group may use, if it is limited.
    pub cgroup_cpus: Option<f64>,
    /// The load average at the begin.
    pub load_average: Option<f64>,
    /// Names of the hypervisor or the board, if they are told.
    pub machine: Option<String>,
}

impl Host {
    /// This host, now.
    pub(crate) fn describe() -> Host {
        let cpuinfo = read("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
        let meminfo = read("/proc/meminfo").unwrap_or_default();
        Host {
            kernel: read("/proc/sys/kernel/osrelease").unwrap_or_default(),
            cpu: model.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown").into(),
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            memory_bytes: kilobytes(&meminfo, "MemTotal:"),
            cgroup_memory_bytes: cgroup_memory(),
            cgroup_cpus: cgroup_cpus(),
            load_average: load_average(),
            machine: read("/sys/class/dmi/id/product_name"),
        }
    }
}

/// The load average of the last minute.
pub(crate) fn load_average() -> Option<f64> {
    read("/proc/loadavg")?.split(' ').next()?.parse().ok()
}

/// The smallest limit from this process's group up to the root.
fn cgroup_memory() -> Option<u64> {
    let unified = groups("", "/sys/fs/cgroup", "memory.max");
    let old = groups("memory", "/sys/fs/cgroup/memory", "memory.limit_in_bytes");
    // The old form says "no limit" as a number near 2^63.
    let limits = unified.iter().chain(&old).filter_map(|text| text.parse::<u64>().ok());
    limits.filter(|limit| *limit < 1 << 60).min()
}

fn cgroup_cpus() -> Option<f64> {
    let unified = groups("", "/sys/fs/cgroup", "cpu.max").into_iter().filter_map(|text| {
        let (quota, period) = text.split_once(' ')?;
        Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
    });
    let quotas = groups("cpu", "/sys/fs/cgroup/cpu", "cpu.cfs_quota_us");
    let periods = groups("cpu", "/sys/fs/cgroup/cpu", "cpu.cfs_period_us");
    let old = quotas.iter().zip(&periods).filter_map(|(quota, period)| {
        let quota = quota.parse::<f64>().ok().filter(|quota| *quota > 0.0)?;
        Some(quota / period.parse::<f64>().ok()?)
    });
    unified.chain(old).min_by(f64::total_cmp)
}

/// What a file says in this process's group of a controller and in all groups above it.
fn groups(controller: &str, root: &str, file: &str) -> Vec<String> {
    let own = read("/proc/self/cgroup").unwrap_or_default();
    let path = own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let controllers = parts.nth(1)?;
        controllers.split(',').any(|name| name == controller).then(|| parts.next())?
    });
    let path = path.unwrap_or("/").trim_end_matches('/');
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    ends.filter_map(|end| read(&format!("{root}{}/{file}", &path[..end]))).collect()
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
