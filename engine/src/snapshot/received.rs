//! Writing the state that a leader has sent.

use super::{Finished, Meta, RECEIVED, Writer};
use crate::database::Database;
use crate::device::{Directory, DirectoryId, DiskError};
use crate::limits;
use crate::tree::Progress;

/// Bytes of a state that are written before they are synced.
const SYNC_EVERY_BYTES: u64 = 16 << 20;

/// Bytes of a block before compression.
const BLOCK_BYTES: usize = 1 << 20;

/// Writes a state that no server has yet as the one that was received ([`RECEIVED`]), durably,
/// beside what is there: [`crate::log::Log::install`] takes it over. After an error no file is left.
pub fn write_received<D: Directory>(
    dir: &D,
    directory: DirectoryId,
    state: &mut Database,
) -> Result<Finished, DiskError> {
    write_received_in_blocks(dir, directory, state, || ())
}

/// As [`write_received`]; says so after each block. Where it is long it is synced in parts: a slow
/// disk shows that it goes on, and its last sync does not take as long as the state.
pub fn write_received_in_blocks<D: Directory>(
    dir: &D,
    directory: DirectoryId,
    state: &mut Database,
    on_block: impl FnMut(),
) -> Result<Finished, DiskError> {
    // What an install that failed has left.
    if dir.list()?.iter().any(|entry| entry.name == RECEIVED) {
        dir.remove(RECEIVED)?;
    }
    let sessions = state.sessions().collect();
    let header = state.tree.begin_snapshot().encode();
    let meta = Meta { zxid: state.applied(), sessions, header };
    let written = write(dir, directory, (state, &meta), on_block);
    if written.is_err() {
        state.tree.abandon_snapshot();
        // It has its name where the last sync has failed.
        let _ = dir.remove(RECEIVED);
    }
    written
}

fn write<D: Directory>(
    dir: &D,
    directory: DirectoryId,
    (state, meta): (&mut Database, &Meta),
    mut on_block: impl FnMut(),
) -> Result<Finished, DiskError> {
    let mut writer = Writer::begin_received(dir, directory, meta)?;
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    let mut synced = 0;
    loop {
        let progress = state.tree.snapshot_slice(limits::SNAPSHOT_SLICE_NODES, &mut block);
        if progress == Progress::Done || block.len() >= BLOCK_BYTES {
            writer.block(&block)?;
            block.clear();
            if writer.bytes() - synced >= SYNC_EVERY_BYTES {
                writer.sync()?;
                synced = writer.bytes();
            }
            on_block();
        }
        if progress == Progress::Done {
            return writer.finish();
        }
    }
}
