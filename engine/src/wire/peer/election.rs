//! What servers say to each other on the election port.

use super::BadPacket;
use crate::limits;
use crate::wire::jute::{self, Put, Reader};

/// How a server that dials names its addresses: `QuorumCnxManager.PROTOCOL_VERSION_V1` and `V2`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ElectionProtocol {
    /// One address.
    V1,
    /// Any number of them (multiAddress.enabled).
    V2,
}

/// What a connection begins with, from the server that dialled: ZooKeeper's
/// `QuorumCnxManager.InitialMessage`, `long protocol, long sid, int length, text`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InitialMessage {
    /// The form of the addresses.
    pub protocol: ElectionProtocol,
    /// The id of the server that dialled; -1 for an observer without one.
    pub sid: i64,
    /// Its election addresses, each `host:port`: where it is to be dialled back. They are not
    /// resolved and not checked.
    pub addresses: Vec<Box<str>>,
}

/// Bytes in front of the addresses.
const INITIAL_HEAD_BYTES: usize = 20;

impl InitialMessage {
    /// Reads the message off the first bytes of a connection, and says how many bytes it has;
    /// `None` if more bytes have to come first.
    pub fn decode(bytes: &[u8]) -> Result<Option<(InitialMessage, usize)>, BadPacket> {
        const SHORT: BadPacket = BadPacket::Short("the first message of an election connection");
        let mut reader = Reader::new(bytes);
        let Ok(protocol) = reader.long() else { return Ok(None) };
        let protocol = ElectionProtocol::from_wire(protocol)?;
        let (Ok(sid), Ok(length)) = (reader.long(), reader.int()) else { return Ok(None) };
        let what = "the addresses of an election connection";
        let max = limits::ELECTION_ADDRESS_BYTES_MAX;
        let length = BadPacket::check_length(what, length, max)?;
        let Ok(text) = reader.bytes(length) else { return Ok(None) };
        let text = jute::decode(text);
        let addresses: Vec<Box<str>> = match protocol {
            ElectionProtocol::V1 => vec![text.into()],
            ElectionProtocol::V2 => text.split('|').map(Box::from).collect(),
        };
        if addresses.iter().any(|address| address.is_empty()) {
            return Err(SHORT);
        }
        let message = InitialMessage { protocol, sid, addresses };
        Ok(Some((message, INITIAL_HEAD_BYTES + length)))
    }

    /// Appends the message.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_long(self.protocol.to_wire());
        out.put_long(self.sid);
        out.put_string(&self.addresses.join("|"));
    }
}

impl ElectionProtocol {
    fn from_wire(version: i64) -> Result<ElectionProtocol, BadPacket> {
        match version {
            -65_536 => Ok(ElectionProtocol::V1),
            -65_535 => Ok(ElectionProtocol::V2),
            value => {
                Err(BadPacket::Value { what: "the protocol of an election connection", value })
            }
        }
    }

    fn to_wire(self) -> i64 {
        match self {
            ElectionProtocol::V1 => -65_536,
            ElectionProtocol::V2 => -65_535,
        }
    }
}

/// What a server is doing: ZooKeeper's `QuorumPeer.ServerState`, in the order of its numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PeerState {
    /// It looks for a leader.
    Looking,
    /// It follows one.
    Following,
    /// It leads.
    Leading,
    /// It observes.
    Observing,
}

impl PeerState {
    /// All of them; the index is the number on the wire.
    pub const ALL: [PeerState; 4] =
        [PeerState::Looking, PeerState::Following, PeerState::Leading, PeerState::Observing];

    fn from_wire(state: i32) -> Result<PeerState, BadPacket> {
        let found = usize::try_from(state).ok().and_then(|state| PeerState::ALL.get(state));
        let bad = BadPacket::Value { what: "the state of a server", value: state.into() };
        found.copied().ok_or(bad)
    }
}

/// A vote and what its sender is doing: ZooKeeper's `FastLeaderElection.Notification`,
/// `int length, int state, long leader, long zxid, long electionEpoch, long peerEpoch,
/// int version, int length, text`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Notification<'a> {
    /// What the sender is doing.
    pub state: PeerState,
    /// Whom it votes for, or follows.
    pub leader: i64,
    /// The last transaction of that server as the wire has it; -1 is not a large zxid but says that
    /// the sender has none to vote with.
    pub zxid: i64,
    /// The round of the election, the sender's logical clock (`electionEpoch`).
    pub round: i64,
    /// The epoch of that server (`peerEpoch`).
    pub epoch: i64,
    /// The version of the form: 2 since 3.5, 1 and 0 before that, where 0 may also mean that there
    /// was none. Larger ones are read like 2.
    pub version: i32,
    /// The sender's configuration as text, from version 2 on.
    pub config: Option<&'a [u8]>,
    /// Bytes behind it, which ZooKeeper does not read.
    pub extension: &'a [u8],
}

/// Bytes of the oldest form, without the epoch and what follows it.
const OLDEST_BODY_BYTES: usize = 28;

impl<'a> Notification<'a> {
    /// The version of the form that is sent.
    pub const VERSION: i32 = 2;

    /// Reads the message that the bytes begin with, and says how many bytes it has; `None` if more
    /// bytes have to come first.
    pub fn decode(bytes: &'a [u8]) -> Result<Option<(Notification<'a>, usize)>, BadPacket> {
        let mut reader = Reader::new(bytes);
        let Ok(length) = reader.int() else { return Ok(None) };
        let max = limits::ELECTION_BYTES_MAX;
        let length = BadPacket::check_length("a notification", length, max)?;
        let Ok(body) = reader.bytes(length) else { return Ok(None) };
        Ok(Some((Notification::read(body)?, 4 + length)))
    }

    fn read(body: &'a [u8]) -> Result<Notification<'a>, BadPacket> {
        let short = |_| BadPacket::Short("a notification");
        let mut reader = Reader::new(body);
        let state = PeerState::from_wire(reader.int().map_err(short)?)?;
        let [leader, zxid, round] = [(); 3].map(|()| reader.long());
        let (leader, zxid, round) =
            (leader.map_err(short)?, zxid.map_err(short)?, round.map_err(short)?);
        // Forms without a version are known by their length alone.
        let epoch = match body.len() {
            OLDEST_BODY_BYTES => zxid >> 32,
            _ => reader.long().map_err(short)?,
        };
        let version = if reader.rest().is_empty() { 0 } else { reader.int().map_err(short)? };
        let config = if version >= Notification::VERSION {
            let length = reader.int().map_err(short)?;
            let max = reader.rest().len();
            let what = "the configuration in a notification";
            let length = BadPacket::check_length(what, length, max)?;
            Some(reader.bytes(length).map_err(short)?)
        } else {
            None
        };
        let extension = reader.rest();
        Ok(Notification { state, leader, zxid, round, epoch, version, config, extension })
    }

    /// Appends the message.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.put_int(0);
        let state = PeerState::ALL.iter().position(|state| *state == self.state);
        out.put_int(state.expect("every state is listed") as i32);
        for long in [self.leader, self.zxid, self.round, self.epoch] {
            out.put_long(long);
        }
        out.put_int(self.version);
        if self.version >= Notification::VERSION {
            out.put_buffer(Some(self.config.unwrap_or_default()));
        }
        out.extend_from_slice(self.extension);
        crate::wire::header::finish_frame(out, start);
    }
}
