//! What carries a load: driver threads, their sessions and sockets.

pub(crate) mod driver;
pub(crate) mod fanout;
pub(crate) mod link;
pub(crate) mod pipelined;
pub(crate) mod presence;
pub(crate) mod recipe;
pub(crate) mod rt;
pub(crate) mod run_state;
pub(crate) mod session;
pub(crate) mod signal;
pub(crate) mod storm;
pub(crate) mod tree;
