//! Three processes that are started from ordinary files: an ensemble.

#[path = "ensemble/departures.rs"]
mod departures;
#[path = "ensemble/elections.rs"]
mod elections;
#[path = "ensemble/lives.rs"]
mod lives;
#[path = "observer/loopback.rs"]
mod loopback;
mod program;
#[path = "ensemble/reports.rs"]
mod reports;
#[path = "ensemble/rolling.rs"]
mod rolling;
#[path = "ensemble/server.rs"]
mod server;
#[path = "ensemble/three.rs"]
mod three;
