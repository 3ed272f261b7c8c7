//! The server's own counters in the course of a run: the four-letter word `mntr`, asked once a
//! second from a thread of its own. A server that does not answer the first time is not asked
//! again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use crate::model::clock::{Clock, Nanos, SECOND};
use crate::servers::four_letter;
use crate::servers::metrics::Commits;

/// How often it is asked.
const PERIOD: Duration = Duration::from_secs(1);
/// How long the last answer is waited for.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Counters at one instant.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct CounterSample {
    pub at: Nanos,
    /// Values by name, without `zk_`.
    pub values: BTreeMap<String, f64>,
    /// `leader`, `follower`, `standalone`, ...
    pub role: Option<String>,
    /// How its commits are distributed, if it has such metrics.
    pub commits: Option<Commits>,
}

impl CounterSample {
    /// Reads an answer; `None` if it is a refusal.
    pub(crate) fn parse(at: Nanos, answer: &str) -> Option<CounterSample> {
        let mut counted = CounterSample { at, values: BTreeMap::new(), role: None, commits: None };
        for line in answer.lines() {
            let Some((name, value)) = line.split_once('\t') else { continue };
            let name = name.strip_prefix("zk_").unwrap_or(name);
            if name == "server_state" {
                counted.role = Some(value.to_string());
            } else if let Ok(value) = value.trim().parse::<f64>()
                && value.is_finite()
            {
                counted.values.insert(name.to_string(), value);
            }
        }
        (!counted.values.is_empty()).then_some(counted)
    }

    /// One value, or 0.
    pub(crate) fn value(&self, name: &str) -> f64 {
        self.values.get(name).copied().unwrap_or(0.0)
    }
}

/// Where the counters are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    pub server: SocketAddr,
    pub metrics: Option<SocketAddr>,
}

/// The thread that reads them.
#[derive(Debug)]
pub(crate) struct Monitor {
    stop: Sender<()>,
    answers: Receiver<Vec<CounterSample>>,
}

impl Monitor {
    /// Reads once and waits for the answer, so that the first one is from before the load, and goes
    /// on reading.
    pub(crate) fn start(source: Source, clock: Clock) -> Monitor {
        let (stop, stopped) = mpsc::channel();
        let (answer, answers) = mpsc::channel();
        let first = sample(source, clock);
        std::thread::spawn(move || {
            // The receiver is gone if this fails.
            let _ = answer.send(sample_until(source, clock, first, &stopped));
        });
        Monitor { stop, answers }
    }

    /// Reads a last time and hands out all answers. A server that does not answer in time leaves
    /// none.
    pub(crate) fn stop(self) -> Vec<CounterSample> {
        drop(self.stop);
        self.answers.recv_timeout(TIMEOUT).unwrap_or_default()
    }
}

fn sample_until(
    source: Source,
    clock: Clock,
    first: Option<CounterSample>,
    stopped: &Receiver<()>,
) -> Vec<CounterSample> {
    let mut all = Vec::from_iter(first);
    let mut due = clock.now();
    while !all.is_empty() {
        due += SECOND;
        let wait = Duration::from_nanos(due.saturating_sub(clock.now())).min(PERIOD);
        match stopped.recv_timeout(wait) {
            // It has answered before, so it may come back.
            Err(RecvTimeoutError::Timeout) => all.extend(sample(source, clock)),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                all.extend(sample(source, clock));
                break;
            }
        }
    }
    all
}

fn sample(source: Source, clock: Clock) -> Option<CounterSample> {
    let answer = four_letter::query(source.server, "mntr").unwrap_or_default();
    let counted = CounterSample::parse(clock.now(), &answer);
    let commits = source.metrics.and_then(Commits::fetch);
    // Where the word is not allowed, metrics may be.
    let silent =
        || CounterSample { at: clock.now(), values: BTreeMap::new(), role: None, commits: None };
    let counted = counted.or_else(|| commits.is_some().then(silent))?;
    Some(CounterSample { commits, ..counted })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mntr_refusal_is_none() {
        let text = "zk_server_state\tleader\nzk_cnt_fsynctime\t12\nzk_version\t3.9.5\n";
        let counted = CounterSample::parse(7, text).unwrap();
        assert_eq!(counted.role.as_deref(), Some("leader"));
        assert_eq!(counted.value("cnt_fsynctime"), 12.0);
        assert_eq!(counted.values.len(), 1);
        let refusal = "mntr is not executed because it is not in the whitelist.\n";
        assert_eq!(CounterSample::parse(7, refusal), None);
    }
}
