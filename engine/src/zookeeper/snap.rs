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

/// How a leader writes its state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StateForm {
    /// While it goes on, as one of ZooKeeper's. The usage of quotas is counted anew, as servers of
    /// ZooKeeper's do.
    Fuzzy,
    /// At one zxid, as one of ours. The usage of quotas is the leader's.
    Exact,
}

/// Reads the state behind a SNAP packet with this zxid; `seed` keys the tree's hash tables. Nothing
/// behind the state is read. Many fields are a few bytes long, so a socket needs a buffer.
///
/// The state is taken for fuzzy. [`Rebuild::take`] adds the transactions that the leader commits
/// up to NEWLEADER; then [`Rebuild::finish`] gives the state. The configuration in it is the
/// leader's own text. A leader that has ordered nothing in its epoch sends the epoch with counter
/// 0, which is the zxid of no transaction.
pub fn load_stream(from: impl Read, zxid: Zxid, seed: u64) -> Result<Loaded, Bad> {
    load_stream_as(from, (zxid, StateForm::Fuzzy), seed)
}

/// As [`load_stream`], of a state that was written in this form.
pub fn load_stream_as(
    from: impl Read,
    (zxid, form): (Zxid, StateForm),
    seed: u64,
) -> Result<Loaded, Bad> {
    let mut stream = Stream::bounded(from, SNAP_FIELD_BYTES_MAX);
    let purpose = match form {
        StateForm::Fuzzy => Purpose::Learner,
        StateForm::Exact => Purpose::ExactLearner,
    };
    let mut rebuild = Rebuild::new(zxid, seed, purpose);
    read_state(&mut stream, &mut rebuild)?;
    if stream.int()? != SIGNATURE.len() as i32 || stream.bytes(SIGNATURE.len())? != SIGNATURE {
        return Err(stream.damaged("the signature behind its nodes is missing"));
    }
    rebuild.loaded(None, None);
    Ok(Loaded { rebuild, bytes: stream.at() })
}
