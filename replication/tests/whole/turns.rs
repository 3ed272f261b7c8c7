//! The order of the stages of a node's turn, and what a shard that has stopped may delay.

use ringkeeper_engine::client::{Core, Message, Options, Request, WatchMode};
use ringkeeper_engine::log::{LogCommand, LogEvent};
use ringkeeper_engine::shard::Phase;
use ringkeeper_engine::watch::ConnId;
use ringkeeper_engine::{SessionId, Zxid};
use ringkeeper_replication::node::{GroupSettings, MailboxLimits};

use crate::ports::Event;
use crate::server::{Server, ServerSettings};

const SET: Request<'_> = Request::SetData { path: "/", data: None, version: -1 };
const TIMEOUT_MS: i32 = 6_000;
const STOPPED_MS: i64 = 1_000;

/// A client that sends and counts what comes back.
struct Peer {
    core: Core<()>,
    shard: usize,
    conn: ConnId,
}

impl Peer {
    /// A connection with an open session.
    fn connect(server: &mut Server, shard: usize) -> Peer {
        let mut core = Core::new(Options { timeout_ms: TIMEOUT_MS, ..Options::default() });
        let mut bytes = Vec::new();
        core.connect(server.now.mono, &mut bytes);
        let conn = server.open(shard);
        let mut peer = Peer { core, shard, conn };
        server.serve(shard, std::iter::once((conn, &bytes[..])));
        settle(server, shard);
        assert_eq!(peer.receive(server), (0, 0));
        peer
    }

    /// Sends a request to its shard.
    fn send(&mut self, server: &mut Server, request: &Request<'_>) {
        let mut bytes = Vec::new();
        self.core.request(request, (), &mut bytes);
        server.serve(self.shard, std::iter::once((self.conn, &bytes[..])));
    }

    /// Takes what has come: how many replies and how many events.
    fn receive(&mut self, server: &mut Server) -> (usize, usize) {
        let conn = server.shards[self.shard].shard.conn_mut(self.conn).expect("it is connected");
        let bytes = std::mem::take(&mut conn.out);
        let (mut rest, mut seen) = (&bytes[..], (0, 0));
        while let Some(message) = self.core.receive(&mut rest).expect("whole frames") {
            match message {
                Message::Reply(_) => seen.0 += 1,
                Message::Event(_) => seen.1 += 1,
                _ => {}
            }
        }
        seen
    }

    fn session(&self) -> SessionId {
        self.core.session().id
    }

    fn is_open(&self, server: &Server) -> bool {
        let conn = server.shards[self.shard].shard.conn(self.conn);
        conn.is_some_and(|conn| conn.phase == Phase::Established)
    }
}

/// Everything moves until the node rests, but only this shard takes its messages.
fn settle(server: &mut Server, shard: usize) {
    for _ in 0..4 {
        server.order(usize::MAX);
        server.sync();
        server.release();
        server.serve(shard, std::iter::empty());
    }
}

/// The second group gathers while the first is flushed, as ZooKeeper's timers have it. Were the
/// answers made first, the device would idle meanwhile.
#[test]
fn next_group_is_submitted_before_the_answers_of_the_last_are_published() {
    let groups = GroupSettings { delay_us: 1, ..GroupSettings::default() };
    let mut server = Server::new(ServerSettings { groups, ..ServerSettings::default() });
    let mut peer = Peer::connect(&mut server, 0);
    server.pass(10);
    server.events.borrow_mut().clear();
    peer.send(&mut server, &SET);
    server.order(usize::MAX);
    peer.send(&mut server, &SET);
    server.order(usize::MAX);
    server.sync();
    server.release();
    let (first, second) = (Zxid(2), Zxid(3));
    let order = [Event::Submitted(first), Event::Submitted(second), Event::Published(0)];
    assert_eq!(*server.events.borrow(), order);
}

/// What the old role has on its way to the disk means nothing behind a cut.
#[test]
fn group_made_durable_in_a_generation_that_ended_commits_nothing() {
    let mut server = Server::new(ServerSettings::default());
    let mut peer = Peer::connect(&mut server, 0);
    let committed = server.db().applied();
    peer.send(&mut server, &SET);
    server.order(usize::MAX);
    peer.send(&mut server, &SET);
    server.order(usize::MAX);
    let submitted = server.events.borrow().last().cloned();
    assert_eq!(submitted, Some(Event::Submitted(Zxid(committed.0 + 2))), "the second one waits");
    server.command(LogCommand::Cut { after: committed, committed });
    assert_eq!(server.log_event(), None);
    // The flush under way, then the cut.
    server.sync();
    server.sync();
    assert!(server.has_work());
    server.release();
    assert_eq!(server.log_event(), Some(LogEvent::Cut(committed)));
    assert_eq!(server.log_event(), None);
    assert_eq!(server.db().applied(), committed);
    server.sync();
    server.release();
    assert_eq!(peer.receive(&mut server), (0, 0));
    assert_eq!(server.db().applied(), committed);
    assert!(!server.has_work(), "the group that waited is gone");
}

fn two_shards() -> Server {
    let mailboxes =
        MailboxLimits { full: 4, changes_max: 16, stopped_us: STOPPED_MS as u64 * 1_000 };
    Server::new(ServerSettings { shards: 2, mailboxes, ..ServerSettings::default() })
}

/// Fills the mailbox of the second shard with changes for a watch on it.
fn fill_the_mailbox_of_shard_1(server: &mut Server, watcher: &mut Peer, writer: &mut Peer) {
    let watch = Request::AddWatch { path: "/", mode: WatchMode::PersistentRecursive };
    watcher.send(server, &watch);
    while server.waiting(1) < 4 {
        writer.send(server, &SET);
        settle(server, 0);
    }
    writer.receive(server);
}

#[test]
fn slow_shard_slows_the_others_until_it_counts_as_stopped() {
    let mut server = two_shards();
    let (mut writer, mut watcher) = (Peer::connect(&mut server, 0), Peer::connect(&mut server, 1));
    fill_the_mailbox_of_shard_1(&mut server, &mut watcher, &mut writer);
    writer.send(&mut server, &SET);
    settle(&mut server, 0);
    assert_eq!(writer.receive(&mut server).0, 0, "requests wait for the slow shard");
    assert!(!server.has_work(), "and the node sleeps meanwhile");
    server.serve(1, std::iter::empty());
    assert!(server.has_work(), "it has caught up");
    settle(&mut server, 0);
    assert_eq!(writer.receive(&mut server).0, 1);
    server.serve(1, std::iter::empty());
    let (_, events) = watcher.receive(&mut server);
    assert!(events >= 5 && server.shards[1].resets == 0, "no change was lost: {events}");
}

#[test]
fn stopped_shard_delays_only_its_own_clients() {
    let mut server = two_shards();
    let (mut writer, mut watcher) = (Peer::connect(&mut server, 0), Peer::connect(&mut server, 1));
    let silent = Peer::connect(&mut server, 0);
    fill_the_mailbox_of_shard_1(&mut server, &mut watcher, &mut writer);
    // The writer goes on and is heard of, the silent client is not: it expires in time.
    let mut waited_ms = 0;
    while server.knows(silent.session()) {
        server.pass(250);
        waited_ms += 250;
        settle(&mut server, 0);
        assert!(waited_ms <= i64::from(TIMEOUT_MS) + 2_250, "a session outlives its timeout");
        writer.send(&mut server, &SET);
        settle(&mut server, 0);
        let stopped = waited_ms >= STOPPED_MS;
        assert_eq!(writer.receive(&mut server).0 > 0, stopped, "after {waited_ms} ms");
    }
    assert!(waited_ms >= i64::from(TIMEOUT_MS), "a session lives for its timeout");
    settle(&mut server, 0);
    assert!(server.has_closed(0, silent.conn) && writer.is_open(&server));
    for _ in 0..100 {
        writer.send(&mut server, &SET);
        settle(&mut server, 0);
        assert_eq!(writer.receive(&mut server).0, 1, "the other shard is served");
    }
    assert!(server.waiting(1) <= 17, "its mailbox is bounded");
    // The shard runs again: it was not told of all changes, so its connections are closed.
    server.serve(1, std::iter::empty());
    assert_eq!(server.shards[1].resets, 1);
    assert!(!watcher.is_open(&server));
    let mut again = Peer::connect(&mut server, 1);
    again.send(&mut server, &SET);
    settle(&mut server, 1);
    assert_eq!(again.receive(&mut server), (1, 0), "and it serves as before");
}
