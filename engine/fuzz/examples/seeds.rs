//! Writes the seeds of the targets into `seeds/`, from the golden scripts and from a small server.
//!
//! ```text
//! cargo run --example seeds
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ringkeeper_engine::database::{Database, Interest};
use ringkeeper_engine::device::{Identity, MemoryDisk};
use ringkeeper_engine::log::{Dirs, Each, Group, Settings, recover};
use ringkeeper_engine::snapshot::{Meta, Writer};
use ringkeeper_engine::tree::{Digest, Progress, Tree};
use ringkeeper_engine::txn::Txn;
use ringkeeper_engine::wire::connect::ConnectRequest;
use ringkeeper_engine::{SessionId, Zxid};
use ringkeeper_fuzz::{frames, records};

#[path = "../../../replication/tests/whole/golden.rs"]
mod golden;

const STREAM_BYTES_MAX: usize = 600;

fn main() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    write_frames(home);
    let samples = records::samples();
    for (number, sample) in samples.iter().enumerate() {
        write(home, "records", &format!("transaction-{number}"), sample);
    }
    write_history(home);
}

fn write(home: &Path, target: &str, name: &str, bytes: &[u8]) {
    let folder = home.join("seeds").join(target);
    fs::create_dir_all(&folder).expect("the folder of the seeds can be made");
    fs::write(folder.join(name), bytes).expect("a seed can be written");
}

fn write_frames(home: &Path) {
    let streams = golden::streams(&home.join("../../server/tests/golden"));
    let short = streams.iter().filter(|stream| stream.len() < STREAM_BYTES_MAX);
    let mut known = BTreeSet::new();
    for (number, stream) in short.filter(|stream| is_new(stream, &mut known)).enumerate() {
        write(home, "frames", &format!("golden-{number:03}"), &[&[0], &stream[..]].concat());
    }
    let mut connect: Vec<u8> = Vec::new();
    ConnectRequest { session: 5, ..frames::connect() }.write_frame(&mut connect);
    write(home, "frames", "resume", &[&[2], &connect[..]].concat());
}

/// Whether a stream has a request of an operation and of a length that none before it had.
fn is_new(stream: &[u8], known: &mut BTreeSet<(i32, usize)>) -> bool {
    let mut rest = stream;
    let mut is_new = false;
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let Some((frame, tail)) = tail.split_at_checked(length) else { break };
        let op = frame.get(4..8).and_then(|op| op.first_chunk::<4>());
        is_new |= known.insert((op.map_or(0, |op| i32::from_be_bytes(*op)), length / 8));
        rest = tail;
    }
    is_new
}

/// A log of some transactions, a snapshot of what they made, and both as a directory.
fn write_history(home: &Path) {
    let disk = MemoryDisk::new(1);
    let dirs = Dirs { snapshots: disk.clone(), log: disk.clone() };
    let settings = Settings { segment_bytes: 4 << 10, ..Settings::default() };
    let mut identity = Identity::open(&disk, 3).expect("a fresh directory has an identity");
    let mut log = recover(
        &dirs,
        &mut identity,
        &settings,
        &mut Each(|_| Err("a fresh directory has no log".into())),
    )
    .expect("it is empty")
    .log;
    let mut tree = Tree::new(1);
    tree.keep_digest(Digest::Kept);
    let mut db = Database::new(tree, []);
    let mut group = Group::new();
    for txn in transactions() {
        group.push(&txn);
        db.apply(&txn, Interest::None);
    }
    log.flush(&mut group).expect("memory does not fail");
    let header = db.tree.begin_snapshot().encode();
    let mut block = Vec::new();
    while db.tree.snapshot_slice(100, &mut block) != Progress::Done {}
    let length = u8::try_from(header.len()).expect("the header is short");
    write(home, "snapshot", "tree", &[&[length], &header[..], &block].concat());
    let meta = Meta { zxid: db.applied(), sessions: vec![(SessionId(5), 4_000)], header };
    let writer = Writer::begin(&disk, identity.directory, &meta);
    let mut writer = writer.expect("memory does not fail");
    writer.block(&block).expect("memory does not fail");
    writer.finish().expect("memory does not fail");
    write_directory(home, &disk);
}

fn write_directory(home: &Path, disk: &MemoryDisk) {
    let mut directory = Vec::new();
    for name in disk.names() {
        let bytes = disk.contents(&name).expect("it was listed");
        let number = name.split('.').nth(1).and_then(|number| number.parse::<u8>().ok());
        let code = match (name.split('.').next(), number) {
            (Some("log"), Some(number)) => number,
            (Some("snapshot"), Some(number)) => 64 + number,
            _ => continue,
        };
        let length = u16::try_from(bytes.len()).expect("the files are small");
        directory.push(code);
        directory.extend(length.to_be_bytes());
        directory.extend(&bytes);
        if code < 64 {
            write(home, "segment", &name, &bytes);
        }
    }
    write(home, "directory", "one", &directory);
}

/// The samples that make a history: what creates, changes and deletes a few nodes.
fn transactions() -> Vec<Txn> {
    let samples = records::samples();
    let mut txns: Vec<Txn> =
        samples.iter().map(|bytes| Txn::read(bytes).expect("samples are good")).collect();
    let mut parent = txns[0].clone();
    let ringkeeper_engine::txn::TxnBody::Create(create) = &mut parent.body else {
        panic!("the first sample creates");
    };
    create.path = "/a".into();
    txns.truncate(1);
    txns.insert(0, parent);
    for (zxid, txn) in (1..).zip(&mut txns) {
        txn.zxid = Zxid(zxid);
    }
    txns
}
