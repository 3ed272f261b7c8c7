//! A process of a member: one turn of its thread after the other, each in steps between which it
//! may end.

use std::cell::RefCell;
use std::collections::BTreeSet;

use ringkeeper_engine::device::{DirectoryId, MemoryDisk};
use ringkeeper_engine::log::Purger;
use ringkeeper_engine::shard::Phase;
use ringkeeper_engine::watch::ConnId;
use ringkeeper_replication::learner::{FollowEnd, FollowedLeader, LinkEnd, follow};

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
            || self.server.has_lost_changes()
            || !self.arrivals.is_empty()
            || shards.any(shard_has)
    }

    /// Whether the process must stop because of its disk.
    fn has_failed(&mut self) -> bool {
        self.log().failed().is_some() || self.states.failed().is_some()
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
        self.step_ends()?;
        self.follow(record);
        self.step_ends()?;
        for arrival in std::mem::take(&mut self.arrivals) {
            self.serve(arrival);
            self.step_ends()?;
        }
        self.serve_all();
        self.step_ends()?;
        self.server.order(usize::MAX);
        // Connections are closed where a state is replaced, or where clients have waited for long.
        assert!(!self.server.has_lost_changes(), "connections are closed without a reason");
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
            FollowEnd::Diverged(_) => self.met.diverged += 1,
            FollowEnd::Fault(_) => self.met.faults += 1,
            FollowEnd::Link(LinkEnd::NotInstalled) => self.met.not_installed += 1,
            FollowEnd::Link(LinkEnd::OtherHistory { .. }) => self.met.holes += 1,
            FollowEnd::Link(LinkEnd::CutTooFar(_)) => self.met.too_far += 1,
            FollowEnd::Link(_) => self.met.refused_links += 1,
        }
        self.ends.push(end);
    }

    /// What lies between node, log and leader moves on.
    pub(crate) fn follow(&mut self, record: &RefCell<MemberRecord>) {
        let (reloads, installs) = (self.states.reloads, record.borrow().installs());
        follow(self.server.node(), &mut self.states);
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
