//! What can be wrong with the bytes of a peer.

/// Bytes of a peer that mean nothing. Its link cannot go on: where the next packet begins is not
/// known any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadPacket {
    /// A number that is no type of packet.
    #[error("{0} is no type of packet")]
    UnknownType(i32),
    /// A packet that only the other side sends.
    #[error("{packet} is no packet of a {from}")]
    Direction {
        /// ZooKeeper's name of the packet.
        packet: &'static str,
        /// Who sent it: "leader" or "learner".
        from: &'static str,
    },
    /// A length or count that is negative, or larger than what is allowed.
    #[error("{what} has length {length}, and 0 to {max} are allowed")]
    Length {
        /// What it is the length of.
        what: &'static str,
        /// The length.
        length: i64,
        /// The limit that it was compared with.
        max: usize,
    },
    /// Fields are missing at the end.
    #[error("{0} ends before its fields do")]
    Short(&'static str),
    /// Something that must be there is null.
    #[error("{0} is null")]
    Null(&'static str),
    /// A number outside the values that the field knows.
    #[error("{what} is {value}, which means nothing")]
    Value {
        /// The field.
        what: &'static str,
        /// The number.
        value: i64,
    },
}

impl BadPacket {
    /// A length that the wire carried, if it is not more than `max`.
    pub(super) fn check_length(
        what: &'static str,
        length: i32,
        max: usize,
    ) -> Result<usize, BadPacket> {
        match usize::try_from(length) {
            Ok(length) if length <= max => Ok(length),
            _ => Err(BadPacket::Length { what, length: length.into(), max }),
        }
    }
}
