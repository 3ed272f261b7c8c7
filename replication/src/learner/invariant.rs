//! What must hold of everything that a link does, whatever the leader sends. Checked in release
//! builds too, and from inputs and effects alone: it does not go by what the link believes.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::Epochs;
use ringkeeper_engine::wire::peer::{LeaderPacket, LearnerPacket};

use super::{LinkEffect, LinkInput};
use crate::plant::is_any_planted;

/// Where a link is, seen from outside.
#[derive(Debug)]
pub(super) struct LinkInvariants {
    /// What is durable of the epochs.
    saved: Epochs,
    /// That of LEADERINFO.
    epoch: u32,
    /// The last transaction that was handed to the log, and the last one that is durable.
    appended: Zxid,
    durable: Zxid,
    /// What the leader has committed, or has in common with this learner.
    leader_committed: Zxid,
    /// What was released to be applied.
    released: Zxid,
    /// Where the history ends that NEWLEADER acknowledges.
    history: Option<Zxid>,
    is_history_growing: bool,
    /// The log is cut or begun anew.
    is_log_changing: bool,
    acknowledged: Acknowledged,
    /// The last proposal that was acknowledged.
    acked: Zxid,
    is_up_to_date: bool,
    is_serving: bool,
    is_ended: bool,
}

/// What was acknowledged of the beginning of the epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Acknowledged {
    Nothing,
    NewLeader,
    UpToDate,
}

impl LinkInvariants {
    pub(super) fn new(last: Zxid, committed: Zxid, saved: Epochs) -> LinkInvariants {
        LinkInvariants {
            saved,
            epoch: 0,
            appended: last,
            durable: last,
            leader_committed: committed,
            released: committed,
            history: None,
            is_history_growing: false,
            is_log_changing: false,
            acknowledged: Acknowledged::Nothing,
            acked: Zxid::ZERO,
            is_up_to_date: false,
            is_serving: false,
            is_ended: false,
        }
    }

    pub(super) fn on_input(&mut self, input: &LinkInput<'_>) {
        match *input {
            LinkInput::Packet(packet) => self.on_packet(packet),
            LinkInput::Saved(epochs) => self.saved = epochs,
            LinkInput::Flushed(upto) => self.durable = upto,
            LinkInput::Cut(last) => self.on_log_changed(last),
            LinkInput::Installed(last) => {
                self.on_log_changed(last);
                // What the leader had proposed before NEWLEADER follows at once.
                (self.history, self.is_history_growing) = (Some(last), true);
            }
            LinkInput::CutTooFar | LinkInput::NotInstalled => self.is_log_changing = false,
            LinkInput::Malformed(_) | LinkInput::Adopted(_) => {}
        }
    }

    fn on_log_changed(&mut self, last: Zxid) {
        (self.appended, self.durable) = (last, last);
        self.leader_committed = self.leader_committed.max(last);
        self.is_log_changing = false;
    }

    fn on_packet(&mut self, packet: LeaderPacket<'_>) {
        match packet {
            LeaderPacket::LeaderInfo { zxid, .. } if self.epoch == 0 => self.epoch = zxid.epoch(),
            LeaderPacket::LeaderInfo { .. } => {}
            LeaderPacket::Diff { .. } => {
                self.leader_committed = self.leader_committed.max(self.appended)
            }
            LeaderPacket::NewLeader { .. } => self.history = Some(self.appended),
            LeaderPacket::UpToDate => self.is_up_to_date = true,
            LeaderPacket::Commit { zxid }
            | LeaderPacket::CommitAndActivate { zxid, .. }
            | LeaderPacket::Inform { zxid, .. }
            | LeaderPacket::InformAndActivate { zxid, .. } => {
                self.leader_committed = self.leader_committed.max(zxid)
            }
            LeaderPacket::Trunc { .. } | LeaderPacket::Snap { .. } => {}
            LeaderPacket::Proposal { .. } | LeaderPacket::Proposals { .. } => {}
            LeaderPacket::Ping { .. } => {}
            LeaderPacket::Revalidate { .. } | LeaderPacket::Sync => {}
            LeaderPacket::Diverged { .. } | LeaderPacket::SessionMoved { .. } => {}
        }
    }

    pub(super) fn on_effects(&mut self, effects: &[LinkEffect]) {
        if !is_any_planted() {
            effects.iter().for_each(|effect| self.on_effect(effect));
        }
        self.is_history_growing = false;
    }

    fn on_effect(&mut self, effect: &LinkEffect) {
        assert!(!self.is_ended, "{effect:?} behind the end of the link");
        match effect {
            LinkEffect::Send(packet) => self.on_send(packet),
            LinkEffect::Save(epochs) => self.on_save(*epochs),
            LinkEffect::Cut(zxid) | LinkEffect::InstallState(zxid) => {
                assert!(*zxid >= self.released, "{} was committed: {effect:?}", self.released);
                assert!(!self.is_log_changing, "{effect:?} while the log changes");
                self.is_log_changing = true;
            }
            LinkEffect::Append(txn) => self.on_append(txn.zxid(), txn.zxid()),
            LinkEffect::AppendChunk(chunk) => self.on_append(chunk.first, chunk.last),
            LinkEffect::AddToState(txn) => {
                assert!(txn.zxid() <= self.leader_committed, "{} was not committed", txn.zxid());
            }
            LinkEffect::Committed(zxid) => {
                assert!(self.is_up_to_date, "{zxid} is released before a quorum has the history");
                assert!(*zxid > self.released, "{zxid} is released behind {}", self.released);
                assert!(*zxid <= self.durable, "{zxid} is released before it is durable");
                assert!(
                    *zxid <= self.leader_committed,
                    "{zxid} is released before it is committed"
                );
                self.released = *zxid;
            }
            LinkEffect::Activate(zxid, _) => {
                assert!(*zxid <= self.released, "{zxid} counts before it is released");
            }
            LinkEffect::Serve(_) => {
                assert!(self.is_up_to_date && !self.is_serving, "clients are served too early");
                assert!(self.history.is_some_and(|end| end <= self.durable), "a part is missing");
                self.is_serving = true;
            }
            LinkEffect::AnswerPing(_) => {
                assert!(self.is_serving, "a ping is answered before NEWLEADER is acknowledged");
            }
            LinkEffect::AnswerRevalidate(..) | LinkEffect::AnswerSync => {
                assert!(self.is_serving, "{effect:?} before clients are served");
            }
            LinkEffect::Diverged(_) | LinkEffect::SessionMoved(_) => {
                assert!(self.is_serving, "{effect:?} before clients are served");
            }
            LinkEffect::Adopt(_) | LinkEffect::Differs(_) | LinkEffect::ReceiveState(_) => {}
            LinkEffect::End(_) => self.is_ended = true,
        }
    }

    fn on_append(&mut self, first: Zxid, last: Zxid) {
        let before = self.appended;
        assert!(first.may_follow(before), "{first} is appended behind {before}");
        assert!(last.epoch() <= self.epoch, "{last} in epoch {}", self.epoch);
        assert!(!self.is_log_changing, "{first} is appended while the log changes");
        self.appended = last;
        if self.is_history_growing {
            self.history = Some(last);
        }
    }

    fn on_send(&mut self, packet: &LearnerPacket<'_>) {
        match packet {
            LearnerPacket::AckEpoch { zxid, .. } => {
                let promised = self.saved.promised;
                assert_eq!(promised, self.epoch, "that is not the epoch that was promised");
                assert!(*zxid <= self.durable, "{zxid} is reported, which is not durable");
                let is_txn = zxid.counter() != 0 || *zxid == Zxid::ZERO;
                assert!(is_txn, "{zxid} is reported, which is no transaction");
            }
            LearnerPacket::Ack { zxid } if zxid.counter() == 0 => self.on_beginning(*zxid),
            LearnerPacket::Ack { zxid } => {
                let begun = self.acknowledged != Acknowledged::Nothing;
                assert!(begun, "{zxid} is acknowledged before NEWLEADER");
                assert!(*zxid <= self.durable, "{zxid} is acknowledged before it is durable");
                assert!(*zxid > self.acked, "{zxid} is acknowledged behind {}", self.acked);
                self.acked = *zxid;
            }
            other => unreachable!("{other:?} is not sent by a link"),
        }
    }

    /// The first acknowledgement of an epoch is that of NEWLEADER, the second that of UPTODATE.
    fn on_beginning(&mut self, zxid: Zxid) {
        assert_eq!(zxid, Zxid::new(self.epoch, 0), "another epoch is acknowledged");
        self.acknowledged = match self.acknowledged {
            Acknowledged::Nothing => {
                let end = self.history.expect("NEWLEADER has come");
                assert!(!self.is_log_changing, "NEWLEADER is acknowledged while the log changes");
                assert!(self.durable >= end, "NEWLEADER is acknowledged before {end} is durable");
                assert_eq!(self.saved.current, self.epoch, "the current epoch was not saved");
                Acknowledged::NewLeader
            }
            Acknowledged::NewLeader => {
                assert!(self.is_up_to_date, "UPTODATE is acknowledged before it came");
                Acknowledged::UpToDate
            }
            Acknowledged::UpToDate => panic!("there is nothing left to acknowledge"),
        };
    }

    fn on_save(&mut self, epochs: Epochs) {
        let grows = epochs.promised >= self.saved.promised && epochs.current >= self.saved.current;
        assert!(grows && epochs.current <= epochs.promised, "{epochs:?} behind {:?}", self.saved);
        if epochs.current > self.saved.current {
            assert!(!self.is_log_changing, "{epochs:?} while the log changes");
            let is_here = self.history.is_some_and(|end| end <= self.durable);
            assert!(is_here, "{epochs:?} before the history is durable");
        }
    }
}
