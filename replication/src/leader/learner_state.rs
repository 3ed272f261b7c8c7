//! One learner's connection as its leader has it.

use ringkeeper_engine::device::EnsembleId;
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::{LeaderPacket, PacketDecoder, PacketLimits, SettingDifference};
use ringkeeper_engine::{Millis, Zxid};

use super::lag::Lagging;
use super::out_queue::OutQueue;
use crate::learner::{LearnerKind, SyncKind};
use crate::plant::{Bug, is_planted};

/// What a connection is waiting for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LearnerPhase {
    /// FOLLOWERINFO or OBSERVERINFO.
    Connected,
    /// What it was told to be sent: it is of another ensemble, this one, under this number.
    Refused(EnsembleId, i64),
    /// The leader to have its epoch.
    Introduced,
    /// ACKEPOCH; LEADERINFO was sent.
    Promising,
    /// The leader to be sure of its epoch; its log ends here.
    Promised(Zxid),
    /// What it lacks, from the disk of the leader, up to here.
    Fed(Zxid),
    /// The ACK of NEWLEADER.
    Synchronized,
    /// A quorum to have the history; it has acknowledged NEWLEADER.
    Acknowledged,
    /// More to follow: UPTODATE was sent.
    Serving,
}

/// One learner.
#[derive(Debug)]
pub(super) struct LearnerState {
    /// Its bytes that are no whole packet yet; taken while they are looked at.
    pub(super) decoder: Option<PacketDecoder>,
    pub(super) out: OutQueue,
    pub(super) phase: LearnerPhase,
    /// Who it is, once it has said so.
    pub(super) server: Option<ServerId>,
    pub(super) kind: LearnerKind,
    /// It takes a commit, and gives an acknowledgement, for everything before it.
    pub(super) is_cumulative: bool,
    /// Its directory was just made: what it has promised before, if it has, is lost.
    pub(super) is_blank: bool,
    /// It takes over the identity of the ensemble, and knows the packets beyond ZooKeeper's.
    pub(super) checks: bool,
    /// Its settings that are not those of the leader.
    pub(super) differences: Vec<SettingDifference>,
    /// It was told that its state is another one than that of a majority.
    pub(super) is_diverged: bool,
    /// The ensemble that it is known to belong to.
    pub(super) ensemble: Option<EnsembleId>,
    /// The epoch that it had promised when it came.
    pub(super) promised: u32,
    /// When it was heard of, or took bytes of what it lacks, last.
    pub(super) heard: Millis,
    /// The last round of pings that it has answered.
    pub(super) answered: u64,
    /// The last transaction that was sent to it.
    pub(super) sent: Zxid,
    /// The end of the history that NEWLEADER stood behind.
    pub(super) history: Zxid,
    /// The last transaction that it has acknowledged.
    pub(super) acked: Zxid,
    /// A piece of what it lacks, or the plan before it, is on its way from the disk.
    pub(super) is_piece_requested: bool,
    /// The feed under way is the first one, whose plan is sent to it.
    pub(super) is_planned: bool,
    /// How it is, or was, brought in line.
    pub(super) sync: Option<SyncKind>,
    /// It takes less than what is proposed.
    pub(super) lagging: Option<Box<Lagging>>,
    /// The end of the last ping among all bytes that were ever to be sent; and whether a later one
    /// waits for it to be taken.
    ping_end: u64,
    is_ping_due: bool,
}

impl LearnerState {
    pub(super) fn new(limits: PacketLimits, now: Millis) -> LearnerState {
        LearnerState {
            decoder: Some(PacketDecoder::new(limits)),
            out: OutQueue::default(),
            phase: LearnerPhase::Connected,
            server: None,
            kind: LearnerKind::Observer,
            is_cumulative: false,
            is_blank: false,
            checks: false,
            differences: Vec::new(),
            is_diverged: false,
            ensemble: None,
            promised: 0,
            heard: now,
            answered: 0,
            sent: Zxid::ZERO,
            history: Zxid::ZERO,
            acked: Zxid::ZERO,
            is_piece_requested: false,
            is_planned: false,
            sync: None,
            lagging: None,
            ping_end: 0,
            is_ping_due: false,
        }
    }

    pub(super) fn send(&mut self, packet: &LeaderPacket<'_>) {
        self.out.packet(packet);
    }

    /// Sends a ping, if the one before has been taken: they do not pile up.
    pub(super) fn ping(&mut self, round: u64) {
        self.is_ping_due = self.out.taken() < self.ping_end;
        if !self.is_ping_due {
            // ZooKeeper's learners send back whatever zxid a ping has.
            self.send(&LeaderPacket::Ping { zxid: Zxid(round) });
            self.ping_end = self.out.taken() + self.out.bytes() as u64;
        }
    }

    /// Some of what waits was taken. A ping that has waited for that is of the newest round.
    pub(super) fn took(&mut self, bytes: usize, round: u64) {
        self.out.advance(bytes);
        if self.is_ping_due {
            self.ping(round);
        }
    }

    /// Whether it gets what is proposed from now on.
    pub(super) fn is_live(&self) -> bool {
        self.is_synchronized() && self.lagging.is_none()
    }

    /// Where what it may acknowledge ends.
    pub(super) fn sent_most(&self) -> Zxid {
        let fed = self.lagging.as_ref().and_then(|lagging| lagging.feed);
        fed.map_or(self.sent, |upto| self.sent.max(upto))
    }

    /// Whether it was sent NEWLEADER.
    pub(super) fn is_synchronized(&self) -> bool {
        match self.phase {
            LearnerPhase::Synchronized | LearnerPhase::Acknowledged | LearnerPhase::Serving => true,
            LearnerPhase::Connected
            | LearnerPhase::Refused(..)
            | LearnerPhase::Introduced
            | LearnerPhase::Promising
            | LearnerPhase::Promised(_)
            | LearnerPhase::Fed(_) => false,
        }
    }

    /// Whether it takes the history over, and has not acknowledged it: a voter that does so is
    /// waited for as long as it goes on.
    pub(super) fn takes_history(&self) -> bool {
        matches!(self.phase, LearnerPhase::Fed(_) | LearnerPhase::Synchronized)
    }

    /// Whether it has acknowledged the history of the epoch.
    pub(super) fn has_history(&self) -> bool {
        let is_sent = self.phase == LearnerPhase::Synchronized;
        matches!(self.phase, LearnerPhase::Acknowledged | LearnerPhase::Serving)
            || (is_sent && is_planted(Bug::SentCounts))
    }

    /// The server, if it votes.
    pub(super) fn voter(&self) -> Option<ServerId> {
        self.server.filter(|_| self.kind == LearnerKind::Follower)
    }
}
