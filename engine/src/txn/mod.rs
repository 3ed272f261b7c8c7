//! Transactions: the only thing that changes a tree, a session table or a replica.
//!
//! A transaction carries every decision already taken (resulting version, time, sequence name), so
//! that replaying it needs no clock and no configuration. Its bytes are ZooKeeper's own
//! (`TxnHeader` and the record of its type): the same bytes stand in the log and travel to peers.

mod borrowed;
mod check;
mod codec;
mod digest;

use std::sync::Arc;

pub(crate) use borrowed::{AclMemo, BodyRef, CreateRef, TxnRef};
pub(crate) use check::check;
pub(crate) use codec::TxnHeader;
pub use digest::TxnDigest;

pub use crate::acl::AclList;
use crate::{Code, Millis, SessionId, Zxid};

/// The node that shows the members of the ensemble: `ZooDefs.CONFIG_NODE`.
pub const CONFIG_NODE: &str = "/zookeeper/config";

/// One ordered change, or one ordered refusal.
#[derive(Clone, PartialEq, Debug)]
pub struct Txn {
    /// The session of the client; [`SessionId::NONE`] for the server itself.
    pub session: SessionId,
    /// The client's number of the request.
    pub cxid: i32,
    /// Its position in the total order.
    pub zxid: Zxid,
    /// Wall clock of the server that ordered it.
    pub time: Millis,
    /// What changes.
    pub body: TxnBody,
}

/// What a transaction changes.
#[derive(Clone, PartialEq, Debug)]
pub enum TxnBody {
    /// A node is created.
    Create(CreateTxn),
    /// A node is deleted, by a client (type 2) or because its container is spent or its time is
    /// up (type 20).
    Delete {
        /// The node.
        path: Arc<str>,
        /// Why.
        cause: DeleteCause,
    },
    /// The data of a node is replaced.
    SetData {
        /// The node.
        path: Arc<str>,
        /// The new data.
        data: Option<Box<[u8]>>,
        /// The resulting version.
        version: i32,
    },
    /// The ACL of a node is replaced.
    SetAcl {
        /// The node.
        path: Arc<str>,
        /// The new list.
        acl: AclList,
        /// The resulting aversion.
        version: i32,
    },
    /// The members of the ensemble change (type 16): new data of [`CONFIG_NODE`]. Its record is that
    /// of a setData on this path.
    Reconfig {
        /// The configuration as text, its version in the last line.
        data: Option<Box<[u8]>>,
        /// The resulting version of the node; ZooKeeper always sets -1.
        version: i32,
    },
    /// Inside a multi: a version was as expected. Changes nothing.
    Check {
        /// The node.
        path: Arc<str>,
        /// The version that was expected.
        version: i32,
    },
    /// All of them, at one zxid. A multi that was refused holds [`TxnBody::Error`] only.
    Multi(Vec<TxnBody>),
    /// A session is created.
    CreateSession {
        /// The timeout agreed.
        timeout_ms: i32,
    },
    /// A session is closed, and its ephemeral nodes are deleted.
    CloseSession {
        /// The deleted nodes, in the order of the deletions.
        paths: Vec<Arc<str>>,
    },
    /// A request that was refused: changes nothing, but has its zxid.
    Error(Code),
}

/// A node that is created.
#[derive(Clone, PartialEq, Debug)]
pub struct CreateTxn {
    /// The operation of the request; it decides the form of the reply and the type in the log.
    pub op: CreateOp,
    /// The full path, sequence suffix included.
    pub path: Arc<str>,
    /// Null and empty differ.
    pub data: Option<Box<[u8]>>,
    /// The list, after fix-up.
    pub acl: AclList,
    /// What kind of node.
    pub kind: NodeKind,
    /// The parent's count of creations after this one (ZooKeeper's internal cversion).
    pub parent_cversion: i32,
}

/// The operations that create.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CreateOp {
    /// Type 1: answered with the path.
    Create,
    /// Type 15: answered with path and stat.
    Create2,
    /// Type 19.
    Container,
    /// Type 21.
    Ttl,
}

/// Why a node is deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeleteCause {
    /// A client's delete.
    Client,
    /// The removal loop for containers and TTL nodes.
    Expiry,
}

/// The kinds of node. Sequential is not one: it only chooses the name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NodeKind {
    /// Lives until it is deleted.
    Persistent,
    /// Deleted when its session is closed.
    Ephemeral(SessionId),
    /// Deleted after its last child.
    Container,
    /// Deleted when it has had no change and no child for this many milliseconds.
    Ttl(i64),
}

/// A multi inside a multi does not exist.
#[derive(Clone, Copy, PartialEq)]
enum Depth {
    Outer,
    InMulti,
}

impl NodeKind {
    /// ZooKeeper's internal `ephemeralOwner`: 0, the session, or a marked value (protocol 7.6).
    pub fn to_owner(self) -> i64 {
        match self {
            NodeKind::Persistent => 0,
            NodeKind::Ephemeral(session) => session.0,
            NodeKind::Container => i64::MIN,
            NodeKind::Ttl(ms) => (0xff_u64 << 56) as i64 | ms,
        }
    }

    /// The kind behind an internal `ephemeralOwner`.
    pub fn from_owner(owner: i64) -> NodeKind {
        match owner {
            0 => NodeKind::Persistent,
            i64::MIN => NodeKind::Container,
            _ if (owner as u64) >> 40 == 0xff_0000 => NodeKind::Ttl(owner & ((1 << 40) - 1)),
            _ => NodeKind::Ephemeral(SessionId(owner)),
        }
    }

    /// What clients see as `ephemeralOwner`.
    pub fn visible_owner(self) -> i64 {
        match self {
            NodeKind::Ephemeral(session) => session.0,
            NodeKind::Persistent | NodeKind::Container | NodeKind::Ttl(_) => 0,
        }
    }
}
