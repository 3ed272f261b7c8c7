//! The envelope of everything on the quorum port.

use std::sync::Arc;

use super::BadPacket;
use crate::wire::header::finish_frame;
use crate::wire::jute::{Malformed, Put, Reader};
use crate::wire::record::Id;

/// The version of the protocol that LEARNERINFO and LEADERINFO name, from ZooKeeper 3.4 on.
pub const PROTOCOL_VERSION: i32 = 0x1_0000;

/// The types of packets: the constants of ZooKeeper's `Leader`.
#[allow(missing_docs, reason = "the names are ZooKeeper's own; the typed packets describe them")]
pub mod packet_type {
    pub const REQUEST: i32 = 1;
    pub const PROPOSAL: i32 = 2;
    pub const ACK: i32 = 3;
    pub const COMMIT: i32 = 4;
    pub const PING: i32 = 5;
    pub const REVALIDATE: i32 = 6;
    pub const SYNC: i32 = 7;
    pub const INFORM: i32 = 8;
    pub const COMMITANDACTIVATE: i32 = 9;
    pub const NEWLEADER: i32 = 10;
    pub const FOLLOWERINFO: i32 = 11;
    pub const UPTODATE: i32 = 12;
    pub const DIFF: i32 = 13;
    pub const TRUNC: i32 = 14;
    pub const SNAP: i32 = 15;
    pub const OBSERVERINFO: i32 = 16;
    pub const LEADERINFO: i32 = 17;
    pub const ACKEPOCH: i32 = 18;
    pub const INFORMANDACTIVATE: i32 = 19;
}

const NAMES: [&str; 19] = [
    "REQUEST",
    "PROPOSAL",
    "ACK",
    "COMMIT",
    "PING",
    "REVALIDATE",
    "SYNC",
    "INFORM",
    "COMMITANDACTIVATE",
    "NEWLEADER",
    "FOLLOWERINFO",
    "UPTODATE",
    "DIFF",
    "TRUNC",
    "SNAP",
    "OBSERVERINFO",
    "LEADERINFO",
    "ACKEPOCH",
    "INFORMANDACTIVATE",
];

/// Types that only servers of this kind send, to those that have said that they know them
/// ([`super::PeerExtension`]). ZooKeeper has no types of this size.
pub mod own_packet_type {
    /// Of a learner: the digest of its state behind a transaction.
    pub const DIGEST: i32 = 0x52_4b01;
    /// Of a leader: the learner's state is another one than that of a majority.
    pub const DIVERGED: i32 = 0x52_4b02;
    /// Of a leader: a session is another server's now.
    pub const SESSIONMOVED: i32 = 0x52_4b03;
    /// Of a leader: several PROPOSALs in one, as the log frames them.
    pub const PROPOSALS: i32 = 0x52_4b04;
}

/// ZooKeeper's name of a type of packet, or the name of one of [`own_packet_type`].
pub fn packet_name(packet_type: i32) -> Result<&'static str, BadPacket> {
    match packet_type {
        own_packet_type::DIGEST => return Ok("DIGEST"),
        own_packet_type::DIVERGED => return Ok("DIVERGED"),
        own_packet_type::SESSIONMOVED => return Ok("SESSIONMOVED"),
        own_packet_type::PROPOSALS => return Ok("PROPOSALS"),
        _ => {}
    }
    let index = usize::try_from(packet_type).ok().and_then(|number| number.checked_sub(1));
    let name = index.and_then(|index| NAMES.get(index));
    name.copied().ok_or(BadPacket::UnknownType(packet_type))
}

/// ZooKeeper's `QuorumPacket`: `int type, long zxid, buffer data, vector<Id> authinfo`. It has no
/// length of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QuorumPacket<'a> {
    /// One of [`packet_type`].
    pub packet_type: i32,
    /// What it means depends on the type; -1 where it means nothing.
    pub zxid: i64,
    /// Null and empty differ.
    pub data: Option<&'a [u8]>,
    /// The identities of the client behind a REQUEST (`authinfo`). Null and none differ.
    pub identities: Option<Arc<[Id]>>,
}

impl<'a> QuorumPacket<'a> {
    /// A packet without identities, as all but forwarded writes are.
    pub const fn new(packet_type: i32, zxid: i64, data: Option<&'a [u8]>) -> QuorumPacket<'a> {
        QuorumPacket { packet_type, zxid, data, identities: None }
    }

    /// Appends the packet.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_int(self.packet_type);
        out.put_long(self.zxid);
        out.put_buffer(self.data);
        put_identities(self.identities.as_deref(), out);
    }

    /// Reads one packet off bytes that hold all of it.
    pub(super) fn read(
        bytes: &'a [u8],
        identities: &mut IdentityMemo,
    ) -> Result<QuorumPacket<'a>, Malformed> {
        let mut reader = Reader::new(bytes);
        Ok(QuorumPacket {
            packet_type: reader.int()?,
            zxid: reader.long()?,
            data: reader.buffer()?,
            identities: identities.read(&mut reader)?,
        })
    }

    /// The data, which must be there.
    pub(super) fn data(&self) -> Result<&'a [u8], BadPacket> {
        self.data.ok_or(BadPacket::Null("the data of a packet"))
    }
}

/// Appends a packet whose data `put` appends.
pub(super) fn put_packet(
    packet_type: i32,
    zxid: i64,
    identities: Option<&[Id]>,
    put: impl FnOnce(&mut Vec<u8>),
    out: &mut Vec<u8>,
) {
    out.put_int(packet_type);
    out.put_long(zxid);
    let start = out.len();
    out.put_int(0);
    put(out);
    finish_frame(out, start);
    put_identities(identities, out);
}

fn put_identities(identities: Option<&[Id]>, out: &mut Vec<u8>) {
    let Some(identities) = identities else { return out.put_int(-1) };
    out.put_count(identities.len());
    for identity in identities {
        out.put_java_string(&identity.scheme);
        out.put_java_string(&identity.id);
    }
}

/// Bytes of a list of identities that are kept to know it again.
const MEMO_BYTES_MAX: usize = 4 << 10;

/// The list that was read last, and its bytes: most clients of a server have proved the same.
#[derive(Debug, Default)]
pub(super) struct IdentityMemo {
    bytes: Vec<u8>,
    list: Option<Arc<[Id]>>,
}

impl IdentityMemo {
    /// Reads a list. Its bytes say where it ends, so bytes that begin like those of another list
    /// are that list.
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<Option<Arc<[Id]>>, Malformed> {
        let before = reader.rest();
        if let Some(list) = self.list.as_ref().filter(|_| before.starts_with(&self.bytes)) {
            reader.bytes(self.bytes.len())?;
            return Ok(Some(list.clone()));
        }
        let Some(count) = reader.vector(8)? else { return Ok(None) };
        let mut identities = Vec::with_capacity(count);
        for _ in 0..count {
            let scheme = reader.string()?.into_owned();
            identities.push(Id { scheme, id: reader.string()?.into_owned() });
        }
        let list: Arc<[Id]> = identities.into();
        let bytes = &before[..before.len() - reader.rest().len()];
        if bytes.len() <= MEMO_BYTES_MAX {
            self.bytes.clear();
            self.bytes.extend_from_slice(bytes);
            self.list = Some(list.clone());
        }
        Ok(Some(list))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_the_names_of_zookeeper() {
        assert_eq!(packet_name(packet_type::REQUEST), Ok("REQUEST"));
        assert_eq!(packet_name(packet_type::NEWLEADER), Ok("NEWLEADER"));
        assert_eq!(packet_name(packet_type::INFORMANDACTIVATE), Ok("INFORMANDACTIVATE"));
        for other in [0, 20, -1, i32::MIN, i32::MAX] {
            assert_eq!(packet_name(other), Err(BadPacket::UnknownType(other)));
        }
    }

    #[test]
    fn null_and_empty_data_and_identities_differ() {
        let packet = |data, identities| {
            let mut bytes = Vec::new();
            QuorumPacket { packet_type: 5, zxid: -1, data, identities }.encode(&mut bytes);
            bytes
        };
        let one = || vec![Id { scheme: "ip".into(), id: "::1".into() }];
        let forms = [
            packet(None, None),
            packet(Some(b""), None),
            packet(None, Some(Arc::from([]))),
            packet(Some(b""), Some(Arc::from([Id::anyone()]))),
            packet(None, Some(one().into())),
            packet(None, Some([one(), vec![Id::anyone()]].concat().into())),
        ];
        // Each behind each of the others: what is known again is what was read.
        let mut memo = IdentityMemo::default();
        for (number, form) in forms.iter().enumerate() {
            for other in &forms {
                for form in [other, form, form] {
                    let mut again = Vec::new();
                    QuorumPacket::read(form, &mut memo).unwrap().encode(&mut again);
                    assert_eq!(&again, form);
                }
            }
            assert!(forms[..number].iter().all(|other| other != form));
        }
    }
}
