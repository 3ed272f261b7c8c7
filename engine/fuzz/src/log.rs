//! Any bytes as a segment of the log, as a whole directory, and as the tree of a snapshot.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::{Identity, MemoryDisk};
use ringkeeper_engine::log::header::Header;
use ringkeeper_engine::log::{
    Dirs, Each, Feed, FeedError, Gauge, Portion, PortionLimit, Settings, recover, repair_truncate,
    scan,
};
use ringkeeper_engine::tree::TreeLoader;

/// A segment: its header, its records, and what its torn end is taken for.
pub fn segment(data: &[u8]) {
    let Ok(header) = Header::decode(data) else { return };
    let found = scan::scan(data, &header);
    scan::judge_tail(data, &header, found.end);
}

/// A directory: each file is a byte for its name, two for its length, and its bytes.
pub fn directory(data: &[u8]) {
    let disk = MemoryDisk::new(1);
    let Ok(identity) = Identity::open(&disk, 3) else { return };
    let mut rest = data;
    while let Some(([name, high, low], tail)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(tail.len());
        let (bytes, tail) = tail.split_at(length);
        let name = match name {
            0..=63 => format!("log.{name}"),
            64..=127 => format!("snapshot.{}", name - 64),
            128..=191 => format!("spare.{}", name - 128),
            _ => format!("making.{name}"),
        };
        disk.put(&name, bytes.to_vec());
        rest = tail;
    }
    let dirs = |disk: &MemoryDisk| Dirs { snapshots: disk.clone(), log: disk.clone() };
    let settings = Settings { segment_bytes: 16 << 10, ..Settings::default() };
    let copy = disk.fork();
    let started = recover(&dirs(&disk), &mut identity.clone(), &settings, &mut Each(|_| Ok(())));
    if let Ok(recovered) = started {
        feed(&disk, &identity, &recovered.gauge, recovered.last);
    }
    if repair_truncate(&dirs(&copy), &identity, &settings).is_ok() {
        let started =
            recover(&dirs(&copy), &mut identity.clone(), &settings, &mut Each(|_| Ok(())));
        assert!(started.is_ok(), "repaired, and yet: {:?}", started.err());
    }
}

/// What a feed hands out of a log from its beginning on is in order and ends where the log does.
/// Recovery may not have looked at all of it, so anything may be wrong with the rest.
fn feed(disk: &MemoryDisk, identity: &Identity, gauge: &Gauge, last: Zxid) {
    let open = |after| Feed::open(disk, identity.directory, gauge, after);
    let feed = match open(Zxid::ZERO) {
        Err(FeedError::NotReached { oldest, .. }) => open(oldest),
        opened => opened,
    };
    let (Ok(mut feed), mut portion) = (feed, Portion::new()) else { return };
    let limit = PortionLimit { bytes: 4_096, records: 16 };
    while feed.read(last, limit, &mut portion).is_ok() && !portion.is_empty() {
        assert!(
            feed.after() <= last && portion.range().is_some_and(|(_, end)| end == feed.after())
        );
    }
}

/// The tree of a snapshot: a byte for the length of its header, the header, and its blocks.
pub fn tree(data: &[u8]) {
    let Some((length, rest)) = data.split_first() else { return };
    let (header, block) = rest.split_at(usize::from(*length).min(rest.len()));
    let Ok(mut loader) = TreeLoader::new(1, header) else { return };
    if loader.add_block(block).is_ok() {
        let _ = loader.finish();
    }
}
