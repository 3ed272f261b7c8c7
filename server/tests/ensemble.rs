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
#[path = "ensemble/own_history.rs"]
mod own_history;
#[path = "ensemble/pre_stop.rs"]
mod pre_stop;
mod program;
#[path = "ensemble/reports.rs"]
mod reports;
#[path = "ensemble/rolling.rs"]
mod rolling;
#[path = "ensemble/sasl.rs"]
mod sasl;
#[path = "program/sasl.rs"]
mod sasl_client;
#[path = "ensemble/server.rs"]
mod server;
#[path = "ensemble/three.rs"]
mod three;
