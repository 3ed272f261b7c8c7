//! Plain data: times, kinds of operation, figures. It imports nothing from the other folders.

pub(crate) mod clock;
pub(crate) mod kind;
pub(crate) mod outage;
pub(crate) mod spread;
