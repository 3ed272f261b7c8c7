//! Does every client see one order? Several connections pipeline random requests while shards,
//! sequencer, disk and network move in random steps; a model of the history says for each reply
//! and each event, byte by byte, what it has to be:
//!
//! * replies come in the order of their requests, and zxids never go back;
//! * a read between two writes of its session sees the first and not the second;
//! * an event comes before every reply that could show its change, the writer's own too;
//! * a watch fires exactly once, at the first change behind the reply that registered it;
//! * what the log gives back is what was served.
//!
//! A failure names its seed: `seed(n)` plays it again.

use ringkeeper_engine::client::{Request, WatchMode};
use ringkeeper_engine::throttle::RequestLimits;
use ringkeeper_engine::watch::ConnId;
use ringkeeper_replication::WriteAdmission;

use crate::client::Client;
use crate::node::{Node, NodeSettings};
use crate::random::Random;

const SEEDS: u64 = 300;
const STEPS: usize = 600;

/// A connection that its client has left without a word.
struct Ghost {
    seat: usize,
    conn: ConnId,
    to_server: Vec<u8>,
}

struct World {
    random: Random,
    node: Node,
    clients: Vec<Client>,
    ghosts: Vec<Ghost>,
}

/// In every third world requests are held back, and in some of these dropped with their client.
fn request_limits(random: &mut Random) -> RequestLimits {
    RequestLimits {
        in_process_max: *random.pick(&[None, None, None, None, Some(1), Some(3)]),
        drop_stale: random.percent(50),
        stale_by_connection: random.percent(50),
        ..RequestLimits::default()
    }
}

impl World {
    fn new(seed: u64) -> World {
        let mut random = Random::new(seed);
        let settings = NodeSettings {
            shards: 1 + random.below(3) as u16,
            hold_max: 1 + random.below(6),
            batches_max: 1 + random.below(4),
            outstanding_max: *random.pick(&[2, 10, 1_000]),
            requests: request_limits(&mut random),
            ..NodeSettings::default()
        };
        let clients = (0..2 + random.below(4)).map(|_| Client::new()).collect();
        World { random, node: Node::new(settings), clients, ghosts: Vec::new() }
    }

    fn step(&mut self) {
        let client = self.random.below(self.clients.len());
        match self.random.below(100) {
            0..=29 => self.ask(client),
            30..=54 => self.upload(client),
            55..=74 => self.download(client),
            75..=82 => self.node.release(),
            83..=88 => self.node.order(1 + self.random.below(4)),
            89..=94 => self.node.sync(),
            95 => self.node.pass(self.random.below(60) as i64),
            96 => self.node.pass(self.random.below(400) as i64),
            97 => self.ghost_moves(),
            98 if self.random.percent(10) => self.fill_or_empty_the_disk(),
            98 => self.leave(client),
            _ => self.serve_all(),
        }
    }

    fn ask(&mut self, client: usize) {
        let client = &mut self.clients[client];
        if client.at.is_none() {
            let seat = self.random.below(self.node.seats.len());
            return client.connect(&mut self.node, seat);
        }
        if client.is_open() {
            (0..1 + self.random.below(4)).for_each(|_| client.ask(&mut self.random));
        }
    }

    /// Some of the bytes under way arrive.
    fn upload(&mut self, client: usize) {
        let client = &mut self.clients[client];
        let Some((seat, conn)) = client.at else { return };
        let whole = client.to_server.len();
        let count = if self.random.percent(30) { self.random.below(whole + 1) } else { whole };
        let piece: Vec<u8> = client.to_server.drain(..count).collect();
        self.node.serve(seat, std::iter::once((conn, &piece[..])));
    }

    fn download(&mut self, client: usize) {
        let client = &mut self.clients[client];
        let Some((seat, at)) = client.at else { return };
        let conn = self.node.seats[seat].shard.conn_mut(at).expect("the client is connected");
        let whole = conn.out.len();
        let count = if self.random.percent(30) { self.random.below(whole + 1) } else { whole };
        let piece: Vec<u8> = conn.out.drain(..count).collect();
        client.receive(&piece, &self.node.history);
        if self.node.has_closed(seat, at) {
            let lives = self.node.knows(client.session());
            let wrong = lives && client.is_open() && !client.may_be_cut_off;
            assert!(!wrong, "a living session was cut off");
            client.disconnect(&self.node.history);
            self.node.seats[seat].shard.lost(at);
        }
    }

    /// The client goes; the server may hear of it at once or much later.
    fn leave(&mut self, client: usize) {
        let client = &mut self.clients[client];
        let Some((seat, conn)) = client.at else { return };
        let to_server = std::mem::take(&mut client.to_server);
        client.may_be_cut_off |= client.is_connecting();
        client.disconnect(&self.node.history);
        if self.random.percent(50) {
            self.node.seats[seat].shard.lost(conn);
        } else {
            self.ghosts.push(Ghost { seat, conn, to_server });
        }
    }

    fn ghost_moves(&mut self) {
        if self.ghosts.is_empty() {
            return;
        }
        let index = self.random.below(self.ghosts.len());
        let ghost = &mut self.ghosts[index];
        let bytes = std::mem::take(&mut ghost.to_server);
        self.node.serve(ghost.seat, std::iter::once((ghost.conn, &bytes[..])));
        if self.random.percent(50) {
            let ghost = self.ghosts.swap_remove(index);
            self.node.seats[ghost.seat].shard.lost(ghost.conn);
        }
    }

    fn fill_or_empty_the_disk(&mut self) {
        self.node.admission = *self.random.pick(&[
            WriteAdmission::All,
            WriteAdmission::All,
            WriteAdmission::CloseOnly,
            WriteAdmission::None,
        ]);
    }

    fn serve_all(&mut self) {
        (0..self.node.seats.len()).for_each(|seat| self.node.serve(seat, std::iter::empty()));
    }

    /// Everything comes to rest: all that was asked is answered, and nothing is left over.
    fn finish(&mut self) {
        self.node.admission = WriteAdmission::All;
        for ghost in std::mem::take(&mut self.ghosts) {
            self.node.seats[ghost.seat].shard.lost(ghost.conn);
        }
        let mut rounds = 0;
        while !self.is_at_rest() {
            rounds += 1;
            assert!(rounds < 10_000, "something waits for ever");
            (0..self.clients.len()).for_each(|client| self.upload(client));
            self.node.release();
            self.node.order(usize::MAX);
            self.node.sync();
            self.serve_all();
            (0..self.clients.len()).for_each(|client| self.download(client));
        }
        assert_eq!(self.node.outstanding(), 0);
        for seat in &self.node.seats {
            assert_eq!(seat.shard.outstanding(), 0, "requests are counted as under way");
        }
        self.clients.iter_mut().for_each(|client| client.finish(&self.node));
    }

    fn is_at_rest(&self) -> bool {
        self.node.is_quiet()
            && self.clients.iter().all(|client| {
                let Some((seat, at)) = client.at else { return true };
                let conn = self.node.seats[seat].shard.conn(at);
                let sent = conn.is_none_or(|conn| conn.out.is_empty() && conn.input.is_empty());
                sent && client.to_server.is_empty() && client.is_settled()
            })
    }
}

/// Plays one history; returns how many replies and events were checked.
fn seed(seed: u64) -> (usize, usize) {
    let mut world = World::new(seed);
    (0..STEPS).for_each(|_| world.step());
    world.finish();
    let clients = world.clients.iter();
    clients.fold((0, 0), |(r, e), client| (r + client.replies, e + client.events))
}

#[test]
fn every_client_sees_one_order() {
    let mut all = (0, 0);
    for number in 0..SEEDS {
        let checked = std::panic::catch_unwind(|| seed(number));
        let (replies, events) = checked.unwrap_or_else(|_| panic!("seed {number} fails"));
        all = (all.0 + replies, all.1 + events);
    }
    assert!(all.0 > 10_000 && all.1 > 2_000, "too little was checked: {all:?}");
}

/// Two clients on one shard whose connections are open.
fn two_clients() -> (Node, [Client; 2]) {
    let mut node = Node::new(NodeSettings::default());
    let mut clients = [Client::new(), Client::new()];
    for client in &mut clients {
        client.connect(&mut node, 0);
        turn(&mut node, client);
    }
    (node, clients)
}

/// What a client has sent arrives; everything moves on, and it reads what comes back.
fn turn(node: &mut Node, client: &mut Client) {
    let (_, conn) = client.at.expect("it has connected");
    let bytes = std::mem::take(&mut client.to_server);
    node.turn(conn, &bytes);
    read(node, client);
}

fn read(node: &mut Node, client: &mut Client) {
    let (_, conn) = client.at.expect("it has connected");
    let conn = node.seats[0].shard.conn_mut(conn).expect("it is open");
    client.receive(&std::mem::take(&mut conn.out), &node.history);
}

/// The packet that once stopped the server: the ping waits behind the write, and closeSession
/// begins to close while it waits.
#[test]
fn a_ping_between_a_write_and_the_end_is_answered() {
    let (mut node, [mut client, _]) = two_clients();
    client.send(&Request::Sync { path: "/" });
    client.send(&Request::SetData { path: "/", data: None, version: -1 });
    client.send(&Request::Ping);
    client.send(&Request::WhoAmI);
    client.send(&Request::CloseSession);
    turn(&mut node, &mut client);
    let (_, conn) = client.at.expect("it has connected");
    assert!(client.is_settled() && node.has_closed(0, conn));
}

/// Nobody watches anything when the change is applied; but the watch has its place before it.
#[test]
fn a_watch_behind_a_write_sees_the_next_change() {
    let (mut node, [mut one, mut two]) = two_clients();
    one.send(&Request::SetData { path: "/", data: None, version: -1 });
    one.send(&Request::AddWatch { path: "/zookeeper", mode: WatchMode::Persistent });
    two.send(&Request::SetData { path: "/zookeeper", data: None, version: -1 });
    two.send(&Request::Ping);
    let (first, second) = (one.to_server.clone(), two.to_server.clone());
    let conns = [&one, &two].map(|client| client.at.expect("it has connected").1);
    node.serve(0, [(conns[0], &first[..]), (conns[1], &second[..])].into_iter());
    node.order(usize::MAX);
    node.sync();
    node.release();
    node.serve(0, std::iter::empty());
    for client in [&mut one, &mut two] {
        read(&mut node, client);
        client.finish(&node);
    }
    assert_eq!((one.events, two.events), (1, 0));
}
