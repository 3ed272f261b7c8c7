//! Writing the state that a leader has sent.

use super::{Finished, Meta, RECEIVED, Writer};
use crate::database::Database;
use crate::device::{Directory, DirectoryId, DiskError};
use crate::limits;
use crate::tree::Progress;

/// Bytes of a block before compression.
const BLOCK_BYTES: usize = 1 << 20;

/// Writes a state that no server has yet as the one that was received ([`RECEIVED`]), durably,
/// beside what is there: [`crate::log::Log::install`] takes it over. After an error no file is left.
pub fn write_received<D: Directory>(
    dir: &D,
    directory: DirectoryId,
    state: &mut Database,
) -> Result<Finished, DiskError> {
    // What an install that failed has left.
    if dir.list()?.iter().any(|entry| entry.name == RECEIVED) {
        dir.remove(RECEIVED)?;
    }
    let sessions = state.sessions().collect();
    let header = state.tree.begin_snapshot().encode();
    let meta = Meta { zxid: state.applied(), sessions, header };
    let written = write(dir, directory, state, &meta);
    if written.is_err() {
        state.tree.abandon_snapshot();
    }
    written
}

fn write<D: Directory>(
    dir: &D,
    directory: DirectoryId,
    state: &mut Database,
    meta: &Meta,
) -> Result<Finished, DiskError> {
    let mut writer = Writer::begin_received(dir, directory, meta)?;
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    loop {
        let progress = state.tree.snapshot_slice(limits::SNAPSHOT_SLICE_NODES, &mut block);
        if progress == Progress::Done || block.len() >= BLOCK_BYTES {
            writer.block(&block)?;
            block.clear();
        }
        if progress == Progress::Done {
            return writer.finish();
        }
    }
}
