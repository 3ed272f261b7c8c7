//! Tests of the election of voters: recorded notifications, and random ensembles.

#[expect(dead_code, reason = "conversations of quorum ports are played elsewhere")]
#[path = "../../../engine/tests/peer/conversation.rs"]
mod conversation;
mod ensemble;
#[path = "../../sim/random.rs"]
mod random;
mod random_ensembles;
mod recorded;
mod shapes;
