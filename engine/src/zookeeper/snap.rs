//! Reading the state that a leader sends to a learner.
//!
//! ```text
//! sessions | access control lists | nodes, parents first | "/" | "BenWasHere"
//! ```
//! It stands on the link behind a SNAP packet (`LearnerHandler`, `ZKDatabase.serializeSnapshot`).
//! It is a snapshot without what makes it a file: there is no header, no checksum and no digest.

use std::io::Read;

use super::Bad;
use super::rebuild::{Purpose, Rebuild};
use super::snapshot::{Loaded, read_state};
use super::stream::Stream;
use crate::Zxid;
use crate::limits::SNAP_FIELD_BYTES_MAX;

/// What ends the state.
pub(super) const SIGNATURE: &[u8] = b"BenWasHere";

/// Reads the state behind a SNAP packet with this zxid; `seed` keys the tree's hash tables. Nothing
/// behind the state is read. Many fields are a few bytes long, so a socket needs a buffer.
///
/// The state is fuzzy. [`Rebuild::take`] adds the transactions that the leader commits up to
/// NEWLEADER; then [`Rebuild::finish`] gives the state. The configuration in it is the leader's
/// own text. A leader that has ordered nothing in its epoch sends the epoch with counter 0, which
/// is the zxid of no transaction.
pub fn load_stream(from: impl Read, zxid: Zxid, seed: u64) -> Result<Loaded, Bad> {
    let mut stream = Stream::bounded(from, SNAP_FIELD_BYTES_MAX);
    let mut rebuild = Rebuild::new(zxid, seed, Purpose::Learner);
    read_state(&mut stream, &mut rebuild)?;
    if stream.int()? != SIGNATURE.len() as i32 || stream.bytes(SIGNATURE.len())? != SIGNATURE {
        return Err(stream.damaged("the signature behind its nodes is missing"));
    }
    rebuild.loaded(None, None);
    Ok(Loaded { rebuild, bytes: stream.at() })
}
