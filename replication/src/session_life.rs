//! Whether a session lives, as a leader says it.

/// Whether a session lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionLife {
    /// It does.
    Lives,
    /// It has ended, or there never was one.
    Ended,
}
