//! The thread that writes the log, and what is tuned about it: the strategy of its disk
//! (`device`) and its scheduling (`sched`).

mod command_note;
pub(crate) mod device;
mod done_count;
mod sched;
mod stats;
pub mod writer;
