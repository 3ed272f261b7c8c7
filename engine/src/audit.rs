//! The lines of the audit log: who changed what, with what result.
//!
//! The shard that has the client notes each write when it arrives, and nothing where the log is
//! off. It makes the lines when the answer comes back.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

pub use crate::op::Operation;
use crate::op::{Action, OpResult, Write};
use crate::txn::{Txn, TxnBody};
use crate::wire::Id;
use crate::{Millis, SessionId};

mod queue;

pub use queue::AuditQueue;

/// A write that is under way, and what its lines say.
#[derive(Debug)]
pub struct Audited {
    session: SessionId,
    client: Client,
    form: Form,
    actions: Vec<Action>,
}

/// The form of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    /// One change.
    Single,
    /// A multi.
    Multi,
}

/// The client of a change.
#[derive(Clone, PartialEq, Debug)]
pub struct Client {
    /// The identities of the connection.
    pub ids: Arc<[Id]>,
    /// Its address.
    pub ip: IpAddr,
}

impl Client {
    /// Bytes of the names that a line has of it.
    fn ids_bytes(&self) -> usize {
        self.ids.iter().map(|id| id.id.len()).sum()
    }
}

/// The result of a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// It was done.
    Success,
    /// It was refused.
    Failure,
    /// It was requested; no process is left to report the result.
    Invoked,
}

impl Ending {
    /// ZooKeeper's name.
    pub fn name(self) -> &'static str {
        match self {
            Ending::Success => "success",
            Ending::Failure => "failure",
            Ending::Invoked => "invoked",
        }
    }
}

/// One line.
#[derive(Clone, PartialEq, Debug)]
pub struct AuditLine {
    /// Wall clock.
    pub time: Millis,
    /// The session; none is the server itself.
    pub session: Option<SessionId>,
    /// The client; `None` is the server.
    pub client: Option<Client>,
    /// The kind of change.
    pub operation: Operation,
    /// The node.
    pub path: Option<Arc<str>>,
    /// What kind of node is created.
    pub kind: Option<&'static str>,
    /// The list that the node gets.
    pub acl: Option<Box<str>>,
    /// The result.
    pub ending: Ending,
}

impl Audited {
    /// Notes a write. The operation is that of its header.
    pub fn new(session: SessionId, client: Client, operation: Operation, write: &Write) -> Audited {
        let (form, actions) = match write {
            Write::Multi(writes) => {
                (Form::Multi, writes.iter().map(|write| action(operation, write)).collect())
            }
            write => (Form::Single, vec![action(operation, write)]),
        };
        Audited { session, client, form, actions }
    }

    /// The lines of a write that was ordered, and answered at `time`.
    pub fn lines(self, time: Millis, result: &OpResult, each: &mut dyn FnMut(AuditLine)) {
        match result {
            OpResult::Refused(_) => each(self.refusal(time)),
            OpResult::Multi(results) => {
                if results.iter().any(|result| matches!(result, OpResult::Refused(_))) {
                    return each(self.refusal(time));
                }
                for (action, result) in self.actions.iter().zip(results) {
                    self.success(action, time, result, each);
                }
            }
            result => {
                for action in &self.actions {
                    self.success(action, time, result, each);
                }
            }
        }
    }

    /// The line of a write that was refused. A multi has one for all of it.
    pub fn refusal(self, time: Millis) -> AuditLine {
        let all = Action::on(Operation::Multi, None);
        let action = match self.form {
            Form::Single => &self.actions[0],
            Form::Multi => &all,
        };
        self.line(action, action.path.clone(), time, Ending::Failure)
    }

    fn success(
        &self,
        action: &Action,
        time: Millis,
        result: &OpResult,
        each: &mut dyn FnMut(AuditLine),
    ) {
        if action.operation == Operation::Check {
            return;
        }
        // The name of a sequential node is known only now.
        let path = match result {
            OpResult::Created { path, .. } => Some(path.clone()),
            _ => action.path.clone(),
        };
        each(self.line(action, path, time, Ending::Success));
    }

    fn line(
        &self,
        action: &Action,
        path: Option<Arc<str>>,
        time: Millis,
        ending: Ending,
    ) -> AuditLine {
        AuditLine {
            time,
            session: Some(self.session),
            client: Some(self.client.clone()),
            operation: action.operation,
            path,
            kind: action.flags.and_then(kind),
            acl: action.acl.clone(),
            ending,
        }
    }
}

fn action(operation: Operation, write: &Write) -> Action {
    match write {
        Write::Create(create) => create.audited(),
        Write::Delete(delete) => delete.audited(),
        Write::SetData(set) => set.audited(),
        Write::SetAcl(set) => set.audited(),
        Write::Check(_) => Action::on(Operation::Check, None),
        Write::DeleteSpent(_) | Write::Multi(_) | Write::Refused(_) | Write::Reconfig(_) => {
            Action::on(operation, None)
        }
    }
}

/// The lines about the ephemeral nodes that are deleted with a session, where a transaction ends
/// one. Other transactions have none.
pub fn session_end_lines(txn: &Txn, each: &mut dyn FnMut(AuditLine)) {
    let TxnBody::CloseSession { paths } = &txn.body else { return };
    for path in paths {
        let line = AuditLine::of_server(Operation::SessionEnd, txn.time, Ending::Success);
        each(AuditLine { session: Some(txn.session), path: Some(path.clone()), ..line });
    }
}

/// ZooKeeper's name for the kind of node that the flags of a creation mean.
fn kind(flags: i32) -> Option<&'static str> {
    Some(match flags {
        0 => "persistent",
        1 => "ephemeral",
        2 => "persistent_sequential",
        3 => "ephemeral_sequential",
        4 => "container",
        5 => "persistent_with_ttl",
        6 => "persistent_sequential_with_ttl",
        _ => return None,
    })
}

impl AuditLine {
    /// What the server does by itself.
    pub fn of_server(operation: Operation, time: Millis, ending: Ending) -> AuditLine {
        AuditLine {
            time,
            session: None,
            client: None,
            operation,
            path: None,
            kind: None,
            acl: None,
            ending,
        }
    }

    /// The fields that are there, in ZooKeeper's order. `server` is the user of the server itself.
    pub fn fields(&self, server: &str) -> Vec<(&'static str, String)> {
        let mut fields = Vec::with_capacity(8);
        let mut put = |name, value: Option<String>| fields.extend(value.map(|value| (name, value)));
        put("session", self.session.map(|session| format!("0x{:x}", session.0)));
        let user = self.client.as_ref().map_or_else(|| server.to_owned(), Client::users);
        put("user", Some(user));
        put("ip", self.client.as_ref().map(|client| client.ip.to_string()));
        put("operation", Some(self.operation.name().to_owned()));
        put("znode", self.path.as_deref().map(str::to_owned));
        put("znode_type", self.kind.map(str::to_owned));
        put("acl", self.acl.as_deref().map(str::to_owned));
        put("result", Some(self.ending.name().to_owned()));
        fields
    }

    /// The text of the line: fields between tabs. Control characters are escaped, so that no name
    /// can pretend to be another field or another line.
    pub fn text(&self, server: &str) -> String {
        let mut text = String::new();
        for (name, value) in self.fields(server) {
            if !text.is_empty() {
                text.push('\t');
            }
            text.push_str(name);
            text.push('=');
            for c in value.chars() {
                if c.is_control() {
                    write!(text, "\\u{:04x}", u32::from(c)).expect("a String takes everything");
                } else {
                    text.push(c);
                }
            }
        }
        text
    }
}

impl Client {
    /// The names of the user: without passwords, without doubles.
    fn users(&self) -> String {
        let mut names: Vec<&str> = Vec::new();
        for id in self.ids.iter() {
            let name = match &*id.scheme {
                "digest" => id.id.split(':').next().unwrap_or_default(),
                _ => &*id.id,
            };
            let name = if name.is_empty() { &*id.scheme } else { name };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names.join(",")
    }
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
