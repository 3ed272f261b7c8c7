//! What reaches the loop of a demonstration.

/// Something that has happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum DemoEvent {
    /// A sentence for whoever looks on.
    Happened(String),
    /// A key was pressed.
    Key(u8),
}
