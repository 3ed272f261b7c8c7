//! A tiny ZooKeeper in a thread that can be told to do one thing wrong, once.

mod world;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ringkeeper_engine::Code;
use ringkeeper_engine::wire::Reader;
use ringkeeper_engine::wire::connect::{ConnectRequest, ConnectResponse};
use ringkeeper_engine::wire::header::{ReplyFrame, RequestHeader};
use ringkeeper_engine::wire::opcode::op;
use world::{Node, World};

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
    /// All sets of a key are forgotten, and every connection is closed.
    Amnesia,
    /// Every ephemeral node is forgotten, and every connection is closed.
    ForgottenSessions,
    /// A created node is forgotten, and every connection is closed.
    ForgottenCreate,
    /// Whoever lists a queue sees nobody but himself, from then on.
    JumpedQueue,
    /// Everything stands still for [`STALL`].
    Stall,
}

/// How long a stall is.
pub(crate) const STALL: Duration = Duration::from_millis(300);

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
        let (zxid, watches, streams) = (1_000, Vec::new(), Vec::new());
        let world = World { plan, zxid, nodes, watches, streams, sequence: 0 };
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
    session: i64,
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
        let Some(first) = read_frame(&mut stream) else { return };
        let Ok(request) = ConnectRequest::read(&first) else { return };
        let session = if request.session == 0 { 0x100 + number as i64 } else { request.session };
        let mut connection = Connection { number, session, world, held: Vec::new() };
        if connection.refuses_handshake() {
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
            session,
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
        connection.world().drop_watches(number);
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
        let who = (self.number, self.session);
        let mut code = world.execute(who, header.op, &mut reader, &mut body);
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
            Damage::Amnesia => world.forget_sets(),
            Damage::ForgottenCreate => world.forget_create(),
            Damage::ForgottenSessions => world.forget_ephemerals(),
            Damage::Stall => std::thread::sleep(STALL),
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
        let closes = header.op == op::CLOSE_SESSION;
        if closes {
            self.world().drop_owner(self.session);
        }
        !closes
    }
}

/// What is answered to a four-letter word. Every write is a sync of its own here.
fn answer_word(word: &[u8; 4], world: &Mutex<World>) -> Option<String> {
    match word {
        b"srvr" => Some("Zookeeper version: 0.0.1-fake, built on sand\nMode: standalone\n".into()),
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

fn read_frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).ok()?;
    let mut frame = vec![0; u32::from_be_bytes(head) as usize % (1 << 24)];
    stream.read_exact(&mut frame).ok()?;
    Some(frame)
}
