//! What a load is: workloads, keys, values, options, scenarios.

pub(crate) mod args;
pub(crate) mod keys;
pub(crate) mod layout;
pub(crate) mod mix;
pub(crate) mod rng;
pub(crate) mod scenario;
pub(crate) mod shape;
pub(crate) mod sizes;
pub(crate) mod unused_options;
pub(crate) mod value;
pub(crate) mod workload;
