//! Three processes that are started from ordinary files: an ensemble.

#[path = "ensemble/departures.rs"]
mod departures;
#[path = "ensemble/elections.rs"]
mod elections;
#[path = "ensemble/identity.rs"]
mod identity;
#[path = "ensemble/lives.rs"]
mod lives;
#[path = "observer/loopback.rs"]
mod loopback;
#[path = "ensemble/lost_quorum.rs"]
mod lost_quorum;
mod program;
#[path = "ensemble/reports.rs"]
mod reports;
#[path = "ensemble/server.rs"]
mod server;
#[path = "ensemble/three.rs"]
mod three;
