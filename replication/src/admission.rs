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

#[cfg(test)]
mod tests {
    use super::*;

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
