//! How long values are.

use std::fmt;
use std::str::FromStr;

/// Bytes of values: from `min` to `max`, every size as likely as any other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sizes {
    pub min: usize,
    pub max: usize,
}

impl Sizes {
    /// Values longer than this are refused by every server with default settings.
    pub(crate) const BYTES_MAX: usize = 1_000_000;

    /// All alike.
    pub(crate) const fn fixed(bytes: usize) -> Sizes {
        Sizes { min: bytes, max: bytes }
    }

    /// One of the sizes, chosen by 64 random bits.
    pub(crate) const fn pick(self, bits: u64) -> usize {
        let span = (self.max - self.min) as u64 + 1;
        self.min + (bits % span) as usize
    }

    /// Whether some value is that long.
    pub(crate) const fn hold(self, bytes: usize) -> bool {
        self.min <= bytes && bytes <= self.max
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max {
            write!(f, "{}", self.min)
        } else {
            write!(f, "{}-{}", self.min, self.max)
        }
    }
}

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Sizes, String> {
        let span = text.strip_prefix("uniform:").unwrap_or(text);
        let (min, max) = span.split_once('-').unwrap_or((span, span));
        let parse = |text: &str| text.trim().replace('_', "").parse::<usize>();
        let (Ok(min), Ok(max)) = (parse(min), parse(max)) else {
            return Err("a number of bytes, or uniform:MIN-MAX, is expected".to_string());
        };
        if min > max {
            return Err(format!("{min} is more than {max}"));
        }
        if max > Sizes::BYTES_MAX {
            return Err("values must stay below 1 MB, the default limit of every server".into());
        }
        Ok(Sizes { min, max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::rng::mix;

    #[test]
    fn sizes_parse_and_are_uniform() {
        assert_eq!("100".parse(), Ok(Sizes::fixed(100)));
        assert_eq!("uniform:24-1000".parse(), Ok(Sizes { min: 24, max: 1_000 }));
        for bad in ["", "x", "9-3", "uniform:1-2000000"] {
            assert!(bad.parse::<Sizes>().is_err(), "{bad}");
        }
        let sizes = Sizes { min: 10, max: 12 };
        let mut seen = [0_u32; 3];
        for seq in 0..300 {
            seen[sizes.pick(mix(seq)) - 10] += 1;
        }
        assert!(seen.iter().all(|count| *count > 50), "{seen:?}");
        assert_eq!((sizes.to_string(), Sizes::fixed(7).to_string()), ("10-12".into(), "7".into()));
    }
}
