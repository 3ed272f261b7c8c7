//! The clocks of one member: a monotonic one that runs at its own rate, and a wall clock that
//! jumps.

use ringkeeper_engine::Millis;

use super::server::NOW;

/// Clocks as one member sees them.
#[derive(Clone, Debug)]
pub(crate) struct MemberClock {
    /// What the monotonic clock showed when its rate was set last, and when that was.
    anchor: (u64, u64),
    /// How fast it runs, in thousandths of the right rate.
    rate: u64,
    /// By how much the wall clock is wrong, milliseconds.
    wall_ms: i64,
}

impl MemberClock {
    /// Right clocks.
    pub(crate) fn new() -> MemberClock {
        MemberClock { anchor: (NOW.mono.0.unsigned_abs() * 1_000, 0), rate: 1_000, wall_ms: 0 }
    }

    /// The wall clock and the monotonic one in microseconds.
    pub(crate) fn at(&self, now_us: u64) -> (Millis, u64) {
        let elapsed_ms = i64::try_from(now_us / 1_000).expect("simulations are short");
        (Millis(NOW.wall.0 + elapsed_ms + self.wall_ms), self.mono_us(now_us))
    }

    fn mono_us(&self, now_us: u64) -> u64 {
        let (mono_us, since_us) = self.anchor;
        mono_us + (now_us - since_us) * self.rate / 1_000
    }

    /// How long it is until the monotonic clock has gone on by this, in true time.
    pub(crate) fn true_us(&self, mono_us: u64) -> u64 {
        (mono_us * 1_000).div_ceil(self.rate)
    }

    /// The monotonic clock runs at another rate from now on, in thousandths.
    pub(crate) fn set_rate(&mut self, rate: u64, now_us: u64) {
        assert!(rate > 0, "a clock goes on");
        (self.anchor, self.rate) = ((self.mono_us(now_us), now_us), rate);
    }

    /// The wall clock jumps.
    pub(crate) fn jump(&mut self, ms: i64) {
        self.wall_ms += ms;
    }
}

#[test]
fn monotonic_clock_never_jumps_and_runs_at_its_rate() {
    let mut clock = MemberClock::new();
    clock.jump(-31_536_000_000);
    let (wall, begin_us) = clock.at(0);
    assert_eq!((wall.0, begin_us), (NOW.wall.0 - 31_536_000_000, 1_000_000));
    clock.set_rate(2_000, 500);
    assert_eq!(clock.at(500).1, begin_us + 500);
    assert_eq!(clock.at(1_500).1, begin_us + 2_500);
    assert_eq!((clock.true_us(2_000), clock.true_us(1)), (1_000, 1));
}
