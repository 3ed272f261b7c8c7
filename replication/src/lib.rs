//! How Ringkeeper nodes agree.
