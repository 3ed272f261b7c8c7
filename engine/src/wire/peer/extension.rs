//! What two servers of this kind say to each other beyond ZooKeeper's protocol, in bytes that
//! servers of ZooKeeper's do not read: behind LearnerInfo in FOLLOWERINFO, behind the version in
//! LEADERINFO, and behind the configuration in notifications of elections.
//!
//! `"RKPR"`, then fields until the end: `short tag, short length, bytes`. Tags that are not known
//! are passed over, so that later versions can say more. Bytes that do not begin so are another
//! server's, and say nothing.

use super::{BadPacket, PeerSettings};
use crate::Millis;
use crate::device::{EnsembleId, EnsembleIdentity, Standing};
use crate::wire::jute::{Put, Reader};

/// What the bytes begin with.
const MAGIC: &[u8; 4] = b"RKPR";
/// The tags of the fields of [`PeerExtension`].
const CUMULATIVE: u16 = 1;
const BLANK: u16 = 2;
const CHECKS: u16 = 3;
const ENSEMBLE: u16 = 4;
const IDENTITY: u16 = 5;
const SETTINGS: u16 = 6;
const PROGRESS: u16 = 7;

/// What a server says of itself. The default is what one of ZooKeeper's says: nothing.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct PeerExtension {
    /// An ACK or COMMIT means everything up to its zxid, and not every zxid has its own; and
    /// proposals may come several in one (PROPOSALS).
    pub cumulative: bool,
    /// Its directory has nothing, and never had the history of any leader: it was just made. If the
    /// server has run before, with another directory, it has lost what it promised.
    pub blank: bool,
    /// It takes over the identity of an ensemble, and knows the packets DIGEST, DIVERGED and
    /// SESSIONMOVED.
    pub checks: bool,
    /// As a leader it takes PING from a learner that has not acknowledged NEWLEADER, as a sign that
    /// it goes on with what it was sent.
    pub progress: bool,
    /// The ensemble that its directory belongs to, if that is known for certain.
    pub ensemble: Option<EnsembleId>,
    /// What the ensemble of a leader has in common.
    pub identity: Option<EnsembleIdentity>,
    /// Its settings that must be the same everywhere.
    pub settings: PeerSettings,
}

impl PeerExtension {
    /// What every server of this version knows.
    pub fn own(settings: PeerSettings) -> PeerExtension {
        let usual = PeerExtension::default();
        PeerExtension { cumulative: true, checks: true, progress: true, settings, ..usual }
    }

    /// Whether the server, as a leader, orders what it has got over a learner's link before what
    /// comes over the next one of the same learner, or not at all. Each server of this kind does.
    pub fn orders_lost_requests_first(&self) -> bool {
        self.cumulative
    }

    /// Reads what stands behind the fields of a packet.
    pub fn read(bytes: &[u8]) -> Result<PeerExtension, BadPacket> {
        let mut extension = PeerExtension::default();
        let Some(mut fields) = bytes.strip_prefix(MAGIC) else { return Ok(extension) };
        while !fields.is_empty() {
            let (tag, rest) = fields.split_first_chunk().ok_or(SHORT)?;
            let (length, rest) = rest.split_first_chunk().ok_or(SHORT)?;
            let length = usize::from(u16::from_be_bytes(*length));
            let (field, rest) = rest.split_at_checked(length).ok_or(SHORT)?;
            fields = rest;
            match u16::from_be_bytes(*tag) {
                CUMULATIVE => extension.cumulative = true,
                BLANK => extension.blank = true,
                CHECKS => extension.checks = true,
                PROGRESS => extension.progress = true,
                ENSEMBLE => extension.ensemble = Some(EnsembleId(array(field)?)),
                IDENTITY => extension.identity = Some(read_identity(field)?),
                SETTINGS => extension.settings = PeerSettings::read(field)?,
                _ => {}
            }
        }
        Ok(extension)
    }

    /// Appends it.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(MAGIC);
        let flags = [
            (CUMULATIVE, self.cumulative),
            (BLANK, self.blank),
            (CHECKS, self.checks),
            (PROGRESS, self.progress),
        ];
        for (tag, _) in flags.iter().filter(|it| it.1) {
            put_field(*tag, &[], out);
        }
        if let Some(EnsembleId(id)) = self.ensemble {
            put_field(ENSEMBLE, &id, out);
        }
        if let Some(identity) = self.identity {
            let mut field = Vec::new();
            field.extend_from_slice(&identity.id.0);
            field.extend_from_slice(&identity.secret);
            field.put_long(identity.java_before.0);
            field.put_bool(identity.standing == Standing::Confirmed);
            put_field(IDENTITY, &field, out);
        }
        if self.settings != PeerSettings::default() {
            let mut field = Vec::new();
            self.settings.write(&mut field);
            put_field(SETTINGS, &field, out);
        }
    }

    /// As [`PeerExtension::write`], on its own.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }
}

const SHORT: BadPacket = BadPacket::Short("the extension of a server");

fn put_field(tag: u16, field: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&tag.to_be_bytes());
    let length = u16::try_from(field.len()).expect("fields are short");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(field);
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], BadPacket> {
    bytes.first_chunk().copied().ok_or(SHORT)
}

fn read_identity(field: &[u8]) -> Result<EnsembleIdentity, BadPacket> {
    let id = EnsembleId(array(field)?);
    let secret = array(field.get(16..).ok_or(SHORT)?)?;
    let mut fields = Reader::new(field.get(48..).ok_or(SHORT)?);
    let java_before = Millis(fields.long().map_err(|_| SHORT)?);
    let standing = match fields.bool().map_err(|_| SHORT)? {
        true => Standing::Confirmed,
        false => Standing::Proposed,
    };
    Ok(EnsembleIdentity { id, secret, java_before, standing })
}

#[cfg(test)]
mod tests {
    use super::super::PeerSetting;
    use super::*;

    fn whole() -> PeerExtension {
        let settings = PeerSettings::default().with(PeerSetting::TickTime, 2_000);
        PeerExtension {
            blank: true,
            ensemble: Some(EnsembleId([9; 16])),
            identity: Some(EnsembleIdentity {
                id: EnsembleId([9; 16]),
                secret: [3; 32],
                java_before: Millis(1_790_000_000_000),
                standing: Standing::Proposed,
            }),
            ..PeerExtension::own(settings)
        }
    }

    #[test]
    fn extension_is_read_as_it_was_written() {
        let own = PeerExtension::own(PeerSettings::default());
        assert_eq!(own.to_bytes(), b"RKPR\0\x01\0\0\0\x03\0\0\0\x07\0\0");
        for extension in [PeerExtension::default(), own, whole()] {
            let bytes = extension.to_bytes();
            assert_eq!(PeerExtension::read(&bytes), Ok(extension));
            // A field of a later version, before and behind.
            let later = [b"RKPR\x12\x34\0\x03abc", &bytes[4..], b"\x12\x34\0\0"].concat();
            assert_eq!(PeerExtension::read(&later), Ok(extension));
        }
    }

    /// What versions without the identity of an ensemble say.
    #[test]
    fn earlier_version_says_less() {
        let earlier = PeerExtension { cumulative: true, ..PeerExtension::default() };
        assert_eq!(PeerExtension::read(b"RKPR\0\x01\0\0"), Ok(earlier));
        let blank = PeerExtension { blank: true, ..earlier };
        assert_eq!(PeerExtension::read(b"RKPR\0\x01\0\0\0\x02\0\0"), Ok(blank));
    }

    #[test]
    fn bytes_of_other_servers_say_nothing() {
        for bytes in [&b""[..], b"RKP", &[0xab; 32], b"RKPR"] {
            assert_eq!(PeerExtension::read(bytes), Ok(PeerExtension::default()), "{bytes:?}");
        }
    }

    /// Wherever the bytes end, they are an extension with fewer fields or malformed.
    #[test]
    fn field_that_is_cut_off_is_malformed() {
        for bytes in [&b"RKPR\0"[..], b"RKPR\0\x01", b"RKPR\0\x01\0", b"RKPR\0\x01\0\x01"] {
            assert!(PeerExtension::read(bytes).is_err(), "{bytes:?}");
        }
        for short in [&b"RKPR\0\x04\0\x03abc"[..], b"RKPR\0\x05\0\x03abc"] {
            assert_eq!(PeerExtension::read(short), Err(SHORT), "{short:?}");
        }
        let settings = PeerExtension::read(b"RKPR\0\x06\0\x03abc");
        assert_eq!(settings, Err(BadPacket::Short("the settings of a server")));
        let bytes = whole().to_bytes();
        let good = (4..bytes.len()).filter(|end| PeerExtension::read(&bytes[..*end]).is_ok());
        assert_eq!(good.count(), 7, "the magic, and each field but the last one");
    }
}
