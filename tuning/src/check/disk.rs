//! The file systems and disks below the server's directories.

use std::path::Path;

use super::finding::{Condition, Finding, Severity};
use super::host::Host;
use crate::change::Change;
use crate::probe::disk::BlockDevice;
use crate::text;
use ringkeeper_bench::servers::mounts::Mount;
use ringkeeper_bench::servers::root::chosen;

/// File systems that are gone with the power, or whose sync promises nothing that we know of.
const NOT_DURABLE: &[(&str, &str)] = &[
    ("tmpfs", "it is memory"),
    ("ramfs", "it is memory"),
    ("devtmpfs", "it is memory"),
    ("overlay", "it is the writable layer of a container and goes with it"),
    ("aufs", "it is the writable layer of a container and goes with it"),
    ("nfs", "it is on the network: its locks and syncs are another machine's"),
    ("nfs4", "it is on the network: its locks and syncs are another machine's"),
    ("cifs", "it is on the network: its locks and syncs are another machine's"),
    ("smb3", "it is on the network: its locks and syncs are another machine's"),
    ("9p", "it is another machine's, and its sync need not reach a disk"),
    ("ceph", "it is on the network: its locks and syncs are another machine's"),
    ("glusterfs", "it is on the network: its locks and syncs are another machine's"),
    ("fuse.glusterfs", "it is on the network: its locks and syncs are another machine's"),
    ("fuse.sshfs", "it is on the network: its locks and syncs are another machine's"),
    ("fuse.s3fs", "it is an object store"),
];
/// File systems that the log was made for.
const GOOD: &[&str] = &["ext4", "xfs"];
/// Schedulers that do not hold a commit back.
const SCHEDULERS: &[&str] = &["none", "noop", "mq-deadline", "deadline", "kyber"];
/// Free space beyond what the server reserves, below which it is tight.
const TIGHT: u64 = 1 << 30;

pub(super) fn all(host: &Host) -> Vec<Finding> {
    let (log, data) = (&host.configured.log_dir, &host.configured.data_dir);
    let mut findings = of_directory(host, "log", log);
    if host.mount(log) != host.mount(data) {
        findings.extend(of_directory(host, "snapshots", data));
    }
    findings.extend(of_disks(host, log));
    findings.push(one_disk(host));
    findings.push(space(host));
    findings
}

fn of_directory(host: &Host, what: &str, directory: &Path) -> Vec<Finding> {
    let Some(mount) = host.mount(directory) else {
        let condition = file_system_condition(what);
        return vec![condition.unknown("/proc/self/mountinfo does not say")];
    };
    vec![file_system(what, &mount), barriers(what, &mount), options(what, &mount)]
}

fn file_system_condition(what: &str) -> Condition {
    Condition::new(
        format!("file system ({what})"),
        "ext4 or xfs, on a disk of this host",
        Severity::Fatal,
        "a write is acknowledged when the file system says that it is on the disk; it has to be \
         true, and blocks allocated ahead have to stay where they are",
    )
}

fn file_system(what: &str, mount: &Mount) -> Finding {
    let condition = file_system_condition(what);
    let (kind, point) = (mount.kind.as_str(), mount.point.display());
    let current = format!("{kind} on {point}");
    if let Some((_, reason)) = NOT_DURABLE.iter().find(|(name, _)| *name == kind) {
        let fix = format!("put the directory on a local disk with ext4 or xfs: {kind} {reason}");
        return condition.fails(current, fix);
    }
    if GOOD.contains(&kind) {
        return condition.passes(current);
    }
    let fix = match kind {
        "btrfs" | "zfs" | "bcachefs" => {
            "it never writes in place, so commits cost more and a full disk is noticed late; use \
             ext4 or xfs"
        }
        "ext2" | "vfat" | "exfat" | "minix" => {
            "it has no journal, so a power cut can damage its directories; use ext4 or xfs"
        }
        _ => "the log was not tested on it; use ext4 or xfs",
    };
    condition.with_severity(Severity::Warning).fails(current, fix)
}

fn barriers(what: &str, mount: &Mount) -> Finding {
    let condition = Condition::new(
        format!("barriers ({what})"),
        "on, and writable",
        Severity::Fatal,
        "without barriers a sync returns before the disk's cache is flushed, and a power cut takes \
         acknowledged writes",
    );
    let point = mount.point.display();
    if mount.has("ro") {
        let fix = format!("mount -o remount,rw {point}");
        return condition.fails("read-only", fix);
    }
    let off = mount.has("nobarrier") || mount.value("barrier") == Some("0");
    match off {
        true => condition.fails("off", format!("mount -o remount,barrier=1 {point}, and in fstab")),
        false => condition.passes("on"),
    }
}

fn options(what: &str, mount: &Mount) -> Finding {
    let condition = Condition::new(
        format!("mount options ({what})"),
        "noatime or relatime, data=ordered, no discard, no sync",
        Severity::Advice,
        "each of the others makes the file system do something needless at a commit",
    );
    let mut wrong: Vec<&str> = Vec::new();
    for option in ["strictatime", "discard", "sync", "dirsync"] {
        if mount.has(option) {
            wrong.push(option);
        }
    }
    let data = match mount.value("data") {
        Some("journal") => "data=journal",
        Some("writeback") => "data=writeback",
        Some(_) | None => "",
    };
    if !data.is_empty() {
        wrong.push(data);
    }
    if wrong.is_empty() {
        return condition.passes(mount.options.join(","));
    }
    let point = mount.point.display();
    let off: String = wrong
        .iter()
        .map(|option| match *option {
            "strictatime" => ",noatime".to_owned(),
            "sync" => ",async".to_owned(),
            other => format!(",no{other}"),
        })
        .collect();
    let fix = match data {
        "" => format!("mount -o remount{off} {point}, and in fstab; fstrim.timer for discard"),
        _ => format!("data=ordered in fstab for {point}, and a restart: it cannot be remounted"),
    };
    condition.fails(wrong.join(","), fix)
}

fn of_disks(host: &Host, log: &Path) -> Vec<Finding> {
    let disks = host.disks(log);
    if disks.is_empty() {
        let reason = "no block device is seen below the log";
        return vec![
            scheduler_condition("log").unknown(reason),
            cache_condition("log").unknown(reason),
        ];
    }
    disks.iter().flat_map(|disk| [scheduler(host, disk), cache(host, disk)]).collect()
}

fn scheduler_condition(disk: &str) -> Condition {
    Condition::new(
        format!("I/O scheduler ({disk})"),
        "none, mq-deadline or kyber",
        Severity::Warning,
        "one that is fair between processes lets a commit wait for the turn of others",
    )
}

fn scheduler(host: &Host, disk: &BlockDevice) -> Finding {
    let condition = scheduler_condition(&disk.name);
    let path = disk.queue("scheduler");
    let Some(text) = host.root.word(&path) else {
        return condition.unknown(format!("{} cannot be read", path.display()));
    };
    let current = chosen(&text);
    if SCHEDULERS.contains(&current) {
        return condition.passes(current);
    }
    let offered = text.replace(['[', ']'], " ");
    let better =
        SCHEDULERS.iter().find(|name| offered.split_whitespace().any(|word| word == **name));
    match better {
        Some(to) => condition
            .fails(current, format!("echo {to} > {}", path.display()))
            .change([Change::plain(&path, to, &udev_rule(&disk.name, to))]),
        None => condition.fails(current, "load the module of another scheduler (mq-deadline)"),
    }
}

fn udev_rule(disk: &str, scheduler: &str) -> String {
    format!(
        "/etc/udev/rules.d/60-ringkeeper.rules: ACTION==\"add|change\", KERNEL==\"{disk}\", \
         ATTR{{queue/scheduler}}=\"{scheduler}\""
    )
}

fn cache_condition(disk: &str) -> Condition {
    Condition::new(
        format!("write cache ({disk})"),
        "write back, or write through and protected",
        Severity::Warning,
        "with write back the kernel flushes the disk's cache at every commit; with write through \
         it does not, which is right only where the cache survives a power cut",
    )
}

fn cache(host: &Host, disk: &BlockDevice) -> Finding {
    let condition = cache_condition(&disk.name);
    match host.root.word(disk.queue("write_cache")).as_deref() {
        Some("write back") => {
            let fua = host.root.word(disk.queue("fua"));
            condition.passes(format!("write back, FUA {}", fua.as_deref().unwrap_or("unknown")))
        }
        Some("write through") => {
            condition.unknown("write through; whether its cache survives a power cut")
        }
        Some(other) => condition.unknown(format!("\"{other}\" is neither of the two")),
        None => {
            condition.unknown(format!("{} cannot be read", disk.queue("write_cache").display()))
        }
    }
}

fn one_disk(host: &Host) -> Finding {
    let condition = Condition::new(
        "log apart from snapshots",
        "two disks",
        Severity::Advice,
        "on one disk a commit waits behind what a snapshot writes",
    );
    let (log, data) = (host.disks(&host.configured.log_dir), host.disks(&host.configured.data_dir));
    if log.is_empty() || data.is_empty() {
        return condition.unknown("no block device is seen below one of them");
    }
    let shared: Vec<&str> =
        log.iter().filter(|disk| data.contains(disk)).map(|disk| disk.name.as_str()).collect();
    match shared.is_empty() {
        true => condition.passes("two disks"),
        false => condition
            .fails(format!("both on {}", shared.join(", ")), "dataLogDir on a disk of its own"),
    }
}

fn space(host: &Host) -> Finding {
    let configured = &host.configured;
    let needed = configured.reserve_bytes.saturating_add(2 * configured.segment_bytes);
    let condition = Condition::new(
        "free space",
        format!("{} for the log, and {} to grow", text::bytes(needed), text::bytes(TIGHT)),
        Severity::Warning,
        "when no segment can be made any more, writes are refused",
    );
    let Some(free) = host.free_log else {
        return condition.unknown("the file system cannot be asked");
    };
    let least = host.free_data.map_or(free, |data| data.min(free));
    let current = text::bytes(least);
    let fix = "make space, or a larger disk";
    if free < needed {
        condition.with_severity(Severity::Fatal).fails(current, fix)
    } else if least < needed.saturating_add(TIGHT) {
        condition.fails(current, fix)
    } else {
        condition.passes(current)
    }
}
