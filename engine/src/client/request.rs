//! Every request of the protocol, and its bytes.

use crate::op::create::CreateRecord;
use crate::op::{multi, put_path_and_int, reconfig, set_acl, set_data};
use crate::wire::header::{RequestHeader, finish_frame};
use crate::wire::opcode::op;
use crate::wire::{Acl, Put};

/// One request, borrowing what it carries.
#[derive(Clone, Copy, Debug)]
pub enum Request<'a> {
    /// Creates a node; answered with its path (containers and TTL nodes: path and stat).
    Create(Create<'a>),
    /// Creates a node; answered with path and stat.
    Create2(Create<'a>),
    /// Deletes a node.
    Delete {
        /// The node.
        path: &'a str,
        /// Its expected version, -1 for any.
        version: i32,
    },
    /// Removes an empty container: an operation of servers, which clients must be refused.
    DeleteContainer {
        /// The container.
        path: &'a str,
    },
    /// The stat of a node.
    Exists {
        /// The node, which need not exist.
        path: &'a str,
        /// Whether to leave a one-shot watch.
        watch: bool,
    },
    /// Data and stat.
    GetData {
        /// The node.
        path: &'a str,
        /// Whether to leave a one-shot watch.
        watch: bool,
    },
    /// Replaces the data; answered with the stat.
    SetData {
        /// The node.
        path: &'a str,
        /// The data; null and empty differ.
        data: Option<&'a [u8]>,
        /// The expected version, -1 for any.
        version: i32,
    },
    /// ACL and stat.
    GetAcl {
        /// The node.
        path: &'a str,
    },
    /// Replaces the ACL; answered with the stat.
    SetAcl {
        /// The node.
        path: &'a str,
        /// The list.
        acl: &'a [Acl],
        /// The expected aversion, -1 for any.
        version: i32,
    },
    /// Names of the children.
    GetChildren {
        /// The node.
        path: &'a str,
        /// Whether to leave a one-shot watch.
        watch: bool,
    },
    /// Names of the children, and the stat.
    GetChildren2 {
        /// The node.
        path: &'a str,
        /// Whether to leave a one-shot watch.
        watch: bool,
    },
    /// Waits until the server has seen every write that was committed before.
    Sync {
        /// Echoed.
        path: &'a str,
    },
    /// Inside a multi: refuses it unless the version is as expected.
    Check {
        /// The node.
        path: &'a str,
        /// The expected version, -1 for any.
        version: i32,
    },
    /// All writes of the list, or none.
    Multi(&'a [Request<'a>]),
    /// Several reads.
    MultiRead(&'a [Request<'a>]),
    /// Changes the ensemble.
    Reconfig {
        /// Servers to add.
        joining: Option<&'a str>,
        /// Ids to remove.
        leaving: Option<&'a str>,
        /// The whole new membership, instead of the two others.
        members: Option<&'a str>,
        /// The version of the configuration this builds on, -1 for any.
        config: i64,
    },
    /// Whether there is such a watch.
    CheckWatches {
        /// The node.
        path: &'a str,
        /// Which watches.
        kind: WatcherType,
    },
    /// Removes watches of this connection.
    RemoveWatches {
        /// The node.
        path: &'a str,
        /// Which watches.
        kind: WatcherType,
    },
    /// Adds an identity to the connection.
    Auth {
        /// The scheme.
        scheme: &'a str,
        /// What proves it.
        auth: &'a [u8],
    },
    /// One step of a SASL exchange.
    Sasl {
        /// The mechanism's bytes.
        token: Option<&'a [u8]>,
    },
    /// Sets one-shot watches again after a reconnect (the two last lists do not travel).
    SetWatches(&'a Watches<'a>),
    /// Sets all kinds of watches again after a reconnect.
    SetWatches2(&'a Watches<'a>),
    /// Paths of this session's ephemeral nodes.
    GetEphemerals {
        /// Raw string prefix of the paths.
        prefix: &'a str,
    },
    /// Count of all descendants.
    GetAllChildrenNumber {
        /// The node.
        path: &'a str,
    },
    /// Leaves a watch that stays.
    AddWatch {
        /// The node, which need not exist.
        path: &'a str,
        /// Whether it covers the descendants.
        mode: WatchMode,
    },
    /// The identities of the connection.
    WhoAmI,
    /// Keeps the session alive.
    Ping,
    /// Ends the session; its ephemeral nodes go.
    CloseSession,
    /// Any operation with any record: for tests of what a server does with nonsense.
    Raw {
        /// The operation code.
        op: i32,
        /// The record.
        body: &'a [u8],
    },
}

/// What creates carry.
#[derive(Clone, Copy, Debug)]
pub struct Create<'a> {
    /// The path, without the suffix if the mode is sequential.
    pub path: &'a str,
    /// The data; null and empty differ.
    pub data: Option<&'a [u8]>,
    /// The ACL.
    pub acl: &'a [Acl],
    /// The kind of node.
    pub mode: CreateMode,
}

/// Kinds of node to create.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CreateMode {
    /// Stays.
    Persistent,
    /// Goes with the session.
    Ephemeral,
    /// Stays, and the server appends a number to its name.
    PersistentSequential,
    /// Goes with the session, and the server appends a number to its name.
    EphemeralSequential,
    /// Goes after its last child.
    Container,
    /// Goes after this many milliseconds without child or change.
    Ttl(i64),
    /// As [`CreateMode::Ttl`], and the server appends a number to its name.
    SequentialTtl(i64),
}

impl CreateMode {
    /// The flags of the create records.
    pub const fn flags(self) -> i32 {
        match self {
            CreateMode::Persistent => 0,
            CreateMode::Ephemeral => 1,
            CreateMode::PersistentSequential => 2,
            CreateMode::EphemeralSequential => 3,
            CreateMode::Container => 4,
            CreateMode::Ttl(_) => 5,
            CreateMode::SequentialTtl(_) => 6,
        }
    }

    /// Containers and TTL nodes have operations of their own; the others take `plain`.
    const fn op(self, plain: i32) -> i32 {
        match self {
            CreateMode::Persistent
            | CreateMode::Ephemeral
            | CreateMode::PersistentSequential
            | CreateMode::EphemeralSequential => plain,
            CreateMode::Container => op::CREATE_CONTAINER,
            CreateMode::Ttl(_) | CreateMode::SequentialTtl(_) => op::CREATE_TTL,
        }
    }
}

/// Modes of [`Request::AddWatch`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum WatchMode {
    /// The node and its children list.
    Persistent = 0,
    /// The node and everything below.
    PersistentRecursive = 1,
}

/// Which watches a check or a removal means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum WatcherType {
    /// One-shot, on the children list.
    Children = 1,
    /// One-shot, on the data.
    Data = 2,
    /// All of them.
    Any = 3,
    /// Persistent.
    Persistent = 4,
    /// Persistent and recursive.
    PersistentRecursive = 5,
}

/// The watches that a client held when it lost its connection.
#[derive(Clone, Copy, Default, Debug)]
pub struct Watches<'a> {
    /// The newest zxid that the client has seen: changes after it fire at once.
    pub relative_zxid: i64,
    /// One-shot watches on nodes that were there.
    pub data: &'a [&'a str],
    /// One-shot watches on nodes that were missing.
    pub exist: &'a [&'a str],
    /// One-shot watches on lists of children.
    pub child: &'a [&'a str],
    /// Persistent watches.
    pub persistent: &'a [&'a str],
    /// Persistent recursive watches.
    pub recursive: &'a [&'a str],
}

impl Request<'_> {
    /// The operation code.
    pub const fn op(&self) -> i32 {
        match self {
            Request::Create(create) => create.mode.op(op::CREATE),
            Request::Create2(create) => create.mode.op(op::CREATE2),
            Request::Delete { .. } => op::DELETE,
            Request::DeleteContainer { .. } => op::DELETE_CONTAINER,
            Request::Exists { .. } => op::EXISTS,
            Request::GetData { .. } => op::GET_DATA,
            Request::SetData { .. } => op::SET_DATA,
            Request::GetAcl { .. } => op::GET_ACL,
            Request::SetAcl { .. } => op::SET_ACL,
            Request::GetChildren { .. } => op::GET_CHILDREN,
            Request::GetChildren2 { .. } => op::GET_CHILDREN2,
            Request::Sync { .. } => op::SYNC,
            Request::Check { .. } => op::CHECK,
            Request::Multi(_) => op::MULTI,
            Request::MultiRead(_) => op::MULTI_READ,
            Request::Reconfig { .. } => op::RECONFIG,
            Request::CheckWatches { .. } => op::CHECK_WATCHES,
            Request::RemoveWatches { .. } => op::REMOVE_WATCHES,
            Request::Auth { .. } => op::AUTH,
            Request::Sasl { .. } => op::SASL,
            Request::SetWatches(_) => op::SET_WATCHES,
            Request::SetWatches2(_) => op::SET_WATCHES2,
            Request::GetEphemerals { .. } => op::GET_EPHEMERALS,
            Request::GetAllChildrenNumber { .. } => op::GET_ALL_CHILDREN_NUMBER,
            Request::AddWatch { .. } => op::ADD_WATCH,
            Request::WhoAmI => op::WHO_AM_I,
            Request::Ping => op::PING,
            Request::CloseSession => op::CLOSE_SESSION,
            Request::Raw { op, .. } => *op,
        }
    }

    /// Appends the whole frame: length, header, record.
    pub fn write_frame(&self, xid: i32, out: &mut Vec<u8>) {
        let start = out.len();
        out.put_int(0);
        RequestHeader { xid, op: self.op() }.write(out);
        self.write(out);
        finish_frame(out, start);
    }

    /// Appends the record alone.
    pub fn write(&self, out: &mut Vec<u8>) {
        match *self {
            Request::Create(create) | Request::Create2(create) => create.write(out),
            Request::Exists { path, watch }
            | Request::GetData { path, watch }
            | Request::GetChildren { path, watch }
            | Request::GetChildren2 { path, watch } => {
                out.put_string(path);
                out.put_bool(watch);
            }
            Request::SetData { path, data, version } => {
                set_data::put_record(path, data, version, out);
            }
            Request::SetAcl { path, acl, version } => set_acl::put_record(path, acl, version, out),
            Request::Delete { path, version } | Request::Check { path, version } => {
                put_path_and_int(path, version, out);
            }
            Request::CheckWatches { path, kind } | Request::RemoveWatches { path, kind } => {
                put_path_and_int(path, kind as i32, out);
            }
            Request::AddWatch { path, mode } => put_path_and_int(path, mode as i32, out),
            Request::DeleteContainer { path }
            | Request::GetAcl { path }
            | Request::Sync { path }
            | Request::GetEphemerals { prefix: path }
            | Request::GetAllChildrenNumber { path } => out.put_string(path),
            Request::Multi(parts) | Request::MultiRead(parts) => write_multi(parts, out),
            Request::Reconfig { joining, leaving, members, config } => {
                reconfig::put_record([joining, leaving, members], config, out);
            }
            Request::Auth { scheme, auth } => {
                out.put_int(0);
                out.put_string(scheme);
                out.put_buffer(Some(auth));
            }
            Request::Sasl { token } => out.put_buffer(token),
            Request::SetWatches(watches) => watches.write_one_shot(out),
            Request::SetWatches2(watches) => {
                watches.write_one_shot(out);
                write_paths(watches.persistent, out);
                write_paths(watches.recursive, out);
            }
            Request::WhoAmI | Request::Ping | Request::CloseSession => {}
            Request::Raw { body, .. } => out.extend_from_slice(body),
        }
    }
}

impl Create<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        let ttl = match self.mode {
            CreateMode::Ttl(ms) | CreateMode::SequentialTtl(ms) => Some(ms),
            CreateMode::Persistent
            | CreateMode::Ephemeral
            | CreateMode::PersistentSequential
            | CreateMode::EphemeralSequential
            | CreateMode::Container => None,
        };
        let Create { path, data, acl, mode } = *self;
        CreateRecord { path, data, acl: Some(acl), flags: mode.flags(), ttl }.write(out);
    }
}

impl Watches<'_> {
    fn write_one_shot(&self, out: &mut Vec<u8>) {
        out.put_long(self.relative_zxid);
        write_paths(self.data, out);
        write_paths(self.exist, out);
        write_paths(self.child, out);
    }
}

fn write_paths(paths: &[&str], out: &mut Vec<u8>) {
    out.put_count(paths.len());
    paths.iter().for_each(|path| out.put_string(path));
}

fn write_multi(parts: &[Request<'_>], out: &mut Vec<u8>) {
    for part in parts {
        multi::put_request_header(part.op(), out);
        part.write(out);
    }
    multi::put_end(out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Reader;

    fn bytes(request: &Request<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        request.write_frame(7, &mut out);
        out
    }

    #[test]
    fn a_frame_is_length_header_and_record() {
        let bytes = bytes(&Request::GetData { path: "/a", watch: true });
        let expected = [
            0, 0, 0, 15, 0, 0, 0, 7, 0, 0, 0, 4, // length, xid, op
            0, 0, 0, 2, b'/', b'a', 1,
        ];
        assert_eq!(bytes, expected);
    }

    #[test]
    fn creates_choose_their_operation_by_kind() {
        let create = |mode| Create { path: "/a", data: None, acl: &[], mode };
        assert_eq!(Request::Create(create(CreateMode::Ephemeral)).op(), op::CREATE);
        assert_eq!(Request::Create2(create(CreateMode::Ephemeral)).op(), op::CREATE2);
        assert_eq!(Request::Create2(create(CreateMode::Container)).op(), op::CREATE_CONTAINER);
        assert_eq!(Request::Create(create(CreateMode::Ttl(5))).op(), op::CREATE_TTL);
        let with_ttl = bytes(&Request::Create(create(CreateMode::SequentialTtl(9))));
        assert_eq!(with_ttl[with_ttl.len() - 12..], [0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 9]);
    }

    #[test]
    fn a_multi_ends_with_its_terminator() {
        let parts = [Request::Delete { path: "/a", version: 3 }];
        let bytes = bytes(&Request::Multi(&parts));
        let mut reader = Reader::new(&bytes[12..]);
        assert_eq!((reader.int(), reader.bool(), reader.int()), (Ok(2), Ok(false), Ok(-1)));
        assert_eq!((reader.string().unwrap().as_ref(), reader.int()), ("/a", Ok(3)));
        assert_eq!((reader.int(), reader.bool(), reader.int()), (Ok(-1), Ok(true), Ok(-1)));
        assert!(reader.rest().is_empty());
    }
}
