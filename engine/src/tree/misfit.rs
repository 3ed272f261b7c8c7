//! A change that does not fit the tree.

/// Why a change does not fit the tree. Whoever ordered it has checked it against the same state, so
/// here it is a bug of ours, or another state than that of the leader that has sent it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Misfit {
    /// It changes a node that is not there.
    #[error("it changes a node that is not there")]
    NoNode,
    /// It creates a node that is there.
    #[error("it creates a node that is there")]
    NodeExists,
    /// It creates a node whose parent is not there.
    #[error("it creates a node whose parent is not there")]
    NoParent,
    /// It creates a node below an ephemeral one.
    #[error("it creates a node below an ephemeral one")]
    EphemeralParent,
    /// It creates a node with a path or an owner that none has.
    #[error("it creates a node with a path or an owner that none has")]
    NoSuchKind,
    /// It deletes a node that has children.
    #[error("it deletes a node that has children")]
    NotEmpty,
    /// It deletes a node that every tree has.
    #[error("it deletes a node that every tree has")]
    BuiltIn,
    /// It holds together what cannot be part of a multi, or what is refused and what is not.
    #[error("it is a multi with parts that do not go together")]
    Multi,
}
