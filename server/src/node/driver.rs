//! The server around the pure node: its clock, its log's thread, its database and its mailboxes
//! connected to the node's ports, and what reports want to know of it.

use std::num::NonZeroU64;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use parking_lot::{RwLockReadGuard, RwLockWriteGuard};
use ringkeeper_engine::Now;
use ringkeeper_engine::database::{Database, Interest};
use ringkeeper_engine::log::{
    Completion, Gauge, Generation, Group, Joined, LogCapacity, LogCommand,
};
use ringkeeper_engine::request::{Request, ShardMessage};
use ringkeeper_replication::node::{
    ChangesLost, ClockPort, DatabasePort, LogPort, Ports, ShardPort, World,
};
use ringkeeper_replication::{Node, NodeSettings, Replica};

use super::observer::{Gauges, NodeObserver};
use crate::log::writer::LogWriter;
use crate::node::clock::Clock;
use crate::node::leader::ServerLeader;
use crate::node::mailbox::NodeEnd;
use crate::node::view::View;
use crate::peers::following::Following;
use crate::peers::member_driver::MemberDriver;

/// The ports of a node that serves.
pub(crate) struct ServerPorts;

impl Ports for ServerPorts {
    type Clock = Clock;
    type Log = ServerLog;
    type Database = Arc<View>;
    type Shards = Mailboxes;
    type Leader = ServerLeader;
    type Observer = NodeObserver;
}

impl ClockPort for Clock {
    fn now(&self) -> Now {
        Clock::now(self)
    }

    fn micros(&self) -> u64 {
        Clock::micros(self)
    }
}

/// The log behind its thread.
pub struct ServerLog {
    /// The thread's end.
    pub writer: LogWriter,
    /// What the log can still take.
    pub gauge: Gauge,
}

impl LogPort for ServerLog {
    fn submit(&mut self, group: &mut Group, since_us: u64) {
        self.writer.submit(group, since_us);
    }

    fn join(&mut self, group: &mut Group) -> Joined {
        self.writer.join(group)
    }

    fn waiting_bytes(&self) -> usize {
        self.writer.waiting_bytes()
    }

    fn is_busy(&self) -> bool {
        self.writer.is_busy()
    }

    fn is_flushed(&self) -> bool {
        self.writer.is_done()
    }

    fn command(&mut self, command: LogCommand) -> Generation {
        self.writer.command(command)
    }

    fn poll(&mut self) -> Option<Completion> {
        self.writer.poll()
    }

    fn capacity(&self) -> LogCapacity {
        self.gauge.capacity()
    }
}

impl DatabasePort for View {
    type Read<'a> = RwLockReadGuard<'a, Database>;
    type Write<'a> = RwLockWriteGuard<'a, Database>;

    fn read(&self) -> RwLockReadGuard<'_, Database> {
        View::read(self)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Database> {
        View::write(self)
    }
}

/// The node's ends of the rings to all shards.
pub struct Mailboxes(pub Vec<NodeEnd>);

impl ShardPort for Mailboxes {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn receive(&mut self) -> Option<Vec<Request>> {
        self.0.iter_mut().find_map(NodeEnd::receive)
    }

    fn has_requests(&self) -> bool {
        self.0.iter().any(NodeEnd::has_requests)
    }

    fn interest(&self, shard: usize) -> Interest {
        if self.0[shard].has_interest() { Interest::Watched } else { Interest::None }
    }

    fn send(&mut self, shard: usize, message: ShardMessage) {
        self.0[shard].send(message);
    }

    fn lose_changes(&mut self, shard: usize, why: ChangesLost) {
        self.0[shard].lose_changes(why);
    }

    fn publish(&mut self) {
        self.0.iter_mut().for_each(NodeEnd::publish);
    }

    fn waiting(&self, shard: usize) -> usize {
        self.0[shard].waiting()
    }

    fn published(&self, shard: usize) -> u64 {
        self.0[shard].published()
    }
}

/// What moves the links to other servers on.
pub(crate) enum Peers {
    /// There are none.
    None,
    /// The link to a leader.
    Following(Box<Following>),
    /// All those of a member that votes.
    Member(Box<MemberDriver>),
}

/// The node of one server. It runs on a thread of its own, or on the shard's where cores are few.
pub struct NodeDriver {
    node: Node<ServerPorts>,
    peers: Peers,
    gauges: Arc<Gauges>,
    /// Whether this thread's timers are exact.
    sharp: bool,
}

impl NodeDriver {
    /// A node that begins with this replica, connected to the server.
    pub(crate) fn new(
        replica: Replica,
        settings: NodeSettings,
        world: World<ServerPorts>,
        peers: Peers,
    ) -> NodeDriver {
        let gauges = world.observer.gauges.clone();
        let node = Node::new(replica, settings, world);
        *gauges.pace.lock() = node.gathering();
        NodeDriver { node, peers, gauges, sharp: false }
    }

    /// First half of a turn: see [`Node::release`].
    pub fn release(&mut self) {
        if let Peers::Member(member) = &mut self.peers {
            member.receive(&mut self.node);
        }
        self.node.release();
        match &mut self.peers {
            Peers::None => {}
            Peers::Following(following) => following.receive(&mut self.node),
            Peers::Member(member) => member.turn(&mut self.node),
        }
    }

    /// Second half of a turn: see [`Node::order`].
    pub fn order(&mut self) {
        self.node.order();
        match &mut self.peers {
            Peers::None => {}
            Peers::Following(following) => following.send(&mut self.node),
            Peers::Member(member) => member.send(&mut self.node),
        }
        self.gauges.publish(self.node.replica_mut());
        if !self.sharp && self.node.waits_briefly() {
            self.sharpen();
        }
    }

    /// This server's clients are gone. Whether it has left its ensemble, so that the last turn may
    /// come: a leader orders nothing more, and hands over in one of the next turns.
    pub(crate) fn leave(&mut self) -> bool {
        match &mut self.peers {
            Peers::None | Peers::Following(_) => true,
            Peers::Member(member) => member.leave(self.node.world_mut().leader.as_mut()),
        }
    }

    /// The last turn: clients are served no more. A leader's followers hear that it is gone.
    pub(crate) fn finish(&mut self) {
        match &mut self.peers {
            Peers::None | Peers::Following(_) => {}
            Peers::Member(member) => member.finish(&mut self.node),
        }
    }

    /// Whether a turn would find something to do: the look between
    /// [`crate::node::waker::Waker::about_to_sleep`] and the sleep.
    pub fn has_work(&self) -> bool {
        self.node.world().log.writer.await_flush(self.node.awaits_flush());
        let links = match &self.peers {
            Peers::None => false,
            Peers::Following(following) => following.has_work(&self.node),
            Peers::Member(member) => member.has_work(&self.node),
        };
        links || self.node.has_work()
    }

    /// What becomes readable when something has happened to a link, of a server that has some: its
    /// thread sleeps on it, too.
    pub(crate) fn links(&self) -> Option<BorrowedFd<'_>> {
        match &self.peers {
            Peers::None => None,
            Peers::Following(following) => Some(following.socket().fd()),
            Peers::Member(member) => Some(member.sockets().fd()),
        }
    }

    /// [`NodeDriver::links`] has become readable.
    pub(crate) fn note_links(&mut self) {
        match &mut self.peers {
            Peers::None => {}
            Peers::Following(following) => following.socket_mut().note_events(),
            Peers::Member(member) => member.note_events(),
        }
    }

    /// Microseconds that this thread may sleep where it has no work.
    pub fn wait_us(&self) -> u64 {
        let links_us = match &self.peers {
            Peers::None | Peers::Following(_) => u64::MAX,
            Peers::Member(member) => {
                let wait_ms = u64::try_from(member.wait_ms(&self.node)).unwrap_or(0);
                wait_ms.saturating_mul(1_000)
            }
        };
        self.node.wait_us().min(links_us)
    }

    /// Wakes the shards that have messages.
    pub fn wake_shards(&self) {
        self.node.world().shards.0.iter().for_each(NodeEnd::wake);
    }

    /// The replica, for reports that are made on this thread.
    pub fn replica(&self) -> &Replica {
        self.node.replica()
    }

    /// A batching delay takes some tens of microseconds, and the system lets a thread sleep as much
    /// longer as that to save itself a wake-up, unless the thread asks for exact timers.
    fn sharpen(&mut self) {
        self.sharp = true;
        // Without it waits are longer, and the proof that they help takes that into account.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1_000));
    }
}
