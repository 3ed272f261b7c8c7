//! The server's metrics for Prometheus, as far as they say how its commits are distributed.

use crate::model::quantiles::Distribution;
use crate::servers::four_letter::exchange;

use std::net::SocketAddr;
use std::time::Duration;

/// How long an answer is waited for.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Names of the histograms, without their endings.
const SECONDS: &str = "ringkeeper_fsync_seconds";
const RECORDS: &str = "ringkeeper_commit_batch_records";

/// How long commits took and how many records they held, since the server began to count.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Commits {
    pub seconds: Buckets,
    pub records: Buckets,
}

impl Commits {
    /// Reads the metrics of a server; none if it does not answer, or says other things.
    pub(crate) fn fetch(address: SocketAddr) -> Option<Commits> {
        let request = format!("GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n");
        Commits::parse(&exchange(address, &request, TIMEOUT).ok()?)
    }

    fn parse(text: &str) -> Option<Commits> {
        let read = |name| Buckets::parse(text, name);
        Some(Commits { seconds: read(SECONDS)?, records: read(RECORDS)? })
    }
}

/// A histogram of Prometheus: upper bounds, and how many were at most that.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Buckets(Vec<(f64, u64)>);

impl Buckets {
    fn parse(text: &str, name: &str) -> Option<Buckets> {
        let start = format!("{name}_bucket{{le=\"");
        let bucket = |line: &str| {
            let (bound, count) = line.strip_prefix(&start)?.split_once("\"} ")?;
            Some((bound.parse::<f64>().ok()?, count.trim().parse::<u64>().ok()?))
        };
        let all: Vec<_> = text.lines().filter_map(bucket).collect();
        (!all.is_empty()).then_some(Buckets(all))
    }

    /// What was added since; none if nothing was, or if the server has begun anew.
    pub(crate) fn since(&self, before: &Buckets) -> Option<Buckets> {
        let pairs = self.0.iter().zip(&before.0);
        let added: Option<Vec<_>> =
            pairs.map(|(now, then)| Some((now.0, now.1.checked_sub(then.1)?))).collect();
        added.map(Buckets).filter(|added| added.0.last().is_some_and(|(_, count)| *count > 0))
    }

    /// The least value that this share is not above, taken evenly inside of its bucket.
    fn quantile(&self, share: f64) -> f64 {
        let all = self.0.last().map_or(0, |(_, count)| *count);
        let rank = share * all as f64;
        let (mut low, mut below) = (0.0, 0);
        for (bound, count) in &self.0 {
            if *count as f64 >= rank && *count > below {
                let part = (rank - below as f64) / (count - below) as f64;
                // Beyond the last bound nothing is known.
                return if bound.is_finite() { low + (bound - low) * part } else { low };
            }
            (low, below) = (*bound, *count);
        }
        low
    }

    pub(crate) fn distribution(&self) -> Distribution {
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| self.quantile(share));
        Distribution { p50, p99, max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exposition(counts: [u64; 4]) -> String {
        let bounds = ["0.001", "0.002", "0.01", "+Inf"];
        let lines = [SECONDS, RECORDS].map(|name| {
            let buckets = bounds.iter().zip(counts);
            let line = |(le, count)| format!("{name}_bucket{{le=\"{le}\"}} {count}\n");
            buckets.map(line).collect::<String>() + &format!("{name}_count {}\n", counts[3])
        });
        format!("HTTP/1.0 200 OK\r\n\r\n# HELP x y\n{}", lines.concat())
    }

    #[test]
    fn added_buckets_give_distribution() {
        let before = Commits::parse(&exposition([100, 100, 100, 100])).unwrap();
        let now = Commits::parse(&exposition([150, 198, 200, 200])).unwrap();
        let added = now.seconds.since(&before.seconds).unwrap().distribution();
        assert_eq!(added.p50, 0.001);
        assert!((0.002..0.01).contains(&added.p99), "{added:?}");
        assert_eq!(added.times(1e3).max, 10.0);
        assert_eq!(before.seconds.since(&now.seconds), None, "it has begun anew");
        assert_eq!(now.records.since(&now.records), None, "nothing was added");
        let far = Commits::parse(&exposition([0, 0, 0, 7])).unwrap();
        assert_eq!(far.seconds.distribution().p50, 0.01, "the last bound that is known");
        assert_eq!(Commits::parse("HTTP/1.0 404 Not Found\r\n\r\n"), None);
    }
}
