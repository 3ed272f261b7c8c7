//! What a leader says of the members of its ensemble.

use ringkeeper_engine::Zxid;

/// What the leader says of the members.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConfigEvent {
    /// The leader's configuration as text, when clients are served; none from old leaders.
    Config(Option<Box<[u8]>>),
    /// The transaction has changed the members, and this server should lead, -1 if the leader does
    /// not say.
    Activated(Zxid, i64),
}
