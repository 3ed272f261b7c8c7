//! Writing a state into a directory, as the one snapshot that a server starts from.

use ringkeeper_engine::snapshot::{Finished, Meta, Writer};
use ringkeeper_engine::tree::Progress as Walk;
use ringkeeper_engine::zookeeper::Imported;

use super::progress::Progress;
use crate::storage::inspect::EmptyDirectory;

/// Bytes of one block of a snapshot.
const BLOCK_BYTES: usize = 1 << 20;
/// Nodes that are looked at between two looks at the size of the block.
const SLICE_NODES: usize = 1_024;

/// Writes the state; the directory is a server's only when all of it is there.
pub(super) fn write(
    imported: &mut Imported,
    to: &EmptyDirectory,
    progress: &Progress,
) -> anyhow::Result<Finished> {
    let tree = &mut imported.tree;
    let header = tree.begin_snapshot();
    let sessions = imported.sessions.iter().map(|(id, timeout_ms)| (*id, *timeout_ms)).collect();
    let meta = Meta { zxid: header.zxid, sessions, header: header.encode() };
    let mut writer = Writer::begin(&to.disk, to.identity.directory, &meta)?;
    progress.begin("writing", header.approximate_data_size);
    let mut block = Vec::with_capacity(BLOCK_BYTES * 2);
    let mut walk = Walk::More;
    while walk == Walk::More {
        walk = tree.snapshot_slice(SLICE_NODES, &mut block);
        if block.len() >= BLOCK_BYTES || walk == Walk::Done {
            writer.block(&block)?;
            progress.advance(block.len() as u64);
            block.clear();
        }
    }
    let finished = writer.finish()?;
    to.finish()?;
    Ok(finished)
}
