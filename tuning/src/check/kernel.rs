//! The kernel: its version, io_uring, the time, and the limits of files and sockets.

use super::finding::{Condition, Finding, Severity};
use super::host::Host;
use crate::change::Change;
use crate::text;

/// The first kernel whose io_uring the server was tried with for long.
const KERNEL_MIN: (u32, u32) = (5, 10);
/// Descriptors of a server without a limit of connections.
const FILES: u64 = 65_536;
/// Descriptors beside those of clients.
const FILES_EXTRA: u64 = 256;
const QUEUES: [(&str, &str); 2] = [
    ("net.core.somaxconn", "/proc/sys/net/core/somaxconn"),
    ("net.ipv4.tcp_max_syn_backlog", "/proc/sys/net/ipv4/tcp_max_syn_backlog"),
];
const DISABLED: &str = "/proc/sys/kernel/io_uring_disabled";

pub(super) fn all(host: &Host) -> Vec<Finding> {
    let mut findings = vec![release(host), switch(host), ring(host), time(host), files(host)];
    findings.extend(QUEUES.map(|(name, path)| queue(host, name, path)));
    findings
}

/// The two first numbers of the version.
pub(super) fn version(host: &Host) -> Option<(u32, u32)> {
    let release = host.root.word("/proc/sys/kernel/osrelease")?;
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn release(host: &Host) -> Finding {
    let (major, minor) = KERNEL_MIN;
    let condition = Condition::new(
        "kernel",
        format!("{major}.{minor} or later"),
        Severity::Warning,
        "before that io_uring lacks what the server uses, and it falls back to epoll",
    );
    match (version(host), host.root.word("/proc/sys/kernel/osrelease")) {
        (Some(found), Some(text)) if found >= KERNEL_MIN => condition.passes(text),
        (Some(_), Some(text)) => condition.fails(text, "a newer kernel"),
        (None, Some(text)) => condition.unknown(format!("\"{text}\" is no version")),
        (_, None) => condition.unknown("/proc/sys/kernel/osrelease cannot be read"),
    }
}

fn switch(host: &Host) -> Finding {
    let condition = Condition::new(
        "kernel.io_uring_disabled",
        "0",
        Severity::Warning,
        "without io_uring the sockets use epoll and the log has two ways less to write",
    );
    match host.root.word(DISABLED).as_deref() {
        Some("0") => condition.passes("0"),
        Some(value @ ("1" | "2")) => condition
            .fails(value, "sysctl -w kernel.io_uring_disabled=0, if your security rules allow it"),
        Some(other) => condition.unknown(format!("\"{other}\" is no value that we know")),
        None if version(host).is_some_and(|version| version < (6, 6)) => {
            condition.passes("this kernel has no such switch")
        }
        None => condition.unknown(format!("{DISABLED} cannot be read")),
    }
}

fn ring(host: &Host) -> Finding {
    let condition = Condition::new(
        "io_uring works",
        "yes",
        Severity::Warning,
        "seccomp filters of containers often forbid it, and no file of the kernel shows that: only \
         trying does",
    );
    match &host.ring {
        None => condition.unknown("this is not the host itself"),
        Some(facts) if facts.works => condition.passes("yes"),
        Some(facts) => {
            let why = facts.blocked.as_deref().unwrap_or("unknown");
            let fix = "allow io_uring_setup, io_uring_enter and io_uring_register in the profile";
            condition.fails(format!("no: {why}"), fix)
        }
    }
}

fn time(host: &Host) -> Finding {
    let condition = Condition::new(
        "time synchronisation",
        "chrony, ntpd or the like runs",
        Severity::Warning,
        "sessions do not depend on the time of day, but the times of znodes, TTLs and messages do",
    );
    if let Some(setter) = host.clock_setter() {
        return condition.passes(setter);
    }
    if host.root.has("/run/systemd/timesync/synchronized") {
        return condition.passes("systemd-timesyncd");
    }
    if host.is_container() {
        return condition.unknown("a container does not see the processes of its host");
    }
    if host.root.names("/proc").is_empty() {
        return condition.unknown("/proc cannot be read");
    }
    // A hypervisor can keep the clock through a device, without any process.
    if host.root.names("/sys/class/ptp").is_empty() {
        condition.fails("no such process is seen", "install chrony")
    } else {
        condition.unknown("no such process is seen, but a PTP device is")
    }
}

fn files(host: &Host) -> Finding {
    let clients = host.configured.connections;
    let needed = clients.map_or(FILES, |most| u64::from(most) + FILES_EXTRA);
    let condition = Condition::new(
        "RLIMIT_NOFILE",
        format!("{} at least", text::count(needed as f64)),
        Severity::Warning,
        "every client takes a descriptor; the limit here is that of this shell, and the unit of \
         the server has one of its own",
    );
    let fix = format!(
        "LimitNOFILE={needed} in the unit, or \"* - nofile {needed}\" in /etc/security/limits.conf"
    );
    match host.limit("Max open files") {
        None => condition.unknown("/proc/self/limits cannot be read"),
        Some((soft, _)) if soft >= needed => condition.passes(count(soft)),
        Some((soft, hard)) => {
            condition.fails(format!("{} (hard {})", count(soft), count(hard)), fix)
        }
    }
}

fn count(limit: u64) -> String {
    if limit == u64::MAX { "unlimited".to_owned() } else { text::count(limit as f64) }
}

fn queue(host: &Host, name: &'static str, path: &str) -> Finding {
    let needed = host.configured.backlog;
    let condition = Condition::new(
        name,
        format!("{needed} at least"),
        Severity::Warning,
        "when all clients come back at once, those that find no room in the queue wait for seconds \
         (clientPortListenBacklog)",
    );
    match host.root.number::<u32>(path) {
        None => condition.unknown(format!("{path} cannot be read")),
        Some(value) if value >= needed => condition.passes(value.to_string()),
        Some(value) => condition
            .fails(value.to_string(), format!("sysctl -w {name}={needed}"))
            .change([Change::sysctl(name, &needed.to_string())]),
    }
}
