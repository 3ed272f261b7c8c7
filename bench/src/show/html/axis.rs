//! Axes: where a value lies, and which values are written beside it.

use crate::model::numbers::grouped;

/// How values are spread over an axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Scale {
    Linear,
    Log,
}

/// An axis.
#[derive(Clone, Debug)]
pub struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    /// Values with their texts, in rising order.
    pub(crate) ticks: Vec<(f64, String)>,
}

impl Axis {
    /// From 0 to a little more than the highest value.
    pub(crate) fn from_zero(highest: f64, show: fn(f64) -> String) -> Axis {
        let highest = if highest > 0.0 { highest } else { 1.0 };
        let step = nice_step(highest / 4.0);
        let steps = (highest / step * 1.02).ceil().max(1.0);
        let ticks = (0..=steps as u32).map(|n| f64::from(n) * step);
        let ticks = ticks.map(|at| (at, show(at))).collect();
        Axis { scale: Scale::Linear, low: 0.0, high: steps * step, ticks }
    }

    pub(crate) fn seconds(end: f64) -> Axis {
        let end = end.max(1.0);
        let step = nice_step(end / 6.0).max(1.0);
        let ticks = (0..=(end / step) as u32).map(|n| f64::from(n) * step);
        let ticks = ticks.map(|at| (at, format!("{at:.0} s"))).collect();
        Axis { scale: Scale::Linear, low: 0.0, high: end, ticks }
    }

    /// Named steps, the first of them at 1.
    pub fn steps(names: impl Iterator<Item = String>) -> Axis {
        let ticks: Vec<_> = (1..).map(f64::from).zip(names).collect();
        Axis { scale: Scale::Linear, low: 0.0, high: ticks.len() as f64 + 1.0, ticks }
    }

    /// Latencies in microseconds, each tenfold as far as the last one.
    pub fn latency(lowest: f64, highest: f64) -> Axis {
        Axis::log(lowest, highest, short_latency)
    }

    /// Values, each tenfold as far as the last one.
    pub fn log(lowest: f64, highest: f64, show: fn(f64) -> String) -> Axis {
        let low = steps_of(lowest.max(0.1)).0;
        let high = steps_of(highest.max(lowest).max(0.1)).1.max(low * 5.0);
        let decades = (high / low).log10();
        let factors: &[f64] = if decades > 2.6 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let mut ticks = Vec::new();
        let mut decade = 10_f64.powf(low.log10().floor());
        while decade <= high {
            for at in factors.iter().map(|factor| factor * decade) {
                if at >= low * 0.999 && at <= high * 1.001 {
                    ticks.push((at, show(at)));
                }
            }
            decade *= 10.0;
        }
        Axis { scale: Scale::Log, low, high, ticks }
    }

    /// Percentiles, with every nine as far from the last one; in terms of [`nines`].
    pub(crate) fn percentiles(count: u64) -> Axis {
        let high = (count.max(10) as f64).log10().clamp(1.0, 8.0);
        let marks = [
            (0.0, "0 %"),
            (0.5, "50 %"),
            (0.9, "90 %"),
            (0.99, "99 %"),
            (0.999, "99.9 %"),
            (0.9999, "99.99 %"),
            (0.99999, "99.999 %"),
            (0.999_999, "6 nines"),
            (0.999_999_9, "7 nines"),
        ];
        let ticks = marks.map(|(at, text)| (nines(at * 100.0, high), text.to_string()));
        let ticks = ticks.into_iter().filter(|(at, _)| *at < high * 0.97).collect();
        Axis { scale: Scale::Linear, low: 0.0, high, ticks }
    }

    pub(crate) fn high(&self) -> f64 {
        self.high
    }

    /// Where a value lies, from 0 to 1; values outside lie on the edge.
    pub(crate) fn position(&self, value: f64) -> f64 {
        let (value, low, high) = match self.scale {
            Scale::Linear => (value, self.low, self.high),
            Scale::Log => (value.max(self.low).ln(), self.low.ln(), self.high.ln()),
        };
        ((value - low) / (high - low)).clamp(0.0, 1.0)
    }
}

/// How many nines a percentile has; 100 % has `most`.
pub(crate) fn nines(percentile: f64, most: f64) -> f64 {
    let rest = 1.0 - percentile / 100.0;
    if rest <= 0.0 { most } else { (-rest.log10()).clamp(0.0, most) }
}

fn nice_step(about: f64) -> f64 {
    let decade = 10_f64.powf(about.log10().floor());
    let factor = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|factor| factor * decade >= about);
    factor.unwrap_or(10.0) * decade
}

/// The steps of 1, 2, 5, 10 around a value.
fn steps_of(value: f64) -> (f64, f64) {
    let decade = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * decade);
    let below = steps.into_iter().rev().find(|step| *step <= value).unwrap_or(decade);
    let above = steps.into_iter().find(|step| *step >= value).unwrap_or(decade * 10.0);
    (below, above)
}

fn short_latency(us: f64) -> String {
    let us = (us * 1e6).round() / 1e6;
    match us {
        us if us < 1_000.0 => format!("{us} µs"),
        us if us < 1e6 => format!("{} ms", us / 1e3),
        us => format!("{} s", us / 1e6),
    }
}

pub(crate) fn short_count(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{} M", trimmed(value / 1e6)),
        value if value >= 10_000.0 => format!("{} k", trimmed(value / 1e3)),
        value if value >= 10.0 || value.fract() == 0.0 => grouped(value.round() as u64),
        value => trimmed(value),
    }
}

/// A number with two digits behind the point, or fewer if they are 0.
pub fn trimmed(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_and_within() {
        let axis = Axis::from_zero(107_000.0, short_count);
        assert_eq!(texts(&axis), ["0", "50 k", "100 k", "150 k"]);
        assert_eq!(
            texts(&Axis::from_zero(0.0, short_count)),
            ["0", "0.25", "0.5", "0.75", "1", "1.25"]
                [..texts(&Axis::from_zero(0.0, short_count)).len()]
        );
        assert_eq!(
            texts(&Axis::seconds(30.0)),
            ["0 s", "5 s", "10 s", "15 s", "20 s", "25 s", "30 s"]
        );
        assert_eq!(
            texts(&Axis::latency(60.0, 900.0)),
            ["50 µs", "100 µs", "200 µs", "500 µs", "1 ms"]
        );
        assert_eq!(
            texts(&Axis::latency(12.0, 90_000.0)),
            ["10 µs", "100 µs", "1 ms", "10 ms", "100 ms"]
        );
        assert_eq!(texts(&Axis::percentiles(10_000)), ["0 %", "50 %", "90 %", "99 %", "99.9 %"]);
    }

    #[test]
    fn values_lie_between_the_ends() {
        let axis = Axis::latency(100.0, 10_000.0);
        assert!((axis.position(1_000.0) - 0.5).abs() < 1e-9);
        assert_eq!((axis.position(0.0), axis.position(1e9)), (0.0, 1.0));
        assert_eq!((nines(100.0, 5.0), nines(0.0, 5.0)), (5.0, 0.0));
        assert!((nines(99.9, 5.0) - 3.0).abs() < 1e-9);
    }
}
