//! Host tuning.
