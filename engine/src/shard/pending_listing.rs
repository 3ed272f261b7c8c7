//! A long reply under way.

use super::arrival::{Arrival, WaitingRequest};
use crate::op::listing::Listing;

/// A list under way.
pub struct PendingListing {
    pub(super) request: WaitingRequest,
    pub(super) listing: Listing,
}

impl PendingListing {
    pub(super) fn new(arrival: Arrival<'_>, listing: Listing) -> Box<PendingListing> {
        Box::new(PendingListing { request: arrival.to_waiting(), listing })
    }

    /// Bytes made so far.
    pub(super) fn bytes(&self) -> usize {
        self.listing.bytes()
    }
}
