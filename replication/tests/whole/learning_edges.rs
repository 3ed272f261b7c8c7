//! What a learner does when its leader is away for long, has another state, or sends a whole one.

use std::rc::Rc;

use ringkeeper_engine::Zxid;
use ringkeeper_engine::client::Request;
use ringkeeper_engine::database::{Database, Interest};
use ringkeeper_engine::log::{LogCommand, LogEvent};

use ringkeeper_replication::Divergence;

use crate::client::Client;
use crate::leader::{Leader, MemoryLeader};
use crate::server::{Server, ServerSettings, empty_database};

const HOLD_MS: i64 = 5_000;

struct World {
    server: Server<MemoryLeader>,
    leader: Leader,
    client: Client,
}

impl World {
    /// A learner that is served, and a client with a session.
    fn new() -> World {
        let link = MemoryLeader::default();
        let leader = Leader::new(link.0.clone());
        let server = Server::learner(ServerSettings::default(), link, HOLD_MS);
        let mut world = World { server, leader, client: Client::new() };
        world.leader.connect(Zxid::ZERO);
        world.client.connect(&mut world.server, 0);
        world.turns();
        assert!(world.client.is_settled() && world.client.session().0 > 0);
        world
    }

    /// Everything moves until nothing is on its way any more.
    fn turns(&mut self) {
        for _ in 0..20 {
            let Some((shard, conn)) = self.client.at else { break };
            let bytes = std::mem::take(&mut self.client.to_server);
            self.server.serve(shard, std::iter::once((conn, &bytes[..])));
            self.leader.take(usize::MAX, self.server.now.wall);
            self.leader.deliver(usize::MAX);
            self.server.order(usize::MAX);
            self.server.sync();
            self.server.release();
            self.server.serve(shard, std::iter::empty());
            let conn = self.server.shards[shard].shard.conn_mut(conn).expect("it is connected");
            let bytes = std::mem::take(&mut conn.out);
            self.client.receive(&bytes, &self.server.history);
        }
    }

    fn set(&mut self, data: &[u8]) {
        self.client.send(&Request::SetData { path: "/", data: Some(data), version: -1 });
    }

    fn is_cut_off(&self) -> bool {
        let (shard, conn) = self.client.at.expect("it has connected");
        self.server.has_closed(shard, conn)
    }

    /// The leader's state.
    fn leaders_state(&self) -> Database {
        let mut db = empty_database();
        self.leader.history.iter().for_each(|(txn, _)| drop(db.apply(txn, Interest::None)));
        db
    }
}

#[test]
fn lost_link_closes_no_connection_and_writes_wait_for_the_next_leader() {
    let mut world = World::new();
    world.leader.disconnect();
    world.set(b"1");
    world.client.send(&Request::GetData { path: "/", watch: false });
    world.turns();
    assert!(!world.client.is_settled() && !world.is_cut_off());
    world.server.pass(HOLD_MS - 1);
    world.leader.begin_epoch();
    world.leader.connect(world.server.last());
    world.turns();
    assert!(world.client.is_settled() && !world.is_cut_off());
    assert_eq!(world.leader.history.len(), 2);
}

#[test]
fn same_leader_gets_no_write_of_a_session_before_its_client_connects_again() {
    let mut world = World::new();
    world.leader.disconnect();
    world.leader.connect(world.server.last());
    world.client.send(&Request::GetData { path: "/", watch: false });
    world.turns();
    assert!(world.client.is_settled() && !world.is_cut_off(), "reads go on");
    world.set(b"1");
    world.set(b"2");
    world.turns();
    assert!(world.is_cut_off());
    assert_eq!(world.leader.history.len(), 1, "nothing but the session");
    world.client.connect(&mut world.server, 0);
    world.turns();
    world.set(b"3");
    world.turns();
    assert!(world.client.is_settled() && !world.is_cut_off());
    assert_eq!(world.leader.history.len(), 2);
    world.leader.disconnect();
    world.leader.begin_epoch();
    world.leader.connect(world.server.last());
    world.set(b"4");
    world.turns();
    assert!(world.client.is_settled() && !world.is_cut_off(), "a new leader remembers no link");
}

#[test]
fn write_that_waited_for_a_leader_is_not_sent_to_the_same_one() {
    let mut world = World::new();
    world.leader.disconnect();
    world.set(b"1");
    world.turns();
    assert!(!world.is_cut_off());
    world.leader.connect(world.server.last());
    world.turns();
    assert!(world.is_cut_off());
    assert_eq!(world.leader.history.len(), 1);
}

#[test]
fn connections_are_closed_when_clients_are_without_a_leader_for_too_long() {
    let mut world = World::new();
    world.leader.disconnect();
    world.turns();
    world.server.pass(HOLD_MS - 1);
    world.turns();
    assert!(!world.is_cut_off(), "clients read on");
    world.server.pass(1);
    world.turns();
    assert!(world.is_cut_off());
    // Who comes then waits as long.
    world.client = Client::new();
    world.client.connect(&mut world.server, 0);
    world.turns();
    world.server.pass(HOLD_MS - 1);
    world.turns();
    assert!(!world.is_cut_off() && world.server.outstanding() == 1);
    world.server.pass(1);
    world.turns();
    assert!(world.is_cut_off());
    assert_eq!(world.server.outstanding(), 0);
}

#[test]
fn nothing_is_applied_behind_a_state_that_is_not_the_leaders() {
    let mut world = World::new();
    world.leader.wrong_digest = Some(2);
    (0..5_u8).for_each(|data| world.set(&[data]));
    world.turns();
    let divergence =
        world.server.node_ref().world().leader.0.borrow().divergence.expect("the digest is wrong");
    let Divergence::Digest { zxid, expected, found } = divergence else { panic!("{divergence}") };
    assert_eq!((zxid, expected ^ 1), (Zxid(3), found));
    assert!(world.is_cut_off(), "nobody reads a state that is not the leader's");
    assert_eq!(world.server.db().applied(), Zxid(3));
    assert!(!world.client.is_settled() && world.server.last() == Zxid(6));
}

#[test]
fn state_of_the_leader_replaces_ours_and_closes_every_connection() {
    let mut world = World::new();
    world.leader.wrong_digest = Some(2);
    (0..5_u8).for_each(|data| world.set(&[data]));
    world.turns();
    world.leader.disconnect();
    world.turns();
    world.leader.wrong_digest = None;
    let state = world.leaders_state();
    let (zxid, digest) = (state.applied(), state.tree.digest());
    world.server.command(LogCommand::Install { zxid, committed: Zxid(3) });
    world.server.sync();
    world.server.release();
    assert!(matches!(world.server.log_event(), Some(LogEvent::Installed(at)) if at == zxid));
    world.server.install(state);
    world.turns();
    assert!(world.is_cut_off(), "its watches would miss changes");
    assert_eq!(world.server.outstanding(), 0);
    assert_eq!((world.server.last(), world.server.db().tree.digest()), (zxid, digest));
    world.leader.begin_epoch();
    world.leader.connect(zxid);
    let history: Vec<_> =
        world.leader.history.iter().map(|(txn, _)| Rc::new(txn.clone())).collect();
    world.server.history = history;
    world.client = Client::new();
    world.client.connect(&mut world.server, 0);
    world.turns();
    world.set(b"behind");
    world.turns();
    assert!(world.client.is_settled() && !world.is_cut_off());
    assert_eq!(world.server.db().applied(), Zxid(zxid.0 + 2));
}
