//! What a portion of a long reply was.

use crate::Code;

/// Whether a list goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Portion {
    /// There is more to come.
    More,
    /// This was all; the code of the reply.
    Done(Code),
}
