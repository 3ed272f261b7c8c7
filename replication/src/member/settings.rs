//! How a member takes part.

use crate::leader::LeaderSettings;
use crate::learner::FollowLimits;

/// How a voting member takes part in its ensemble.
#[derive(Clone, Debug)]
pub struct MemberSettings {
    /// How it leads, and who the members are.
    pub leader: LeaderSettings,
    /// What it keeps of a leader in memory.
    pub follow: FollowLimits,
    /// Milliseconds after which a connection to a leader is not waited for any more, whatever the
    /// driver says of its attempts.
    pub dial_ms: i64,
    /// How long the election waits.
    pub election: crate::election::ElectionSettings,
}
