//! The block device below a directory, and what it says of its cache.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use ringkeeper_bench::servers::mounts::{Mount, existing};
use ringkeeper_bench::servers::root::{Root, chosen};

/// Devices below devices that are followed: a disk below encryption below a volume below a RAID.
const STACK_MAX: usize = 8;

/// A whole block device: a partition stands for the disk that it is on.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct BlockDevice {
    pub(crate) name: String,
}

/// What is known of the disk.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
pub(crate) struct DiskFacts {
    /// The block device, where there is one.
    pub(crate) device: Option<String>,
    /// The type of the file system.
    pub(crate) file_system: Option<String>,
    pub(crate) options: Vec<String>,
    /// `write back`: what the disk has acknowledged is lost with the power until it is flushed.
    pub(crate) write_cache: Option<String>,
    /// Whether the disk can make a single write durable, without a flush.
    pub(crate) fua: Option<bool>,
    pub(crate) scheduler: Option<String>,
    /// Whether it is a disk with moving parts, by what it says.
    pub(crate) rotational: Option<bool>,
    /// Others wrote this many KiB per second to the same disk just before the probe; counts of
    /// flushes then include theirs.
    pub(crate) others_kib_per_second: Option<f64>,
}

impl DiskFacts {
    /// Whether there is no disk: what is written there is gone with the power.
    pub(crate) fn is_memory(&self) -> bool {
        matches!(self.file_system.as_deref(), Some("tmpfs" | "ramfs"))
    }
}

impl BlockDevice {
    /// The device of a mount.
    pub(crate) fn of(root: &Root, mount: &Mount) -> Option<BlockDevice> {
        let by_number = root.at(format!("/sys/dev/block/{}", mount.device));
        if let Some(device) = BlockDevice::at(&by_number) {
            return Some(device);
        }
        // A file system such as btrfs has a number of its own; its source is the device.
        let source = mount.source.strip_prefix("/dev/")?;
        let link = root.at(&mount.source).canonicalize().ok();
        let name = link
            .as_deref()
            .and_then(Path::file_name)
            .map_or(source.to_owned(), |name| name.to_string_lossy().into_owned());
        BlockDevice::at(&root.at(format!("/sys/class/block/{name}")))
    }

    fn at(folder: &Path) -> Option<BlockDevice> {
        let mut real = folder.canonicalize().ok()?;
        if real.join("partition").exists() {
            real.pop();
        }
        let name = real.file_name()?.to_str()?.to_owned();
        Some(BlockDevice { name })
    }

    /// Where the kernel describes it.
    pub(crate) fn folder(&self) -> PathBuf {
        PathBuf::from(format!("/sys/block/{}", self.name))
    }

    /// The real disks at the bottom of a stack of devices: itself, where there is no stack.
    pub(crate) fn bottom(&self, root: &Root) -> Vec<BlockDevice> {
        let mut bottom = Vec::new();
        let mut next = vec![self.clone()];
        for _ in 0..STACK_MAX {
            for device in std::mem::take(&mut next) {
                let below = root.names(device.folder().join("slaves"));
                if below.is_empty() {
                    bottom.push(device);
                    continue;
                }
                let folders = below.iter().map(|name| format!("/sys/class/block/{name}"));
                next.extend(folders.filter_map(|folder| BlockDevice::at(&root.at(folder))));
            }
        }
        bottom.sort();
        bottom.dedup();
        bottom
    }

    /// A file of the device's queue.
    pub(crate) fn queue(&self, name: &str) -> PathBuf {
        self.folder().join("queue").join(name)
    }
}

/// The device below a directory.
pub(crate) fn below(root: &Root, directory: &Path) -> Option<BlockDevice> {
    BlockDevice::of(root, &Mount::of(root, &existing(directory))?)
}

/// What the kernel says of the disk below a directory.
pub(crate) fn facts(root: &Root, directory: &Path) -> DiskFacts {
    let Some(mount) = Mount::of(root, &existing(directory)) else { return DiskFacts::default() };
    let device = BlockDevice::of(root, &mount);
    let queue = |name: &str| root.word(device.as_ref()?.queue(name));
    DiskFacts {
        file_system: Some(mount.kind.clone()),
        options: mount.options.clone(),
        write_cache: queue("write_cache"),
        fua: queue("fua").map(|word| word == "1"),
        scheduler: queue("scheduler").map(|text| chosen(&text).to_owned()),
        rotational: queue("rotational").map(|word| word == "1"),
        device: device.as_ref().map(|device| device.name.clone()),
        others_kib_per_second: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn partitions_and_stacks_lead_to_disks() {
        let held = tempfile::tempdir().unwrap();
        let at = |path: &str| held.path().join(path);
        for folder in [
            "sys/devices/sda/sda1",
            "sys/devices/sdb",
            "sys/devices/dm-0/slaves/sda1",
            "sys/devices/dm-0/slaves/sdb",
            "sys/dev/block",
            "sys/class/block",
            "sys/block",
        ] {
            std::fs::create_dir_all(at(folder)).unwrap();
        }
        std::fs::write(at("sys/devices/sda/sda1/partition"), "1").unwrap();
        for (name, folder) in
            [("sda1", "sda/sda1"), ("sdb", "sdb"), ("dm-0", "dm-0"), ("sda", "sda")]
        {
            let folder = at("sys/devices").join(folder);
            symlink(&folder, at("sys/class/block").join(name)).unwrap();
            if name != "sda1" {
                symlink(&folder, at("sys/block").join(name)).unwrap();
            }
        }
        symlink(at("sys/devices/sda/sda1"), at("sys/dev/block/8:1")).unwrap();
        symlink(at("sys/devices/dm-0"), at("sys/dev/block/253:0")).unwrap();
        let root = Root::new(held.path());
        let of = |device: &str, source: &str| {
            let mount = Mount { device: device.into(), source: source.into(), ..Mount::default() };
            BlockDevice::of(&root, &mount)
        };
        assert_eq!(of("8:1", "/dev/sda1").unwrap().name, "sda");
        assert_eq!(of("0:40", "/dev/sdb").unwrap().name, "sdb");
        assert_eq!(of("0:41", "overlay"), None);
        let stack = of("253:0", "/dev/mapper/data").unwrap();
        let bottom: Vec<String> = stack.bottom(&root).into_iter().map(|d| d.name).collect();
        assert_eq!(bottom, ["sda", "sdb"]);
    }
}
