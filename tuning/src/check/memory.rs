//! Memory: what is paged out, paged together, or not granted.

use super::finding::{Condition, Finding, Severity};
use super::host::{Host, NO_GROUPS};
use crate::change::Change;
use crate::text;
use ringkeeper_bench::servers::groups::GroupLimit;
use ringkeeper_bench::servers::root::chosen;

const HUGE_PAGES: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
const SWAPPINESS: &str = "/proc/sys/vm/swappiness";
const SWAPPINESS_MAX: u32 = 10;
/// Locked memory that rings of a server take on kernels that count it.
const LOCKED_BYTES: u64 = 64 << 20;
/// The first kernel that does not count it.
const UNCOUNTED: (u32, u32) = (5, 12);
/// A server with a small tree.
const MEMORY_MIN: u64 = 512 << 20;

pub(super) fn all(host: &Host) -> Vec<Finding> {
    vec![swap(host), huge_pages(host), overcommit(host), locked(host), group(host)]
}

fn swap(host: &Host) -> Finding {
    let condition = Condition::new(
        "swap and vm.swappiness",
        format!("no swap, or swappiness at most {SWAPPINESS_MAX}"),
        Severity::Warning,
        "a page of the tree that was swapped out is a pause in the middle of requests, and long \
         pauses expire sessions",
    );
    let Ok(swaps) = host.root.read("/proc/swaps") else {
        return condition.unknown("/proc/swaps cannot be read");
    };
    let devices = swaps.lines().skip(1).filter(|line| !line.trim().is_empty()).count();
    let swappiness: Option<u32> = host.root.number(SWAPPINESS);
    match (devices, swappiness) {
        (0, _) => condition.passes("no swap"),
        (_, None) => condition.unknown(format!("{SWAPPINESS} cannot be read")),
        (_, Some(value)) if value <= SWAPPINESS_MAX => {
            condition.passes(format!("swap, swappiness {value}"))
        }
        (_, Some(value)) => condition
            .fails(format!("swap, swappiness {value}"), "sysctl -w vm.swappiness=1")
            .change([Change::sysctl("vm.swappiness", "1")]),
    }
}

fn huge_pages(host: &Host) -> Finding {
    let condition = Condition::new(
        "transparent huge pages",
        "madvise or never",
        Severity::Advice,
        "with always the kernel clears and compacts 2 MiB at a time while a request waits; the \
         server turns them off for itself, other programs of the host do not",
    );
    let Some(text) = host.root.word(HUGE_PAGES) else {
        return condition.unknown(format!("{HUGE_PAGES} cannot be read"));
    };
    match chosen(&text) {
        "always" => {
            let path = std::path::Path::new(HUGE_PAGES);
            let lasting = "the kernel's command line: transparent_hugepage=madvise";
            condition
                .fails("always", format!("echo madvise > {HUGE_PAGES}"))
                .change([Change::plain(path, "madvise", lasting)])
        }
        other => condition.passes(other),
    }
}

fn overcommit(host: &Host) -> Finding {
    let condition = Condition::new(
        "vm.overcommit_memory",
        "0 or 1",
        Severity::Warning,
        "with 2 memory is refused that is reserved but not used, and a server that gets no memory \
         stops",
    );
    match host.root.number::<u32>("/proc/sys/vm/overcommit_memory") {
        Some(2) => condition.fails("2", "sysctl -w vm.overcommit_memory=0"),
        Some(value) => condition.passes(value.to_string()),
        None => condition.unknown("/proc/sys/vm/overcommit_memory cannot be read"),
    }
}

fn locked(host: &Host) -> Finding {
    let condition = Condition::new(
        "RLIMIT_MEMLOCK",
        format!("{} before Linux 5.12", text::bytes(LOCKED_BYTES)),
        Severity::Warning,
        "older kernels count the rings of io_uring as locked memory",
    );
    if super::kernel::version(host).is_some_and(|version| version >= UNCOUNTED) {
        return condition.passes("does not count on this kernel");
    }
    match host.limit("Max locked memory") {
        Some((soft, _)) if soft >= LOCKED_BYTES => condition.passes(limit(soft)),
        Some((soft, _)) => condition.fails(limit(soft), "LimitMEMLOCK=infinity in the unit"),
        None => condition.unknown("/proc/self/limits cannot be read"),
    }
}

fn limit(bytes: u64) -> String {
    if bytes == u64::MAX { "unlimited".to_owned() } else { text::bytes(bytes) }
}

fn group(host: &Host) -> Finding {
    let condition = Condition::new(
        "control group: memory",
        format!("{} at least", text::bytes(MEMORY_MIN)),
        Severity::Warning,
        "a server that grows beyond the limit of its group is killed; the limit here is that of \
         the group in which this program runs",
    );
    match host.group_limit("memory.max", ("memory", "memory.limit_in_bytes")) {
        GroupLimit::Unknown => condition.unknown(NO_GROUPS),
        GroupLimit::None => condition.passes("no limit"),
        GroupLimit::Is(value) => match value.parse::<u64>() {
            Ok(bytes) if bytes >= MEMORY_MIN => condition.passes(text::bytes(bytes)),
            Ok(bytes) => condition.fails(text::bytes(bytes), "give the group more memory"),
            Err(_) => condition.unknown(format!("\"{value}\" is no number")),
        },
    }
}
