//! What reports ask the operating system. Some of it takes its time: not for a shard's thread.

use std::path::Path;

use rustix::process::{Resource, getrlimit, getuid};

/// Where the server runs.
#[derive(Clone, Debug)]
pub(super) struct Host {
    /// The name of the machine.
    pub name: String,
    /// The name of the system.
    pub system: String,
    /// Its release.
    pub release: String,
    /// The kind of processor, in Java's words.
    pub machine: String,
    /// Who runs the server.
    pub user: String,
    /// Their home.
    pub home: String,
    /// The working directory.
    pub directory: String,
    /// Where temporary files would go.
    pub temporary: String,
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes of memory that could be had now.
    pub memory_free: u64,
}

impl Host {
    /// Looks around.
    pub(super) fn look() -> Host {
        let system = rustix::system::uname();
        let text = |name: &std::ffi::CStr| name.to_string_lossy().into_owned();
        let machine = text(system.machine());
        let (memory, memory_free) = memory();
        Host {
            name: text(system.nodename()),
            system: text(system.sysname()),
            release: text(system.release()),
            machine: if machine == "x86_64" { "amd64".to_owned() } else { machine },
            user: user(),
            home: variable("HOME").unwrap_or_else(|| "/".to_owned()),
            directory: std::env::current_dir().unwrap_or_default().display().to_string(),
            temporary: std::env::temp_dir().display().to_string(),
            memory,
            memory_free,
        }
    }
}

/// The name of who runs the server, or their number where the system knows no name.
pub(crate) fn user() -> String {
    let id = getuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut users = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found = users.find(|fields| fields.get(2) == Some(&&*id));
    found.map_or(id.clone(), |fields| fields[0].to_owned())
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Total and available memory in bytes; zeros where the system does not tell.
fn memory() -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    (kilobytes(&text, "MemTotal:") << 10, kilobytes(&text, "MemAvailable:") << 10)
}

fn kilobytes(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Bytes of memory that the process holds; 0 where the system does not tell.
pub(super) fn memory_in_use() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    kilobytes(&text, "VmRSS:") << 10
}

/// File descriptors that are open, and how many may be.
pub(super) fn file_descriptors() -> (u64, u64) {
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count) as u64;
    // The directory itself is open while it is read.
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    (open.saturating_sub(1), most.min(i64::MAX as u64))
}

/// Bytes of all files in a directory and below.
pub(super) fn dir_bytes(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(file) if file.is_dir() => dir_bytes(&entry.path()),
            Ok(file) => file.len(),
            // It was removed meanwhile.
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_added_up_with_what_is_below() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("one"), [0; 100]).unwrap();
        std::fs::create_dir(dir.path().join("below")).unwrap();
        std::fs::write(dir.path().join("below/two"), [0; 23]).unwrap();
        assert_eq!(dir_bytes(dir.path()), 123);
        assert_eq!(dir_bytes(&dir.path().join("none")), 0);
    }

    #[test]
    fn memory_is_read_by_name() {
        let text = "MemTotal:       24576000 kB\nMemFree: 1 kB\nMemAvailable:   22528000 kB\n";
        assert_eq!(kilobytes(text, "MemTotal:"), 24_576_000);
        assert_eq!(kilobytes(text, "MemAvailable:"), 22_528_000);
        assert_eq!(kilobytes(text, "Swap:"), 0);
    }

    #[test]
    fn a_process_has_descriptors() {
        let (open, most) = file_descriptors();
        assert!(open >= 3 && most > open, "{open} of {most}");
    }
}
