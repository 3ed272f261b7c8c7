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

/// Nanoseconds of processor time that a process has used, which `utime` and `stime` of
/// `/proc/PID/stat` add up to, cut to ticks of 10 ms; `None` if it is gone, or only waits for its
/// parent to take note.
pub(crate) fn cpu_ns(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may hold anything, also parentheses and spaces.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    let mut times = fields.skip(10);
    let ticks = times.next()?.parse::<u64>().ok()? + times.next()?.parse::<u64>().ok()?;
    Some(ticks * 1_000_000_000 / TICKS_PER_SECOND)
}

/// Bytes of memory that a process holds, and the most it ever held.
pub(crate) fn rss_bytes(pid: u32) -> Option<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some((kilobytes(&status, "VmRSS:")?, kilobytes(&status, "VmHWM:")?))
}

/// The bytes of a line such as `MemTotal:   12 kB`.
pub(crate) fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1_024)
}

/// The process that listens on this address, if it is on this host. Sockets of other users are not
/// seen without the right to.
pub(crate) fn listener(server: SocketAddr) -> Option<u32> {
    if !server.ip().is_loopback() {
        return None;
    }
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string);
    let inodes = tables.iter().flatten().flat_map(|table| listening_inodes(table, server.port()));
    let inodes: BTreeSet<u64> = inodes.collect();
    if inodes.is_empty() { None } else { owner(&inodes) }
}

/// Inodes of the sockets of a table that listen (state 0A) on a port.
fn listening_inodes(table: &str, wanted: u16) -> Vec<u64> {
    let lines = table.lines().skip(1);
    let inode = |line: &str| -> Option<u64> {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let port = u16::from_str_radix(fields.get(1)?.rsplit_once(':')?.1, 16).ok()?;
        let listens = *fields.get(3)? == "0A" && port == wanted;
        if listens { fields.get(9)?.parse().ok() } else { None }
    };
    lines.filter_map(inode).collect()
}

fn owner(inodes: &BTreeSet<u64>) -> Option<u32> {
    let entries = fs::read_dir("/proc").ok()?;
    let mut pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.find(|pid| holds_one(*pid, inodes))
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
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        assert_eq!(listener(address), Some(std::process::id()));
    }

    #[test]
    fn time_and_memory_of_this_process() {
        let own = std::process::id();
        assert!(cpu_ns(own).is_some() && own_cpu_ns() > 0);
        let (rss, peak) = rss_bytes(own).unwrap();
        assert!(rss > 100_000 && peak >= rss);
        assert_eq!(cpu_ns(u32::MAX), None);
        assert_eq!(kilobytes("MemTotal:     12 kB\n", "MemTotal:"), Some(12_288));
    }
}
