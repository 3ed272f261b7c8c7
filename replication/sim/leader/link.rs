//! A leader's end of a connection to one member: what comes in, and what is proposed and committed
//! on it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use ringkeeper_engine::Millis;
use ringkeeper_engine::Zxid;
use ringkeeper_engine::sequencer::Caller;
use ringkeeper_engine::txn::{Txn, TxnBody};
use ringkeeper_engine::wire::peer::{
    LeaderPacket, LearnerPacket, PROTOCOL_VERSION, PacketDecoder, PacketLimits,
};
use ringkeeper_replication::learner::LearnerKind;

use super::super::check::recovery::MemberRecord;
use super::super::member::MemberId;
use super::super::random::Random;
use super::{Ensemble, Wrong};

/// The server that should lead behind a change of the members.
const DESIGNATED: i64 = 2;

/// What a leader does about its learner.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Stage {
    /// It waits for what the learner says of itself.
    Connected,
    /// It has sent LEADERINFO.
    Discovery,
    /// It has sent the history, and NEWLEADER.
    Synchronizing,
    /// NEWLEADER is acknowledged.
    Acknowledged,
    /// It has sent UPTODATE.
    Serving,
}

/// The leader's end of a connection.
pub(crate) struct LeaderLink {
    kind: LearnerKind,
    decoder: PacketDecoder,
    /// What is to be sent.
    pub(crate) bytes: Vec<u8>,
    pub(crate) stage: Stage,
    /// Pings that are not answered.
    pub(super) pings: usize,
    last_ack: Zxid,
    pub(super) record: Rc<RefCell<MemberRecord>>,
    /// Whether something wrong was sent: the learner leaves, and what it says until then means
    /// nothing.
    pub(super) is_wrong: bool,
}

impl LeaderLink {
    /// A connection on which nothing was said.
    pub(super) fn new(kind: LearnerKind, record: Rc<RefCell<MemberRecord>>) -> LeaderLink {
        LeaderLink {
            kind,
            decoder: PacketDecoder::new(PacketLimits::default()),
            bytes: Vec::new(),
            stage: Stage::Connected,
            pings: 0,
            last_ack: Zxid::ZERO,
            record,
            is_wrong: false,
        }
    }
}

impl Ensemble {
    /// A link is lost, and the leader has got some of what was on its way there.
    pub(crate) fn disconnect(&mut self, member: MemberId, on_its_way: &[u8]) {
        let link = self.links.remove(&member);
        if let Some(link) = link.filter(|link| link.stage == Stage::Serving) {
            self.lingering.push((member, link.decoder, on_its_way.to_vec()));
        }
    }

    pub(super) fn send(&mut self, member: MemberId, packet: LeaderPacket<'_>) {
        if let Some(link) = self.links.get_mut(&member) {
            packet.encode(&mut link.bytes);
        }
    }

    /// What is to be sent to a member.
    pub(crate) fn take_bytes(&mut self, member: MemberId) -> Vec<u8> {
        self.links.get_mut(&member).map_or_else(Vec::new, |link| std::mem::take(&mut link.bytes))
    }

    /// Takes bytes of a learner, and answers.
    pub(crate) fn receive(
        &mut self,
        member: MemberId,
        bytes: &[u8],
        random: &mut Random,
        now: Millis,
    ) {
        let Some(link) = self.links.get_mut(&member) else { panic!("there is no connection") };
        let new = PacketDecoder::new(PacketLimits::default());
        let mut decoder = std::mem::replace(&mut link.decoder, new);
        decoder.push(bytes);
        while let Some(packet) = decoder.decode().expect("the learner's bytes make sense") {
            let packet = LearnerPacket::read(packet).expect("and its packets");
            self.on_packet(member, packet, random, now);
        }
        self.link(member).decoder = decoder;
    }

    pub(super) fn link(&mut self, member: MemberId) -> &mut LeaderLink {
        self.links.get_mut(&member).expect("it is connected")
    }

    fn on_packet(
        &mut self,
        member: MemberId,
        packet: LearnerPacket<'_>,
        random: &mut Random,
        now: Millis,
    ) {
        let stage = self.link(member).stage;
        let begin = Zxid::new(self.epoch, 0);
        match packet {
            LearnerPacket::FollowerInfo { .. } | LearnerPacket::ObserverInfo { .. } => {
                assert_eq!(stage, Stage::Connected);
                let is_earlier = self.epoch > 1 && self.does_wrong_to(member, Wrong::EarlierEpoch);
                let zxid = if is_earlier { Zxid::new(self.epoch - 1, 0) } else { begin };
                let (protocol, extension) = (PROTOCOL_VERSION, &[][..]);
                self.link(member).record.borrow_mut().promises.led(zxid.epoch());
                self.send(member, LeaderPacket::LeaderInfo { zxid, protocol, extension });
                self.link(member).stage = Stage::Discovery;
            }
            LearnerPacket::AckEpoch { zxid, .. } => {
                assert_eq!(stage, Stage::Discovery);
                self.synchronize(member, zxid, random);
                self.link(member).stage = Stage::Synchronizing;
            }
            LearnerPacket::Ack { zxid } if zxid == begin => match stage {
                Stage::Synchronizing => self.link(member).stage = Stage::Acknowledged,
                _ => assert_eq!(stage, Stage::Serving),
            },
            LearnerPacket::Ack { zxid } => self.on_ack(member, zxid),
            LearnerPacket::Ping { touched, .. } => {
                let link = self.link(member);
                link.pings = link.pings.saturating_sub(1);
                self.seen.pings += 1;
                for (session, _) in touched {
                    self.seen.touched.push(session);
                    self.touch(session, now);
                }
            }
            LearnerPacket::Digest { .. } => panic!("this leader compares no states"),
            LearnerPacket::Revalidate { session, .. } => {
                assert_eq!(stage, Stage::Serving);
                self.seen.revalidations += 1;
                let valid = self.has_session(session);
                if valid {
                    self.touch(session, now);
                    self.owners.insert(session, member);
                }
                self.send(member, LeaderPacket::Revalidate { session, valid });
            }
            LearnerPacket::Request { session, cxid, op, record, identities } => {
                assert_eq!(stage, Stage::Serving);
                let ids: Arc<[_]> = identities.unwrap_or_default();
                self.on_request(member, &Caller { session, cxid, ids }, (op, record), now);
            }
        }
    }

    fn on_ack(&mut self, member: MemberId, zxid: Zxid) {
        let link = self.link(member);
        assert!(link.stage >= Stage::Acknowledged, "{zxid} before NEWLEADER");
        assert_eq!(link.kind, LearnerKind::Follower);
        assert!(zxid > link.last_ack, "{zxid} is acknowledged behind {}", link.last_ack);
        link.last_ack = zxid;
    }

    /// Sends UPTODATE where it is due.
    pub(crate) fn serve(&mut self) {
        let due = |link: &&mut LeaderLink| link.stage == Stage::Acknowledged;
        for link in self.links.values_mut().filter(due).filter(|_| self.is_established) {
            LeaderPacket::UpToDate.encode(&mut link.bytes);
            link.stage = Stage::Serving;
            self.seen.served += 1;
        }
    }

    /// Sends a ping to the learners that are served.
    pub(crate) fn ping(&mut self) {
        let zxid = self.db.applied();
        for link in self.links.values_mut().filter(|link| link.stage == Stage::Serving) {
            link.pings += 1;
            LeaderPacket::Ping { zxid }.encode(&mut link.bytes);
        }
    }

    /// The members that hear of proposals and commits.
    pub(super) fn hearing(&self, kind: LearnerKind) -> Vec<MemberId> {
        let hears = |link: &LeaderLink| link.stage >= Stage::Synchronizing && link.kind == kind;
        self.links.iter().filter(|(_, link)| hears(link)).map(|(member, _)| *member).collect()
    }

    pub(super) fn propose_to_all(&mut self, index: usize) {
        for member in self.hearing(LearnerKind::Follower) {
            if self.does_wrong_to(member, Wrong::SkippedProposal) {
                continue;
            }
            let txn = self.broadcast(member, index);
            self.send_proposal(member, index, &txn);
            if self.does_wrong_to(member, Wrong::RepeatedProposal) {
                self.propose(member, index);
            }
        }
    }

    pub(super) fn propose(&mut self, member: MemberId, index: usize) {
        let txn = self.payload(index);
        self.send_proposal(member, index, &txn);
    }

    fn send_proposal(&mut self, member: MemberId, index: usize, txn: &[u8]) {
        let zxid = self.history[index].zxid;
        self.send(member, LeaderPacket::Proposal { zxid, txn });
    }

    pub(super) fn commit_to_all(&mut self, index: usize) {
        let Txn { zxid, ref body, .. } = *self.history[index];
        let is_reconfig = matches!(body, TxnBody::Reconfig { .. });
        for member in self.hearing(LearnerKind::Follower) {
            let commit = match is_reconfig {
                true => LeaderPacket::CommitAndActivate { zxid, designated: DESIGNATED },
                false => LeaderPacket::Commit { zxid },
            };
            self.send(member, commit);
        }
        for member in self.hearing(LearnerKind::Observer) {
            if self.does_wrong_to(member, Wrong::SkippedProposal) {
                continue;
            }
            let txn = &self.broadcast(member, index);
            let inform = |txn| match is_reconfig {
                true => LeaderPacket::InformAndActivate { zxid, designated: DESIGNATED, txn },
                false => LeaderPacket::Inform { zxid, txn },
            };
            self.send(member, inform(txn));
            if self.does_wrong_to(member, Wrong::RepeatedProposal) {
                self.send(member, inform(txn));
            }
        }
    }

    pub(super) fn is_follower(&mut self, member: MemberId) -> bool {
        self.link(member).kind == LearnerKind::Follower
    }
}
