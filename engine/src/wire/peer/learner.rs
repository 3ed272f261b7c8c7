//! What a learner sends to its leader.

use std::borrow::Cow;
use std::sync::Arc;

use super::packet::{own_packet_type, packet_name, packet_type, put_packet};
use super::{BadPacket, QuorumPacket};
use crate::wire::jute::{Put, Reader};
use crate::wire::record::Id;
use crate::{SessionId, Zxid};

/// What a learner says of itself: ZooKeeper's `LearnerInfo`, in the form that it has since 3.5.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LearnerInfo<'a> {
    /// The learner's id.
    pub sid: i64,
    /// The version of the protocol, [`super::PROTOCOL_VERSION`].
    pub protocol: i32,
    /// The version of the learner's configuration. A leader refuses one that is newer than its own.
    pub config_version: i64,
    /// Bytes behind it, which ZooKeeper does not read.
    pub extension: Cow<'a, [u8]>,
}

/// A packet of a learner, as ZooKeeper's `Learner`, `Follower` and `Observer` send it and
/// `LearnerHandler` reads it. Data of packets that should have none is ignored, as there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LearnerPacket<'a> {
    /// FOLLOWERINFO: the first packet of a follower.
    FollowerInfo {
        /// The epoch that the follower has promised, with counter 0.
        zxid: Zxid,
        /// Who it is.
        learner: LearnerInfo<'a>,
    },
    /// OBSERVERINFO: the first packet of an observer.
    ObserverInfo {
        /// The epoch that the observer has promised, with counter 0.
        zxid: Zxid,
        /// Who it is.
        learner: LearnerInfo<'a>,
    },
    /// ACKEPOCH: the epoch of LEADERINFO is promised.
    AckEpoch {
        /// The last transaction in the learner's log.
        zxid: Zxid,
        /// The epoch of the learner's history; `None` where the epoch of LEADERINFO had been
        /// promised before.
        current_epoch: Option<i32>,
    },
    /// ACK: a proposal is durable; or, with the epoch and counter 0, NEWLEADER or UPTODATE.
    Ack {
        /// What is acknowledged.
        zxid: Zxid,
    },
    /// PING, the answer to one.
    Ping {
        /// That of the leader's ping.
        zxid: Zxid,
        /// Sessions that the learner heard of since its last answer, with their timeouts in
        /// milliseconds.
        touched: Vec<(SessionId, i32)>,
    },
    /// REVALIDATE: a client has re-attached here.
    Revalidate {
        /// Its session.
        session: SessionId,
        /// The timeout agreed, milliseconds.
        timeout_ms: i32,
    },
    /// REQUEST: a client's request that needs the order.
    Request {
        /// The client's session.
        session: SessionId,
        /// The client's number of the request.
        cxid: i32,
        /// The operation, see [`crate::wire::opcode::op`].
        op: i32,
        /// The request record.
        record: &'a [u8],
        /// The identities of the client's connection. Null with a session's beginning; a leader
        /// answers a write without them with MarshallingError.
        identities: Option<Arc<[Id]>>,
    },
    /// DIGEST, between servers of this kind: what the learner's state is behind a transaction.
    Digest {
        /// The transaction.
        zxid: Zxid,
        /// The digest of the tree, ZooKeeper's version 2.
        digest: u64,
    },
}

impl<'a> LearnerInfo<'a> {
    fn read(packet: &QuorumPacket<'a>, name: &'static str) -> Result<LearnerInfo<'a>, BadPacket> {
        let mut fields = Reader::new(packet.data()?);
        let short = |_| BadPacket::Short(name);
        Ok(LearnerInfo {
            sid: fields.long().map_err(short)?,
            protocol: fields.int().map_err(short)?,
            config_version: fields.long().map_err(short)?,
            extension: fields.rest().into(),
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.put_long(self.sid);
        out.put_int(self.protocol);
        out.put_long(self.config_version);
        out.extend_from_slice(&self.extension);
    }
}

impl<'a> LearnerPacket<'a> {
    /// Reads what a learner has sent.
    pub fn read(packet: QuorumPacket<'a>) -> Result<LearnerPacket<'a>, BadPacket> {
        let name = packet_name(packet.packet_type)?;
        let zxid = Zxid::from_wire(packet.zxid);
        let fields = || packet.data().map(Reader::new);
        let short = |_| BadPacket::Short(name);
        Ok(match packet.packet_type {
            packet_type::FOLLOWERINFO => {
                LearnerPacket::FollowerInfo { zxid, learner: LearnerInfo::read(&packet, name)? }
            }
            packet_type::OBSERVERINFO => {
                LearnerPacket::ObserverInfo { zxid, learner: LearnerInfo::read(&packet, name)? }
            }
            packet_type::ACKEPOCH => {
                let epoch = fields()?.int().map_err(short)?;
                LearnerPacket::AckEpoch { zxid, current_epoch: (epoch != -1).then_some(epoch) }
            }
            packet_type::ACK => LearnerPacket::Ack { zxid },
            packet_type::PING => {
                let data = packet.data.unwrap_or_default();
                LearnerPacket::Ping { zxid, touched: read_touched(data)? }
            }
            packet_type::REVALIDATE => {
                let mut fields = fields()?;
                let session = SessionId(fields.long().map_err(short)?);
                LearnerPacket::Revalidate { session, timeout_ms: fields.int().map_err(short)? }
            }
            packet_type::REQUEST => {
                let mut fields = fields()?;
                LearnerPacket::Request {
                    session: SessionId(fields.long().map_err(short)?),
                    cxid: fields.int().map_err(short)?,
                    op: fields.int().map_err(short)?,
                    record: fields.rest(),
                    identities: packet.identities,
                }
            }
            own_packet_type::DIGEST => {
                let digest = fields()?.long().map_err(short)? as u64;
                LearnerPacket::Digest { zxid, digest }
            }
            _ => return Err(BadPacket::Direction { packet: name, from: "learner" }),
        })
    }

    /// Appends the packet.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            LearnerPacket::FollowerInfo { zxid, learner } => {
                let put = |out: &mut Vec<u8>| learner.write(out);
                put_packet(packet_type::FOLLOWERINFO, zxid.to_wire(), None, put, out);
            }
            LearnerPacket::ObserverInfo { zxid, learner } => {
                let put = |out: &mut Vec<u8>| learner.write(out);
                put_packet(packet_type::OBSERVERINFO, zxid.to_wire(), None, put, out);
            }
            LearnerPacket::AckEpoch { zxid, current_epoch } => {
                let put = |out: &mut Vec<u8>| out.put_int(current_epoch.unwrap_or(-1));
                put_packet(packet_type::ACKEPOCH, zxid.to_wire(), None, put, out);
            }
            LearnerPacket::Ack { zxid } => {
                QuorumPacket::new(packet_type::ACK, zxid.to_wire(), None).encode(out);
            }
            LearnerPacket::Ping { zxid, touched } => {
                let put = |out: &mut Vec<u8>| {
                    touched.iter().for_each(|touched| put_session(*touched, out));
                };
                put_packet(packet_type::PING, zxid.to_wire(), None, put, out);
            }
            LearnerPacket::Revalidate { session, timeout_ms } => {
                let put = |out: &mut Vec<u8>| put_session((*session, *timeout_ms), out);
                put_packet(packet_type::REVALIDATE, -1, None, put, out);
            }
            LearnerPacket::Request { session, cxid, op, record, identities } => {
                let put = |out: &mut Vec<u8>| {
                    out.put_long(session.0);
                    out.put_int(*cxid);
                    out.put_int(*op);
                    out.extend_from_slice(record);
                };
                put_packet(packet_type::REQUEST, -1, identities.as_deref(), put, out);
            }
            LearnerPacket::Digest { zxid, digest } => {
                let put = |out: &mut Vec<u8>| out.put_long(*digest as i64);
                put_packet(own_packet_type::DIGEST, zxid.to_wire(), None, put, out);
            }
        }
    }
}

/// Appends a REQUEST whose record `put` appends; `put` returns the operation. Where that fails, what
/// it has appended is of no use.
pub(crate) fn put_request_with<E>(
    (session, cxid): (SessionId, i32),
    identities: &[Id],
    put: impl FnOnce(&mut Vec<u8>) -> Result<i32, E>,
    out: &mut Vec<u8>,
) -> Result<i32, E> {
    let mut done = Ok(0);
    let put_data = |out: &mut Vec<u8>| {
        out.put_long(session.0);
        out.put_int(cxid);
        let at = out.len();
        out.put_int(0);
        done = put(out);
        if let Ok(op) = &done {
            out[at..at + 4].copy_from_slice(&op.to_be_bytes());
        }
    };
    put_packet(packet_type::REQUEST, -1, Some(identities), put_data, out);
    done
}

/// Bytes of a session with its timeout.
const TOUCHED_BYTES: usize = 12;

fn read_touched(data: &[u8]) -> Result<Vec<(SessionId, i32)>, BadPacket> {
    if !data.len().is_multiple_of(TOUCHED_BYTES) {
        return Err(BadPacket::Short("the list of touched sessions"));
    }
    let short = |_| BadPacket::Short("the list of touched sessions");
    let mut fields = Reader::new(data);
    let session = |_| {
        let session = SessionId(fields.long().map_err(short)?);
        Ok((session, fields.int().map_err(short)?))
    };
    (0..data.len() / TOUCHED_BYTES).map(session).collect()
}

fn put_session((session, timeout_ms): (SessionId, i32), out: &mut Vec<u8>) {
    out.put_long(session.0);
    out.put_int(timeout_ms);
}
