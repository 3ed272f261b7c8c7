//! One stream of chance for each concern.

use super::random::Random;

impl Random {
    /// A time below `end_us`; 0 where there is none.
    pub(crate) fn micros(&mut self, end_us: u64) -> u64 {
        self.below(usize::try_from(end_us).expect("times are short")) as u64
    }
}

/// One stream of chance for each concern, so that more of one does not change the others.
pub(crate) struct Streams {
    /// What clients request, and when.
    pub(crate) workload: Random,
    /// How long bytes are under way, and in which pieces.
    pub(crate) network: Random,
    /// How long disks take, what fails, and what survives without power.
    pub(crate) disk: Random,
    /// What clocks show.
    pub(crate) clock: Random,
    /// When processes end, stop and start, and other faults.
    pub(crate) crash: Random,
    /// What the leader does.
    pub(crate) leader: Random,
}

impl Streams {
    /// The streams of a seed.
    pub(crate) fn new(seed: u64) -> Streams {
        let stream = |concern: u64| Random::new(seed.wrapping_mul(8).wrapping_add(concern));
        Streams {
            workload: stream(1),
            network: stream(2),
            disk: stream(3),
            clock: stream(4),
            crash: stream(5),
            leader: stream(6),
        }
    }
}
