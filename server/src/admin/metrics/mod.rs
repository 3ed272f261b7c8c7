//! The numbers for Prometheus: those of ZooKeeper under its names and types, then our own.

mod exposition;
mod own;
mod zookeeper;

use super::hub::Hub;
use super::part::Part;
use exposition::Exposition;

/// All metrics, in Prometheus's text format.
pub(super) fn text(hub: &Hub, part: &Part) -> String {
    let numbers = hub.numbers(part);
    let mut out = Exposition::default();
    zookeeper::write(&numbers, &mut out);
    own::write(hub, &numbers, &mut out);
    out.finish()
}
