//! What the kernel says about processes: the driver's own time, and the servers'.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;

use rustix::time::{ClockId, clock_gettime};

/// The unit of times in `/proc`: 100 on every architecture of Linux, whatever the timer's rate.
const TICKS_PER_SECOND: u64 = 100;

/// Nanoseconds of processor time that this process has used.
pub(crate) fn own_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Nanoseconds of processor time that processes have used; `None` if one of them is gone.
pub(crate) fn cpu_ns(pids: &[u32]) -> Option<u64> {
    pids.iter().map(|pid| cpu_ns_of(*pid)).sum()
}

/// Bytes of memory that processes hold, and the most they ever held.
pub(crate) fn rss_bytes(pids: &[u32]) -> Option<(u64, u64)> {
    let mut each = pids.iter().map(|pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        Some((status_bytes(&status, "VmRSS:")?, status_bytes(&status, "VmHWM:")?))
    });
    each.try_fold((0, 0), |(rss, peak), one| one.map(|(r, p)| (rss + r, peak + p)))
}

/// `utime` and `stime` of `/proc/PID/stat`: they add up to the scheduler's exact time, cut to
/// ticks of 10 ms.
fn cpu_ns_of(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may hold anything, also parentheses and spaces.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(ticks * 1_000_000_000 / TICKS_PER_SECOND)
}

fn status_bytes(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1_024)
}

/// The processes that listen on these addresses, for those that are on this host. Sockets of
/// other users are not seen without the right to.
pub(crate) fn listeners(servers: &[SocketAddr]) -> Vec<u32> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string);
    let local = servers.iter().filter(|server| server.ip().is_loopback());
    let ports: BTreeSet<u16> = local.map(SocketAddr::port).collect();
    let tables = tables.iter().flatten();
    let inodes: BTreeSet<u64> = tables.flat_map(|table| listening_inodes(table, &ports)).collect();
    if inodes.is_empty() { Vec::new() } else { owners(&inodes) }
}

/// Inodes of the listening sockets (state 0A) of a table.
fn listening_inodes(table: &str, ports: &BTreeSet<u16>) -> Vec<u64> {
    let lines = table.lines().skip(1);
    let inode = |line: &str| -> Option<u64> {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let port = u16::from_str_radix(fields.get(1)?.rsplit_once(':')?.1, 16).ok()?;
        let listens = *fields.get(3)? == "0A" && ports.contains(&port);
        if listens { fields.get(9)?.parse().ok() } else { None }
    };
    lines.filter_map(inode).collect()
}

fn owners(inodes: &BTreeSet<u64>) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| holds_one(*pid, inodes)).collect()
}

fn holds_one(pid: u32, inodes: &BTreeSet<u64>) -> bool {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    entries.flatten().any(|entry| {
        let link = fs::read_link(entry.path()).unwrap_or_default();
        let inode = link.to_str().and_then(|link| link.strip_prefix("socket:[")?.strip_suffix(']'));
        inode.and_then(|inode| inode.parse().ok()).is_some_and(|inode| inodes.contains(&inode))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn this_process_is_found_by_its_port() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(listeners(&[address]), [std::process::id()]);
    }

    #[test]
    fn time_and_memory_of_this_process() {
        let own = [std::process::id()];
        assert!(cpu_ns(&own).is_some() && own_cpu_ns() > 0);
        let (rss, peak) = rss_bytes(&own).unwrap();
        assert!(rss > 100_000 && peak >= rss);
        assert_eq!(cpu_ns(&[u32::MAX]), None);
    }
}
