//! Where the parts of a segment begin: the block of the header, the block of the high-water mark,
//! and the records.

use crate::device::BLOCK_BYTES;

/// Where the block of the high-water mark begins. It is never in the block of the header, which is
/// written once, so that no later write can tear the header.
pub const HIGH_WATER_AT: usize = BLOCK_BYTES;
/// Where records begin.
pub const RECORDS_AT: usize = HIGH_WATER_AT + BLOCK_BYTES;
