//! The log ends at every byte.

use ringkeeper_engine::device::MemoryDisk;
use ringkeeper_engine::log::{Note, Refusal};

use crate::world::{World, goes_on, open, repaired};

/// Groups of a history that fills one segment and a part of the next.
const GROUPS: [usize; 14] = [1, 3, 7, 1, 1, 12, 4, 2, 9, 1, 6, 3, 8, 5];
const HEADER: usize = 8_192;
const BLOCK: std::ops::Range<usize> = 4_096..HEADER;

struct Image {
    disk: MemoryDisk,
    world: World,
    /// Name of a segment, its end, and how many transactions are durable with it; a line for each
    /// flush.
    ends: Vec<(String, usize, usize)>,
    /// The second block of that segment, as each flush left it.
    blocks: Vec<Vec<u8>>,
    segments: Vec<String>,
}

/// A directory that was not sealed at its end: the process died after a flush.
fn image(seed: u64) -> Image {
    let (disk, mut world) = (MemoryDisk::new(seed), World::default());
    let mut server = world.start(&disk).unwrap();
    let (mut ends, mut blocks) = (Vec::new(), Vec::new());
    for records in GROUPS {
        world.flush(&mut server, records).unwrap();
        let segments = segments(&disk);
        let name = segments.last().unwrap().clone();
        let used = disk.contents(&name).unwrap().iter().rposition(|&byte| byte != 0).unwrap() + 1;
        blocks.push(disk.contents(&name).unwrap()[BLOCK].to_vec());
        ends.push((name, used, world.acked));
    }
    let segments = segments(&disk);
    assert_eq!(segments.len(), 2);
    Image { disk, world, ends, blocks, segments }
}

fn segments(disk: &MemoryDisk) -> Vec<String> {
    let mut names: Vec<String> =
        disk.names().into_iter().filter(|name| name.starts_with("log.")).collect();
    names.sort_by_key(|name| u64::from_str_radix(&name[4..], 16).unwrap());
    names
}

impl Image {
    /// The directory as it is when the log got no further than `cut` bytes into a segment; behind
    /// it lies what lay there before.
    fn cut(&self, segment: usize, cut: usize, before: &[u8]) -> (MemoryDisk, World) {
        let disk = self.disk.fork();
        let name = &self.segments[segment];
        let mut bytes = disk.contents(name).unwrap();
        bytes[cut..].copy_from_slice(&before[cut..]);
        // What the flush that ends there, or the last one in this segment, has left.
        let here = |(at, _, _): &&(String, usize, usize)| at == name;
        let first = self.ends.iter().position(|line| line.0 == *name).unwrap();
        let ended = self.ends.iter().filter(here).take_while(|(_, end, _)| *end < cut).count();
        let last = self.ends.iter().filter(here).count() - 1;
        bytes[BLOCK].copy_from_slice(&self.blocks[first + ended.min(last)]);
        disk.put(name, bytes);
        for later in &self.segments[segment + 1..] {
            disk.take(later);
        }
        let mut world = self.world.clone();
        let is_whole = |(at, end, _): &&(String, usize, usize)| {
            let place = self.segments.iter().position(|other| other == at).unwrap();
            place < segment || (place == segment && *end <= cut)
        };
        world.acked = self.ends.iter().filter(is_whole).map(|line| line.2).max().unwrap_or(0);
        (disk, world)
    }
}

#[test]
fn log_cut_at_any_byte_before_zeros_recovers_a_prefix() {
    let image = image(1);
    let zeros = vec![0; 20 << 10];
    for segment in 0..2 {
        let last = image.ends.iter().rfind(|line| line.0 == image.segments[segment]);
        let end = last.unwrap().1;
        for cut in HEADER..=end {
            let (disk, world) = image.cut(segment, cut, &zeros);
            let notes = goes_on(&world, &disk);
            assert!(notes.iter().all(|note| matches!(note, Note::TornTail { .. })), "{notes:?}");
            assert!(cut < end || notes.is_empty());
        }
    }
}

#[test]
fn log_cut_at_any_byte_before_recycled_records_recovers_a_prefix() {
    let image = image(1);
    // The same history in another directory has other salts: as in a recycled segment, everything
    // behind the cut looks like a record, and none is one.
    let other = self::image(2);
    for segment in 0..2 {
        let stale = other.disk.contents(&other.segments[segment]).unwrap();
        let end = image.ends.iter().rfind(|line| line.0 == image.segments[segment]);
        for cut in HEADER..=end.unwrap().1 {
            let (disk, world) = image.cut(segment, cut, &stale);
            goes_on(&world, &disk);
        }
    }
}

#[test]
fn log_cut_before_a_later_segment_is_damage() {
    let image = image(1);
    let name = &image.segments[0];
    let whole = image.disk.contents(name).unwrap();
    let end = image.ends.iter().rfind(|line| line.0 == *name).unwrap().1;
    for cut in (HEADER..end).step_by(3) {
        let disk = image.disk.fork();
        let mut bytes = whole.clone();
        bytes[cut..].fill(0);
        if bytes == whole {
            continue;
        }
        disk.put(name, bytes);
        let refusal = open(&disk).map(|_| ()).unwrap_err();
        assert!(
            matches!(refusal, Refusal::Damaged { .. } | Refusal::Gap { .. }),
            "{cut}: {refusal}"
        );
        let text = refusal.to_string();
        assert!(text.contains("log.") && text.contains("ringkeeper log repair"), "{text}");
        if cut % 60 == 0 {
            let left = repaired(&disk);
            assert!(left == image.world.ordered[..left.len()]);
        }
    }
}

/// A file that was made shorter lost more than a flush.
#[test]
fn segment_shorter_than_its_header_says_is_refused() {
    let image = image(1);
    for name in &image.segments {
        for len in [0, 1, 100, HEADER, HEADER + 1, 9_000, (20 << 10) - 1] {
            let disk = image.disk.fork();
            let bytes = disk.contents(name).unwrap();
            disk.put(name, bytes[..len].to_vec());
            let refusal = open(&disk).map(|_| ()).unwrap_err();
            assert!(
                matches!(refusal, Refusal::Length { .. } | Refusal::Header { .. }),
                "{refusal}"
            );
        }
    }
}
