//! The binary as an observer of an ensemble whose voters are played: it joins, serves, loses its
//! leader, is lied to, is killed and is stopped.

#[path = "observer/departures.rs"]
mod departures;
#[path = "observer/ensemble.rs"]
mod ensemble;
#[path = "observer/history.rs"]
mod history;
#[path = "observer/joins.rs"]
mod joins;
#[path = "observer/link.rs"]
mod link;
#[path = "observer/lives.rs"]
mod lives;
#[path = "observer/loopback.rs"]
mod loopback;
#[path = "observer/lost_leaders.rs"]
mod lost_leaders;
#[path = "observer/member.rs"]
mod member;
mod program;
#[path = "observer/reconfigurations.rs"]
mod reconfigurations;
#[path = "observer/strange_elections.rs"]
mod strange_elections;
#[path = "observer/strange_leaders.rs"]
mod strange_leaders;
#[path = "observer/stuck_leaders.rs"]
mod stuck_leaders;
#[path = "observer/voter.rs"]
mod voter;
#[path = "admin/web.rs"]
mod web;
