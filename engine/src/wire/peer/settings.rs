//! Settings that every server of an ensemble must have in common, as they say them to each other.

use std::fmt;

use super::BadPacket;
use crate::wire::jute::{Put, Reader};

/// A setting that matters to more than the server that has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PeerSetting {
    /// `jute.maxbuffer`: a record that one server takes must fit on the others.
    JuteMaxbuffer,
    /// `tickTime`: how long silence is taken for an end.
    TickTime,
    /// `minSessionTimeout`: a session moves with the timeout that its first server agreed to.
    MinSessionTimeout,
    /// `maxSessionTimeout`.
    MaxSessionTimeout,
    /// `zookeeper.extendedTypesEnabled`: nodes with a time to live; the leader decides.
    ExtendedTypes,
    /// `zookeeper.digest.enabled`: without it the states of servers are not compared.
    Digest,
    /// `skipACL`: reads are checked where the client is, writes by the leader.
    SkipAcl,
    /// `zookeeper.enforceQuota`: the leader decides.
    EnforceQuota,
    /// `ringkeeper.sessionPasswords`: 0 for secret, 1 for java.
    SessionPasswords,
    /// `initLimit`, in milliseconds.
    InitLimit,
    /// `syncLimit`, in milliseconds.
    SyncLimit,
}

impl PeerSetting {
    /// All of them. The index is the number on the wire: new ones go to the end.
    pub const ALL: [PeerSetting; 11] = [
        PeerSetting::JuteMaxbuffer,
        PeerSetting::TickTime,
        PeerSetting::MinSessionTimeout,
        PeerSetting::MaxSessionTimeout,
        PeerSetting::ExtendedTypes,
        PeerSetting::Digest,
        PeerSetting::SkipAcl,
        PeerSetting::EnforceQuota,
        PeerSetting::SessionPasswords,
        PeerSetting::InitLimit,
        PeerSetting::SyncLimit,
    ];

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            PeerSetting::JuteMaxbuffer => "jute.maxbuffer",
            PeerSetting::TickTime => "tickTime",
            PeerSetting::MinSessionTimeout => "minSessionTimeout",
            PeerSetting::MaxSessionTimeout => "maxSessionTimeout",
            PeerSetting::ExtendedTypes => "extendedTypesEnabled",
            PeerSetting::Digest => "digest.enabled",
            PeerSetting::SkipAcl => "skipACL",
            PeerSetting::EnforceQuota => "enforceQuota",
            PeerSetting::SessionPasswords => "ringkeeper.sessionPasswords",
            PeerSetting::InitLimit => "initLimit",
            PeerSetting::SyncLimit => "syncLimit",
        }
    }

    /// A value as the configuration has it.
    pub fn value(self, value: i64) -> String {
        match (self, value) {
            (PeerSetting::SessionPasswords, 0) => "secret".to_owned(),
            (PeerSetting::SessionPasswords, 1) => "java".to_owned(),
            (
                PeerSetting::ExtendedTypes
                | PeerSetting::Digest
                | PeerSetting::SkipAcl
                | PeerSetting::EnforceQuota,
                0 | 1,
            ) => (value == 1).to_string(),
            (PeerSetting::InitLimit | PeerSetting::SyncLimit, ms) => format!("{ms} ms"),
            _ => value.to_string(),
        }
    }

    fn index(self) -> usize {
        self as usize
    }
}

/// The values of a server, of those that it says.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct PeerSettings {
    values: [Option<i64>; PeerSetting::ALL.len()],
}

impl PeerSettings {
    /// With this value.
    #[must_use]
    pub fn with(mut self, setting: PeerSetting, value: i64) -> PeerSettings {
        self.values[setting.index()] = Some(value);
        self
    }

    /// Where another server has another value. What one of them does not say is not compared.
    pub fn differences(&self, other: &PeerSettings) -> Vec<SettingDifference> {
        let differs = |setting: &PeerSetting| {
            let (own, other) = (self.values[setting.index()]?, other.values[setting.index()]?);
            (own != other).then_some(SettingDifference { setting: *setting, own, other })
        };
        PeerSetting::ALL.iter().filter_map(differs).collect()
    }

    /// Reads a list of `short number, long value`. Numbers that are not known are passed over.
    pub(super) fn read(bytes: &[u8]) -> Result<PeerSettings, BadPacket> {
        const SHORT: BadPacket = BadPacket::Short("the settings of a server");
        let mut settings = PeerSettings::default();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (number, behind) = rest.split_first_chunk().ok_or(SHORT)?;
            let mut fields = Reader::new(behind);
            let value = fields.long().map_err(|_| SHORT)?;
            rest = fields.rest();
            let number = usize::from(u16::from_be_bytes(*number));
            if let Some(known) = settings.values.get_mut(number) {
                *known = Some(value);
            }
        }
        Ok(settings)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for (number, value) in self.values.iter().enumerate() {
            if let Some(value) = value {
                let number = u16::try_from(number).expect("there are few");
                out.extend_from_slice(&number.to_be_bytes());
                out.put_long(*value);
            }
        }
    }
}

/// A setting that two servers have with different values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SettingDifference {
    /// Which one.
    pub setting: PeerSetting,
    /// The value here.
    pub own: i64,
    /// The value of the other server.
    pub other: i64,
}

/// `tickTime=2000 here and 3000 there`.
impl fmt::Display for SettingDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SettingDifference { setting, own, other } = *self;
        let (own, other) = (setting.value(own), setting.value(other));
        write!(f, "{}={own} here and {other} there", setting.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_of_each_setting_is_its_place() {
        let numbers = PeerSetting::ALL.map(PeerSetting::index);
        assert!(numbers.iter().copied().eq(0..PeerSetting::ALL.len()), "{numbers:?}");
    }

    #[test]
    fn only_what_both_say_is_compared() {
        let own = PeerSettings::default()
            .with(PeerSetting::TickTime, 2_000)
            .with(PeerSetting::SkipAcl, 1)
            .with(PeerSetting::InitLimit, 10);
        let other = PeerSettings::default()
            .with(PeerSetting::TickTime, 3_000)
            .with(PeerSetting::SkipAcl, 0)
            .with(PeerSetting::JuteMaxbuffer, 7);
        let said: Vec<String> = own.differences(&other).iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            ["tickTime=2000 here and 3000 there", "skipACL=true here and false there"]
        );
        assert_eq!(own.differences(&own), []);
    }

    #[test]
    fn settings_are_read_as_they_were_written_and_unknown_ones_passed_over() {
        let settings = PeerSettings::default()
            .with(PeerSetting::JuteMaxbuffer, i64::MAX)
            .with(PeerSetting::SyncLimit, -1);
        let mut bytes = Vec::new();
        settings.write(&mut bytes);
        assert_eq!(PeerSettings::read(&bytes), Ok(settings));
        bytes.extend_from_slice(&[0x7f, 0xff, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(PeerSettings::read(&bytes), Ok(settings));
        assert!(PeerSettings::read(&bytes[..bytes.len() - 1]).is_err());
    }
}
