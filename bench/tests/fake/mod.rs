//! A tiny ZooKeeper in a thread that can be told to do one thing wrong, once.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use ringkeeper_engine::Code;
use ringkeeper_engine::wire::connect::{ConnectRequest, ConnectResponse};
use ringkeeper_engine::wire::event::{EventType, write_notification};
use ringkeeper_engine::wire::header::{ReplyFrame, RequestHeader};
use ringkeeper_engine::wire::opcode::op;
use ringkeeper_engine::wire::{Acl, Put, Reader, Stat};

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Damage {
    /// Nothing.
    None,
    /// A reply carries the xid of another request.
    WrongXid,
    /// Two replies change places.
    Swapped,
    /// A reply comes twice.
    Twice,
    /// A zxid from the past.
    ZxidBack,
    /// One bit of the data.
    FlippedBit,
    /// The data of another key.
    OtherKey,
    /// A code.
    ErrorCode,
    /// The very first state of a node.
    Stale,
    /// A set is acknowledged and forgotten.
    LostWrite,
    /// The record ends too early.
    Truncated,
    /// A reply never comes.
    Swallowed,
    /// The connection is closed.
    Hangup,
    /// Every connection is closed.
    Death,
    /// A frame of an impossible length.
    BadFrame,
    /// An event carries a zxid that its watcher has been shown already.
    LateEvent,
    /// An event never comes.
    MissingEvent,
    /// An event comes twice.
    DoubleEvent,
    /// A name is missing in a list.
    MissingChild,
    /// Another path than the created one is returned.
    WrongPath,
    /// The connection ends in the middle of a handshake.
    NoHandshake,
    /// A handshake is not answered.
    SilentHandshake,
}

/// Which answer is damaged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// What goes wrong.
    pub damage: Damage,
    /// In answers to this operation (events: to the write that fires them).
    pub op: i32,
    /// After this many good ones.
    pub after: u32,
}

#[derive(Clone, Default)]
struct Node {
    data: Vec<u8>,
    stat: Stat,
    /// As it was created, for stale answers.
    first: (Vec<u8>, Stat),
    owner: usize,
}

struct Watch {
    path: String,
    connection: usize,
    lasting: bool,
}

struct World {
    plan: Plan,
    zxid: i64,
    nodes: BTreeMap<String, Node>,
    watches: Vec<Watch>,
    streams: Vec<Arc<Mutex<TcpStream>>>,
}

/// A running server.
pub(crate) struct Fake {
    address: SocketAddr,
    world: Arc<Mutex<World>>,
}

impl Fake {
    /// Starts listening.
    pub(crate) fn start(plan: Plan) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let nodes = BTreeMap::from([("/".to_string(), Node::default())]);
        let world = World { plan, zxid: 1_000, nodes, watches: Vec::new(), streams: Vec::new() };
        let world = Arc::new(Mutex::new(world));
        let shared = world.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let world = shared.clone();
                std::thread::spawn(move || Connection::serve(stream, world));
            }
        });
        Fake { address, world }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Paths of all nodes.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.world.lock().unwrap().nodes.keys().cloned().collect()
    }
}

struct Connection {
    number: usize,
    world: Arc<Mutex<World>>,
    /// A reply that waits for the next one to overtake it.
    held: Vec<u8>,
}

impl Connection {
    fn serve(mut stream: TcpStream, world: Arc<Mutex<World>>) {
        stream.set_nodelay(true).unwrap();
        let mut word = [0; 4];
        if stream.peek(&mut word).is_ok()
            && let Some(answer) = answer_word(&word, &world)
        {
            let _ = stream.read_exact(&mut word);
            let _ = stream.write_all(answer.as_bytes());
            return;
        }
        let number = {
            let mut world = world.lock().unwrap();
            world.streams.push(Arc::new(Mutex::new(stream.try_clone().unwrap())));
            world.streams.len()
        };
        let mut connection = Connection { number, world, held: Vec::new() };
        let Some(first) = read_frame(&mut stream) else { return };
        if ConnectRequest::read(&first).is_err() || connection.refuses_handshake() {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
        if connection.sleeps_through_handshake() {
            let _ = read_frame(&mut stream);
            return;
        }
        let mut out = Vec::new();
        let response = ConnectResponse {
            timeout_ms: 30_000,
            session: 0x100 + number as i64,
            password: [7; 16],
            read_only: Some(false),
        };
        response.write_frame(&mut out);
        connection.send(&out);
        while let Some(frame) = read_frame(&mut stream) {
            if !connection.answer(&frame) {
                break;
            }
        }
        connection.world().drop_owner(number);
        let _ = stream.shutdown(Shutdown::Both);
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    fn refuses_handshake(&self) -> bool {
        self.world().strikes(Damage::NoHandshake, op::CREATE_SESSION)
    }

    fn sleeps_through_handshake(&self) -> bool {
        self.world().strikes(Damage::SilentHandshake, op::CREATE_SESSION)
    }

    fn send(&self, bytes: &[u8]) {
        let stream = self.world().streams[self.number - 1].clone();
        let _ = stream.lock().unwrap().write_all(bytes);
    }

    /// Answers one request; false ends the connection.
    fn answer(&mut self, frame: &[u8]) -> bool {
        let mut reader = Reader::new(frame);
        let header = RequestHeader::read(&mut reader).unwrap();
        let mut world = self.world.lock().unwrap();
        let mut body = Vec::new();
        let mut code = world.carry_out(self.number, header.op, &mut reader, &mut body);
        let (mut xid, mut zxid, mut copies) = (header.xid, world.zxid, 1);
        let mut hold = false;
        match world.strike(header.op) {
            Damage::WrongXid => xid += 1,
            Damage::Swapped => hold = true,
            Damage::Twice => copies = 2,
            Damage::ZxidBack => zxid = 1,
            Damage::ErrorCode => {
                code = Code::SystemError;
                body.clear();
            }
            Damage::Truncated => body.truncate(body.len() - 5),
            Damage::Swallowed => copies = 0,
            Damage::Hangup => return false,
            Damage::Death => world.hang_up(),
            Damage::BadFrame => {
                drop(world);
                self.send(&[0xff; 8]);
                return true;
            }
            _ => {}
        }
        let mut out = Vec::new();
        for _ in 0..copies {
            let reply = ReplyFrame::begin_raw(&mut out, xid, zxid, code);
            out.extend_from_slice(&body);
            reply.finish(&mut out);
        }
        drop(world);
        if hold {
            self.held = out;
        } else {
            out.append(&mut self.held);
            self.send(&out);
        }
        header.op != op::CLOSE_SESSION
    }
}

impl World {
    /// What goes wrong with this answer.
    fn strike(&mut self, op: i32) -> Damage {
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
        ];
        let damage = self.plan.damage;
        if answers.contains(&damage) && self.strikes(damage, op) { damage } else { Damage::None }
    }

    /// Whether it is time for this damage; it happens once.
    fn strikes(&mut self, damage: Damage, op: i32) -> bool {
        if self.plan.damage != damage || self.plan.op != op {
            return false;
        }
        if self.plan.after > 0 {
            self.plan.after -= 1;
            return false;
        }
        self.plan.damage = Damage::None;
        true
    }

    fn carry_out(
        &mut self,
        connection: usize,
        op: i32,
        reader: &mut Reader<'_>,
        body: &mut Vec<u8>,
    ) -> Code {
        let done = match op {
            op::CREATE | op::DELETE | op::SET_DATA => self.write(connection, op, reader, body),
            op::MULTI => self.multi(connection, reader, body),
            op::GET_DATA => self.get(connection, reader, body),
            op::EXISTS => self.exists(reader, body),
            op::GET_CHILDREN => self.children(reader, body),
            op::GET_CHILDREN2 => self.children(reader, body).map(|()| Stat::default().write(body)),
            op::ADD_WATCH => {
                let path = reader.string().unwrap().into_owned();
                self.watches.push(Watch { path, connection, lasting: true });
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
        connection: usize,
        op: i32,
        reader: &mut Reader<'_>,
        body: &mut Vec<u8>,
    ) -> Result<(), Code> {
        self.zxid += 1;
        let path = reader.string().unwrap().into_owned();
        match op {
            op::CREATE => {
                let data = reader.buffer().unwrap().unwrap_or_default().to_vec();
                Acl::read_list(reader).unwrap();
                let owner = if reader.int().unwrap() == 1 { connection } else { 0 };
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

    fn create(&mut self, path: &str, data: Vec<u8>, owner: usize) -> Result<(), Code> {
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
        self.nodes.remove(path).map(drop).ok_or(Code::NoNode)
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
        self.fire(path);
        Ok(stat)
    }

    fn fire(&mut self, path: &str) {
        let fired: Vec<_> = self.watches.iter().filter(|watch| watch.path == path).collect();
        let connections: Vec<_> = fired.iter().map(|watch| watch.connection).collect();
        self.watches.retain(|watch| watch.lasting || watch.path != path);
        for connection in connections {
            let late = self.strikes(Damage::LateEvent, op::SET_DATA);
            let missing = self.strikes(Damage::MissingEvent, op::SET_DATA);
            let double = self.strikes(Damage::DoubleEvent, op::SET_DATA);
            let zxid = if late { self.zxid - 1 } else { self.zxid };
            let mut out = Vec::new();
            for _ in 0..if missing { 0 } else { 1 + usize::from(double) } {
                write_notification(&mut out, zxid, EventType::NodeDataChanged, path);
            }
            let _ = self.streams[connection - 1].lock().unwrap().write_all(&out);
        }
    }

    fn multi(
        &mut self,
        connection: usize,
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
            if let Err(code) = self.write(connection, op, reader, &mut results) {
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
        if reader.bool().unwrap() {
            self.watches.push(Watch { path: path.clone(), connection, lasting: false });
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

    fn children(&mut self, reader: &mut Reader<'_>, body: &mut Vec<u8>) -> Result<(), Code> {
        let path = reader.string().unwrap();
        self.nodes.get(path.as_ref()).ok_or(Code::NoNode)?;
        let missing =
            path.ends_with("/list") && self.strikes(Damage::MissingChild, op::GET_CHILDREN);
        let mut names = self.names(&path);
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

    fn hang_up(&self) {
        for stream in &self.streams {
            let _ = stream.lock().unwrap().shutdown(Shutdown::Both);
        }
    }

    fn drop_owner(&mut self, owner: usize) {
        self.nodes.retain(|_, node| node.owner != owner);
        self.watches.retain(|watch| watch.connection != owner);
    }
}

/// What is answered to a four-letter word. Every write is a sync of its own here.
fn answer_word(word: &[u8; 4], world: &Mutex<World>) -> Option<String> {
    match word {
        b"srvr" => Some("Zookeeper version: 0.0.1-fake, built on sand\n".into()),
        b"conf" => Some("clientPort=2181\ndataDir=/\nforceSync=yes\n".into()),
        b"mntr" => {
            let syncs = world.lock().unwrap().zxid;
            Some(format!(
                "zk_server_state\tstandalone\nzk_cnt_fsynctime\t{syncs}\nzk_sum_fsynctime\t{}\n\
                 zk_cnt_sync_processor_batch_size\t{syncs}\n\
                 zk_sum_sync_processor_batch_size\t{syncs}\n",
                2 * syncs
            ))
        }
        _ => None,
    }
}

fn multi_header(out: &mut Vec<u8>, op: i32, done: bool) {
    out.put_int(op);
    out.put_bool(done);
    out.put_int(if done { -1 } else { 0 });
}

fn read_frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).ok()?;
    let mut frame = vec![0; u32::from_be_bytes(head) as usize % (1 << 24)];
    stream.read_exact(&mut frame).ok()?;
    Some(frame)
}
