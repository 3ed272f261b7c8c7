//! The data directory: opening it, snapshots of it, and the commands that look into it.

pub mod exclusion;
pub mod import;
pub mod inspect;
mod load_times;
pub(crate) mod open;
pub mod snapshots;
