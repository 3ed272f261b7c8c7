//! Does a member keep its promises? What leaves it must be on its disk: the promised epoch before
//! ACKEPOCH, the history and then the epoch before the ACK of NEWLEADER, each proposal before its
//! ACK. And a restart must find all of it, also where the ensemble would repair the loss unseen.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::Epochs;
use ringkeeper_engine::wire::peer::{LearnerPacket, PacketDecoder, PacketLimits};

/// What a member has said and saved.
#[derive(Clone, Default)]
pub(crate) struct Promises {
    /// What is reported as saved.
    saved: Epochs,
    /// That of the leader's LEADERINFO.
    leader: u32,
    /// The last epoch that a leader was promised, and that was acknowledged as current.
    promised: u32,
    current: u32,
    /// The last transaction that was acknowledged, or reported to a leader.
    acknowledged: Zxid,
    /// What must be durable before the epoch is current.
    history_end: Zxid,
}

impl Promises {
    /// A leader has sent LEADERINFO.
    pub(crate) fn led(&mut self, epoch: u32) {
        self.leader = epoch;
    }

    /// It leads, and sends this epoch to its learners.
    pub(crate) fn leads(&self, epoch: u32) {
        assert!(self.saved.promised >= epoch, "{epoch} is sent before it is saved");
    }

    /// A process begins with these epochs.
    pub(crate) fn begins_with(&self, epochs: Epochs) {
        let (knows, promised) = (epochs.promised, self.promised);
        assert!(knows >= promised, "{promised} was promised, and a process knows of {knows}");
    }

    /// The leader's history ends here, without what it has not committed.
    pub(super) fn offered(&mut self, history_end: Zxid) {
        self.history_end = history_end;
    }

    /// The epochs are to be saved.
    pub(super) fn saving(&mut self, epochs: Epochs, durable: Zxid) {
        let Epochs { promised, current } = self.saved;
        assert!(epochs.promised >= promised && epochs.current >= current, "{epochs:?} go back");
        let is_here = epochs.current == current || durable >= self.history_end;
        assert!(is_here, "the epoch is current before its history is durable");
    }

    pub(super) fn saved(&mut self, epochs: Epochs) {
        self.saved = epochs;
    }

    /// The current epoch on the disk.
    pub(crate) fn current(&self) -> u32 {
        self.saved.current
    }

    /// The log ends here now: what is behind it was not committed.
    pub(super) fn log_ends(&mut self, last: Zxid) {
        self.acknowledged = self.acknowledged.min(last);
    }

    /// A packet leaves, at a time when this is durable.
    pub(crate) fn sends(&mut self, packet: &LearnerPacket<'_>, durable: Zxid) {
        let epoch = self.leader;
        match packet {
            LearnerPacket::AckEpoch { zxid, .. } => {
                assert!(self.saved.promised >= epoch, "{epoch} is promised before it is saved");
                assert!(*zxid <= durable, "{zxid} is reported before it is durable");
                self.promised = epoch;
                self.acknowledged = *zxid;
            }
            LearnerPacket::Ack { zxid } if zxid.counter() == 0 => {
                let current = self.saved.current;
                assert_eq!(current, zxid.epoch(), "an epoch is acknowledged before it is saved");
                assert!(durable >= self.history_end, "before the history is durable");
                self.current = current;
                self.acknowledged = self.acknowledged.max(self.history_end);
            }
            LearnerPacket::Ack { zxid } => {
                assert!(*zxid <= durable, "{zxid} is acknowledged before it is durable");
                self.acknowledged = *zxid;
            }
            LearnerPacket::FollowerInfo { .. } | LearnerPacket::ObserverInfo { .. } => {}
            LearnerPacket::Ping { .. } | LearnerPacket::Revalidate { .. } => {}
            LearnerPacket::Digest { zxid, .. } => {
                assert!(*zxid <= durable, "{zxid} is applied before it is durable");
            }
            LearnerPacket::Request { .. } => {}
        }
    }

    /// A process has started.
    pub(super) fn restarted(&mut self, (saved, recovered): (Epochs, Epochs), last: Zxid) {
        let Epochs { promised, current } = recovered;
        assert!(promised >= self.promised, "{} was promised and is forgotten", self.promised);
        assert!(current >= self.current, "{} was current and is forgotten", self.current);
        let acknowledged = self.acknowledged;
        assert!(last >= acknowledged, "{acknowledged} was acknowledged and is lost: {last}");
        self.saved = saved;
    }
}

/// Looks at the packets that leave over one link.
pub(crate) struct SentPackets(PacketDecoder);

impl SentPackets {
    /// A link on which nothing was sent.
    pub(crate) fn new() -> SentPackets {
        SentPackets(PacketDecoder::new(PacketLimits::default()))
    }

    /// These bytes leave, at a time when this is durable.
    pub(crate) fn look(&mut self, bytes: &[u8], promises: &mut Promises, durable: Zxid) {
        self.0.push(bytes);
        while let Some(packet) = self.0.decode().expect("a member sends packets") {
            let packet = LearnerPacket::read(packet).expect("and those of a learner");
            promises.sends(&packet, durable);
        }
    }
}
