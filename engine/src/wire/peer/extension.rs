//! What two servers of this kind say to each other beyond ZooKeeper's protocol, in bytes that
//! servers of ZooKeeper's do not read: behind LearnerInfo in FOLLOWERINFO, and behind the version
//! in LEADERINFO.
//!
//! `"RKPR"`, then fields until the end: `short tag, short length, bytes`. Tags that are not known
//! are passed over, so that later versions can say more. Bytes that do not begin so are another
//! server's, and say nothing.

use super::BadPacket;

/// What the bytes begin with.
const MAGIC: &[u8; 4] = b"RKPR";
/// The tags of [`PeerExtension::cumulative`] and [`PeerExtension::blank`], which have no bytes.
const CUMULATIVE: u16 = 1;
const BLANK: u16 = 2;

/// What a server says of itself. The default is what one of ZooKeeper's says: nothing.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct PeerExtension {
    /// An ACK or COMMIT means everything up to its zxid, and not every zxid has its own.
    pub cumulative: bool,
    /// Its directory has nothing, and never had the history of any leader: it was just made. If the
    /// server has run before, with another directory, it has lost what it promised.
    pub blank: bool,
}

impl PeerExtension {
    /// All that servers of this version know.
    pub const OWN: PeerExtension = PeerExtension { cumulative: true, blank: false };
    /// As [`PeerExtension::OWN`], of a server whose directory is blank.
    pub const OWN_BLANK: PeerExtension = PeerExtension { cumulative: true, blank: true };

    /// Whether the server, as a leader, orders what it has got over a learner's link before what
    /// comes over the next one of the same learner, or not at all. Each server of this kind does.
    pub fn orders_lost_requests_first(&self) -> bool {
        self.cumulative
    }

    /// Reads what stands behind the fields of a packet.
    pub fn read(bytes: &[u8]) -> Result<PeerExtension, BadPacket> {
        let mut extension = PeerExtension::default();
        let Some(mut fields) = bytes.strip_prefix(MAGIC) else { return Ok(extension) };
        let short = BadPacket::Short("the extension of a server");
        while !fields.is_empty() {
            let (tag, rest) = fields.split_first_chunk().ok_or(short)?;
            let (length, rest) = rest.split_first_chunk().ok_or(short)?;
            let length = usize::from(u16::from_be_bytes(*length));
            fields = rest.get(length..).ok_or(short)?;
            match u16::from_be_bytes(*tag) {
                CUMULATIVE => extension.cumulative = true,
                BLANK => extension.blank = true,
                _ => {}
            }
        }
        Ok(extension)
    }

    /// Appends it.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(MAGIC);
        for (tag, _) in
            [(CUMULATIVE, self.cumulative), (BLANK, self.blank)].iter().filter(|it| it.1)
        {
            out.extend_from_slice(&tag.to_be_bytes());
            out.extend_from_slice(&0_u16.to_be_bytes());
        }
    }

    /// What is appended to the packets of a server of this version.
    pub const fn own_bytes() -> &'static [u8] {
        b"RKPR\0\x01\0\0"
    }

    /// As [`PeerExtension::own_bytes`], of a server whose directory is blank.
    pub const fn own_blank_bytes() -> &'static [u8] {
        b"RKPR\0\x01\0\0\0\x02\0\0"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extension_is_read_as_it_was_written() {
        let mut bytes = Vec::new();
        PeerExtension::OWN.write(&mut bytes);
        assert_eq!(bytes, PeerExtension::own_bytes());
        assert_eq!(PeerExtension::read(&bytes), Ok(PeerExtension::OWN));
        let mut blank = Vec::new();
        PeerExtension::OWN_BLANK.write(&mut blank);
        assert_eq!(blank, PeerExtension::own_blank_bytes());
        assert_eq!(PeerExtension::read(&blank), Ok(PeerExtension::OWN_BLANK));
        // A field of a later version, before and behind.
        let later = [b"RKPR\x12\x34\0\x03abc", &bytes[4..], b"\x12\x34\0\0"].concat();
        assert_eq!(PeerExtension::read(&later), Ok(PeerExtension::OWN));
    }

    #[test]
    fn bytes_of_other_servers_say_nothing() {
        for bytes in [&b""[..], b"RKP", &[0xab; 32], b"RKPR"] {
            assert_eq!(PeerExtension::read(bytes), Ok(PeerExtension::default()), "{bytes:?}");
        }
    }

    #[test]
    fn field_that_is_cut_off_is_malformed() {
        for bytes in [&b"RKPR\0"[..], b"RKPR\0\x01", b"RKPR\0\x01\0", b"RKPR\0\x01\0\x01"] {
            assert!(PeerExtension::read(bytes).is_err(), "{bytes:?}");
        }
    }
}
