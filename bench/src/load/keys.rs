//! Which key is next.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::load::rng::Rng;

/// How keys are chosen.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum KeysDist {
    /// Each as likely as any other.
    Uniform,
    /// A few are wanted much more often: the k-th most wanted as often as 1/k to this power.
    Zipf(f64),
    /// Writes walk through the keys, reads prefer what was written last, as steeply as this.
    Latest(f64),
    /// This share of the keys takes that share of the operations.
    Hot {
        /// Share of the keys.
        keys: f64,
        /// Share of the operations.
        ops: f64,
    },
}

/// What YCSB, which made this usual, takes.
const ZIPF_DEFAULT: f64 = 0.99;

impl fmt::Display for KeysDist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeysDist::Uniform => f.write_str("uniform"),
            KeysDist::Zipf(power) => write!(f, "zipf:{power}"),
            KeysDist::Latest(power) => write!(f, "latest:{power}"),
            KeysDist::Hot { keys, ops } => {
                write!(f, "hot:{}/{}", keys * 100.0, ops * 100.0)
            }
        }
    }
}

impl FromStr for KeysDist {
    type Err = String;

    fn from_str(text: &str) -> Result<KeysDist, String> {
        let (name, rest) = text.split_once(':').map_or((text, None), |(n, r)| (n, Some(r)));
        let power = || match rest.map(str::parse::<f64>) {
            None => Some(ZIPF_DEFAULT),
            Some(Ok(power)) if (0.0..=10.0).contains(&power) => Some(power),
            Some(_) => None,
        };
        let dist = match name {
            "uniform" if rest.is_none() => Some(KeysDist::Uniform),
            "zipf" => power().map(KeysDist::Zipf),
            "latest" => power().map(KeysDist::Latest),
            "hot" => parse_hot(rest.unwrap_or("20/80")),
            _ => None,
        };
        dist.ok_or_else(|| {
            "uniform, zipf:POWER (0 to 10; 0.99 is usual), latest:POWER, or hot:KEYS/OPS (percent, \
             such as hot:20/80) is expected"
                .to_string()
        })
    }
}

fn parse_hot(text: &str) -> Option<KeysDist> {
    let (keys, ops) = text.split_once('/')?;
    let share = |text: &str| text.parse::<f64>().ok().map(|percent| percent / 100.0);
    let (keys, ops) = (share(keys)?, share(ops)?);
    let legal = keys > 0.0 && keys <= 1.0 && (0.0..=1.0).contains(&ops);
    legal.then_some(KeysDist::Hot { keys, ops })
}

/// Chooses among some keys. Copies share their table.
#[derive(Clone, Debug)]
pub(crate) struct Chooser {
    keys: u32,
    dist: KeysDist,
    /// How likely a rank is at most this one, for those that need it.
    table: Arc<[f64]>,
}

impl Chooser {
    pub(crate) fn new(dist: KeysDist, keys: u32) -> Chooser {
        let table = match dist {
            KeysDist::Uniform | KeysDist::Hot { .. } => Arc::default(),
            KeysDist::Zipf(power) | KeysDist::Latest(power) => cumulated(power, keys),
        };
        Chooser { keys, dist, table }
    }

    /// The next key of a read; `newest` is the one that was written last.
    pub(crate) fn read(&self, newest: u32, rng: &mut Rng) -> u32 {
        match self.dist {
            KeysDist::Latest(_) if self.keys > 0 => {
                (newest + self.keys - self.rank(rng)) % self.keys
            }
            KeysDist::Latest(_) | KeysDist::Uniform | KeysDist::Zipf(_) | KeysDist::Hot { .. } => {
                self.any(rng)
            }
        }
    }

    /// The next key of a write.
    pub(crate) fn write(&self, newest: u32, rng: &mut Rng) -> u32 {
        match self.dist {
            KeysDist::Latest(_) if self.keys > 0 => (newest + 1) % self.keys,
            KeysDist::Latest(_) | KeysDist::Uniform | KeysDist::Zipf(_) | KeysDist::Hot { .. } => {
                self.any(rng)
            }
        }
    }

    fn any(&self, rng: &mut Rng) -> u32 {
        match self.dist {
            _ if self.keys == 0 => 0,
            KeysDist::Uniform => rng.below(self.keys),
            KeysDist::Zipf(_) | KeysDist::Latest(_) => self.rank(rng),
            KeysDist::Hot { keys, ops } => {
                let hot = ((f64::from(self.keys) * keys).ceil() as u32).clamp(1, self.keys);
                if hot == self.keys || rng.fraction() < ops {
                    rng.below(hot)
                } else {
                    hot + rng.below(self.keys - hot)
                }
            }
        }
    }

    fn rank(&self, rng: &mut Rng) -> u32 {
        let share = rng.fraction();
        let rank = self.table.partition_point(|cumulated| *cumulated <= share) as u32;
        rank.min(self.keys - 1)
    }
}

fn cumulated(power: f64, keys: u32) -> Arc<[f64]> {
    let weight = |rank: u32| f64::from(rank).powf(-power);
    let total: f64 = (1..=keys).map(weight).sum();
    let mut sum = 0.0;
    let shares = (1..=keys).map(|rank| {
        sum += weight(rank) / total;
        sum
    });
    shares.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(dist: &str, keys: u32) -> Vec<u32> {
        let chooser = Chooser::new(dist.parse().unwrap(), keys);
        let (mut rng, mut counts) = (Rng::new(1, 1), vec![0; keys as usize]);
        for _ in 0..100_000 {
            counts[chooser.read(0, &mut rng) as usize] += 1;
        }
        counts
    }

    #[test]
    fn key_distributions_have_their_shape() {
        let near = |count: u32, share: f64| (f64::from(count) - share * 1e5).abs() < 1_000.0;
        assert!(counts("uniform", 10).iter().all(|count| near(*count, 0.1)));
        let zipf = counts("zipf:1", 3);
        assert!(near(zipf[0], 6.0 / 11.0) && near(zipf[1], 3.0 / 11.0), "{zipf:?}");
        let latest = counts("latest:1", 3);
        assert!(near(latest[0], 6.0 / 11.0) && near(latest[2], 3.0 / 11.0), "{latest:?}");
        let hot = counts("hot:20/80", 10);
        assert!(near(hot[0] + hot[1], 0.8) && near(hot[9], 0.025), "{hot:?}");
    }

    #[test]
    fn names_are_read_back() {
        for name in ["uniform", "zipf:0.5", "latest:0.99", "hot:20/80"] {
            assert_eq!(name.parse::<KeysDist>().unwrap().to_string(), name);
        }
        for bad in ["", "zipf:-1", "zipf:x", "hot:0/80", "hot:5", "uniform:1", "pareto"] {
            assert!(bad.parse::<KeysDist>().is_err(), "{bad}");
        }
        let mut rng = Rng::new(1, 1);
        assert_eq!(Chooser::new(KeysDist::Zipf(0.99), 0).write(0, &mut rng), 0);
        assert_eq!(Chooser::new(KeysDist::Latest(0.99), 3).write(2, &mut rng), 0);
    }
}
