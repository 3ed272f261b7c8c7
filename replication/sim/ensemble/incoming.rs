//! What a member has read of its leader: the epoch, and where the history ends that has to be on
//! the disk before that is current.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::wire::peer::{LeaderPacket, PacketDecoder, PacketLimits, StateScan};

use super::super::check::recovery::MemberRecord;

/// Looks at the packets that come over one link.
pub(crate) struct ReceivedPackets {
    decoder: PacketDecoder,
    seen: Seen,
}

/// What has come.
#[derive(Default)]
struct Seen {
    /// A state that is not over.
    scan: Option<StateScan>,
    history_end: Zxid,
    /// NEWLEADER has come.
    is_over: bool,
}

impl ReceivedPackets {
    /// A link over which nothing has come.
    pub(crate) fn new() -> ReceivedPackets {
        let decoder = PacketDecoder::new(PacketLimits::default());
        ReceivedPackets { decoder, seen: Seen::default() }
    }

    /// These bytes are read.
    pub(crate) fn look(&mut self, bytes: &[u8], record: &mut MemberRecord) {
        if self.seen.is_over {
            return;
        }
        self.decoder.push(bytes);
        while !self.seen.is_over {
            if !self.skip_state() {
                return;
            }
            let Some(packet) = self.decoder.decode().expect("a leader sends packets") else {
                return;
            };
            let packet = LeaderPacket::read(&packet).expect("and those of a leader");
            self.seen.on_packet(&packet, record);
        }
    }

    /// Whether no state is under way any more.
    fn skip_state(&mut self) -> bool {
        let Some(scan) = &mut self.seen.scan else { return true };
        let pending = self.decoder.take_pending();
        match scan.advance(&pending).expect("a state makes sense") {
            None => false,
            Some(count) => {
                self.seen.scan = None;
                self.decoder.push(&pending[count..]);
                true
            }
        }
    }
}

impl Seen {
    fn on_packet(&mut self, packet: &LeaderPacket<'_>, record: &mut MemberRecord) {
        match packet {
            LeaderPacket::LeaderInfo { zxid, .. } => record.promises.led(zxid.epoch()),
            LeaderPacket::Diff { .. } => self.history_end = record.durable(),
            LeaderPacket::Trunc { zxid } => self.history_end = *zxid,
            LeaderPacket::Snap { zxid } => {
                self.history_end = *zxid;
                self.scan = Some(StateScan::default());
            }
            LeaderPacket::Proposal { zxid, .. } => self.history_end = *zxid,
            LeaderPacket::NewLeader { .. } => {
                record.history_ends(self.history_end);
                self.is_over = true;
            }
            LeaderPacket::Inform { .. } | LeaderPacket::Commit { .. } => {}
            _ => panic!("a leader sends {packet:?} while it synchronizes"),
        }
    }
}

/// Looks at the first packet that a leader sends over one link: its epoch is on its disk.
#[derive(Default)]
pub(crate) struct SentEpoch(Option<PacketDecoder>, bool);

impl SentEpoch {
    /// These bytes leave.
    pub(crate) fn look(&mut self, bytes: &[u8], record: &MemberRecord) {
        if self.1 {
            return;
        }
        let SentEpoch(decoder, is_over) = self;
        let decoder = decoder.get_or_insert_with(|| PacketDecoder::new(PacketLimits::default()));
        decoder.push(bytes);
        if let Some(packet) = decoder.decode().expect("a leader sends packets") {
            let packet = LeaderPacket::read(&packet).expect("and those of a leader");
            let LeaderPacket::LeaderInfo { zxid, .. } = packet else {
                panic!("a leader begins with {packet:?}")
            };
            record.promises.leads(zxid.epoch());
            *is_over = true;
        }
    }
}
