//! What it costs to read the clock. The server does it several times per request.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use ringkeeper_bench::servers::root::Root;

const ROUNDS: u32 = 20;
const READS: u32 = 5_000;
const FOLDER: &str = "/sys/devices/system/clocksource/clocksource0";

/// The clock.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
pub(crate) struct ClockFacts {
    /// Nanoseconds of one reading.
    pub(crate) read_ns: f64,
    /// Where the kernel gets the time from.
    pub(crate) source: Option<String>,
    /// Where else it could.
    pub(crate) available: Option<String>,
}

/// Measures it, in less than a tenth of a second even with a slow clock.
pub(crate) fn measure(root: &Root) -> ClockFacts {
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        for _ in 0..READS {
            std::hint::black_box(Instant::now());
        }
        // The least is the cost; more is what else the host did meanwhile.
        best = best.min(begun.elapsed().as_nanos() as f64 / f64::from(READS));
    }
    ClockFacts {
        read_ns: best,
        source: root.word(format!("{FOLDER}/current_clocksource")),
        available: root.word(format!("{FOLDER}/available_clocksource")),
    }
}
