//! Plain data: times, kinds of operation, figures. It imports nothing from the other folders.

pub(crate) mod clock;
pub(crate) mod error;
pub(crate) mod interval;
pub(crate) mod io;
pub(crate) mod kind;
pub(crate) mod named;
pub mod numbers;
pub(crate) mod op;
pub(crate) mod outage;
pub(crate) mod quantiles;
pub(crate) mod second;
pub(crate) mod server;
pub(crate) mod spread;
pub(crate) mod window;
