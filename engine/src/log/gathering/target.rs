//! What group commit is to achieve, and how it is written in a configuration.

use std::fmt;
use std::str::FromStr;

/// What the batching delay is to achieve.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Target {
    /// No delay: a group is flushed as soon as the disk is free.
    #[default]
    Latency,
    /// As many writes as possible in the same time.
    Throughput,
    /// As few syncs as possible, as long as this holds and the throughput does not fall.
    Within(Quantile),
}

/// A bound on the time of most writes: from being ordered to being durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quantile {
    /// The share of the writes that keep the bound, in ten-thousandths.
    pub share: u32,
    /// The bound.
    pub micros: u64,
}

/// Ten-thousandths in a whole.
pub(super) const WHOLE: u32 = 10_000;
/// The longest bound that can be set.
const MICROS_MAX: u64 = 60_000_000;
/// What is proposed for a text that is not understood.
const EXAMPLE: &str = "p99<2ms";

/// Why a text is no target, and what to write instead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoTarget {
    /// What is wrong.
    pub reason: String,
    /// A target near to what was written.
    pub instead: String,
}

impl NoTarget {
    fn new(reason: impl Into<String>, instead: impl Into<String>) -> NoTarget {
        NoTarget { reason: reason.into(), instead: instead.into() }
    }
}

impl fmt::Display for NoTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; write {}", self.reason, self.instead)
    }
}

impl std::error::Error for NoTarget {}

impl FromStr for Target {
    type Err = NoTarget;

    fn from_str(text: &str) -> Result<Target, NoTarget> {
        let word: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let word = word.to_ascii_lowercase();
        match word.as_str() {
            "latency" => return Ok(Target::Latency),
            "throughput" => return Ok(Target::Throughput),
            _ => {}
        }
        let quantile = word.strip_prefix('p').and_then(|rest| rest.split_once('<'));
        let Some((percent, time)) = quantile else { return Err(neither(text, &word)) };
        let share = share(percent).ok_or_else(|| no_percentile(percent, time))?;
        let micros = micros(time).map_err(|error| match error {
            NoTime::Unit => NoTarget::new(
                format!("\"{time}\" has no unit; there are us, ms and s"),
                format!("p{percent}<{time}ms"),
            ),
            NoTime::Zero => {
                NoTarget::new("no write is durable in no time at all", format!("p{percent}<2ms"))
            }
            NoTime::TooLong => {
                NoTarget::new(format!("{time} is too long, at most 60s is possible"), EXAMPLE)
            }
            NoTime::NoNumber => NoTarget::new(
                format!("\"{time}\" is no time; it is a whole number and us, ms or s"),
                format!("p{percent}<2ms"),
            ),
        })?;
        Ok(Target::Within(Quantile { share, micros }))
    }
}

/// Something else than a word that is known and the form of a quantile.
fn neither(text: &str, word: &str) -> NoTarget {
    let instead = match micros(word) {
        Ok(_) => format!("p99<{word}"),
        Err(_) if word.starts_with('p') && word.contains('9') => EXAMPLE.to_owned(),
        Err(_) if word.starts_with('t') => "throughput".to_owned(),
        Err(_) => "latency".to_owned(),
    };
    let reason =
        format!("\"{text}\" is neither latency nor throughput nor a bound such as {EXAMPLE}");
    NoTarget::new(reason, instead)
}

fn no_percentile(percent: &str, time: &str) -> NoTarget {
    let time = if micros(time).is_ok() { time } else { "2ms" };
    let reason = format!("there is no percentile p{percent}; there are p1 to p99.99");
    NoTarget::new(reason, format!("p99<{time}"))
}

/// The share of a percentile such as `99.9`, with two decimals at the most.
fn share(percent: &str) -> Option<u32> {
    let (whole, decimals) = percent.split_once('.').unwrap_or((percent, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || whole.len() > 2 || decimals.len() > 2 {
        return None;
    }
    let hundredths: u32 = format!("{decimals:0<2}").parse().ok()?;
    let share = whole.parse::<u32>().ok()? * 100 + hundredths;
    (100..WHOLE).contains(&share).then_some(share)
}

/// Why a text is no time.
enum NoTime {
    NoNumber,
    Unit,
    Zero,
    TooLong,
}

fn micros(text: &str) -> Result<u64, NoTime> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let scale = match unit {
        _ if digits.is_empty() => return Err(NoTime::NoNumber),
        "us" | "µs" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "" if digits.bytes().all(|digit| digit == b'0') => return Err(NoTime::Zero),
        "" => return Err(NoTime::Unit),
        _ => return Err(NoTime::NoNumber),
    };
    let number: u64 = digits.parse().map_err(|_| NoTime::TooLong)?;
    match number.checked_mul(scale) {
        Some(0) => Err(NoTime::Zero),
        Some(micros) if micros <= MICROS_MAX => Ok(micros),
        Some(_) | None => Err(NoTime::TooLong),
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Quantile { share, micros } = match self {
            Target::Latency => return f.write_str("latency"),
            Target::Throughput => return f.write_str("throughput"),
            Target::Within(quantile) => *quantile,
        };
        let (whole, rest) = (share / 100, share % 100);
        write!(f, "p{whole}")?;
        match (rest / 10, rest % 10) {
            (0, 0) => {}
            (tenths, 0) => write!(f, ".{tenths}")?,
            _ => write!(f, ".{rest:02}")?,
        }
        match micros {
            _ if micros % 1_000_000 == 0 => write!(f, "<{}s", micros / 1_000_000),
            _ if micros % 1_000 == 0 => write!(f, "<{}ms", micros / 1_000),
            _ => write!(f, "<{micros}us"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(share: u32, micros: u64) -> Target {
        Target::Within(Quantile { share, micros })
    }

    #[test]
    fn targets_survive_parsing_and_display() {
        for (text, target) in [
            ("latency", Target::Latency),
            ("throughput", Target::Throughput),
            ("p99<2ms", within(9_900, 2_000)),
            ("p99.9<500us", within(9_990, 500)),
            ("p99.99<1s", within(9_999, 1_000_000)),
            ("p50<1500us", within(5_000, 1_500)),
            ("p1<60s", within(100, 60_000_000)),
        ] {
            assert_eq!(text.parse(), Ok(target), "{text}");
            assert_eq!(target.to_string(), text);
        }
        assert_eq!(" Throughput ".parse(), Ok(Target::Throughput));
        assert_eq!("P99 < 2 MS".parse(), Ok(within(9_900, 2_000)));
    }

    #[test]
    fn bad_target_is_refused_with_a_good_one() {
        for (text, reason, instead) in [
            ("p99<0", "no time at all", "p99<2ms"),
            ("p99<0ms", "no time at all", "p99<2ms"),
            ("p101<2ms", "no percentile p101", "p99<2ms"),
            ("p0<2ms", "no percentile p0", "p99<2ms"),
            ("p100<3ms", "no percentile p100", "p99<3ms"),
            ("p99.999<2ms", "no percentile p99.999", "p99<2ms"),
            ("p<2ms", "no percentile p", "p99<2ms"),
            ("2ms", "neither latency nor throughput", "p99<2ms"),
            ("p99<5", "no unit", "p99<5ms"),
            ("p99<-5ms", "no time", "p99<2ms"),
            ("p99<2h", "no time", "p99<2ms"),
            ("p99<61s", "too long", "p99<2ms"),
            ("p99<99999999999999999999s", "too long", "p99<2ms"),
            ("p99", "neither", "p99<2ms"),
            ("thruput", "neither", "throughput"),
            ("fast", "neither", "latency"),
            ("", "neither", "latency"),
        ] {
            let error = text.parse::<Target>().expect_err(text);
            assert!(error.reason.contains(reason), "{text}: {error}");
            assert_eq!(error.instead, instead, "{text}");
            assert!(error.instead.parse::<Target>().is_ok(), "{text}");
        }
    }
}
