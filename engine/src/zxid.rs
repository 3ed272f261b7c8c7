//! Zxids, epochs and the other numbers that must not be mixed up.

use std::fmt;

/// A transaction's place in the total order: epoch in the high 32 bits, counter in the low 32.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Zxid(pub u64);

impl Zxid {
    /// Nothing has happened yet.
    pub const ZERO: Zxid = Zxid(0);

    /// Composes a zxid from its epoch and counter.
    pub const fn new(epoch: u32, counter: u32) -> Zxid {
        Zxid((epoch as u64) << 32 | counter as u64)
    }

    /// The generation of the leader that created this zxid.
    pub const fn epoch(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The position within the epoch; the first write has counter 1.
    pub const fn counter(self) -> u32 {
        self.0 as u32
    }

    /// The next zxid of the same epoch, or `None` where the counter is used up and a new epoch
    /// has to begin (hazard 15).
    pub const fn next(self) -> Option<Zxid> {
        if self.counter() == u32::MAX { None } else { Some(Zxid(self.0 + 1)) }
    }

    /// Whether a transaction may have this zxid directly behind `last`: the next counter of the same
    /// epoch, or the first one of a later epoch. Whether an epoch ended where the next one begins
    /// cannot be seen from the numbers.
    pub const fn may_follow(self, last: Zxid) -> bool {
        if self.epoch() == last.epoch() {
            last.counter() != u32::MAX && self.counter() == last.counter() + 1
        } else {
            self.epoch() > last.epoch() && self.counter() == 1
        }
    }

    /// The zxid as the wire carries it.
    pub const fn to_wire(self) -> i64 {
        self.0 as i64
    }

    /// The zxid that the wire carried.
    pub const fn from_wire(raw: i64) -> Zxid {
        Zxid(raw as u64)
    }
}

impl fmt::Display for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:x}", self.0)
    }
}

impl fmt::Debug for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A client's lease. Zero means "no session yet" on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SessionId(pub i64);

impl SessionId {
    /// No session: a connection before its handshake, or a transaction of the server itself.
    pub const NONE: SessionId = SessionId(0);
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:x}", self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Milliseconds. Which clock (wall or monotonic) is said where the value lives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Millis(pub i64);

/// Both clocks at one instant, handed into the pure core by its edges.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Now {
    /// Wall clock, since the Unix epoch; only ever stamped on znodes.
    pub wall: Millis,
    /// Monotonic clock with an arbitrary zero; everything that waits or expires uses this one.
    pub mono: Millis,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zxid_follows_by_the_next_counter_or_as_the_first_of_a_later_epoch() {
        let last = Zxid::new(3, 7);
        assert!(Zxid::new(3, 8).may_follow(last) && Zxid(1).may_follow(Zxid::ZERO));
        assert!(Zxid::new(4, 1).may_follow(last) && Zxid::new(9, 1).may_follow(last));
        assert!(Zxid::new(4, 1).may_follow(Zxid::new(3, u32::MAX)));
        assert!(Zxid::new(4, 1).may_follow(Zxid::new(4, 0)), "an epoch that has begun");
        for next in [Zxid::new(3, 7), Zxid::new(3, 6), Zxid::new(3, 9), Zxid::new(2, 8)] {
            assert!(!next.may_follow(last), "{next}");
        }
        for next in [Zxid::new(4, 0), Zxid::new(4, 2), Zxid::new(2, 1)] {
            assert!(!next.may_follow(last), "{next}");
        }
        assert!(!Zxid::new(4, 0).may_follow(Zxid::new(3, u32::MAX)));
    }
}
