//! Connections as streams of bytes: in order, whole or cut off at any byte, and late.

use std::collections::VecDeque;

use super::random::Random;

/// How long bytes are under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latency {
    /// At least, microseconds.
    pub(crate) least_us: u64,
    /// And no more than this beside it.
    pub(crate) spread_us: u64,
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// Pieces and when they arrive.
    pieces: VecDeque<(u64, Vec<u8>)>,
    /// Nothing arrives before this.
    clogged_us: u64,
    last_us: u64,
    /// When the end arrives, behind everything else.
    end_us: Option<u64>,
    /// Whether an event is under way for what arrives next.
    pub(crate) is_awaited: bool,
}

impl Stream {
    /// Sends bytes, in pieces. Behind an end they are lost.
    pub(crate) fn send(
        &mut self,
        bytes: Vec<u8>,
        now_us: u64,
        latency: Latency,
        chance: &mut Random,
    ) {
        if self.end_us.is_some() {
            return;
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let whole = chance.percent(70);
            let count = if whole { rest.len() } else { 1 + chance.below(rest.len()) };
            let behind = rest.split_off(count);
            let at_us = self.arrival(now_us, latency, chance);
            self.pieces.push_back((at_us, std::mem::replace(&mut rest, behind)));
        }
    }

    fn arrival(&mut self, now_us: u64, latency: Latency, chance: &mut Random) -> u64 {
        let at_us = now_us + latency.least_us + chance.micros(latency.spread_us);
        self.last_us = at_us.max(self.last_us).max(self.clogged_us);
        self.last_us
    }

    /// Nothing arrives before this time.
    pub(crate) fn clog(&mut self, until_us: u64) {
        self.clogged_us = self.clogged_us.max(until_us);
        for (at_us, _) in &mut self.pieces {
            *at_us = (*at_us).max(until_us);
        }
        self.last_us = self.last_us.max(until_us);
        self.end_us = self.end_us.map(|end_us| end_us.max(until_us));
    }

    /// What was clogged passes again: nothing more comes late because of that.
    pub(crate) fn release(&mut self) {
        (self.clogged_us, self.last_us, self.is_awaited) = (0, 0, false);
        for (at_us, _) in &mut self.pieces {
            *at_us = 0;
        }
        self.end_us = self.end_us.map(|_| 0);
    }

    /// Bytes that have not arrived.
    pub(crate) fn under_way(&self) -> usize {
        self.pieces.iter().map(|(_, piece)| piece.len()).sum()
    }

    /// The connection is reset: so many bytes still arrive, and then the end. Returns all that was
    /// under way.
    pub(crate) fn reset(&mut self, arriving: usize, end_us: u64) -> Vec<u8> {
        let mut all = Vec::new();
        let mut left = arriving;
        for (_, piece) in &mut self.pieces {
            all.extend_from_slice(piece);
            piece.truncate(left);
            left -= piece.len();
        }
        self.pieces.retain(|(_, piece)| !piece.is_empty());
        self.end(end_us);
        all
    }

    /// The sender closes the connection: everything arrives, and then the end.
    pub(crate) fn end(&mut self, end_us: u64) {
        self.last_us = self.last_us.max(end_us);
        self.end_us.get_or_insert(self.last_us);
    }

    /// When something arrives next.
    pub(crate) fn next_us(&self) -> Option<u64> {
        self.pieces.front().map(|(at_us, _)| *at_us).or(self.end_us)
    }

    /// What has arrived.
    pub(crate) fn arrive(&mut self, now_us: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.pieces.front().is_some_and(|(at_us, _)| *at_us <= now_us) {
            let (_, piece) = self.pieces.pop_front().expect("it was just there");
            match bytes.is_empty() {
                true => bytes = piece,
                false => bytes.extend_from_slice(&piece),
            }
        }
        bytes
    }

    /// Whether the end has arrived.
    pub(crate) fn has_ended(&self, now_us: u64) -> bool {
        self.pieces.is_empty() && self.end_us.is_some_and(|end_us| end_us <= now_us)
    }

    /// Whether nothing is under way.
    pub(crate) fn is_still(&self) -> bool {
        self.pieces.is_empty() && self.end_us.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATENCY: Latency = Latency { least_us: 10, spread_us: 50 };

    #[test]
    fn bytes_arrive_in_order_whatever_their_pieces_take() {
        for seed in 0..50 {
            let (mut stream, mut chance) = (Stream::default(), Random::new(seed));
            let all: Vec<u8> = (0..200).collect();
            for (index, piece) in all.chunks(13).enumerate() {
                stream.send(piece.to_vec(), index as u64, LATENCY, &mut chance);
            }
            stream.clog(500);
            assert!(stream.arrive(499).is_empty() && stream.under_way() == 200);
            stream.end(20);
            stream.send(vec![9], 20, LATENCY, &mut chance);
            let mut found = Vec::new();
            while let Some(at_us) = stream.next_us().filter(|_| !stream.has_ended(u64::MAX)) {
                found.extend(stream.arrive(at_us));
            }
            assert_eq!(found, all);
            assert!(stream.has_ended(500) && !stream.is_still());
        }
    }

    #[test]
    fn reset_cuts_what_is_under_way_off_at_any_byte() {
        for arriving in 0..6 {
            let (mut stream, mut chance) = (Stream::default(), Random::new(1));
            stream.send(vec![1, 2, 3], 0, LATENCY, &mut chance);
            stream.send(vec![4, 5], 0, LATENCY, &mut chance);
            assert_eq!(stream.reset(arriving, 7), [1, 2, 3, 4, 5]);
            assert_eq!(stream.arrive(1_000), [1, 2, 3, 4, 5][..arriving.min(5)]);
            assert!(stream.has_ended(1_000));
        }
    }
}
