//! What a disk does to itself.

use ringkeeper_engine::device::MemoryDisk;

use super::random::Random;

/// Bytes that a disk writes whole or not at all.
const SECTOR: usize = 512;

/// Something in a file changes by itself: a bit; a sector, whose write was lost; or one that has
/// got what was meant for another. Says whether the file is another one now.
pub(crate) fn rot(disk: &MemoryDisk, chance: &mut Random) -> bool {
    let names = disk.names();
    if names.is_empty() {
        return false;
    }
    let (name, source) = (chance.pick(&names), chance.pick(&names));
    let (before, source) = (contents(disk, name), contents(disk, source));
    if before.is_empty() {
        return false;
    }
    let mut bytes = before.clone();
    let at = chance.below(bytes.len());
    let sector = at / SECTOR * SECTOR;
    let end = (sector + SECTOR).min(bytes.len());
    match chance.below(4) {
        0 => bytes[sector..end].fill(0),
        1 => {
            let from = chance.below(source.len() / SECTOR + 1) * SECTOR;
            let count = (end - sector).min(source.len() - from);
            bytes[sector..sector + count].copy_from_slice(&source[from..from + count]);
        }
        _ => bytes[at] ^= 1 << chance.below(8),
    }
    let has_changed = bytes != before;
    disk.put(name, bytes);
    has_changed
}

fn contents(disk: &MemoryDisk, name: &str) -> Vec<u8> {
    disk.contents(name).expect("it is there")
}
