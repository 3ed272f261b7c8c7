//! The ports of a server for its clients.

/// The port that a client has connected to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Port {
    /// `clientPort`.
    Client,
    /// `secureClientPort`.
    Secure,
}
