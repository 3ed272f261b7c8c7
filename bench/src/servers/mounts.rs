//! Which file system a path lies on.

use std::path::{Path, PathBuf};

use crate::servers::root::Root;

/// A mounted file system.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Mount {
    /// Where it is mounted.
    pub point: PathBuf,
    /// Its type.
    pub kind: String,
    /// What is mounted.
    pub source: String,
    /// The number of its device, "major:minor"; major 0 belongs to no block device.
    pub device: String,
    /// Its options, those of the mount and those of the file system.
    pub options: Vec<String>,
    /// The same as the kernel has them, on the left and on the right of a slash.
    pub stated_options: String,
}

impl Mount {
    /// The mount that a path lies on; nothing where the kernel does not say.
    pub fn of(root: &Root, path: &Path) -> Option<Mount> {
        Mount::among(&root.read("/proc/self/mountinfo").ok()?, path)
    }

    /// The same among the lines of a `mountinfo`.
    pub fn among(mountinfo: &str, path: &Path) -> Option<Mount> {
        let mounts = mountinfo.lines().filter_map(parse);
        // A later mount on the same point covers an earlier one.
        mounts
            .filter(|mount| path.starts_with(&mount.point))
            .max_by_key(|mount| mount.point.components().count())
    }

    /// Whether an option is set.
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|set| set == option)
    }

    /// The value of an option such as `data=ordered`.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.options.iter().find_map(|set| set.strip_prefix(name)?.strip_prefix('='))
    }
}

/// A line: id, parent, device, root, point, options, optional fields, "-", type, source, options.
fn parse(line: &str) -> Option<Mount> {
    let (head, tail) = line.split_once(" - ")?;
    let head: Vec<&str> = head.split(' ').collect();
    let mut tail = tail.split(' ');
    let (kind, source) = (tail.next()?, tail.next()?);
    let (own, inner) = (*head.get(5)?, tail.next().unwrap_or(""));
    let said = format!("{own},{inner}");
    let mut options: Vec<String> = Vec::new();
    for option in said.split(',').filter(|option| !option.is_empty()) {
        // Read and write are said of both.
        if !options.iter().any(|known| known == option) {
            options.push(option.to_owned());
        }
    }
    Some(Mount {
        point: PathBuf::from(unescape(head.get(4)?)),
        kind: kind.to_owned(),
        source: unescape(source),
        device: (*head.get(2)?).to_owned(),
        options,
        stated_options: format!("{own} / {inner}"),
    })
}

/// Spaces and their like stand as a backslash and three octal digits.
fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 4).and_then(|d| std::str::from_utf8(d).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if bytes[at] == b'\\' => {
                out.push(byte);
                at += 4;
            }
            Some(_) | None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The path itself, or the nearest directory above it that exists: a server makes its directory.
pub fn existing(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute
        .ancestors()
        .find_map(|ancestor| ancestor.canonicalize().ok())
        .unwrap_or_else(|| PathBuf::from("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(mountinfo: &str) -> (tempfile::TempDir, Root) {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("proc/self")).unwrap();
        std::fs::write(directory.path().join("proc/self/mountinfo"), mountinfo).unwrap();
        let root = Root::new(directory.path());
        (directory, root)
    }

    #[test]
    fn the_longest_and_last_mount_counts() {
        let (_held, root) = root(
            "1 0 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,data=ordered\n\
             2 1 8:2 / /var rw - xfs /dev/sda2 rw\n\
             3 1 0:9 / /var/lib/ring\\040keeper rw master:2 propagate_from:3 - nfs4 h:/x rw,hard\n\
             4 1 0:7 / /var rw - tmpfs tmpfs rw\n\
             damaged line\n5 1 8:9 / /x\n",
        );
        let of = |path: &str| Mount::of(&root, Path::new(path)).unwrap();
        assert_eq!(of("/var/lib").kind, "tmpfs");
        assert_eq!(of("/varnish").value("data"), Some("ordered"));
        let nfs = of("/var/lib/ring keeper/data");
        assert_eq!((nfs.kind.as_str(), nfs.source.as_str()), ("nfs4", "h:/x"));
        assert!(nfs.has("hard") && !nfs.has("soft") && nfs.device == "0:9");
        assert_eq!(nfs.stated_options, "rw / rw,hard");
    }

    #[test]
    fn missing_mountinfo_is_none() {
        assert_eq!(Mount::of(&Root::new("/nonexistent-root"), Path::new("/")), None);
        assert_eq!(unescape("a\\040b\\9\\"), "a b\\9\\");
    }
}
