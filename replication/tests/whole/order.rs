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
use ringkeeper_replication::node::MailboxLimits;

use crate::client::Client;
use crate::random::Random;
use crate::server::{Server, ServerSettings};

const SEEDS: u64 = 300;
const STEPS: usize = 600;

/// A connection that its client has left without a word.
struct Ghost {
    shard: usize,
    conn: ConnId,
    to_server: Vec<u8>,
}

struct World {
    random: Random,
    server: Server,
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

/// Mailboxes are full soon. In every fourth world the changes for a shard that is far behind are
/// given up.
fn mailbox_limits(random: &mut Random) -> MailboxLimits {
    MailboxLimits {
        full: 1 + random.below(4),
        changes_max: *random.pick(&[usize::MAX, usize::MAX, usize::MAX, 3]),
        stopped_us: *random.pick(&[50_000, 1_000_000]),
    }
}

impl World {
    fn new(seed: u64) -> World {
        let mut random = Random::new(seed);
        let settings = ServerSettings {
            shards: 1 + random.below(3) as u16,
            apply_batch: 1 + random.below(6),
            mailboxes: mailbox_limits(&mut random),
            outstanding_max: *random.pick(&[2, 10, 1_000]),
            requests: request_limits(&mut random),
            ..ServerSettings::default()
        };
        let clients = (0..2 + random.below(4)).map(|_| Client::new()).collect();
        World { random, server: Server::new(settings), clients, ghosts: Vec::new() }
    }

    fn step(&mut self) {
        let client = self.random.below(self.clients.len());
        match self.random.below(100) {
            0..=29 => self.request(client),
            30..=54 => self.upload(client),
            55..=74 => self.download(client),
            75..=82 => self.server.release(),
            83..=88 => self.server.order(1 + self.random.below(4)),
            89..=94 => self.server.sync(),
            95 => self.server.pass(self.random.below(60) as i64),
            96 => self.server.pass(self.random.below(400) as i64),
            97 => self.ghost_moves(),
            98 if self.random.percent(10) => self.fill_or_empty_the_disk(),
            98 => self.leave(client),
            _ => self.serve_all(),
        }
    }

    fn request(&mut self, client: usize) {
        let client = &mut self.clients[client];
        if client.at.is_none() {
            let shard = self.random.below(self.server.shards.len());
            return client.connect(&mut self.server, shard);
        }
        if client.is_open() {
            (0..1 + self.random.below(4)).for_each(|_| client.request(&mut self.random));
        }
    }

    /// Some of the bytes under way arrive.
    fn upload(&mut self, client: usize) {
        let client = &mut self.clients[client];
        let Some((shard, conn)) = client.at else { return };
        let whole = client.to_server.len();
        let count = if self.random.percent(30) { self.random.below(whole + 1) } else { whole };
        let piece: Vec<u8> = client.to_server.drain(..count).collect();
        self.server.serve(shard, std::iter::once((conn, &piece[..])));
    }

    fn download(&mut self, client: usize) {
        let client = &mut self.clients[client];
        let Some((shard, at)) = client.at else { return };
        let conn = self.server.shards[shard].shard.conn_mut(at).expect("the client is connected");
        let whole = conn.out.len();
        let count = if self.random.percent(30) { self.random.below(whole + 1) } else { whole };
        let piece: Vec<u8> = conn.out.drain(..count).collect();
        client.receive(&piece, &self.server.history);
        if self.server.has_closed(shard, at) {
            let lives = self.server.knows(client.session());
            let reset = self.server.shards[shard].resets > 0;
            let wrong = lives && client.is_open() && !client.may_be_cut_off && !reset;
            assert!(!wrong, "a living session was cut off");
            client.disconnect();
            self.server.shards[shard].shard.lost(at);
        }
    }

    /// The client goes; the server may hear of it at once or much later.
    fn leave(&mut self, client: usize) {
        let client = &mut self.clients[client];
        let Some((shard, conn)) = client.at else { return };
        let to_server = std::mem::take(&mut client.to_server);
        client.may_be_cut_off |= client.is_connecting();
        client.disconnect();
        if self.random.percent(50) {
            self.server.shards[shard].shard.lost(conn);
        } else {
            self.ghosts.push(Ghost { shard, conn, to_server });
        }
    }

    fn ghost_moves(&mut self) {
        if self.ghosts.is_empty() {
            return;
        }
        let index = self.random.below(self.ghosts.len());
        let ghost = &mut self.ghosts[index];
        let bytes = std::mem::take(&mut ghost.to_server);
        self.server.serve(ghost.shard, std::iter::once((ghost.conn, &bytes[..])));
        if self.random.percent(50) {
            let ghost = self.ghosts.swap_remove(index);
            self.server.shards[ghost.shard].shard.lost(ghost.conn);
        }
    }

    fn fill_or_empty_the_disk(&mut self) {
        self.server.set_admission(*self.random.pick(&[
            WriteAdmission::All,
            WriteAdmission::All,
            WriteAdmission::CloseOnly,
            WriteAdmission::None,
        ]));
    }

    fn serve_all(&mut self) {
        (0..self.server.shards.len())
            .for_each(|shard| self.server.serve(shard, std::iter::empty()));
    }

    /// Everything comes to rest: all that was asked is answered, and nothing is left over.
    fn finish(&mut self) {
        self.server.set_admission(WriteAdmission::All);
        for ghost in std::mem::take(&mut self.ghosts) {
            self.server.shards[ghost.shard].shard.lost(ghost.conn);
        }
        let mut rounds = 0;
        while !self.is_at_rest() {
            rounds += 1;
            assert!(rounds < 10_000, "something waits for ever");
            (0..self.clients.len()).for_each(|client| self.upload(client));
            self.server.release();
            self.server.order(usize::MAX);
            self.server.sync();
            self.serve_all();
            (0..self.clients.len()).for_each(|client| self.download(client));
        }
        assert_eq!(self.server.outstanding(), 0);
        for shard in &self.server.shards {
            assert_eq!(shard.shard.outstanding(), 0, "requests are counted as under way");
        }
        self.clients
            .iter_mut()
            .for_each(|client| client.finish(&self.server.db(), &self.server.history, true));
    }

    fn is_at_rest(&self) -> bool {
        self.server.is_quiet()
            && self.clients.iter().all(|client| {
                let Some((shard, at)) = client.at else { return true };
                let conn = self.server.shards[shard].shard.conn(at);
                let sent = conn.is_none_or(|conn| conn.out.is_empty() && conn.input.is_empty());
                sent && client.to_server.is_empty() && client.is_settled()
            })
    }
}

/// What was checked.
#[derive(Default, Debug)]
struct Checked {
    replies: usize,
    events: usize,
    resets: usize,
}

/// Plays one history; returns how many replies and events were checked.
fn seed(seed: u64) -> Checked {
    let mut world = World::new(seed);
    (0..STEPS).for_each(|_| world.step());
    world.finish();
    Checked {
        replies: world.clients.iter().map(|client| client.replies).sum(),
        events: world.clients.iter().map(|client| client.events).sum(),
        resets: world.server.shards.iter().map(|thread| thread.resets).sum(),
    }
}

#[test]
fn every_client_sees_one_order() {
    let mut all = Checked::default();
    for number in 0..SEEDS {
        let checked = std::panic::catch_unwind(|| seed(number));
        let Checked { replies, events, resets } =
            checked.unwrap_or_else(|_| panic!("seed {number} fails"));
        all.replies += replies;
        all.events += events;
        all.resets += resets;
    }
    assert!(all.replies > 10_000 && all.events > 2_000, "too little was checked: {all:?}");
    assert!(all.resets > 20, "too few shards fell far behind: {all:?}");
}

/// Two clients on one shard whose connections are open.
fn two_clients() -> (Server, [Client; 2]) {
    let mut server = Server::new(ServerSettings::default());
    let mut clients = [Client::new(), Client::new()];
    for client in &mut clients {
        client.connect(&mut server, 0);
        turn(&mut server, client);
    }
    (server, clients)
}

/// What a client has sent arrives; everything moves on, and it reads what comes back.
fn turn(server: &mut Server, client: &mut Client) {
    let (_, conn) = client.at.expect("it has connected");
    let bytes = std::mem::take(&mut client.to_server);
    server.turn(conn, &bytes);
    read(server, client);
}

fn read(server: &mut Server, client: &mut Client) {
    let (_, conn) = client.at.expect("it has connected");
    let conn = server.shards[0].shard.conn_mut(conn).expect("it is open");
    client.receive(&std::mem::take(&mut conn.out), &server.history);
}

/// The packet that once stopped the server: the ping waits behind the write, and closeSession
/// begins to close while it waits.
#[test]
fn a_ping_between_a_write_and_the_end_is_answered() {
    let (mut server, [mut client, _]) = two_clients();
    client.send(&Request::Sync { path: "/" });
    client.send(&Request::SetData { path: "/", data: None, version: -1 });
    client.send(&Request::Ping);
    client.send(&Request::WhoAmI);
    client.send(&Request::CloseSession);
    turn(&mut server, &mut client);
    let (_, conn) = client.at.expect("it has connected");
    assert!(client.is_settled() && server.has_closed(0, conn));
}

/// Nobody watches anything when the change is applied; but the watch has its place before it.
#[test]
fn a_watch_behind_a_write_sees_the_next_change() {
    let (mut server, [mut one, mut two]) = two_clients();
    one.send(&Request::SetData { path: "/", data: None, version: -1 });
    one.send(&Request::AddWatch { path: "/zookeeper", mode: WatchMode::Persistent });
    two.send(&Request::SetData { path: "/zookeeper", data: None, version: -1 });
    two.send(&Request::Ping);
    let (first, second) = (one.to_server.clone(), two.to_server.clone());
    let conns = [&one, &two].map(|client| client.at.expect("it has connected").1);
    server.serve(0, [(conns[0], &first[..]), (conns[1], &second[..])].into_iter());
    server.order(usize::MAX);
    server.sync();
    server.release();
    server.serve(0, std::iter::empty());
    for client in [&mut one, &mut two] {
        read(&mut server, client);
        client.finish(&server.db(), &server.history, true);
    }
    assert_eq!((one.events, two.events), (1, 0));
}
