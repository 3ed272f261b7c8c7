//! The checks on copies of hosts: a good one, and one for each thing that can be wrong or strange.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::finding::{Finding, Outcome, Severity};
use super::{Configured, code, findings, table};
use ringkeeper_bench::servers::root::Root;
use ringkeeper_bench::show::paint::Paint;

/// A copy of `/proc` and `/sys`.
pub(crate) struct Copy {
    held: TempDir,
}

const MOUNTS: &str = "1 0 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n\
                      2 1 8:17 / /data rw,noatime - xfs /dev/sdb1 rw\n";

impl Copy {
    /// A host with nothing to complain of.
    pub(crate) fn good() -> Copy {
        let copy = Copy { held: tempfile::tempdir().unwrap() };
        for (path, text) in [
            ("proc/self/mountinfo", MOUNTS),
            ("proc/self/cgroup", "0::/system.slice/x.service\n"),
            ("proc/self/limits", "Max open files            70000    80000    files\n"),
            ("proc/self/status", "Seccomp:\t0\n"),
            ("proc/1/comm", "systemd\n"),
            ("proc/77/comm", "chronyd\n"),
            ("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n"),
            ("proc/sys/vm/swappiness", "60\n"),
            ("proc/sys/vm/overcommit_memory", "0\n"),
            ("proc/sys/kernel/osrelease", "6.8.0-31-generic\n"),
            ("proc/sys/kernel/io_uring_disabled", "0\n"),
            ("proc/sys/net/core/somaxconn", "4096\n"),
            ("proc/sys/net/ipv4/tcp_max_syn_backlog", "4096\n"),
            ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
            ("sys/fs/cgroup/system.slice/x.service/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/system.slice/x.service/memory.max", "max\n"),
            ("sys/fs/cgroup/system.slice/x.service/pids.max", "9000\n"),
            ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n"),
            ("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "performance\n"),
            ("sys/devices/system/cpu/cpu0/cpuidle/state0/latency", "2\n"),
            ("sys/devices/system/cpu/cpu0/cpuidle/state0/name", "C1\n"),
            ("sys/devices/system/cpu/cpufreq/boost", "1\n"),
            ("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n"),
            ("sys/devices/system/clocksource/clocksource0/available_clocksource", "tsc hpet\n"),
        ] {
            copy.write(path, text);
        }
        copy.disk("sda", "8:1");
        copy.disk("sdb", "8:17");
        copy
    }

    /// A disk with one partition.
    fn disk(&self, name: &str, device: &str) {
        let real = format!("sys/devices/{name}");
        self.write(&format!("{real}/queue/scheduler"), "[none] mq-deadline bfq\n");
        self.write(&format!("{real}/queue/write_cache"), "write back\n");
        self.write(&format!("{real}/queue/fua"), "1\n");
        self.write(&format!("{real}/{name}1/partition"), "1\n");
        for (link, to) in [
            (format!("sys/dev/block/{device}"), format!("{real}/{name}1")),
            (format!("sys/block/{name}"), real.clone()),
        ] {
            std::fs::create_dir_all(self.at(&link).parent().unwrap()).unwrap();
            symlink(self.at(&to), self.at(&link)).unwrap();
        }
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.held.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.at(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn with(self, path: &str, text: &str) -> Copy {
        self.write(path, text);
        self
    }

    pub(crate) fn root(&self) -> Root {
        Root::new(self.held.path())
    }

    fn findings(&self) -> Vec<Finding> {
        findings(self.root(), configured())
    }

    /// The one finding whose condition contains a word.
    fn find(&self, word: &str) -> Finding {
        let mut found = self.findings();
        found.retain(|finding| finding.condition.contains(word));
        assert!(!found.is_empty(), "no condition contains {word}");
        found.swap_remove(0)
    }
}

pub(crate) fn configured() -> Configured {
    Configured {
        data_dir: PathBuf::from("/var/lib/ringkeeper"),
        log_dir: PathBuf::from("/data/log"),
        reserve_bytes: 64 << 20,
        segment_bytes: 16 << 20,
        backlog: 4_096,
        connections: None,
    }
}

#[test]
fn good_host_passes_and_unseen_is_no_pass() {
    let all = Copy::good().findings();
    let of = |outcome| {
        let of = all.iter().filter(move |finding| finding.outcome == outcome);
        of.map(|finding| finding.condition.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(of(Outcome::Failed), [""; 0]);
    assert_eq!(of(Outcome::Unknown), ["free space", "io_uring works"]);
    assert_eq!(serde_json::json!(Outcome::Unknown), "cannot-tell", "readers of JSON know it so");
    assert_eq!(code(&all), 0);
}

#[test]
fn empty_root_gives_only_unknown() {
    let empty = tempfile::tempdir().unwrap();
    let all = findings(Root::new(empty.path()), configured());
    for finding in &all {
        assert_eq!(finding.outcome, Outcome::Unknown, "{finding:?}");
        assert!(finding.current.starts_with("cannot tell: ") && finding.changes.is_empty());
    }
    assert_eq!((all.len(), code(&all)), (22, 0));
}

#[test]
fn malformed_files_are_no_pass() {
    let paths = [
        "proc/self/mountinfo",
        "proc/self/cgroup",
        "proc/self/limits",
        "proc/swaps",
        "proc/sys/vm/swappiness",
        "proc/sys/vm/overcommit_memory",
        "proc/sys/kernel/osrelease",
        "proc/sys/kernel/io_uring_disabled",
        "proc/sys/net/core/somaxconn",
        "sys/fs/cgroup/system.slice/x.service/cpu.max",
        "sys/fs/cgroup/system.slice/x.service/memory.max",
        "sys/fs/cgroup/system.slice/x.service/pids.max",
        "sys/devices/sdb/queue/scheduler",
        "sys/devices/sdb/queue/write_cache",
        "sys/devices/system/cpu/cpu0/cpuidle/state0/latency",
    ];
    let weird: [&[u8]; 6] =
        [b"", b"\n\n", b"-1", b"\xff\xfe\x00", b"99999999999999999999999", b"1 2 3 [ - ] max :::"];
    let copy = Copy::good();
    for path in paths {
        let good = std::fs::read(copy.at(path)).unwrap();
        for bytes in weird {
            std::fs::write(copy.at(path), bytes).unwrap();
            let all = copy.findings();
            assert!(all.len() >= 20, "{path}");
            assert!(!table(&all, Paint::Plain).is_empty());
        }
        std::fs::write(copy.at(path), good).unwrap();
    }
    for (path, word) in [
        ("proc/sys/vm/overcommit_memory", "overcommit"),
        ("proc/sys/kernel/io_uring_disabled", "io_uring_disabled"),
        ("proc/sys/kernel/osrelease", "kernel"),
        ("proc/sys/net/core/somaxconn", "somaxconn"),
        ("sys/devices/sdb/queue/write_cache", "write cache"),
        ("proc/self/limits", "NOFILE"),
    ] {
        let found = Copy::good().with(path, "what?\n").find(word);
        assert_eq!(found.outcome, Outcome::Unknown, "{found:?}");
    }
}

#[test]
fn file_systems_that_are_not_durable_are_fatal() {
    for kind in ["tmpfs", "overlay", "nfs4", "9p", "fuse.sshfs"] {
        let mounts = format!("{MOUNTS}3 2 0:50 / /data/log rw - {kind} x rw\n");
        let copy = Copy::good().with("proc/self/mountinfo", &mounts);
        let found = copy.find("file system (log)");
        assert_eq!((found.outcome, found.severity), (Outcome::Failed, Severity::Fatal), "{kind}");
        assert_eq!(code(&copy.findings()), 2);
    }
    let mounts = format!("{MOUNTS}3 2 0:50 / /data rw - btrfs /dev/none rw\n");
    let copy = Copy::good().with("proc/self/mountinfo", &mounts);
    assert_eq!(copy.find("file system (log)").severity, Severity::Warning);
    assert_eq!(code(&copy.findings()), 1);
}

#[test]
fn bad_mount_options_fail() {
    let with = |options: &str, word: &str| {
        let mounts = format!("2 1 8:17 / /data {options} - ext4 /dev/sdb1 rw\n");
        Copy::good().with("proc/self/mountinfo", &mounts).find(word)
    };
    assert_eq!(with("rw,nobarrier", "barriers").severity, Severity::Fatal);
    assert_eq!(with("rw,barrier=0", "barriers").current, "off");
    assert_eq!(with("ro", "barriers").current, "read-only");
    let found = with("rw,discard,sync,strictatime", "mount options");
    assert_eq!((found.outcome, found.severity), (Outcome::Failed, Severity::Advice));
    let fix = found.fix.unwrap();
    assert!(fix.starts_with("mount -o remount,noatime,nodiscard,async /data"), "{fix}");
    let fix = with("rw,data=writeback", "mount options").fix.unwrap();
    assert!(fix.contains("cannot be remounted"), "{fix}");
}

#[test]
fn changeable_findings_have_changes() {
    for (path, text, word, to) in [
        ("sys/devices/sdb/queue/scheduler", "none [bfq] mq-deadline", "scheduler", "none"),
        ("sys/devices/sdb/queue/scheduler", "mq-deadline [bfq]", "scheduler", "mq-deadline"),
        (
            "sys/kernel/mm/transparent_hugepage/enabled",
            "[always] madvise never",
            "huge pages",
            "madvise",
        ),
        ("proc/sys/net/core/somaxconn", "128", "somaxconn", "4096"),
        (
            "sys/devices/system/clocksource/clocksource0/current_clocksource",
            "hpet",
            "clocksource",
            "tsc",
        ),
    ] {
        let found = Copy::good().with(path, text).find(word);
        assert_eq!(found.outcome, Outcome::Failed, "{found:?}");
        let changes: Vec<&str> = found.changes.iter().map(|change| change.to.as_str()).collect();
        assert_eq!(changes, [to]);
    }
    let swaps = Copy::good().with("proc/swaps", "Filename\n/dev/sda2 partition 8 0 -2\n");
    assert_eq!(swaps.find("swap").changes[0].path, "/proc/sys/vm/swappiness");
    assert_eq!(swaps.with("proc/sys/vm/swappiness", "1\n").find("swap").outcome, Outcome::Passed);
}

#[test]
fn slow_governor_and_deep_idle_fail() {
    let governor = "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor";
    let offered = "sys/devices/system/cpu/cpu1/cpufreq/scaling_available_governors";
    let found = Copy::good().with(governor, "powersave").find("governor");
    assert!(found.changes.is_empty() && found.current == "powersave on 1 of 2", "{found:?}");
    let copy = Copy::good().with(governor, "powersave").with(offered, "performance powersave");
    assert_eq!(copy.find("governor").changes[0].path, format!("/{governor}"));
    let state = "sys/devices/system/cpu/cpu0/cpuidle/state3";
    let copy = Copy::good().with(&format!("{state}/latency"), "890");
    assert_eq!(copy.find("C-states").outcome, Outcome::Failed);
    let copy = copy.with(&format!("{state}/disable"), "1");
    assert_eq!(copy.find("C-states").outcome, Outcome::Passed);
}

#[test]
fn the_smallest_limit_of_all_groups_counts() {
    let copy = Copy::good()
        .with("sys/fs/cgroup/system.slice/cpu.max", "150000 100000\n")
        .with("sys/fs/cgroup/system.slice/memory.max", "268435456\n");
    let found = copy.find("group: CPU");
    assert_eq!((found.outcome, found.current.as_str()), (Outcome::Failed, "1.5 CPUs"));
    assert_eq!(copy.find("group: memory").current, "256 MiB");
    let hidden = Copy::good().with("proc/self/cgroup", "0::/elsewhere\n");
    assert_eq!(hidden.find("group: CPU").outcome, Outcome::Unknown);
    let top = hidden.with("proc/self/cgroup", "0::/\n").with("sys/fs/cgroup/cgroup.procs", "");
    assert_eq!(top.find("group: CPU").current, "no quota");
    let old = Copy::good()
        .with("proc/self/cgroup", "4:memory:/docker/1\n2:cpu,cpuacct:/docker/1\n3:pids:/\n")
        .with("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
        .with("sys/fs/cgroup/cpu/docker/1/cpu.cfs_quota_us", "50000\n")
        .with("sys/fs/cgroup/pids/pids.max", "20\n");
    assert_eq!(old.find("group: CPU").current, "0.5 CPUs");
    assert_eq!(old.find("group: memory").current, "no limit");
    assert_eq!(old.find("group: tasks").outcome, Outcome::Failed);
}

#[test]
fn clock_setter_in_container_is_unknown() {
    let copy = Copy::good();
    std::fs::remove_dir_all(copy.at("proc/77")).unwrap();
    assert_eq!(copy.find("time").outcome, Outcome::Failed);
    copy.write("sys/class/ptp/ptp0/clock_name", "KVM virtual PTP");
    assert_eq!(copy.find("time").outcome, Outcome::Unknown);
    std::fs::remove_dir_all(copy.at("sys/class/ptp")).unwrap();
    copy.write(".dockerenv", "");
    assert_eq!(copy.find("time").outcome, Outcome::Unknown);
}

#[test]
fn old_kernel_and_low_limits_fail() {
    let old = Copy::good().with("proc/sys/kernel/osrelease", "4.18.0-553.el8\n");
    assert_eq!(old.find("kernel").outcome, Outcome::Failed);
    assert_eq!(old.find("MEMLOCK").outcome, Outcome::Unknown);
    let limits = "Max open files  1024  4096  files\nMax locked memory  65536  65536  bytes\n";
    let old = old.with("proc/self/limits", limits);
    assert_eq!(old.find("MEMLOCK").outcome, Outcome::Failed);
    assert_eq!(old.find("NOFILE").current, "1,024 (hard 4,096)");
    std::fs::remove_file(old.at("proc/sys/kernel/io_uring_disabled")).unwrap();
    assert_eq!(old.find("io_uring_disabled").outcome, Outcome::Passed);
    let with = Copy::good().with("proc/sys/kernel/io_uring_disabled", "2\n");
    assert_eq!(with.find("io_uring_disabled").outcome, Outcome::Failed);
}

#[test]
fn table_has_fixes() {
    let copy = Copy::good().with("proc/sys/net/core/somaxconn", "128\n");
    let text = table(&copy.findings(), Paint::Plain);
    assert!(text.contains("warning  net.core.somaxconn"), "{text}");
    assert!(text.contains("fix: sysctl -w net.core.somaxconn=4096"), "{text}");
    assert!(text.contains("?        io_uring works"), "{text}");
    assert!(text.contains("apply` shows 1 that"), "{text}");
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn this_host_can_be_checked() {
    let directory = tempfile::tempdir().unwrap();
    let here = Configured {
        data_dir: directory.path().to_owned(),
        log_dir: directory.path().join("not/yet/there"),
        ..configured()
    };
    let all = findings(Root::host(), here);
    let space = all.iter().find(|finding| finding.condition == "free space").unwrap();
    assert_ne!(space.outcome, Outcome::Unknown, "{space:?}");
    assert!(Path::new("/proc/self/mountinfo").exists());
}
