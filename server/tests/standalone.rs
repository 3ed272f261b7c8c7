//! The binary as people run it: started, killed, stopped, refused, and short of everything.

#[path = "standalone/audit.rs"]
mod audit;
#[path = "standalone/checks.rs"]
mod checks;
#[path = "admin/commands.rs"]
mod commands;
#[path = "standalone/disk_full.rs"]
mod disk_full;
#[path = "standalone/ended_clients.rs"]
mod ended_clients;
#[path = "standalone/host.rs"]
mod host;
#[path = "standalone/hostile.rs"]
mod hostile;
#[path = "standalone/imports.rs"]
mod imports;
#[path = "admin/limits.rs"]
mod limits;
#[path = "standalone/lives.rs"]
mod lives;
#[path = "standalone/log.rs"]
mod log;
#[path = "standalone/many_clients.rs"]
mod many_clients;
#[path = "standalone/order.rs"]
mod order;
#[path = "program/polluted_host.rs"]
mod polluted_host;
#[path = "admin/ports.rs"]
mod ports;
mod program;
#[path = "standalone/refusals.rs"]
mod refusals;
#[path = "standalone/sasl.rs"]
mod sasl;
#[path = "program/sasl.rs"]
mod sasl_client;
#[path = "standalone/signals.rs"]
mod signals;
#[path = "admin/snapshots.rs"]
mod snapshots;
#[path = "standalone/sockets.rs"]
mod sockets;
#[path = "standalone/stranger.rs"]
mod stranger;
#[path = "standalone/throttle.rs"]
mod throttle;
#[path = "standalone/tls.rs"]
mod tls;
#[path = "admin/web.rs"]
mod web;
#[path = "golden/without_ring.rs"]
mod without_ring;

#[test]
fn servers_start_and_stop_on_a_polluted_host() {
    polluted_host::run_again(&["ports::", "refusals::", "disk_full::", "log::"]);
}
