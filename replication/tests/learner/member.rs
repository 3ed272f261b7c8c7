//! A learner with a log that takes its time.

use std::collections::VecDeque;

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::Epochs;
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::{LeaderPacket, LearnerPacket, PeerSettings};
use ringkeeper_replication::learner::{
    Dialect, Learner, LearnerKind, LearnerLink, LearnerOffer, LearnerPosition, LinkEffect, LinkEnd,
    LinkInput,
};

use crate::script::Said;

/// What is on the disk.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Disk {
    /// What the log begins behind: the zxid of a state that was installed.
    pub(crate) base: Zxid,
    /// The transactions in that state.
    pub(crate) state: Vec<Zxid>,
    pub(crate) log: Vec<Zxid>,
    pub(crate) epochs: Epochs,
}

impl Disk {
    pub(crate) fn new(log: &[Zxid], (promised, current): (u32, u32)) -> Disk {
        let (base, state, epochs) = (Zxid::ZERO, Vec::new(), Epochs { promised, current });
        Disk { base, state, log: log.to_vec(), epochs }
    }

    pub(crate) fn last(&self) -> Zxid {
        self.log.last().copied().unwrap_or(self.base)
    }
}

/// What the log was given and has not done yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Task {
    Append(Zxid),
    Cut(Zxid),
    Install(Zxid),
}

/// Whether a link's tasks are done as soon as they are given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pace {
    AtOnce,
    OnDemand,
}

/// A learner on one link after the other. It checks what it sends against what is on its disk,
/// whatever the link believes.
pub(crate) struct Member {
    pub(crate) learner: Learner,
    pub(crate) disk: Disk,
    link: LearnerLink,
    offer: LearnerOffer,
    pace: Pace,
    tasks: VecDeque<Task>,
    save: Option<Epochs>,
    /// The transactions in the state that the leader sends.
    pub(crate) received: Vec<Zxid>,
    /// All effects of this link, in order.
    pub(crate) effects: Vec<LinkEffect>,
    /// What may be applied.
    pub(crate) committed: Zxid,
    pub(crate) is_serving: bool,
    /// The end of what must be durable before NEWLEADER is acknowledged.
    history: Option<Zxid>,
    /// A state was installed, and the proposals behind it are part of the history.
    is_history_growing: bool,
    /// What the leader has committed, as it said, or has in common with this learner.
    heard_committed: Zxid,
    beginnings_acked: u32,
    epoch: u32,
}

pub(crate) fn learner(kind: LearnerKind) -> Learner {
    let (server, dialect) = (ServerId(4), Dialect::ZooKeeper);
    Learner { kind, server, config_version: 0, dialect, settings: PeerSettings::default() }
}

impl Member {
    pub(crate) fn new(learner: Learner, disk: Disk, committed: Zxid, pace: Pace) -> Member {
        let (last, offer, saved) = (disk.last(), LearnerOffer::Log, disk.epochs);
        let position =
            LearnerPosition { last, offer, committed, saved, ensemble: None, alone: None };
        Member::at(learner, disk, position, pace)
    }

    fn at(learner: Learner, disk: Disk, position: LearnerPosition, pace: Pace) -> Member {
        let committed = position.committed;
        let mut effects = Vec::new();
        let link = LearnerLink::new(learner, position, &mut effects);
        Member {
            learner,
            disk,
            link,
            offer: position.offer,
            pace,
            tasks: VecDeque::new(),
            save: None,
            received: Vec::new(),
            effects,
            committed,
            is_serving: false,
            history: None,
            is_history_growing: false,
            heard_committed: committed,
            beginnings_acked: 0,
            epoch: 0,
        }
    }

    /// An observer or a follower that has done a link's part up to its tasks.
    pub(crate) fn of(kind: LearnerKind, log: &[Zxid], epochs: (u32, u32)) -> Member {
        Member::new(learner(kind), Disk::new(log, epochs), Zxid::ZERO, Pace::AtOnce)
    }

    pub(crate) fn link(&self) -> &LearnerLink {
        &self.link
    }

    /// Drops the link, finishes what the log has, and begins another link: the process goes on.
    pub(crate) fn reconnect(self) -> Member {
        let Member { learner, pace, .. } = self;
        let (disk, position) = self.into_position();
        let member = Member::at(learner, disk, position, pace);
        assert_eq!(member.link.position(), position);
        member
    }

    /// Drops everything that is not on the disk: the process starts anew.
    pub(crate) fn crash(self) -> Member {
        let Member { learner, disk, pace, .. } = self;
        Member::new(learner, disk, Zxid::ZERO, pace)
    }

    fn into_position(mut self) -> (Disk, LearnerPosition) {
        while self.complete_log(usize::MAX) || self.complete_save() {}
        let position = self.link.position();
        assert_eq!((position.last, position.saved), (self.disk.last(), self.disk.epochs));
        assert_eq!(position.committed, self.committed);
        (self.disk, position)
    }

    pub(crate) fn hears(&mut self, said: Said) {
        said.packet(|packet| self.hears_packet(packet));
    }

    pub(crate) fn hears_all(&mut self, said: &[Said]) {
        said.iter().for_each(|said| self.hears(*said));
    }

    pub(crate) fn hears_packet(&mut self, packet: LeaderPacket<'_>) {
        if let LeaderPacket::NewLeader { .. } = packet {
            let appended = self.tasks.iter().rev().find_map(|task| match task {
                Task::Append(zxid) => Some(*zxid),
                Task::Cut(_) | Task::Install(_) => None,
            });
            self.history = Some(appended.unwrap_or(self.disk.last()));
        }
        match packet {
            LeaderPacket::LeaderInfo { zxid, .. } => self.epoch = zxid.epoch(),
            LeaderPacket::Diff { .. } => self.heard_committed = self.disk.last(),
            LeaderPacket::Commit { zxid }
            | LeaderPacket::CommitAndActivate { zxid, .. }
            | LeaderPacket::Inform { zxid, .. }
            | LeaderPacket::InformAndActivate { zxid, .. } => {
                self.heard_committed = self.heard_committed.max(zxid);
            }
            _ => {}
        }
        self.step(LinkInput::Packet(packet));
    }

    pub(crate) fn step(&mut self, input: LinkInput<'_>) {
        let mut effects = Vec::new();
        self.link.step(input, &mut effects);
        for effect in effects {
            self.take(effect);
        }
        if self.is_serving && self.end().is_none() {
            let expected = self.heard_committed.min(self.disk.last());
            let is_txn = expected.counter() != 0;
            assert!(!is_txn || self.committed == expected, "{expected} is committed and durable");
        }
        if self.pace == Pace::AtOnce {
            while self.complete_log(usize::MAX) || self.complete_save() {}
        }
    }

    /// The log does some of what it was given: up to so many appends with one flush, or one cut or
    /// install. False if there is nothing to do.
    pub(crate) fn complete_log(&mut self, appends_max: usize) -> bool {
        match self.tasks.front() {
            None => return false,
            Some(&Task::Cut(after)) => {
                self.tasks.pop_front();
                if after < self.disk.base {
                    self.step(LinkInput::CutTooFar);
                    return true;
                }
                self.disk.log.retain(|zxid| *zxid <= after);
                let last = self.disk.last();
                self.heard_committed = last;
                self.step(LinkInput::Cut(last));
            }
            Some(&Task::Install(zxid)) => {
                self.tasks.pop_front();
                (self.disk.base, self.disk.log) = (zxid, Vec::new());
                self.disk.state = std::mem::take(&mut self.received);
                self.heard_committed = self.heard_committed.max(zxid);
                self.is_history_growing = true;
                self.step(LinkInput::Installed(zxid));
                self.is_history_growing = false;
            }
            Some(Task::Append(_)) => {
                let mut count = 0;
                while count < appends_max
                    && let Some(&Task::Append(zxid)) = self.tasks.front()
                {
                    assert!(zxid.may_follow(self.disk.last()), "{zxid} leaves a hole");
                    self.disk.log.push(zxid);
                    self.tasks.pop_front();
                    count += 1;
                }
                self.step(LinkInput::Flushed(self.disk.last()));
            }
        }
        true
    }

    /// The log will not do what it was given: a test has answered for it.
    pub(crate) fn forget_log_tasks(&mut self) {
        self.tasks.clear();
    }

    /// The epochs become durable. False if none are to be saved.
    pub(crate) fn complete_save(&mut self) -> bool {
        let Some(epochs) = self.save.take() else { return false };
        self.disk.epochs = epochs;
        self.step(LinkInput::Saved(epochs));
        true
    }

    fn take(&mut self, effect: LinkEffect) {
        match &effect {
            LinkEffect::Send(packet) => self.check_sent(packet),
            LinkEffect::Save(epochs) => {
                assert!(self.save.replace(*epochs).is_none(), "two are saved at a time");
                let before = self.disk.epochs;
                assert!(epochs.promised >= before.promised && epochs.current >= before.current);
                if epochs.current > before.current {
                    self.check_history("the epoch is saved");
                }
            }
            LinkEffect::Cut(zxid) => {
                assert!(*zxid >= self.committed, "{} was committed", self.committed);
                self.tasks.push_back(Task::Cut(*zxid));
            }
            LinkEffect::InstallState(zxid) => {
                assert!(*zxid >= self.committed, "{} was committed", self.committed);
                self.tasks.push_back(Task::Install(*zxid));
                self.history = Some(*zxid);
            }
            LinkEffect::Append(txn) => {
                self.tasks.push_back(Task::Append(txn.zxid()));
                if self.is_history_growing {
                    self.history = Some(txn.zxid());
                }
            }
            LinkEffect::AppendChunk(chunk) => {
                assert!(!self.is_history_growing, "a leader of ours sends them behind NEWLEADER");
                self.tasks.extend(chunk.each().map(|txn| Task::Append(txn.zxid())));
            }
            LinkEffect::Committed(zxid) => {
                assert!(*zxid > self.committed, "{zxid} behind {}", self.committed);
                assert!(*zxid <= self.disk.last(), "{zxid} is not on the disk");
                self.committed = *zxid;
            }
            LinkEffect::Serve(_) => {
                assert!(!self.is_serving && self.beginnings_acked == 2);
                self.is_serving = true;
            }
            LinkEffect::AddToState(txn) => {
                if self.received.last().is_none_or(|last| *last < txn.zxid()) {
                    self.received.push(txn.zxid());
                }
            }
            LinkEffect::ReceiveState(_) | LinkEffect::End(_) => {}
            LinkEffect::Activate(zxid, _) => assert!(*zxid <= self.committed),
            LinkEffect::AnswerPing(_) | LinkEffect::AnswerSync => assert!(self.is_serving),
            LinkEffect::AnswerRevalidate(..) => assert!(self.is_serving),
            LinkEffect::Diverged(_) | LinkEffect::SessionMoved(_) => assert!(self.is_serving),
            LinkEffect::Adopt(_) | LinkEffect::Differs(_) => {
                panic!("ZooKeeper's leaders know nothing of it: {effect:?}")
            }
        }
        self.effects.push(effect);
    }

    fn check_sent(&mut self, packet: &LearnerPacket<'_>) {
        match packet {
            LearnerPacket::AckEpoch { zxid, .. } => {
                assert!(self.disk.epochs.promised >= self.epoch, "the promise is not on the disk");
                let last = self.disk.last();
                let is_offered = last.counter() != 0 && self.offer == LearnerOffer::Log;
                let expected = if is_offered { last } else { Zxid::ZERO };
                assert_eq!(*zxid, expected, "that is not the last transaction");
            }
            LearnerPacket::Ack { zxid } if zxid.counter() == 0 => {
                assert_eq!(zxid.epoch(), self.epoch);
                self.check_history("NEWLEADER is acknowledged");
                assert_eq!(self.disk.epochs.current, self.epoch, "it is not on the disk");
                self.beginnings_acked += 1;
                assert!(self.beginnings_acked <= 2);
            }
            LearnerPacket::Ack { zxid } => {
                assert_eq!(self.learner.kind, LearnerKind::Follower);
                assert!(self.disk.log.contains(zxid), "{zxid} is not on the disk");
                assert!(self.beginnings_acked > 0, "{zxid} is acknowledged before NEWLEADER");
            }
            other => panic!("{other:?}"),
        }
    }

    fn check_history(&self, what: &str) {
        let end = self.history.expect("NEWLEADER came");
        assert!(self.disk.last() >= end, "{what} before the disk has {end}");
        assert!(!self.tasks.iter().any(|task| !matches!(task, Task::Append(_))), "{what}");
    }

    /// Why the link has ended.
    pub(crate) fn end(&self) -> Option<LinkEnd> {
        self.effects.iter().find_map(|effect| match effect {
            LinkEffect::End(end) => Some(*end),
            _ => None,
        })
    }

    /// What was sent on this link.
    pub(crate) fn sent(&self) -> Vec<LearnerPacket<'static>> {
        let sent = self.effects.iter().filter_map(|effect| match effect {
            LinkEffect::Send(packet) => Some(packet.clone()),
            _ => None,
        });
        sent.collect()
    }

    /// The acknowledgements that were sent on this link.
    pub(crate) fn acks(&self) -> Vec<Zxid> {
        let acks = self.sent().into_iter().filter_map(|packet| match packet {
            LearnerPacket::Ack { zxid } => Some(zxid),
            _ => None,
        });
        acks.collect()
    }
}
