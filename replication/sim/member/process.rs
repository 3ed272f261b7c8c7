//! A process of a member: one turn of its thread after the other, each in steps between which it
//! may end.

use std::cell::RefCell;
use std::collections::BTreeSet;

use ringkeeper_engine::device::{DirectoryId, MemoryDisk};
use ringkeeper_engine::log::Purger;
use ringkeeper_engine::shard::Phase;
use ringkeeper_engine::watch::ConnId;
use ringkeeper_replication::Divergence;
use ringkeeper_replication::learner::{
    ConfigEvent, FollowEnd, FollowedLeader, LearnerOffer, LinkEnd, RetryDelay, follow,
};

use super::super::check::applied::Compared;
use super::super::check::recovery::MemberRecord;
use super::super::device_log::DeviceLog;
use super::super::recorded_leader::RecordedLeader;
use super::super::server::Server;
use super::super::states::DeviceStates;
use super::MemberLink;

/// Bytes of the leader that are read at once.
const READ_BYTES: usize = 4_096;

/// What a client's connection brings.
pub(crate) struct Arrival {
    pub(crate) shard: usize,
    pub(crate) conn: ConnId,
    /// Nothing: the client is gone.
    pub(crate) bytes: Option<Vec<u8>>,
}

/// Why a turn ends the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ended {
    /// It was to end at this step.
    AtStep,
    /// Its disk has failed, or is gone.
    Disk,
}

/// What was met.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Met {
    pub(crate) installs: usize,
    /// States that were installed before they were committed.
    pub(crate) ahead: usize,
    pub(crate) diverged: usize,
    pub(crate) faults: usize,
    pub(crate) refused_links: usize,
    pub(crate) holes: usize,
    pub(crate) too_far: usize,
    pub(crate) not_installed: usize,
    /// Changes of the members that took effect.
    pub(crate) activated: usize,
    /// Links that were left because the disk was full.
    pub(crate) full: usize,
    /// Leaders that were behind their own commits.
    pub(crate) behind: usize,
    /// Leaders that sent no state where one was needed.
    pub(crate) withheld: usize,
}

/// A running process.
pub(crate) struct Process {
    pub(crate) server: Server<RecordedLeader, DeviceLog>,
    pub(crate) states: DeviceStates,
    pub(super) purger: Purger<MemoryDisk>,
    pub(super) directory: DirectoryId,
    pub(super) disk: MemoryDisk,
    pub(crate) compared: Compared,
    pub(crate) arrivals: Vec<Arrival>,
    /// When its thread runs next.
    pub(crate) turn_us: Option<u64>,
    /// Steps until it ends.
    pub(crate) steps_left: Option<usize>,
    /// How often the log has begun anew, as far as the node knows.
    installs: usize,
    /// When to look for a leader again.
    pub(crate) retry: RetryDelay,
    /// A dial is under way.
    pub(crate) is_dialling: bool,
    /// The connections that are open, also those whose client is gone.
    pub(crate) connections: BTreeSet<(usize, ConnId)>,
    /// Why links have ended.
    pub(crate) ends: Vec<FollowEnd>,
    pub(crate) met: Met,
}

impl Process {
    pub(super) fn new(
        server: Server<RecordedLeader, DeviceLog>,
        states: DeviceStates,
        (compared, installs): (Compared, usize),
        (purger, directory, disk): (Purger<MemoryDisk>, DirectoryId, MemoryDisk),
    ) -> Process {
        Process {
            server,
            states,
            purger,
            directory,
            disk,
            compared,
            arrivals: Vec::new(),
            turn_us: None,
            steps_left: None,
            installs,
            retry: RetryDelay::Usual,
            is_dialling: false,
            connections: BTreeSet::new(),
            ends: Vec::new(),
            met: Met::default(),
        }
    }

    pub(crate) fn leader(&mut self) -> &mut FollowedLeader {
        &mut self.server.node().world_mut().leader.leader
    }

    pub(crate) fn leader_ref(&self) -> &FollowedLeader {
        &self.server.node_ref().world().leader.leader
    }

    pub(crate) fn log(&mut self) -> &mut DeviceLog {
        &mut self.server.node().world_mut().log
    }

    /// Whether the next turn would find something to do.
    pub(crate) fn has_work(&self) -> bool {
        let mut shards = self.server.shards.iter().enumerate();
        let shard_has = |(index, thread): (usize, &super::super::server::ShardThread)| {
            self.server.waiting(index) > 0 || !thread.shard.outputs.requests.is_empty()
        };
        self.server.has_work()
            || self.leader_ref().has_work()
            || self.states.is_done()
            || self.server.has_lost_changes()
            || !self.arrivals.is_empty()
            || shards.any(shard_has)
    }

    /// Whether the process must stop because of its disk.
    fn has_failed(&mut self) -> bool {
        self.log().failed().is_some() || self.states.has_failed()
    }

    /// One step is over: whether the process ends here.
    fn step_ends(&mut self) -> Result<(), Ended> {
        if self.has_failed() {
            return Err(Ended::Disk);
        }
        match &mut self.steps_left {
            Some(0) => Err(Ended::AtStep),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Everything moves once. What is to be sent to the leader is added to `outgoing`.
    pub(crate) fn turn(
        &mut self,
        link: &mut Option<MemberLink>,
        record: &RefCell<MemberRecord>,
        outgoing: &mut Vec<u8>,
    ) -> Result<(), Ended> {
        self.read(link);
        self.step_ends()?;
        self.server.release();
        self.take_end();
        self.step_ends()?;
        self.follow(record);
        self.step_ends()?;
        for arrival in std::mem::take(&mut self.arrivals) {
            self.serve(arrival);
            self.step_ends()?;
        }
        self.serve_all();
        self.step_ends()?;
        assert!(!self.server.has_lost_changes(), "connections are closed already");
        self.server.order(usize::MAX);
        self.take_end();
        // Connections are closed where a state is replaced, where clients have waited for long, and
        // where the state is not the leader's.
        let is_replaced = self.leader_ref().position().offer == LearnerOffer::Nothing;
        let is_closed = self.server.has_lost_changes();
        assert!(!is_closed || is_replaced, "connections are closed without a reason");
        self.step_ends()?;
        self.send(link, record, outgoing);
        self.step_ends()?;
        self.serve_all();
        self.step_ends()
    }

    /// Reads what the node wants of what has arrived.
    pub(crate) fn read(&mut self, link: &mut Option<MemberLink>) {
        if let Some(link) = link {
            while self.leader().wants_bytes() && !link.arrived.is_empty() {
                let count = link.arrived.len().min(READ_BYTES);
                let bytes: Vec<u8> = link.arrived.drain(..count).collect();
                self.leader().received(&bytes);
            }
        }
        self.take_end();
    }

    fn take_end(&mut self) {
        let Some(end) = self.leader().take_end() else { return };
        match end {
            FollowEnd::Disconnected => {}
            FollowEnd::Diverged(divergence) => self.on_diverged(divergence),
            FollowEnd::Fault(_) => self.met.faults += 1,
            FollowEnd::Full => self.met.full += 1,
            FollowEnd::NoState(_) => self.met.withheld += 1,
            FollowEnd::Link(LinkEnd::LeaderBehind { .. }) => self.met.behind += 1,
            FollowEnd::Link(LinkEnd::NotInstalled) => self.met.not_installed += 1,
            FollowEnd::Link(LinkEnd::OtherHistory { .. }) => self.met.holes += 1,
            FollowEnd::Link(LinkEnd::CutTooFar(_)) => self.met.too_far += 1,
            FollowEnd::Link(_) => self.met.refused_links += 1,
        }
        self.retry = end.retry_delay();
        self.ends.push(end);
    }

    /// The state is not the leader's: no client reads it any more, and what did not fit it was not
    /// applied.
    fn on_diverged(&mut self, divergence: Divergence) {
        self.met.diverged += 1;
        if let Divergence::Misfit(zxid, _) = divergence {
            let last = self.server.history.pop().map(|txn| txn.zxid);
            assert_eq!(last, Some(zxid), "something was applied behind what does not fit");
        }
        let mailboxes = &self.server.node_ref().world().shards.each;
        let is_closed = mailboxes.iter().all(|mailbox| mailbox.changes_lost);
        assert!(is_closed, "clients read a state that is not the leader's");
    }

    /// What lies between node, log and leader moves on.
    pub(crate) fn follow(&mut self, record: &RefCell<MemberRecord>) {
        let (reloads, installs) = (self.states.reloads, record.borrow().installs());
        follow(self.server.node(), &mut self.states);
        while let Some(event) = self.leader().next_config_event() {
            self.met.activated += usize::from(matches!(event, ConfigEvent::Activated(..)));
        }
        let installed = installs - std::mem::replace(&mut self.installs, installs);
        self.met.installs += installed;
        if installed > 0 || self.states.reloads > reloads {
            self.on_replaced(record);
        }
        self.take_end();
    }

    /// The node has another state. Every connection of before is closed.
    fn on_replaced(&mut self, record: &RefCell<MemberRecord>) {
        let applied = self.server.db().applied();
        let record = record.borrow();
        let count = record.txns().partition_point(|txn| txn.zxid <= applied);
        self.server.history = record.txns()[..count].to_vec();
        self.compared = Compared::with_unknown(count);
        self.serve_all();
        for &(shard, conn) in &self.connections {
            let Some(conn) = self.server.shards[shard].shard.conn(conn) else { continue };
            let is_closed = matches!(conn.phase, Phase::Closing | Phase::Lost);
            assert!(is_closed, "a connection outlives its state");
        }
    }

    /// Takes what is to be sent to the leader, and looks at it.
    fn send(
        &mut self,
        link: &mut Option<MemberLink>,
        record: &RefCell<MemberRecord>,
        outgoing: &mut Vec<u8>,
    ) {
        let Some(link) = link else { return };
        let bytes = self.leader().outgoing().to_vec();
        self.leader().sent(bytes.len());
        let mut record = record.borrow_mut();
        let durable = record.durable();
        link.sent.look(&bytes, &mut record.promises, durable);
        outgoing.extend_from_slice(&bytes);
    }

    fn serve(&mut self, arrival: Arrival) {
        let Arrival { shard, conn, bytes } = arrival;
        if !self.connections.contains(&(shard, conn)) {
            return;
        }
        match bytes {
            Some(bytes) => self.server.serve(shard, std::iter::once((conn, &bytes[..]))),
            None => {
                self.connections.remove(&(shard, conn));
                self.server.shards[shard].shard.lost(conn);
            }
        }
    }

    fn serve_all(&mut self) {
        (0..self.server.shards.len())
            .for_each(|shard| self.server.serve(shard, std::iter::empty()));
    }
}
