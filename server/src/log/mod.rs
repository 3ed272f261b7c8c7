//! The thread that writes the log, and what is tuned about it: the strategy of its disk
//! (`device`) and its scheduling (`sched`).

pub(crate) mod device;
mod done_count;
mod sched;
mod stats;
pub mod writer;
