//! The nodes of the fake server, and what is done to them.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};

use ringkeeper_engine::Code;
use ringkeeper_engine::wire::event::{EventType, write_notification};
use ringkeeper_engine::wire::opcode::op;
use ringkeeper_engine::wire::{Acl, Put, Reader, Stat};

use super::{Damage, Plan};

/// A node.
#[derive(Clone, Default)]
pub(super) struct Node {
    data: Vec<u8>,
    stat: Stat,
    /// As it was created, for stale answers.
    first: (Vec<u8>, Stat),
    owner: i64,
}

/// A watch.
pub(super) struct Watch {
    path: String,
    connection: usize,
    lasting: bool,
    recursive: bool,
}

/// Everything there is.
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) zxid: i64,
    pub(super) nodes: BTreeMap<String, Node>,
    pub(super) watches: Vec<Watch>,
    pub(super) streams: Vec<Arc<Mutex<TcpStream>>>,
    /// The last number given to a sequential node.
    pub(super) sequence: u32,
}

impl World {
    /// What goes wrong with this answer.
    pub(super) fn strike(&mut self, op: i32) -> Damage {
        let answers = [
            Damage::WrongXid,
            Damage::Swapped,
            Damage::Twice,
            Damage::ZxidBack,
            Damage::ErrorCode,
            Damage::Truncated,
            Damage::Swallowed,
            Damage::Hangup,
            Damage::Death,
            Damage::BadFrame,
            Damage::Amnesia,
            Damage::ForgottenCreate,
            Damage::ForgottenSessions,
            Damage::Stall,
        ];
        let damage = self.plan.damage;
        if answers.contains(&damage) && self.strikes(damage, op) { damage } else { Damage::None }
    }

    /// Whether it is time for this damage; but for a jumped queue it happens once.
    pub(super) fn strikes(&mut self, damage: Damage, op: i32) -> bool {
        if self.plan.damage != damage || self.plan.op != op {
            return false;
        }
        if self.plan.after > 0 {
            self.plan.after -= 1;
            return false;
        }
        if self.plan.damage != Damage::JumpedQueue {
            self.plan.damage = Damage::None;
        }
        true
    }

    /// Executes a request of a connection and its session.
    pub(super) fn execute(
        &mut self,
        who: (usize, i64),
        op: i32,
        reader: &mut Reader<'_>,
        body: &mut Vec<u8>,
    ) -> Code {
        let (connection, session) = who;
        let done = match op {
            op::CREATE | op::DELETE | op::SET_DATA => self.write(session, op, reader, body),
            op::MULTI => self.multi(session, reader, body),
            op::GET_DATA => self.get(connection, reader, body),
            op::EXISTS => self.exists(reader, body),
            op::GET_CHILDREN => self.children(session, reader, body),
            op::GET_CHILDREN2 => {
                self.children(session, reader, body).map(|()| Stat::default().write(body))
            }
            op::ADD_WATCH => {
                let path = reader.string().unwrap().into_owned();
                let recursive = reader.int().unwrap() == 1;
                self.watches.push(Watch { path, connection, lasting: true, recursive });
                body.put_int(0);
                Ok(())
            }
            op::PING | op::CLOSE_SESSION => Ok(()),
            op::SYNC => {
                body.put_string("/");
                Ok(())
            }
            _ => Err(Code::Unimplemented),
        };
        done.err().unwrap_or(Code::Ok)
    }

    fn write(
        &mut self,
        session: i64,
        op: i32,
        reader: &mut Reader<'_>,
        body: &mut Vec<u8>,
    ) -> Result<(), Code> {
        self.zxid += 1;
        let mut path = reader.string().unwrap().into_owned();
        match op {
            op::CREATE => {
                let data = reader.buffer().unwrap().unwrap_or_default().to_vec();
                Acl::read_list(reader).unwrap();
                let flags = reader.int().unwrap();
                let owner = if flags & 1 == 1 { session } else { 0 };
                if flags & 2 == 2 {
                    self.sequence += 1;
                    path = format!("{path}{:010}", self.sequence);
                }
                self.create(&path, data, owner)?;
                let wrong = self.strikes(Damage::WrongPath, op);
                body.put_string(if wrong { "/elsewhere" } else { &path });
            }
            op::DELETE => {
                reader.int().unwrap();
                self.delete(&path)?;
            }
            _ => {
                let data = reader.buffer().unwrap().unwrap_or_default().to_vec();
                reader.int().unwrap();
                self.set(&path, data)?.write(body);
            }
        }
        Ok(())
    }

    fn create(&mut self, path: &str, data: Vec<u8>, owner: i64) -> Result<(), Code> {
        if self.nodes.contains_key(path) {
            return Err(Code::NodeExists);
        }
        let data_length = data.len() as i32;
        let stat = Stat { czxid: self.zxid, mzxid: self.zxid, data_length, ..Stat::default() };
        let first = (data.clone(), stat);
        self.nodes.insert(path.to_string(), Node { data, stat, first, owner });
        Ok(())
    }

    fn delete(&mut self, path: &str) -> Result<(), Code> {
        let prefix = format!("{path}/");
        let mut behind = self.nodes.range(prefix.clone()..);
        if behind.next().is_some_and(|(node, _)| node.starts_with(&prefix)) {
            return Err(Code::NotEmpty);
        }
        self.nodes.remove(path).ok_or(Code::NoNode)?;
        self.fire(path, EventType::NodeDeleted);
        Ok(())
    }

    fn set(&mut self, path: &str, data: Vec<u8>) -> Result<Stat, Code> {
        let lost = self.strikes(Damage::LostWrite, op::SET_DATA);
        let node = self.nodes.get_mut(path).ok_or(Code::NoNode)?;
        let version = node.stat.version + 1;
        let data_length = data.len() as i32;
        let stat = Stat { mzxid: self.zxid, version, data_length, ..node.stat };
        if !lost {
            (node.data, node.stat) = (data, stat);
        }
        self.fire(path, EventType::NodeDataChanged);
        Ok(stat)
    }

    fn fire(&mut self, path: &str, kind: EventType) {
        let sees = |watch: &&Watch| {
            watch.path == path || (watch.recursive && path.starts_with(&watch.path))
        };
        let fired: Vec<_> = self.watches.iter().filter(sees).collect();
        let connections: Vec<_> = fired.iter().map(|watch| watch.connection).collect();
        self.watches.retain(|watch| watch.lasting || watch.path != path);
        for connection in connections {
            let late = self.strikes(Damage::LateEvent, op::SET_DATA);
            let missing = self.strikes(Damage::MissingEvent, op::SET_DATA);
            let double = self.strikes(Damage::DoubleEvent, op::SET_DATA);
            let zxid = if late { self.zxid - 1 } else { self.zxid };
            let mut out = Vec::new();
            for _ in 0..if missing { 0 } else { 1 + usize::from(double) } {
                write_notification(&mut out, zxid, kind, path);
            }
            let _ = self.streams[connection - 1].lock().unwrap().write_all(&out);
        }
    }

    fn multi(
        &mut self,
        session: i64,
        reader: &mut Reader<'_>,
        body: &mut Vec<u8>,
    ) -> Result<(), Code> {
        let before = self.nodes.clone();
        let mut results = Vec::new();
        let mut failed = None;
        loop {
            let (op, done, _) = (reader.int().unwrap(), reader.bool().unwrap(), reader.int());
            if done {
                break;
            }
            multi_header(&mut results, op, false);
            if let Err(code) = self.write(session, op, reader, &mut results) {
                failed = Some(code);
                break;
            }
        }
        if let Some(code) = failed {
            self.nodes = before;
            results.clear();
            multi_header(&mut results, -1, false);
            results.put_int(code.to_wire());
        }
        multi_header(&mut results, -1, true);
        body.append(&mut results);
        Ok(())
    }

    fn get(
        &mut self,
        connection: usize,
        reader: &mut Reader<'_>,
        body: &mut Vec<u8>,
    ) -> Result<(), Code> {
        let path = reader.string().unwrap().into_owned();
        if reader.bool().unwrap() && self.nodes.contains_key(&path) {
            self.watches.push(Watch {
                path: path.clone(),
                connection,
                lasting: false,
                recursive: false,
            });
        }
        let node = self.nodes.get(&path).ok_or(Code::NoNode)?.clone();
        let (mut data, mut stat) = (node.data, node.stat);
        if stat.version > 20 && self.strikes(Damage::Stale, op::GET_DATA) {
            (data, stat) = node.first;
        } else if self.strikes(Damage::FlippedBit, op::GET_DATA) {
            data[20] ^= 4;
        } else if self.strikes(Damage::OtherKey, op::GET_DATA) {
            let other = |(key, _): &(&String, &Node)| key.contains("/k000/") && **key != path;
            data = self.nodes.iter().find(other).unwrap().1.data.clone();
        }
        body.put_buffer(Some(&data));
        stat.write(body);
        Ok(())
    }

    fn exists(&mut self, reader: &mut Reader<'_>, body: &mut Vec<u8>) -> Result<(), Code> {
        let path = reader.string().unwrap();
        let stat = self.nodes.get(path.as_ref()).ok_or(Code::NoNode)?.stat;
        let num_children = self.names(&path).len() as i32;
        Stat { num_children, ..stat }.write(body);
        Ok(())
    }

    fn children(
        &mut self,
        session: i64,
        reader: &mut Reader<'_>,
        body: &mut Vec<u8>,
    ) -> Result<(), Code> {
        let path = reader.string().unwrap();
        self.nodes.get(path.as_ref()).ok_or(Code::NoNode)?;
        let missing =
            path.ends_with("/list") && self.strikes(Damage::MissingChild, op::GET_CHILDREN);
        let jumped = path.contains("/q0") && self.strikes(Damage::JumpedQueue, op::GET_CHILDREN);
        let mut names = self.names(&path);
        if jumped {
            names.retain(|name| self.nodes[&format!("{path}/{name}")].owner == session);
        }
        if missing {
            names.pop();
        }
        body.put_count(names.len());
        names.iter().for_each(|name| body.put_string(name));
        Ok(())
    }

    fn names(&self, path: &str) -> Vec<&str> {
        let prefix = format!("{}/", path.trim_end_matches('/'));
        let below =
            self.nodes.range(prefix.clone()..).map_while(|(node, _)| node.strip_prefix(&prefix));
        below.filter(|name| !name.is_empty() && !name.contains('/')).collect()
    }

    /// Closes every connection.
    pub(super) fn hang_up(&self) {
        for stream in &self.streams {
            let _ = stream.lock().unwrap().shutdown(Shutdown::Both);
        }
    }

    /// Forgets every set of the first key.
    pub(super) fn forget_sets(&mut self) {
        let key = self.nodes.iter_mut().find(|(path, _)| path.contains("/k000/")).unwrap().1;
        (key.data, key.stat) = key.first.clone();
        self.hang_up();
    }

    /// Forgets the first node that a session has created.
    pub(super) fn forget_create(&mut self) {
        let is_made = |path: &&String| path.contains("/c000") && path.ends_with(char::is_numeric);
        let depth = |path: &&String| path.matches('/').count() == 4;
        let path = self.nodes.keys().filter(is_made).find(depth).unwrap().clone();
        self.nodes.remove(&path);
        self.hang_up();
    }

    /// Forgets the ephemeral nodes of sessions that live.
    pub(super) fn forget_ephemerals(&mut self) {
        self.nodes.retain(|_, node| node.owner == 0);
        self.hang_up();
    }

    /// A session is over: its nodes go.
    pub(super) fn drop_owner(&mut self, session: i64) {
        self.nodes.retain(|_, node| node.owner != session);
    }

    /// A connection is over: its watches go.
    pub(super) fn drop_watches(&mut self, connection: usize) {
        self.watches.retain(|watch| watch.connection != connection);
    }
}

fn multi_header(out: &mut Vec<u8>, op: i32, done: bool) {
    out.put_int(op);
    out.put_bool(done);
    out.put_int(if done { -1 } else { 0 });
}
