//! Repeated figures, and whether two lots of them differ.
//!
//! The unit is the run. The seconds of one run depend on each other (a snapshot, a full cache, a
//! noisy neighbour last for several of them), and they say nothing about how much the next run
//! would differ; so they are no sample, however many they are. Between lots of runs the
//! Mann-Whitney test is used, exactly and from both sides: it assumes nothing about the shape of
//! the figures. The interval is that of the ratios which the test would not refuse.

/// Probability of calling equal things different.
const ALPHA: f64 = 0.05;
/// Differences below this are none that matter: hosts differ by as much from hour to hour.
const LEAST_EFFECT: f64 = 0.02;

/// Median and extremes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Spread {
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// Of some figures; `None` if there are none.
    pub(crate) fn of(mut figures: Vec<f64>) -> Option<Spread> {
        figures.sort_by(f64::total_cmp);
        let (min, max) = (*figures.first()?, *figures.last()?);
        let middle = figures.len() / 2;
        let median = if figures.len() % 2 == 1 {
            figures[middle]
        } else {
            f64::midpoint(figures[middle - 1], figures[middle])
        };
        Some(Spread { median, min, max })
    }
}

/// Whether two lots of figures differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Even if the lots were quite apart, that would happen by chance too often.
    TooFew,
    /// As different as equal things are.
    WithinNoise,
    /// A difference, and too small a one to matter.
    Slight,
    /// A difference between figures that are hard to compare.
    Doubtful,
    Larger,
    Smaller,
}

/// How new figures relate to those of the base.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Relation {
    /// Median of the ratios of every new figure to every one of the base.
    pub ratio: f64,
    /// Ratios between which the true one lies, with 95 % confidence.
    pub interval: Option<(f64, f64)>,
    /// Probability of lots as different as these if nothing has changed.
    pub p: f64,
    pub verdict: Verdict,
}

/// Relates new figures to those of the base; `None` if there is nothing to divide by.
pub(crate) fn relate(base: &[f64], new: &[f64]) -> Option<Relation> {
    if base.is_empty() || new.is_empty() || base.iter().any(|figure| *figure <= 0.0) {
        return None;
    }
    let mut ratios: Vec<f64> =
        new.iter().flat_map(|new| base.iter().map(move |base| new / base)).collect();
    ratios.sort_by(f64::total_cmp);
    let ratio = Spread::of(ratios.clone())?.median;
    let below = tail(base.len(), new.len());
    let count = |pick: fn(f64, f64) -> bool| {
        let pairs = new.iter().flat_map(|new| base.iter().map(move |base| (*new, *base)));
        pairs.filter(|(new, base)| pick(*new, *base)).count()
    };
    let (above, ties) = (count(|new, base| new > base), count(|new, base| new == base));
    let smaller = above.min(ratios.len() - above - ties);
    // Ties count against a difference.
    let u = (smaller + ties.div_ceil(2)).min(below.len() - 1);
    let p = (2.0 * below[u]).min(1.0);
    let verdict = match ratio {
        _ if 2.0 * below[0] > ALPHA => Verdict::TooFew,
        _ if p > ALPHA => Verdict::WithinNoise,
        ratio if (ratio - 1.0).abs() < LEAST_EFFECT => Verdict::Slight,
        ratio if ratio > 1.0 => Verdict::Larger,
        _ => Verdict::Smaller,
    };
    let cut = below.iter().take_while(|below| 2.0 * **below <= ALPHA).count();
    let interval = (cut > 0).then(|| (ratios[cut - 1], ratios[ratios.len() - cut]));
    Some(Relation { ratio, interval, p, verdict })
}

impl Relation {
    /// The same between figures that are hard to compare: no difference is claimed.
    pub(crate) fn doubtful(self) -> Relation {
        let verdict = match self.verdict {
            Verdict::Larger | Verdict::Smaller => Verdict::Doubtful,
            same @ (Verdict::TooFew
            | Verdict::WithinNoise
            | Verdict::Slight
            | Verdict::Doubtful) => same,
        };
        Relation { verdict, ..self }
    }
}

/// The smallest number of runs on each side with which a difference can be found.
pub(crate) const RUNS_MIN: usize = 4;

/// For each value of U its probability or that of a smaller one, if nothing differs.
///
/// The counts of arrangements are the coefficients of a Gaussian binomial, a product of
/// `(1 - q^(m+i)) / (1 - q^i)` over `i` up to `n`.
fn tail(n: usize, m: usize) -> Vec<f64> {
    let mut counts = vec![0.0; n * m + 1];
    counts[0] = 1.0_f64;
    for i in 1..=n {
        for at in (m + i..counts.len()).rev() {
            counts[at] -= counts[at - m - i];
        }
        for at in i..counts.len() {
            counts[at] += counts[at - i];
        }
    }
    let all: f64 = counts.iter().sum();
    let mut sum = 0.0;
    counts
        .iter()
        .map(|count| {
            sum += count / all;
            sum
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_has_median_and_extremes() {
        let spread = |figures: &[f64]| Spread::of(figures.to_vec());
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[3.0, 1.0, 2.0]).unwrap().median, 2.0);
        assert_eq!(spread(&[4.0, 1.0]).unwrap(), Spread { median: 2.5, min: 1.0, max: 4.0 });
    }

    /// Critical values from published tables: the largest U at 5 % from both sides.
    #[test]
    fn mann_whitney_tail_matches_published_tables() {
        for (n, m, critical) in
            [(4, 4, 0), (5, 5, 2), (6, 6, 5), (8, 8, 13), (10, 10, 23), (5, 8, 6)]
        {
            let below = tail(n, m);
            assert!(2.0 * below[critical] <= ALPHA, "{n} {m}");
            assert!(2.0 * below[critical + 1] > ALPHA, "{n} {m}");
        }
        assert!((tail(3, 3)[0] - 0.05).abs() < 1e-12);
        assert!((tail(7, 4).last().unwrap() - 1.0).abs() < 1e-9);
        assert!(2.0 * tail(RUNS_MIN, RUNS_MIN)[0] <= ALPHA);
        assert!(2.0 * tail(RUNS_MIN - 1, RUNS_MIN - 1)[0] > ALPHA);
    }

    #[test]
    fn too_few_runs_give_no_verdict() {
        let relation = relate(&[1.0, 1.1, 1.2], &[9.0, 9.1, 9.2]).unwrap();
        assert_eq!((relation.verdict, relation.interval), (Verdict::TooFew, None));
        assert_eq!(relate(&[], &[1.0]), None);
        assert_eq!(relate(&[0.0], &[1.0]), None);
    }

    #[test]
    fn difference_beyond_noise_is_found() {
        let base = [100.0, 101.0, 103.0, 99.0, 102.0];
        let noise = relate(&base, &[100.5, 98.0, 104.0, 101.5, 99.5]).unwrap();
        assert_eq!(noise.verdict, Verdict::WithinNoise);
        let (low, high) = noise.interval.unwrap();
        assert!(low < 1.0 && 1.0 < high && low <= noise.ratio && noise.ratio <= high);
        let faster = relate(&base, &[110.0, 112.0, 111.0, 109.0, 113.0]).unwrap();
        assert_eq!(faster.verdict, Verdict::Larger);
        assert!((faster.p - 2.0 / 252.0).abs() < 1e-9, "{}", faster.p);
        let (low, high) = faster.interval.unwrap();
        assert!(1.0 < low && low < 1.1 && 1.1 < high, "{low} {high}");
        assert_eq!(relate(&[110.0, 112.0, 111.0, 109.0], &base).unwrap().verdict, Verdict::Smaller);
        assert_eq!(relate(&base, &base).unwrap().verdict, Verdict::WithinNoise);
        assert_eq!(relate(&[5.0; 6], &[5.0; 6]).unwrap().p, 1.0);
    }

    /// Of lots that do not differ at most 5 % may be called different.
    #[test]
    fn equal_samples_differ_in_at_most_5_percent() {
        let mut rng = crate::load::rng::Rng::new(7, 7);
        let mut lot = || (0..5).map(|_| 1.0 + rng.fraction()).collect::<Vec<_>>();
        let wrong = (0..2_000).filter(|_| {
            let relation = relate(&lot(), &lot()).unwrap();
            relation.verdict != Verdict::WithinNoise
        });
        let wrong = wrong.count();
        assert!((10..=100).contains(&wrong), "{wrong} of 2000");
    }
}
