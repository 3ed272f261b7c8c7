//! Packets out of a stream of bytes.

use super::packet::IdentityMemo;
use super::{BadPacket, QuorumPacket, packet_name};
use crate::limits;

/// Bytes in front of a packet's data.
const HEAD_BYTES: usize = 16;
/// More memory than this is given back when nothing is left in it.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// What one packet may hold. It bounds the memory of a link: a packet is kept until it is whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PacketLimits {
    /// Bytes of data.
    pub data_bytes_max: usize,
    /// Identities.
    pub identities_max: usize,
    /// Bytes of all identities together.
    pub identity_bytes_max: usize,
}

impl Default for PacketLimits {
    fn default() -> PacketLimits {
        PacketLimits {
            data_bytes_max: limits::PEER_DATA_BYTES_MAX,
            identities_max: limits::PEER_IDENTITIES_MAX,
            identity_bytes_max: limits::PEER_IDENTITY_BYTES_MAX,
        }
    }
}

/// Cuts packets out of the bytes of a link, which come in pieces of any size.
///
/// A packet has no length in front, so it is measured field by field, and the measuring goes on
/// where it ended when more bytes come: the work is linear in the bytes, however they are cut. Take
/// out all packets before pushing more: then no more is kept than one packet and one piece.
#[derive(Debug)]
pub struct PacketDecoder {
    limits: PacketLimits,
    buffer: Vec<u8>,
    /// Where in the buffer the next packet begins.
    start: usize,
    scan: Scan,
    identities: IdentityMemo,
}

impl PacketDecoder {
    /// Nothing has come yet.
    pub fn new(limits: PacketLimits) -> PacketDecoder {
        let identities = IdentityMemo::default();
        PacketDecoder { limits, buffer: Vec::new(), start: 0, scan: Scan::default(), identities }
    }

    /// Takes the next bytes of the link.
    pub fn push(&mut self, bytes: &[u8]) {
        let left = self.buffer.len() - self.start;
        if left == 0 {
            self.buffer.clear();
            if self.buffer.capacity() > KEPT_BYTES_MAX {
                self.buffer = Vec::new();
            }
            self.start = 0;
        } else if self.start >= left {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next packet; `None` if more bytes have to come first. An error is final: every further
    /// call returns it.
    pub fn decode(&mut self) -> Result<Option<QuorumPacket<'_>>, BadPacket> {
        let Some(len) = self.scan.advance(&self.buffer[self.start..], &self.limits)? else {
            return Ok(None);
        };
        let begin = self.start;
        self.start += len;
        self.scan = Scan::default();
        let bytes = &self.buffer[begin..self.start];
        let packet = QuorumPacket::read(bytes, &mut self.identities);
        packet.map(Some).map_err(|_| BadPacket::Short("a packet"))
    }

    /// Bytes that are kept and belong to no packet yet.
    pub fn pending_bytes(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Takes what stands behind the last packet. Behind a SNAP packet that is the beginning of a
    /// state; what is left behind the state is to be pushed again.
    pub fn take_pending(&mut self) -> Vec<u8> {
        let pending = self.buffer.split_off(self.start);
        self.buffer = Vec::new();
        self.start = 0;
        self.scan = Scan::default();
        pending
    }
}

/// How far a packet is measured.
#[derive(Clone, Copy, Debug, Default)]
struct Scan {
    /// Where the next part begins, from the begin of the packet; that may not have come yet.
    at: usize,
    part: Part,
    /// Bytes of the identities so far.
    identity_bytes: usize,
}

#[derive(Clone, Copy, Debug, Default)]
enum Part {
    #[default]
    Head,
    IdentityCount,
    /// So many strings are left.
    Strings(usize),
}

impl Scan {
    /// Goes on as far as the bytes go; the length of the packet if they hold all of it.
    fn advance(&mut self, bytes: &[u8], limits: &PacketLimits) -> Result<Option<usize>, BadPacket> {
        loop {
            match self.part {
                Part::Head => {
                    let Some(head) = field::<HEAD_BYTES>(bytes, self.at) else { return Ok(None) };
                    let [packet_type, _, _, length] = ints(head);
                    packet_name(packet_type)?;
                    let length = match length {
                        -1 => 0,
                        length => {
                            let what = "the data of a packet";
                            BadPacket::check_length(what, length, limits.data_bytes_max)?
                        }
                    };
                    self.at += HEAD_BYTES + length;
                    self.part = Part::IdentityCount;
                }
                Part::IdentityCount => {
                    let Some(count) = field(bytes, self.at) else { return Ok(None) };
                    let count = match i32::from_be_bytes(*count) {
                        -1 => 0,
                        count => {
                            let what = "the list of identities";
                            BadPacket::check_length(what, count, limits.identities_max)?
                        }
                    };
                    self.at += 4;
                    self.part = Part::Strings(2 * count);
                }
                Part::Strings(0) => return Ok((self.at <= bytes.len()).then_some(self.at)),
                Part::Strings(left) => {
                    let Some(length) = field(bytes, self.at) else { return Ok(None) };
                    let length = match i32::from_be_bytes(*length) {
                        -1 => return Err(BadPacket::Null("an identity")),
                        length => {
                            let max = limits.identity_bytes_max - self.identity_bytes;
                            BadPacket::check_length("an identity", length, max)?
                        }
                    };
                    self.identity_bytes += length;
                    self.at += 4 + length;
                    self.part = Part::Strings(left - 1);
                }
            }
        }
    }
}

/// The bytes of a field, if all of them have come.
fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<&[u8; N]> {
    bytes.get(at..)?.first_chunk()
}

fn ints(head: &[u8; HEAD_BYTES]) -> [i32; 4] {
    [0, 4, 8, 12].map(|at| {
        let bytes = head[at..at + 4].try_into().expect("four bytes");
        i32::from_be_bytes(bytes)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Put;

    const SMALL: PacketLimits =
        PacketLimits { data_bytes_max: 10, identities_max: 2, identity_bytes_max: 8 };

    fn head(packet_type: i32, data_bytes: i32) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.put_int(packet_type);
        bytes.put_long(7);
        bytes.put_int(data_bytes);
        bytes
    }

    /// What is wrong with bytes, and that it is found when the first of them is enough.
    fn refusal(bytes: &[u8]) -> BadPacket {
        let mut decoder = PacketDecoder::new(SMALL);
        for (number, byte) in bytes.iter().enumerate() {
            decoder.push(&[*byte]);
            match decoder.decode() {
                Ok(packet) => assert_eq!(packet, None),
                Err(bad) => {
                    assert_eq!(number + 1, bytes.len(), "{bad} is found late");
                    assert_eq!(decoder.decode(), Err(bad), "it is final");
                    return bad;
                }
            }
        }
        panic!("nothing is found wrong")
    }

    #[test]
    fn lengths_beyond_the_limits_are_refused_before_their_bytes_come() {
        let length = |what, length, max| BadPacket::Length { what, length, max };
        let data = "the data of a packet";
        assert_eq!(refusal(&head(5, 11)), length(data, 11, 10));
        assert_eq!(refusal(&head(5, -2)), length(data, -2, 10));
        assert_eq!(refusal(&head(5, i32::MAX)), length(data, i32::MAX.into(), 10));
        assert_eq!(refusal(&head(20, 0)), BadPacket::UnknownType(20));
        let count = |count| {
            let mut bytes = head(5, -1);
            bytes.put_int(count);
            bytes
        };
        let list = "the list of identities";
        assert_eq!(refusal(&count(3)), length(list, 3, 2));
        assert_eq!(refusal(&count(i32::MIN)), length(list, i32::MIN.into(), 2));
        let mut strings = count(2);
        strings.put_int(-1);
        assert_eq!(refusal(&strings), BadPacket::Null("an identity"));
        let mut strings = count(2);
        strings.put_string("12345");
        strings.put_int(4);
        assert_eq!(refusal(&strings), length("an identity", 4, 3));
    }

    #[test]
    fn memory_of_a_large_packet_is_given_back() {
        let mut decoder = PacketDecoder::new(PacketLimits::default());
        let data = vec![1; 4 << 20];
        let mut bytes = Vec::new();
        QuorumPacket::new(2, 1, Some(&data)).encode(&mut bytes);
        bytes.chunks(1_000).for_each(|piece| decoder.push(piece));
        assert_eq!(decoder.decode().unwrap().unwrap().data, Some(&data[..]));
        decoder.push(&bytes[..3]);
        assert!(decoder.buffer.capacity() < 1_000);
        assert_eq!(decoder.decode(), Ok(None));
        assert_eq!(decoder.pending_bytes(), 3);
    }

    #[test]
    fn bytes_behind_a_packet_can_be_taken_and_pushed_again() {
        let mut decoder = PacketDecoder::new(SMALL);
        let mut bytes = Vec::new();
        QuorumPacket::new(15, 1, None).encode(&mut bytes);
        bytes.extend_from_slice(b"the beginning of a state");
        decoder.push(&bytes);
        assert_eq!(decoder.decode().unwrap().unwrap().packet_type, 15);
        assert_eq!(decoder.take_pending(), b"the beginning of a state");
        assert_eq!(decoder.decode(), Ok(None));
        assert_eq!(decoder.pending_bytes(), 0);
        decoder.push(&bytes[..20]);
        assert_eq!(decoder.decode().unwrap().unwrap().packet_type, 15);
    }
}
