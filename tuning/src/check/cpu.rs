//! Processors: their speed, their sleep, their clock and their share.

use super::finding::{Condition, Finding, Severity};
use super::host::{Host, NO_GROUPS};
use crate::change::Change;
use ringkeeper_bench::servers::groups::GroupLimit;

const FOLDER: &str = "/sys/devices/system/cpu";
const CLOCK: &str = "/sys/devices/system/clocksource/clocksource0";
/// Sources that are read without asking a device or a hypervisor.
const FAST_CLOCKS: &[&str] =
    &["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page"];
/// Microseconds to wake up from the deepest sleep that are lost among those of a commit.
const WAKE_US: u64 = 100;
/// Threads beside those that serve clients.
const TASKS_MIN: u64 = 64;

pub(super) fn all(host: &Host) -> Vec<Finding> {
    vec![governor(host), sleep(host), clock(host), share(host), tasks(host)]
}

/// `cpu0`, `cpu1` and so on.
fn cpus(host: &Host) -> Vec<String> {
    let is_number = |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit());
    let mut names = host.root.names(FOLDER);
    names.retain(|name| name.strip_prefix("cpu").is_some_and(is_number));
    names
}

fn governor(host: &Host) -> Finding {
    let condition = Condition::new(
        "CPU frequency governor",
        "performance",
        Severity::Warning,
        "a server that waits for its disk looks idle, so the others slow the processor down just \
         before it is needed",
    );
    let path = |cpu: &str| format!("{FOLDER}/{cpu}/cpufreq/scaling_governor");
    let governed: Vec<(String, String)> = cpus(host)
        .into_iter()
        .filter_map(|cpu| host.root.word(path(&cpu)).map(|governor| (cpu, governor)))
        .collect();
    if governed.is_empty() {
        return condition.unknown("no cpufreq here; on a virtual machine its host decides");
    }
    let slow: Vec<&(String, String)> =
        governed.iter().filter(|(_, governor)| governor != "performance").collect();
    let Some((first, current)) = slow.first() else { return condition.passes("performance") };
    let offered = host.root.word(format!("{FOLDER}/{first}/cpufreq/scaling_available_governors"));
    let current = format!("{current} on {} of {}", slow.len(), governed.len());
    let finding = condition.fails(current, "cpupower frequency-set -g performance");
    let possible = offered.is_some_and(|text| text.split(' ').any(|word| word == "performance"));
    if !possible {
        return finding;
    }
    let lasting = "a unit that runs: cpupower frequency-set -g performance";
    finding.change(
        slow.iter().map(|(cpu, _)| {
            Change::plain(std::path::Path::new(&path(cpu)), "performance", lasting)
        }),
    )
}

fn sleep(host: &Host) -> Finding {
    let condition = Condition::new(
        "C-states",
        format!("waking up takes at most {WAKE_US} us"),
        Severity::Advice,
        "every commit has a hand-off before and behind it; a processor in deep sleep adds its \
         wake-up to each",
    );
    let folder = format!("{FOLDER}/cpu0/cpuidle");
    let states = host.root.names(&folder);
    let deepest = states
        .iter()
        .filter(|state| host.root.number::<u32>(format!("{folder}/{state}/disable")) != Some(1))
        .filter_map(|state| {
            let us = host.root.number::<u64>(format!("{folder}/{state}/latency"))?;
            Some((us, host.root.word(format!("{folder}/{state}/name")).unwrap_or_default()))
        })
        .max();
    match deepest {
        None => condition.unknown("no cpuidle here; on a virtual machine its host decides"),
        Some((us, name)) if us <= WAKE_US => condition.passes(format!("{name}, {us} us")),
        Some((us, name)) => condition.fails(
            format!("{name}, {us} us"),
            format!("cpupower idle-set -D {WAKE_US}, or processor.max_cstate=1 at boot"),
        ),
    }
}

fn clock(host: &Host) -> Finding {
    let condition = Condition::new(
        "clocksource",
        FAST_CLOCKS.join(", "),
        Severity::Warning,
        "the server reads the clock several times per request; the others cost a microsecond or a \
         call into the hypervisor each time",
    );
    let path = format!("{CLOCK}/current_clocksource");
    let Some(current) = host.root.word(&path) else {
        return condition.unknown(format!("{path} cannot be read"));
    };
    if FAST_CLOCKS.contains(&current.as_str()) {
        return condition.passes(current);
    }
    let offered = host.root.word(format!("{CLOCK}/available_clocksource")).unwrap_or_default();
    let better = FAST_CLOCKS.iter().find(|name| offered.split_whitespace().any(|w| w == **name));
    match better {
        Some(to) => {
            condition.fails(current, format!("echo {to} > {path}")).change([Change::plain(
                std::path::Path::new(&path),
                to,
                &format!("at boot: clocksource={to}"),
            )])
        }
        None => condition.fails(current, "a host or a virtual machine with a stable tsc"),
    }
}

fn share(host: &Host) -> Finding {
    let condition = Condition::new(
        "control group: CPU",
        "no quota, or 2 CPUs at least",
        Severity::Warning,
        "a group that has used up its quota stands still until the next period: requests wait, and \
         no session can say that it is alive",
    );
    let value = match host.group_limit("cpu.max", ("cpu", "cpu.cfs_quota_us")) {
        GroupLimit::Unknown => return condition.unknown(NO_GROUPS),
        GroupLimit::None => return condition.passes("no quota"),
        GroupLimit::Is(value) => value,
    };
    let Some(share) = GroupLimit::cpus(&value) else {
        return condition.unknown(format!("\"{value}\" is no quota"));
    };
    let current = format!("{share:.1} CPUs");
    match share >= 2.0 {
        true => condition.passes(current),
        false => condition.fails(current, "a larger quota, or weights in its place"),
    }
}

fn tasks(host: &Host) -> Finding {
    let needed = TASKS_MIN + cpus(host).len() as u64;
    let condition = Condition::new(
        "control group: tasks",
        format!("{needed} at least"),
        Severity::Warning,
        "a thread that cannot be started stops the start of the server",
    );
    match host.group_limit("pids.max", ("pids", "pids.max")) {
        GroupLimit::Unknown => condition.unknown(NO_GROUPS),
        GroupLimit::None => condition.passes("no limit"),
        GroupLimit::Is(value) => match value.parse::<u64>() {
            Ok(most) if most >= needed => condition.passes(value),
            Ok(_) => condition.fails(value, "TasksMax=infinity in the unit"),
            Err(_) => condition.unknown(format!("\"{value}\" is no number")),
        },
    }
}
