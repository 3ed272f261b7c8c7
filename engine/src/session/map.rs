//! Sessions by id: a hash table in segments, so that growing never stalls the sequencer for long.

use hashbrown::HashTable;

use super::entry::Session;
use crate::SessionId;

const SEGMENTS: usize = 256;

/// Where the sessions are; in no order.
#[derive(Debug)]
pub(super) struct SessionMap {
    segments: Box<[HashTable<(SessionId, Session)>]>,
}

impl SessionMap {
    pub(super) fn new() -> SessionMap {
        SessionMap { segments: (0..SEGMENTS).map(|_| HashTable::new()).collect() }
    }

    #[inline]
    pub(super) fn get(&self, id: SessionId) -> Option<&Session> {
        let hash = hash(id);
        let found = self.segments[segment(hash)].find(hash, |entry| entry.0 == id);
        found.map(|(_, session)| session)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        let hash = hash(id);
        let found = self.segments[segment(hash)].find_mut(hash, |entry| entry.0 == id);
        found.map(|(_, session)| session)
    }

    /// Adds a session that is not there yet.
    pub(super) fn insert_new(&mut self, id: SessionId, session: Session) -> &mut Session {
        let hash_of_id = hash(id);
        let segment = &mut self.segments[segment(hash_of_id)];
        let entry = segment.insert_unique(hash_of_id, (id, session), |entry| hash(entry.0));
        &mut entry.into_mut().1
    }

    pub(super) fn remove(&mut self, id: SessionId) -> Option<Session> {
        let hash = hash(id);
        let found = self.segments[segment(hash)].find_entry(hash, |entry| entry.0 == id);
        found.ok().map(|entry| entry.remove().0.1)
    }
}

/// Spreads ids, which count up, like random numbers: then the segments do not grow all at once.
/// (The last steps of MurmurHash3. Clients cannot choose the ids of sessions.)
const fn hash(id: SessionId) -> u64 {
    let mut bits = id.0 as u64;
    bits = (bits ^ bits >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits = (bits ^ bits >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    bits ^ bits >> 33
}

/// From bits that the tables use neither for the bucket (low) nor for the tag (high).
const fn segment(hash: u64) -> usize {
    (hash >> 40) as usize % SEGMENTS
}
