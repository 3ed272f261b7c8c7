//! Which requests are accepted while the log runs out of space.

use ringkeeper_engine::log::LogCapacity;

/// Which requests are accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WriteAdmission {
    /// All of them.
    All,
    /// Only what ends sessions: the disk is full.
    CloseOnly,
    /// None that needs a log record.
    None,
}

/// Bytes of the log that the requests of one turn may need at most.
const TURN_BYTES: u64 = 8 << 20;

impl WriteAdmission {
    /// What a log with this capacity lets in. A turn is ordered as a whole, so there has to be
    /// space for all that one may bring.
    pub fn of(capacity: LogCapacity) -> WriteAdmission {
        if capacity.writes > TURN_BYTES {
            WriteAdmission::All
        } else if capacity.closes > TURN_BYTES / 8 {
            WriteAdmission::CloseOnly
        } else {
            WriteAdmission::None
        }
    }
}

/// Why a leader wants another election.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ElectionReason {
    /// The counter of the epoch is as good as used up.
    EpochUsedUp,
    /// The log has space again. While it had none, requests of learners were dropped, which they
    /// send to the next leader.
    SpaceAgain,
}

/// Whether the log of a server that has a leader can take what the leader sends. There is nothing
/// to refuse: the leader has ordered it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogSpace {
    /// It can.
    Enough,
    /// Perhaps not the next transaction.
    Full,
}

impl LogSpace {
    /// What a log with this capacity can take. So many bytes were learned that it has not flushed.
    /// A transaction that takes more than [`TURN_BYTES`] may still find no space; then the flush
    /// fails, and with it the process.
    pub(crate) fn of(capacity: LogCapacity, unflushed: usize) -> LogSpace {
        let wanted = TURN_BYTES + unflushed as u64;
        if capacity.writes > wanted { LogSpace::Enough } else { LogSpace::Full }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_has_space_for_what_was_learned_and_one_transaction_more() {
        let of =
            |writes, unflushed| LogSpace::of(LogCapacity { writes, closes: writes }, unflushed);
        assert_eq!(LogSpace::of(LogCapacity::UNBOUNDED, usize::MAX >> 1), LogSpace::Enough);
        assert_eq!(of(TURN_BYTES + 501, 500), LogSpace::Enough);
        assert_eq!(of(TURN_BYTES + 500, 500), LogSpace::Full);
        assert_eq!(of(0, 0), LogSpace::Full);
    }

    #[test]
    fn a_log_that_fills_up_first_refuses_writes_then_closes() {
        let admits = |writes, closes| WriteAdmission::of(LogCapacity { writes, closes });
        assert_eq!(WriteAdmission::of(LogCapacity::UNBOUNDED), WriteAdmission::All);
        assert_eq!(admits(TURN_BYTES + 1, TURN_BYTES + 1), WriteAdmission::All);
        assert_eq!(admits(TURN_BYTES, TURN_BYTES), WriteAdmission::CloseOnly);
        assert_eq!(admits(0, TURN_BYTES / 8 + 1), WriteAdmission::CloseOnly);
        assert_eq!(admits(0, TURN_BYTES / 8), WriteAdmission::None);
    }
}
