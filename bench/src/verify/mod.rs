//! Whether replies are right, and whether acknowledged writes are there in the end.

pub(crate) mod acks;
pub(crate) mod audit;
pub(crate) mod check;
pub(crate) mod fault;
pub(crate) mod ledger;
