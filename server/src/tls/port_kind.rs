//! What the clients of a port speak.

use ringkeeper_engine::shard::Port;

/// What clients of a listener speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PortKind {
    /// No TLS.
    Plain,
    /// TLS alone.
    Secure,
    /// Either; the first byte tells.
    Either,
}

impl PortKind {
    /// The port whose list of connections its clients stand in.
    pub fn port(self) -> Port {
        match self {
            PortKind::Plain | PortKind::Either => Port::Client,
            PortKind::Secure => Port::Secure,
        }
    }
}
