//! Watches: one table per shard says which connections a change concerns.
//!
//! As in ZooKeeper there are two tables, one for events of the node itself and one for events of
//! its children, and a connection has at most one watch per path in each, which may be several
//! modes at once. All of its observable quirks follow from that shape: a deleted node takes the
//! child watches on it along, a connection that watches in several ways gets one event, a
//! persistent watch counts in both tables and a recursive one only in the first.

mod chain;
mod fire;
mod paths;
mod recursive;
mod slab;
mod table;

pub use fire::Fired;
pub use table::{ScanCursor, WatchTable};

/// A connection of this shard.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnId(pub u32);

/// The watches of `addWatch`, which stay when they fire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WatchMode {
    /// All events of one node and the changes of its list of children.
    Persistent,
    /// Creation, deletion and data of a node and of everything below it.
    PersistentRecursive,
}

impl WatchMode {
    /// The mode of an `addWatch` request; others are answered with -5.
    pub const fn from_wire(raw: i32) -> Option<WatchMode> {
        match raw {
            0 => Some(WatchMode::Persistent),
            1 => Some(WatchMode::PersistentRecursive),
            _ => None,
        }
    }
}

/// The watches that reads leave behind, which go when they fire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OneShot {
    /// Left by `getData` and `exists`.
    Data,
    /// Left by `getChildren`.
    Child,
}

/// The kinds of watches that `checkWatches` and `removeWatches` mean.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WatcherType {
    /// One-shot, left by `getChildren`.
    Children,
    /// One-shot, left by `getData` and `exists`.
    Data,
    /// Whatever there is.
    Any,
    /// [`WatchMode::Persistent`].
    Persistent,
    /// [`WatchMode::PersistentRecursive`] on exactly that path.
    PersistentRecursive,
}

impl WatcherType {
    /// The type of a request; others are answered with -5.
    pub const fn from_wire(raw: i32) -> Option<WatcherType> {
        match raw {
            1 => Some(WatcherType::Children),
            2 => Some(WatcherType::Data),
            3 => Some(WatcherType::Any),
            4 => Some(WatcherType::Persistent),
            5 => Some(WatcherType::PersistentRecursive),
            _ => None,
        }
    }
}

/// A change of a node that watches can see. Changes of its ACL are seen by none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ChangeKind {
    /// The node was created.
    Created,
    /// The node was deleted.
    Deleted,
    /// Its data was set.
    DataChanged,
}

/// Whose ACL decides whether an event may be delivered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Subject {
    /// The changed node's, as it was at the change (before it, for a deletion).
    Node,
    /// Its parent's.
    Parent,
}

/// ZooKeeper's two tables.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Table {
    /// Events of the node.
    Data = 0,
    /// Events of its children.
    Child = 1,
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
