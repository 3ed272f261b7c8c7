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
