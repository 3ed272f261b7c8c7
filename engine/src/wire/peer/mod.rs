//! What the servers of an ensemble say to each other, byte for byte as Apache ZooKeeper 3.9 does.
//!
//! - On the quorum port a learner (a follower or an observer) and its leader exchange
//!   [`QuorumPacket`]s. [`PacketDecoder`] cuts them out of a stream of bytes; [`LearnerPacket`] and
//!   [`LeaderPacket`] say what they mean, by their direction. Behind a SNAP packet stands a state
//!   that is no packet: [`crate::zookeeper::load_stream`] reads it, and [`StateScan`] finds its end
//!   where it comes in pieces.
//! - On the election port a connection begins with an [`InitialMessage`], and [`Notification`]s
//!   follow in both directions.
//!
//! Everything is pure: bytes in, values out. Bytes are not believed. Whatever is wrong with them is
//! a [`BadPacket`], and the link that they came over is to be closed. Values borrow from the bytes.
//!
//! ZooKeeper ignores bytes behind the fields of some messages. What stands there is handed out as
//! `extension`: that is where two servers of the same kind can say more to each other.

mod bad;
mod decoder;
mod election;
mod extension;
mod leader;
mod learner;
mod packet;
mod settings;
mod state;

pub use bad::BadPacket;
pub use decoder::{PacketDecoder, PacketLimits};
pub use election::{ElectionProtocol, InitialMessage, Notification, PeerState};
pub use extension::PeerExtension;
pub use leader::{LeaderPacket, proposals_frame};
pub(crate) use learner::put_request_with;
pub use learner::{LearnerInfo, LearnerPacket};
pub use packet::{PROTOCOL_VERSION, QuorumPacket, own_packet_type, packet_name, packet_type};
pub use settings::{PeerSetting, PeerSettings, SettingDifference};
pub use state::StateScan;
