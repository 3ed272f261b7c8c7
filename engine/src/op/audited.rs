//! What the audit log says of a write: the names and fields of its changes.

use std::sync::Arc;

use crate::wire::SentAcl;
use crate::wire::record::perms;

/// One requested change; a multi requests several.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Action {
    /// What kind of change.
    pub operation: Operation,
    /// The node as the request names it.
    pub path: Option<Arc<str>>,
    /// The flags of a creation.
    pub flags: Option<i32>,
    /// The list that a node is to have.
    pub acl: Option<Box<str>>,
}

/// The kinds of changes, by ZooKeeper's names for them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Every operation that creates.
    Create,
    /// A client's delete.
    Delete,
    /// setData.
    SetData,
    /// setACL.
    SetAcl,
    /// A condition in a multi, which has no line.
    Check,
    /// A multi that was refused; one that was not has a line for each part.
    Multi,
    /// reconfig.
    Reconfig,
    /// An ephemeral node went with its session.
    SessionEnd,
    /// The server takes clients.
    ServerStart,
    /// The server is stopped.
    ServerStop,
}

impl Operation {
    /// ZooKeeper's name.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Create => "create",
            Operation::Delete => "delete",
            Operation::SetData => "setData",
            Operation::SetAcl => "setAcl",
            Operation::Check => "check",
            Operation::Multi => "multiOperation",
            Operation::Reconfig => "reconfig",
            Operation::SessionEnd => "ephemeralZNodeDeletionOnSessionCloseOrExpire",
            Operation::ServerStart => "serverStart",
            Operation::ServerStop => "serverStop",
        }
    }
}

impl Action {
    /// Without flags and list.
    pub(crate) fn on(operation: Operation, path: Option<&Arc<str>>) -> Action {
        Action { operation, path: path.cloned(), flags: None, acl: None }
    }
}

/// A list as ZooKeeper's audit log shows it: its entries stand one behind the other.
pub(crate) fn acl_text(list: &[SentAcl]) -> Box<str> {
    const LETTERS: [(i32, char); 5] = [
        (perms::CREATE, 'c'),
        (perms::DELETE, 'd'),
        (perms::READ, 'r'),
        (perms::WRITE, 'w'),
        (perms::ADMIN, 'a'),
    ];
    let mut text = String::new();
    for entry in list {
        let [scheme, id] = [&entry.scheme, &entry.id].map(|text| text.as_deref().unwrap_or("null"));
        text.extend([scheme, ":", id, ":"]);
        text.extend(LETTERS.iter().filter(|(bit, _)| entry.perms & bit != 0).map(|(_, c)| c));
    }
    text.into()
}
