//! What the control groups of this process allow.

use std::path::Path;

use crate::servers::root::Root;

/// What a control group allows.
pub enum GroupLimit {
    /// As much as there is.
    None,
    /// What its file says.
    Is(String),
    /// Its files are not to be seen.
    Unknown,
}

impl GroupLimit {
    /// The smallest limit of a control group and of those above it: `new` is its file in the second
    /// version of control groups, `old` that of a controller of the first.
    pub fn of(root: &Root, new: &str, (controller, old): (&str, &str)) -> GroupLimit {
        let groups = root.read("/proc/self/cgroup").unwrap_or_default();
        let mut values = Vec::new();
        let mut at_root = false;
        for line in groups.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(names), Some(path)) = (parts.next(), parts.next()) else { continue };
            let (base, file) = match names {
                "" => ("/sys/fs/cgroup".to_owned(), new),
                names if names.split(',').any(|name| name == controller) => {
                    (format!("/sys/fs/cgroup/{controller}"), old)
                }
                _ => continue,
            };
            // The group above all others has no such file, and no limit.
            at_root |= path == "/" && root.has(Path::new(&base).join("cgroup.procs"));
            // In a container the path is often that of the host, which is not there.
            for ancestor in Path::new(path).ancestors() {
                let folder = ancestor.strip_prefix("/").unwrap_or(ancestor);
                let folder = Path::new(&base).join(folder);
                let period = Some("cpu.cfs_period_us").filter(|_| file == "cpu.cfs_quota_us");
                let period = period.and_then(|name| root.word(folder.join(name)));
                let value = root.word(folder.join(file));
                values.extend(value.map(|value| value + " " + &period.unwrap_or_default()));
            }
        }
        let seen = at_root || !values.is_empty();
        let values = values.iter().map(|value| value.trim().to_owned());
        let limits = values.filter(|value| !unlimited(value));
        match limits.min_by_key(|value| first_number(value)) {
            Some(value) => GroupLimit::Is(value),
            None if seen => GroupLimit::None,
            None => GroupLimit::Unknown,
        }
    }

    /// CPUs of a `cpu.max`, or of a quota with the default period.
    pub fn cpus(value: &str) -> Option<f64> {
        let mut numbers = value.split_whitespace().map(str::parse::<f64>);
        let quota = numbers.next()?.ok()?;
        Some(quota / numbers.next().and_then(Result::ok).unwrap_or(100_000.0).max(1.0))
    }
}

/// What a group file says where there is no limit.
fn unlimited(value: &str) -> bool {
    let first = value.split_whitespace().next().unwrap_or("max");
    // The first version's memory limit is a number near the largest.
    first == "max" || first == "-1" || first.parse::<u64>().is_ok_and(|n| n > u64::MAX / 4)
}

/// A `cpu.max` of two numbers is compared by their quotient, in thousandths.
fn first_number(value: &str) -> u64 {
    let mut numbers = value.split_whitespace().map(|word| word.parse::<u64>().unwrap_or(u64::MAX));
    match (numbers.next(), numbers.next()) {
        (Some(quota), Some(period)) => quota.saturating_mul(1_000) / period.max(1),
        (Some(number), None) => number,
        (None, _) => u64::MAX,
    }
}
