//! The world as a node sees it: a clock, the log, the database and the shards' mailboxes. The
//! server connects real ones, the simulator and the tests others.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use ringkeeper_engine::database::{Database, Interest};
use ringkeeper_engine::log::gathering::PaceReport;
use ringkeeper_engine::log::{
    Completion, Flushed, Generation, Group, Joined, LogCapacity, LogCommand,
};
use ringkeeper_engine::request::{Request, ShardMessage};
use ringkeeper_engine::sequencer::QuotaNotes;
use ringkeeper_engine::{Now, Zxid};

use super::ChangesLost;
use crate::leader::{Acknowledgement, LearnerEvent, ToLearners};
use crate::{
    Committed, Divergence, LeaderEvent, LeaderFault, LogSpace, SessionAttachment, WriteAdmission,
};

/// All that a node is connected to.
pub trait Ports {
    /// The clocks.
    type Clock: ClockPort;
    /// The log.
    type Log: LogPort;
    /// The replicated state.
    type Database: DatabasePort;
    /// The rings between the node and its shards.
    type Shards: ShardPort;
    /// The link to the leader; [`NoLeader`] in a server that orders.
    type Leader: LeaderPort;
    /// What listens for metrics and messages.
    type Observer: Observer;
}

/// The time.
pub trait ClockPort {
    /// Both clocks, in milliseconds.
    fn now(&self) -> Now;
    /// The monotonic clock, in microseconds.
    fn micros(&self) -> u64;
}

/// The log. One group is flushed at a time; one more may wait for that, and grows until it is
/// begun.
pub trait LogPort {
    /// Hands a group over and leaves an empty one. Its first record was ordered at `since_us`.
    /// Only where [`LogPort::join`] has found none that waits.
    fn submit(&mut self, group: &mut Group, since_us: u64);
    /// Adds a group to the one that waits, and empties it.
    fn join(&mut self, group: &mut Group) -> Joined;
    /// Bytes of the group that waits.
    fn waiting_bytes(&self) -> usize;
    /// Gives a command, which is executed between two flushes; returns the generation in which its
    /// outcome is reported. One that begins a generation drops the group that waits.
    fn command(&mut self, command: LogCommand) -> Generation;
    /// Whether a group or a command was given of which [`LogPort::poll`] has not reported the end.
    fn is_busy(&self) -> bool;
    /// Whether [`LogPort::poll`] has something to report.
    fn is_flushed(&self) -> bool;
    /// What has become durable next. It may be of a generation that has ended.
    fn poll(&mut self) -> Option<Completion>;
    /// What the log can still take.
    fn capacity(&self) -> LogCapacity;
}

/// The replicated state, behind whatever keeps readers and the writer apart.
pub trait DatabasePort {
    /// For as long as it lives, the state does not change.
    type Read<'a>: Deref<Target = Database>
    where
        Self: 'a;
    /// For as long as it lives, nothing else reads the state.
    type Write<'a>: DerefMut<Target = Database>
    where
        Self: 'a;
    /// To look at the state.
    fn read(&self) -> Self::Read<'_>;
    /// To change it.
    fn write(&self) -> Self::Write<'_>;
}

impl<T: DatabasePort> DatabasePort for Arc<T> {
    type Read<'a>
        = T::Read<'a>
    where
        T: 'a;
    type Write<'a>
        = T::Write<'a>
    where
        T: 'a;

    fn read(&self) -> T::Read<'_> {
        (**self).read()
    }

    fn write(&self) -> T::Write<'_> {
        (**self).write()
    }
}

/// The link to the leader, behind the protocol that finds one and synchronizes with it.
pub trait LeaderPort {
    /// What has come next.
    fn receive(&mut self) -> Option<LeaderEvent>;
    /// Whether [`LeaderPort::receive`] has something.
    fn has_events(&self) -> bool;
    /// Takes packets for the leader, and leaves none.
    fn send(&mut self, packets: &mut Vec<u8>);
    /// Takes which clients are connected here, for the answers to the leader's pings; leaves none.
    fn sessions(&mut self, changes: &mut Vec<SessionAttachment>);
    /// Our own log is durable up to here. Acknowledgements wait for it.
    fn flushed(&mut self, durable: Zxid);
    /// Whether the log can take what the leader sends. Said in every turn, and before anything is
    /// taken; what was taken by then has space.
    fn space(&mut self, space: LogSpace);
    /// The leader is not followed any more: it has done what no leader does. What was taken of its
    /// transactions is learned up to here.
    fn fault(&mut self, fault: LeaderFault, learned: Zxid);
    /// The leader is not followed any more: the state here has to be replaced by its own. The node
    /// has closed all connections, and applies nothing until then.
    fn diverged(&mut self, divergence: Divergence);
    /// The state behind this transaction has this digest. Said of every
    /// [`super::COMPARED_EVERY`]th transaction of an epoch, where digests are kept.
    fn applied(&mut self, zxid: Zxid, digest: u64);
    /// Adds some of what the learners of this server have sent, each in its order. Only while it
    /// leads; it is all one step, so there is a bound to it.
    fn learner_events(&mut self, out: &mut Vec<LearnerEvent>);
    /// Whether [`LeaderPort::learner_events`] would add something.
    fn has_learner_events(&self) -> bool;
    /// What moves the commit point next. Only while this server leads.
    fn next_ack(&mut self) -> Option<Acknowledgement>;
    /// Whether [`LeaderPort::next_ack`] has something.
    fn has_acks(&self) -> bool;
    /// Whether more may be ordered: what is proposed to others and not committed has a bound.
    fn has_capacity(&self) -> bool;
    /// These transactions are next in the order, and go to the log now. Only while this server
    /// leads an ensemble.
    ///
    /// Order: each transaction once, in the order of their zxids, before
    /// [`LeaderPort::to_learners`] has anything that is behind it.
    fn proposed(&mut self, group: &Group);
    /// Takes what is for learners, and leaves nothing. Only while this server leads an ensemble.
    fn to_learners(&mut self, out: &mut Vec<ToLearners>);
}

/// The link of a server that has no leader.
#[derive(Clone, Copy, Default, Debug)]
pub struct NoLeader;

impl LeaderPort for NoLeader {
    fn receive(&mut self) -> Option<LeaderEvent> {
        None
    }

    fn has_events(&self) -> bool {
        false
    }

    fn send(&mut self, packets: &mut Vec<u8>) {
        assert!(packets.is_empty(), "a server that orders has no leader");
    }

    fn sessions(&mut self, changes: &mut Vec<SessionAttachment>) {
        assert!(changes.is_empty(), "a server that orders has no leader");
    }

    fn flushed(&mut self, _: Zxid) {}

    fn space(&mut self, _: LogSpace) {}

    fn fault(&mut self, _: LeaderFault, _: Zxid) {}

    fn applied(&mut self, _: Zxid, _: u64) {}

    fn learner_events(&mut self, _: &mut Vec<LearnerEvent>) {}

    fn has_learner_events(&self) -> bool {
        false
    }

    fn next_ack(&mut self) -> Option<Acknowledgement> {
        None
    }

    fn has_acks(&self) -> bool {
        false
    }

    fn has_capacity(&self) -> bool {
        true
    }

    fn proposed(&mut self, _: &Group) {
        unreachable!("a standalone server has no learners");
    }

    fn to_learners(&mut self, _: &mut Vec<ToLearners>) {
        unreachable!("a standalone server has no learners");
    }

    /// Nothing is compared with, and what is ordered was checked against this very state.
    fn diverged(&mut self, divergence: Divergence) {
        panic!("a server that orders has the only state, but {divergence}");
    }
}

/// The rings between the node and its shards. Both directions keep their order.
pub trait ShardPort {
    /// How many shards there are.
    fn count(&self) -> usize;
    /// The next batch of requests, of any shard.
    fn receive(&mut self) -> Option<Vec<Request>>;
    /// Whether requests wait.
    fn has_requests(&self) -> bool;
    /// Whether a shard holds a watch, or is about to.
    fn interest(&self, shard: usize) -> Interest;
    /// Adds a message to the batch of the critical section under way.
    fn send(&mut self, shard: usize, message: ShardMessage);
    /// A change is not sent because too many batches wait: see [`super::MailboxLimits`]. The
    /// shard closes its connections before it serves anything else.
    /// Of several reasons the first one counts.
    fn lose_changes(&mut self, shard: usize, why: ChangesLost);
    /// Puts the batches into the mailboxes.
    ///
    /// Order: before the write guard is released, so that no reader can see a state whose messages
    /// are not in its mailbox.
    fn publish(&mut self);
    /// Batches in a shard's mailbox that it has not taken.
    fn waiting(&self, shard: usize) -> usize;
    /// Batches that were ever put into it.
    fn published(&self, shard: usize) -> u64;
}

/// What listens to a node. Nothing that a node does depends on it, but that it may make the node
/// wait with applying.
pub trait Observer {
    /// Requests were ordered together, in so many microseconds.
    fn ordered(&mut self, requests: u64, micros: u64);
    /// A group became durable, so many microseconds after its first request.
    fn flushed(&mut self, group: Flushed, settle_us: u64, gathering: PaceReport);
    /// Whether something may be applied now: what listens has capacity for its lines.
    fn has_capacity(&self) -> bool;
    /// This is applied next.
    fn applying(&mut self, next: &Committed);
    /// One critical section is over, after so many microseconds.
    fn applied(&mut self, micros: u64);
    /// What ordering has to report of quotas.
    fn quotas(&mut self, notes: QuotaNotes, now: Now);
    /// From now on other requests are accepted than before.
    fn admission(&mut self, admission: WriteAdmission);
}
