//! Does a client of a learner see what a client of the leader would? As in `order.rs`, with a
//! leader elsewhere: it orders, others write, sessions expire there, and the link is lost again
//! and again, with everything that is on its way. Each request takes effect once or its connection
//! is closed, and nothing is applied that differs from the leader's state.

use std::collections::BTreeSet;
use std::rc::Rc;

use ringkeeper_engine::Code;
use ringkeeper_engine::op::Write;
use ringkeeper_engine::txn::{Txn, TxnBody};
use ringkeeper_engine::wire::opcode::op;
use ringkeeper_engine::wire::{Put, Reader};

use crate::client::Client;
use crate::leader::{Leader, MemoryLeader};
use crate::random::Random;
use crate::server::{Server, ServerSettings};

const SEEDS: u64 = 300;
const STEPS: usize = 800;

struct World {
    random: Random,
    server: Server<MemoryLeader>,
    leader: Leader,
    clients: Vec<Client>,
    losses: usize,
}

/// A close that is sent twice is refused the second time.
fn is_close(txn: &Txn) -> bool {
    matches!(txn.body, TxnBody::CloseSession { .. } | TxnBody::Error(Code::SessionExpired))
}

/// A setData of another server's client.
fn set_data(path: &str, data: &[u8]) -> Write {
    let mut record = Vec::new();
    record.put_string(path);
    record.put_buffer(Some(data));
    record.put_int(-1);
    Write::decode(op::SET_DATA, &mut Reader::new(&record)).expect("it is a request")
}

impl World {
    fn new(seed: u64) -> World {
        let mut random = Random::new(seed);
        let settings = ServerSettings {
            shards: 1 + random.below(3) as u16,
            apply_batch: 1 + random.below(6),
            outstanding_max: *random.pick(&[2, 10, 1_000]),
            ..ServerSettings::default()
        };
        let link = MemoryLeader::default();
        let hold_ms = *random.pick(&[100, 100_000]);
        let leader = Leader::new(link.0.clone());
        let server = Server::learner(settings, link, hold_ms);
        let clients = (0..2 + random.below(4)).map(|_| Client::new()).collect();
        World { random, server, leader, clients, losses: 0 }
    }

    fn step(&mut self) {
        let client = self.random.below(self.clients.len());
        let wall = self.server.now.wall;
        match self.random.below(100) {
            0..=24 => self.request(client),
            25..=44 => self.upload(client),
            45..=59 => self.download(client),
            60..=67 => self.server.release(),
            68..=73 => self.server.order(1 + self.random.below(4)),
            74..=79 => self.server.sync(),
            80..=85 => self.leader.take(self.random.below(300), wall),
            86..=92 => self.leader.deliver(1 + self.random.below(6)),
            93 => self.leader.write(set_data("/a", &[self.random.below(9) as u8]), wall),
            94 if self.random.percent(10) => self.leader.expire(&mut self.random, wall),
            94 if self.random.percent(30) => self.leader.linger(&mut self.random, wall),
            94 => self.server.pass(self.random.below(60) as i64),
            95 if self.random.percent(30) => self.lose_or_connect(),
            96 => self.leave(client),
            _ => self.serve_all(),
        }
    }

    fn lose_or_connect(&mut self) {
        if self.leader.is_linked {
            self.leader.disconnect();
            self.losses += 1;
        } else if self.leader.is_quiet() {
            if self.random.percent(50) {
                self.leader.begin_epoch();
            }
            self.leader.connect(self.server.last());
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

    fn upload(&mut self, client: usize) {
        let client = &mut self.clients[client];
        let Some((shard, conn)) = client.at else { return };
        let bytes = std::mem::take(&mut client.to_server);
        self.server.serve(shard, std::iter::once((conn, &bytes[..])));
    }

    fn download(&mut self, client: usize) {
        let client = &mut self.clients[client];
        let Some((shard, at)) = client.at else { return };
        let conn = self.server.shards[shard].shard.conn_mut(at).expect("the client is connected");
        let bytes = std::mem::take(&mut conn.out);
        client.receive(&bytes, &self.server.history);
        if self.server.has_closed(shard, at) {
            client.disconnect();
            self.server.shards[shard].shard.lost(at);
        }
    }

    fn leave(&mut self, client: usize) {
        let client = &mut self.clients[client];
        let Some((shard, conn)) = client.at else { return };
        client.to_server.clear();
        client.disconnect();
        self.server.shards[shard].shard.lost(conn);
    }

    fn serve_all(&mut self) {
        (0..self.server.shards.len())
            .for_each(|shard| self.server.serve(shard, std::iter::empty()));
    }

    /// Everything comes to rest: all that was requested is answered, and both states are one.
    fn finish(&mut self) {
        let mut rounds = 0;
        while !self.is_at_rest() {
            rounds += 1;
            assert!(rounds < 10_000, "something waits for ever");
            if !self.leader.is_linked && self.leader.is_quiet() {
                self.leader.connect(self.server.last());
            }
            (0..self.clients.len()).for_each(|client| self.upload(client));
            self.leader.take(usize::MAX, self.server.now.wall);
            self.leader.deliver(usize::MAX);
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
        let ordered = self.leader.history.iter().map(|(txn, _)| Rc::new(txn.clone()));
        let ordered: Vec<_> = ordered.collect();
        assert!(self.server.history == ordered, "the learner applied what the leader ordered");
        let mut writes = BTreeSet::new();
        for txn in ordered.iter().filter(|txn| txn.session.0 >> 56 == 1 && txn.cxid > 0) {
            let is_new = writes.insert((txn.session, txn.cxid));
            assert!(is_new || is_close(txn), "a write was ordered twice: {txn:?}");
        }
        self.clients
            .iter_mut()
            .for_each(|client| client.finish(&self.server.db(), &self.server.history, true));
    }

    fn is_at_rest(&self) -> bool {
        self.leader.is_linked
            && self.leader.is_quiet()
            && self.server.is_quiet()
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
    losses: usize,
}

fn seed(seed: u64) -> Checked {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step();
        let wire = world.server.node_ref().world().leader.0.borrow();
        assert_eq!((&wire.faults[..], wire.divergence), (&[][..], None));
        assert!(wire.flushed <= world.server.last(), "what is durable was learned");
    }
    world.finish();
    Checked {
        replies: world.clients.iter().map(|client| client.replies).sum(),
        events: world.clients.iter().map(|client| client.events).sum(),
        losses: world.losses,
    }
}

#[test]
fn clients_of_a_learner_see_the_leaders_order() {
    let mut all = Checked::default();
    for number in 0..SEEDS {
        let checked = std::panic::catch_unwind(|| seed(number));
        let Checked { replies, events, losses } =
            checked.unwrap_or_else(|_| panic!("seed {number} fails"));
        all.replies += replies;
        all.events += events;
        all.losses += losses;
    }
    assert!(all.replies > 10_000 && all.events > 1_000, "too little was checked: {all:?}");
    assert!(all.losses > 100, "too few links were lost: {all:?}");
}
