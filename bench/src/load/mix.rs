//! Operations by weight.

use std::fmt;

use crate::load::rng::Rng;
use crate::model::kind::Kind;

/// What can be mixed.
pub(crate) const MIXED: [Kind; 9] = [
    Kind::Get,
    Kind::Set,
    Kind::Create,
    Kind::Delete,
    Kind::Exists,
    Kind::Children,
    Kind::Multi,
    Kind::Ephemeral,
    Kind::SyncGet,
];

/// Operations and how often each of them is chosen, relative to the others.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Mix {
    weights: [f64; MIXED.len()],
}

impl Mix {
    /// One kind only.
    pub(crate) fn only(kind: Kind) -> Mix {
        Mix { weights: MIXED.map(|mixed| if mixed == kind { 1.0 } else { 0.0 }) }
    }

    /// Reads, and sets as the rest.
    pub(crate) fn reads(share: f64) -> Mix {
        let mut mix = Mix::only(Kind::Get);
        (mix.weights[0], mix.weights[1]) = (share, 1.0 - share);
        mix
    }

    pub(crate) fn of<'a>(weights: impl Iterator<Item = (&'a str, f64)>) -> Result<Mix, String> {
        let mut mix = Mix { weights: [0.0; MIXED.len()] };
        for (name, weight) in weights {
            let Some(at) = MIXED.iter().position(|kind| kind.name() == name) else {
                return Err(format!("{name:?} cannot be mixed; {} can", Mix::names().join(", ")));
            };
            if !weight.is_finite() || weight < 0.0 {
                return Err(format!("the weight of {name} must be 0 or more"));
            }
            mix.weights[at] += weight;
        }
        if mix.total() <= 0.0 {
            return Err("some weight must be above 0".to_string());
        }
        Ok(mix)
    }

    /// Reads `get=80,set=15,create=5`.
    pub(crate) fn parse(text: &str) -> Result<Mix, String> {
        let weights = text.split(',').map(|part| {
            let (name, weight) = part.split_once('=').unwrap_or((part, ""));
            let weight = weight.trim().parse::<f64>();
            let weight = weight.map_err(|_| format!("NAME=WEIGHT expected instead of {part:?}"))?;
            Ok((name.trim(), weight))
        });
        Mix::of(weights.collect::<Result<Vec<_>, String>>()?.into_iter())
    }

    pub(crate) fn names() -> Vec<&'static str> {
        MIXED.map(Kind::name).to_vec()
    }

    pub(crate) fn has(&self, kind: Kind) -> bool {
        self.kinds().any(|(mixed, _)| mixed == kind)
    }

    pub(crate) fn choose(&self, rng: &mut Rng) -> Kind {
        let mut rest = rng.fraction() * self.total();
        let mut last = Kind::Get;
        for (kind, weight) in self.kinds() {
            if rest < weight {
                return kind;
            }
            rest -= weight;
            last = kind;
        }
        last
    }

    /// The only kind, where there is one.
    pub(crate) fn single(&self) -> Option<Kind> {
        let mut kinds = self.kinds();
        kinds.next().filter(|_| kinds.next().is_none()).map(|(kind, _)| kind)
    }

    fn kinds(&self) -> impl Iterator<Item = (Kind, f64)> {
        MIXED.into_iter().zip(self.weights).filter(|(_, weight)| *weight > 0.0)
    }

    fn total(&self) -> f64 {
        self.weights.iter().sum()
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let two = self.kinds().all(|(kind, _)| matches!(kind, Kind::Get | Kind::Set));
        if two && (self.total() - 1.0).abs() < 1e-9 {
            return write!(f, "{}", self.weights[0]);
        }
        for (at, (kind, weight)) in self.kinds().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma}{}={weight}", kind.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mix_chooses_by_weight() {
        let mix = Mix::parse("get=80,set=15,create=5").unwrap();
        assert_eq!(mix.to_string(), "get=80,set=15,create=5");
        assert!(mix.has(Kind::Create) && !mix.has(Kind::Multi) && mix.single().is_none());
        let (mut rng, mut gets) = (Rng::new(1, 1), 0);
        for _ in 0..10_000 {
            gets += u32::from(mix.choose(&mut rng) == Kind::Get);
        }
        assert!((7_800..8_200).contains(&gets), "{gets}");
        assert_eq!(Mix::only(Kind::Set).single(), Some(Kind::Set));
        assert_eq!(Mix::reads(0.9).to_string(), "0.9");
        for bad in ["", "get", "get=x", "got=1", "get=-1", "get=0", "get=nan"] {
            assert!(Mix::parse(bad).is_err(), "{bad}");
        }
    }
}
