//! The options that make up a load. Their long names are the keys of a scenario's phases.

use std::fmt::Write as _;
use std::ops::Deref;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;

use crate::load::keys::KeysDist;
use crate::load::shape::{Arrival, Shape};
use crate::load::sizes::Sizes;
use crate::load::workload::Workload;
use crate::model::clock::{Nanos, SECOND, nanos};
use crate::model::io::{Io, IoChoice};
use crate::model::numbers::whole;
use crate::model::window::Basis;

/// The load.
#[derive(Args, Clone, Debug)]
pub(crate) struct LoadArgs {
    /// One after the other: create, set, get, exists, children, multi, ephemeral (churn), mix:R
    /// (share of reads), mix:NAME=WEIGHT,.. (also delete and sync-get), watch, pwatch, rwatch
    /// (fan-out: one-shot, persistent, recursive), sessions (storm), lock:N and election:N
    /// (recipes on N queues)
    #[arg(default_value = "mix:0.9", value_name = "WORKLOAD")]
    pub workloads: Vec<Workload>,
    /// Sessions
    #[arg(long, short, default_value_t = 48, value_parser = clap::value_parser!(u32).range(1..))]
    pub connections: u32,
    /// Requests in flight on each session
    #[arg(long, short, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    pub pipeline: u32,
    /// Driver threads
    #[arg(long, short, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub threads: u32,
    /// Open loop: operations per second, whether or not the server keeps up
    #[arg(long)]
    pub rate: Option<f64>,
    /// Spacing of an open loop's operations
    #[arg(long, value_enum, default_value = "poisson")]
    pub arrival: Arrival,
    /// Time before anything is measured (5, 5s, 500ms, 2m)
    #[arg(long, default_value = "1s", value_parser = parse_nanos)]
    pub warmup: Nanos,
    /// Time measured
    #[arg(long, short, default_value = "5s", value_parser = parse_nanos)]
    pub duration: Nanos,
    /// Operations measured, instead of a time
    #[arg(long, short = 'n', overrides_with = "duration")]
    pub count: Option<u64>,
    /// Bytes of each value, or uniform:MIN-MAX; below 24 they do not say who wrote them
    #[arg(long, default_value = "100", value_name = "BYTES")]
    pub value_bytes: Sizes,
    /// Nodes that are set and read
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub keys: u32,
    /// Which of them: uniform, zipf:POWER, latest:POWER (reads prefer what was written last),
    /// hot:KEYS/OPS (percent)
    #[arg(long, default_value = "uniform", value_name = "DIST")]
    pub keys_dist: KeysDist,
    /// Makes them the leaves of a tree, DEPTHxFAN-OUT, instead of --keys
    #[arg(long, value_name = "SHAPE", overrides_with = "keys")]
    pub tree: Option<Shape>,
    /// Children of the node that `children` lists
    #[arg(long, default_value_t = 100)]
    pub children: u32,
    /// Makes the same choices again
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Session timeout to ask for
    #[arg(long, default_value = "30s", value_parser = parse_nanos)]
    pub session_timeout: Nanos,
    /// How long late replies are waited for when time is up
    #[arg(long, default_value = "10s", value_parser = parse_nanos)]
    pub grace: Nanos,
    /// Takes sessions up again, on the next server, when their connection is lost; otherwise that
    /// is a fault. Requests in flight are counted as unknown
    #[arg(long)]
    pub reconnect: bool,
    /// Kills the server that leads (SIGKILL) and starts it again, this often; then looks for every
    /// acknowledged write
    #[arg(long, value_name = "TIME", value_parser = parse_nanos)]
    pub kill_leader_every: Option<Nanos>,
    /// What carries the sockets of the driver
    #[arg(long, value_enum, default_value = "auto")]
    pub io: IoChoice,
    /// Node to work under; it is left as it was found
    #[arg(long, default_value = "/ringkeeper-bench")]
    pub path: String,
}

impl LoadArgs {
    /// The loads, one for each workload.
    pub(crate) fn loads(&self, io: Io) -> Result<Vec<Load>> {
        self.workloads.iter().map(|workload| self.load(*workload, io)).collect()
    }

    fn load(&self, workload: Workload, io: Io) -> Result<Load> {
        self.check(workload)?;
        let mut args = self.clone();
        if !workload.is_pipelined() {
            args.pipeline = 1;
        }
        args.keys = self.tree.and_then(Shape::leaves).unwrap_or(self.keys);
        args.path.truncate(self.path.trim_end_matches('/').len());
        args.reconnect |= self.kill_leader_every.is_some();
        Ok(Load { name: None, workload, io, args })
    }

    fn check(&self, workload: Workload) -> Result<()> {
        if self.rate.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) {
            bail!("--rate must be above 0");
        }
        if self.rate.is_some() && !workload.is_pipelined() {
            bail!("{workload} has its own rhythm and takes no --rate");
        }
        if (self.reconnect || self.kill_leader_every.is_some()) && !workload.is_pipelined() {
            bail!(
                "{workload} does not survive a lost connection: it takes neither --reconnect nor \
                   --kill-leader-every"
            );
        }
        if self.kill_leader_every.is_some_and(|every| every < SECOND / 10) {
            bail!("--kill-leader-every must leave the servers 100 ms at least");
        }
        if let Some(every) = self.kill_leader_every
            && self.count.is_none()
            && every >= self.duration
        {
            bail!(
                "--kill-leader-every {:?}: the load lasts {:?}, so there would be no kill; see \
                 --duration",
                Duration::from_nanos(every),
                Duration::from_nanos(self.duration)
            );
        }
        if self.connections < self.threads {
            bail!("--threads must not exceed --connections");
        }
        if self.path.len() < 2 || !ringkeeper_engine::path::is_valid(&self.path) {
            bail!("--path must name a node below the root, such as /ringkeeper-bench");
        }
        Ok(())
    }
}

/// The parameters of one load.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// Its name in a scenario.
    pub name: Option<String>,
    /// What the sessions do.
    pub workload: Workload,
    /// What carries the sockets.
    pub io: Io,
    /// The options.
    pub args: LoadArgs,
}

impl Deref for Load {
    type Target = LoadArgs;

    fn deref(&self) -> &LoadArgs {
        &self.args
    }
}

impl Load {
    /// What was asked for, in one line.
    pub(crate) fn title(&self) -> String {
        let plural = if self.connections == 1 { "" } else { "s" };
        let name = self.name.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
        let mut title =
            format!("{name}{} · {} connection{plural}", self.workload, self.connections);
        if self.workload.is_pipelined() {
            let _ = write!(title, " x {} in flight", self.pipeline);
        }
        if self.workload != Workload::Children && self.workload != Workload::Sessions {
            let _ = write!(title, " · {} B", self.value_bytes);
        }
        match self.rate {
            Some(rate) => {
                let _ = write!(title, " · open loop, {} per second", whole(rate));
            }
            None => title.push_str(" · closed loop"),
        }
        title
    }

    /// Time measured at most.
    pub(crate) fn length(&self) -> Nanos {
        if self.count.is_some() { Nanos::MAX } else { self.duration }
    }

    /// Which operations are measured.
    pub(crate) fn basis(&self) -> Basis {
        match (self.rate, self.count) {
            (Some(_), _) => Basis::Intended,
            (None, Some(_)) => Basis::Started,
            (None, None) => Basis::Ended,
        }
    }

    /// Session timeout to ask for.
    pub(crate) fn session_ms(&self) -> i32 {
        i32::try_from(self.session_timeout / 1_000_000).unwrap_or(i32::MAX)
    }
}

/// Reads a duration as nanoseconds.
pub(crate) fn parse_nanos(text: &str) -> Result<Nanos, String> {
    parse_duration(text).map(nanos)
}

/// Reads `5`, `5s`, `500ms`, `2m`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let number_end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(number_end);
    let scale = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return Err(format!("unknown unit {unit:?}; us, ms, s, m or h are known")),
    };
    let number: f64 = number.trim().parse().map_err(|_| format!("{text:?} is no duration"))?;
    Duration::try_from_secs_f64(number * scale).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    #[command(args_override_self = true)]
    struct Cli {
        #[command(flatten)]
        load: LoadArgs,
    }

    #[test]
    fn invalid_options_are_rejected() {
        let bad = [
            &["bench", "watch", "--rate", "5"][..],
            &["bench", "--path", "a"],
            &["bench", "lock", "--kill-leader-every", "5s"],
            &["bench", "set", "--kill-leader-every", "1ms"],
            &["bench", "set", "--kill-leader-every", "5s", "-d", "5s"],
        ];
        for bad in bad {
            assert!(Cli::parse_from(bad).load.loads(Io::Epoll).is_err(), "{bad:?}");
        }
        for (text, ms) in [("5", 5_000), ("20ms", 20), ("1.5m", 90_000)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)));
        }
        assert!(parse_duration("5 parsecs").is_err() && parse_duration("-1").is_err());
    }

    #[test]
    fn last_option_wins() {
        let parse = |words: &[&str]| Cli::parse_from(words).load;
        assert_eq!(parse(&["bench", "-d", "5s", "-n", "7", "-c", "1", "-c", "2"]).count, Some(7));
        let load = &parse(&["bench", "--tree", "2x5"]).loads(Io::Epoll).unwrap()[0];
        assert_eq!(load.keys, 25);
    }
}
