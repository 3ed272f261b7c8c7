//! What a leader sends to a learner.

use super::packet::{own_packet_type, packet_name, packet_type, put_packet};
use super::{BadPacket, QuorumPacket};
use crate::wire::jute::{Put, Reader};
use crate::{SessionId, Zxid};

/// A packet of a leader, as ZooKeeper's `LearnerHandler`, `Leader` and `ObserverMaster` send it
/// and `Learner`, `Follower` and `Observer` read it. Data of packets that should have none is
/// ignored, as there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeaderPacket<'a> {
    /// LEADERINFO, the answer to what a learner says of itself.
    LeaderInfo {
        /// The epoch that the leader begins or leads, with counter 0.
        zxid: Zxid,
        /// The version of the protocol, [`super::PROTOCOL_VERSION`].
        protocol: i32,
        /// Bytes behind it, which ZooKeeper does not read.
        extension: &'a [u8],
    },
    /// DIFF: what the learner has is part of the leader's history, and the rest follows.
    Diff {
        /// The last transaction that follows.
        zxid: Zxid,
    },
    /// TRUNC: the learner cuts its log behind this transaction; a DIFF's packets may follow.
    Trunc {
        /// The last transaction that stays.
        zxid: Zxid,
    },
    /// SNAP: a whole state follows, which is no packet.
    Snap {
        /// The last transaction in it for sure.
        zxid: Zxid,
    },
    /// NEWLEADER: what was sent so far is the history that the epoch begins with.
    NewLeader {
        /// The epoch, with counter 0.
        zxid: Zxid,
        /// The configuration as text; null from leaders before 3.5.
        config: Option<&'a [u8]>,
    },
    /// UPTODATE: a quorum has the history, the learner may serve clients.
    UpToDate,
    /// PROPOSAL: to be made durable and acknowledged.
    Proposal {
        /// The transaction's place in the order.
        zxid: Zxid,
        /// The transaction, see [`crate::zookeeper::Entry::read_proposal`].
        txn: &'a [u8],
    },
    /// PROPOSALS: transactions that follow each other, as the log frames them. Only between two
    /// servers of this kind, see [`super::PeerExtension::cumulative`].
    Proposals {
        /// The place of the last one in the order.
        zxid: Zxid,
        /// The records, see [`crate::log::TxnChunk::received`].
        records: &'a [u8],
    },
    /// COMMIT: a quorum has it.
    Commit {
        /// The proposal.
        zxid: Zxid,
    },
    /// INFORM: proposal and commit in one, for observers.
    Inform {
        /// The transaction's place in the order.
        zxid: Zxid,
        /// The transaction.
        txn: &'a [u8],
    },
    /// COMMITANDACTIVATE: the commit of a change of the members.
    CommitAndActivate {
        /// The proposal.
        zxid: Zxid,
        /// The server that should lead with the new members.
        designated: i64,
    },
    /// INFORMANDACTIVATE: the same for observers.
    InformAndActivate {
        /// The transaction's place in the order.
        zxid: Zxid,
        /// The server that should lead with the new members.
        designated: i64,
        /// The transaction.
        txn: &'a [u8],
    },
    /// PING, to be answered.
    Ping {
        /// The last proposal of the leader.
        zxid: Zxid,
    },
    /// REVALIDATE: whether a session lives, and is now the learner's.
    Revalidate {
        /// The session.
        session: SessionId,
        /// Whether it lives.
        valid: bool,
    },
    /// SYNC: everything ordered before the oldest unanswered sync of this learner was sent.
    Sync,
    /// DIVERGED, between servers of this kind: a majority has another state than this learner.
    Diverged {
        /// The transaction behind which the digests were compared.
        zxid: Zxid,
        /// The digest of the majority.
        expected: u64,
        /// The learner's.
        found: u64,
    },
    /// SESSIONMOVED, between servers of this kind: another server has the session now, or it has
    /// ended.
    SessionMoved {
        /// The session.
        session: SessionId,
    },
}

/// The bytes in front of the records of a PROPOSALS packet, and those behind them: connections
/// share the records.
pub fn proposals_frame(zxid: Zxid, record_bytes: usize) -> ([u8; 16], [u8; 4]) {
    let length = i32::try_from(record_bytes).expect("what one packet carries has a bound");
    let mut head = [0; 16];
    head[..4].copy_from_slice(&own_packet_type::PROPOSALS.to_be_bytes());
    head[4..12].copy_from_slice(&zxid.to_wire().to_be_bytes());
    head[12..].copy_from_slice(&length.to_be_bytes());
    // There are no identities.
    (head, (-1_i32).to_be_bytes())
}

impl<'a> LeaderPacket<'a> {
    /// Reads what a leader has sent.
    pub fn read(packet: &QuorumPacket<'a>) -> Result<LeaderPacket<'a>, BadPacket> {
        let name = packet_name(packet.packet_type)?;
        let zxid = Zxid::from_wire(packet.zxid);
        let fields = || packet.data().map(Reader::new);
        let short = |_| BadPacket::Short(name);
        Ok(match packet.packet_type {
            packet_type::LEADERINFO => {
                let mut fields = fields()?;
                let protocol = fields.int().map_err(short)?;
                LeaderPacket::LeaderInfo { zxid, protocol, extension: fields.rest() }
            }
            packet_type::DIFF => LeaderPacket::Diff { zxid },
            packet_type::TRUNC => LeaderPacket::Trunc { zxid },
            packet_type::SNAP => LeaderPacket::Snap { zxid },
            packet_type::NEWLEADER => LeaderPacket::NewLeader { zxid, config: packet.data },
            packet_type::UPTODATE => LeaderPacket::UpToDate,
            packet_type::PROPOSAL => LeaderPacket::Proposal { zxid, txn: packet.data()? },
            own_packet_type::PROPOSALS => LeaderPacket::Proposals { zxid, records: packet.data()? },
            packet_type::COMMIT => LeaderPacket::Commit { zxid },
            packet_type::INFORM => LeaderPacket::Inform { zxid, txn: packet.data()? },
            packet_type::COMMITANDACTIVATE => {
                let designated = fields()?.long().map_err(short)?;
                LeaderPacket::CommitAndActivate { zxid, designated }
            }
            packet_type::INFORMANDACTIVATE => {
                let mut fields = fields()?;
                let designated = fields.long().map_err(short)?;
                LeaderPacket::InformAndActivate { zxid, designated, txn: fields.rest() }
            }
            packet_type::PING => LeaderPacket::Ping { zxid },
            packet_type::REVALIDATE => {
                let mut fields = fields()?;
                let session = SessionId(fields.long().map_err(short)?);
                let valid = fields.bool().map_err(short)?;
                LeaderPacket::Revalidate { session, valid }
            }
            packet_type::SYNC => LeaderPacket::Sync,
            own_packet_type::DIVERGED => {
                let mut fields = fields()?;
                let expected = fields.long().map_err(short)? as u64;
                let found = fields.long().map_err(short)? as u64;
                LeaderPacket::Diverged { zxid, expected, found }
            }
            own_packet_type::SESSIONMOVED => {
                LeaderPacket::SessionMoved { session: SessionId(fields()?.long().map_err(short)?) }
            }
            _ => return Err(BadPacket::Direction { packet: name, from: "leader" }),
        })
    }

    /// Appends the packet.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let bare = |packet_type, zxid: Zxid, out: &mut Vec<u8>| {
            QuorumPacket::new(packet_type, zxid.to_wire(), None).encode(out);
        };
        let data = |packet_type, zxid: Zxid, data: &[&[u8]], out: &mut Vec<u8>| {
            let put = |out: &mut Vec<u8>| data.iter().for_each(|part| out.extend_from_slice(part));
            put_packet(packet_type, zxid.to_wire(), None, put, out);
        };
        match *self {
            LeaderPacket::LeaderInfo { zxid, protocol, extension } => {
                data(packet_type::LEADERINFO, zxid, &[&protocol.to_be_bytes(), extension], out);
            }
            LeaderPacket::Diff { zxid } => bare(packet_type::DIFF, zxid, out),
            LeaderPacket::Trunc { zxid } => bare(packet_type::TRUNC, zxid, out),
            LeaderPacket::Snap { zxid } => bare(packet_type::SNAP, zxid, out),
            LeaderPacket::NewLeader { zxid, config } => {
                QuorumPacket::new(packet_type::NEWLEADER, zxid.to_wire(), config).encode(out);
            }
            LeaderPacket::UpToDate => bare(packet_type::UPTODATE, Zxid::from_wire(-1), out),
            LeaderPacket::Proposal { zxid, txn } => data(packet_type::PROPOSAL, zxid, &[txn], out),
            LeaderPacket::Proposals { zxid, records } => {
                data(own_packet_type::PROPOSALS, zxid, &[records], out);
            }
            LeaderPacket::Commit { zxid } => bare(packet_type::COMMIT, zxid, out),
            LeaderPacket::Inform { zxid, txn } => data(packet_type::INFORM, zxid, &[txn], out),
            LeaderPacket::CommitAndActivate { zxid, designated } => {
                data(packet_type::COMMITANDACTIVATE, zxid, &[&designated.to_be_bytes()], out);
            }
            LeaderPacket::InformAndActivate { zxid, designated, txn } => {
                data(packet_type::INFORMANDACTIVATE, zxid, &[&designated.to_be_bytes(), txn], out);
            }
            LeaderPacket::Ping { zxid } => bare(packet_type::PING, zxid, out),
            LeaderPacket::Revalidate { session, valid } => {
                let put = |out: &mut Vec<u8>| {
                    out.put_long(session.0);
                    out.put_bool(valid);
                };
                put_packet(packet_type::REVALIDATE, -1, None, put, out);
            }
            LeaderPacket::Sync => bare(packet_type::SYNC, Zxid::ZERO, out),
            LeaderPacket::Diverged { zxid, expected, found } => {
                let digests: &[&[u8]] = &[&expected.to_be_bytes(), &found.to_be_bytes()];
                data(own_packet_type::DIVERGED, zxid, digests, out);
            }
            LeaderPacket::SessionMoved { session } => {
                data(own_packet_type::SESSIONMOVED, Zxid::ZERO, &[&session.0.to_be_bytes()], out);
            }
        }
    }
}
