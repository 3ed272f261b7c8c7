//! Tests of the learner's end of a link: recorded leaders, scripted ones, and random ones.

mod choices;
#[path = "../../../engine/tests/peer/conversation.rs"]
mod conversation;
mod ensembles;
mod golden;
mod member;
mod order;
mod proposals;
#[path = "../../sim/random.rs"]
mod random;
mod random_leader;
mod script;
mod search;
mod wrong;
