//! The command line.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand};

use crate::checkup::{self, Size};
use crate::clock::nanos;
use crate::condition::Condition;
use crate::load::{Arrival, Load, Target};
use crate::workload::Workload;

/// Loads any server that speaks the ZooKeeper protocol, verifies every reply and tells how fast
/// it was.
#[derive(Parser, Debug)]
#[command(
    name = "bench",
    bin_name = "ringkeeper bench",
    args_conflicts_with_subcommands = true,
    args_override_self = true
)]
pub(crate) struct Cli {
    /// What to do instead of a plain run.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// A plain run.
    #[command(flatten)]
    pub run: RunArgs,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Runs the same load against several targets in turn and compares them
    Versus(VersusArgs),
    /// Compares results of `--json`, and says what differs by more than chance
    Compare(CompareArgs),
    /// Tells whether a server is good enough for a use of a certain size
    Check(CheckArgs),
}

/// A run against one target.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// Server to load; several, separated by commas, are one ensemble
    #[arg(long, default_value = "127.0.0.1:2181", value_name = "HOST:PORT,..")]
    pub server: String,
    /// Process of the server, for its CPU and memory; found by its port on this host otherwise
    #[arg(long, value_name = "PID")]
    pub server_pid: Vec<u32>,
    /// How often each load is run; differences can be told from chance with 4 runs or more
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,
    /// The load.
    #[command(flatten)]
    pub load: LoadArgs,
    /// Where the result goes.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// A comparison.
#[derive(Args, Debug)]
pub(crate) struct VersusArgs {
    /// A target; the first one is what the others are compared with
    #[arg(long, value_name = "NAME=HOST:PORT,..")]
    pub server: Vec<String>,
    /// The same as --server apache=HOST:PORT
    #[arg(long, value_name = "HOST:PORT,..")]
    pub apache: Option<String>,
    /// The same as --server ringkeeper=HOST:PORT
    #[arg(long, value_name = "HOST:PORT,..")]
    pub ringkeeper: Option<String>,
    /// How often each target has its turn; differences can be told from chance with 4 or more
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// The load.
    #[command(flatten)]
    pub load: LoadArgs,
    /// Where the result goes.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// A comparison of kept results.
#[derive(Args, Debug)]
pub(crate) struct CompareArgs {
    /// Results; each file is a side, and the first is what the others are compared with. A single
    /// file of `bench versus` has a side for each target
    #[arg(value_name = "FILE", required_unless_present = "base")]
    pub files: Vec<PathBuf>,
    /// Results with repeats of the same loads that are one side: the base
    #[arg(long, num_args = 1.., value_name = "FILE", requires = "new", conflicts_with = "files")]
    pub base: Vec<PathBuf>,
    /// Results with repeats of the same loads that are compared with the base
    #[arg(long, num_args = 1.., value_name = "FILE", requires = "base")]
    pub new: Vec<PathBuf>,
    /// Writes the comparison as JSON (- is the standard output)
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Writes the comparison as a page
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Fails if this holds of the other sides, such as 'p99>+10%' of the base
    #[arg(long, value_name = "CONDITION")]
    pub fail_if: Vec<Condition>,
}

/// A check.
#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// Server to check; several, separated by commas, are one ensemble
    #[arg(long, default_value = "127.0.0.1:2181", value_name = "HOST:PORT,..")]
    pub server: String,
    /// How much it has to carry
    #[arg(long, value_enum, default_value = "s")]
    pub load: Size,
    /// Time measured
    #[arg(long, short, default_value = "30s", value_parser = parse_duration)]
    pub duration: Duration,
    /// Time before anything is measured
    #[arg(long, default_value = "3s", value_parser = parse_duration)]
    pub warmup: Duration,
    /// Node to work under; it is left as it was found
    #[arg(long, default_value = "/ringkeeper-bench")]
    pub path: String,
    /// Where the result goes.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Where the result goes.
#[derive(Args, Debug)]
pub(crate) struct OutputArgs {
    /// Writes the result as JSON (- is the standard output)
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Writes the result as one page with charts
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Writes an HdrHistogram interval log, second by second and tagged by operation
    #[arg(long, value_name = "FILE")]
    pub hdr: Option<PathBuf>,
    /// Writes an HdrHistogram percentile distribution; with several loads a file for each
    #[arg(long, value_name = "FILE")]
    pub hgrm: Option<PathBuf>,
    /// Fails (exit code 3) if this holds: 'p99>5ms', 'get.p99>+10%', 'rate<10000', 'errors>0'
    #[arg(long, value_name = "CONDITION")]
    pub fail_if: Vec<Condition>,
    /// Earlier result of --json that changes in percent start from
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Measures first how long a sync takes on the disk of the server's log (on this host)
    #[arg(long)]
    pub probe_disk: bool,
    /// Does not ask the server for its counters (the word `mntr`, once a second)
    #[arg(long)]
    pub no_counters: bool,
    /// Only the result, nothing while it runs
    #[arg(long, short)]
    pub quiet: bool,
}

/// The load.
#[derive(Args, Debug)]
pub(crate) struct LoadArgs {
    /// One after the other: create, set, get, exists, children, multi, mix:R (share of reads),
    /// ephemeral, watch, pwatch, sessions
    #[arg(default_value = "mix:0.9", value_name = "WORKLOAD")]
    pub workloads: Vec<Workload>,
    /// Sessions
    #[arg(long, short, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
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
    #[arg(long, default_value = "1s", value_parser = parse_duration)]
    pub warmup: Duration,
    /// Time measured
    #[arg(long, short, default_value = "5s", value_parser = parse_duration)]
    pub duration: Duration,
    /// Operations measured, instead of a time
    #[arg(long, short = 'n', conflicts_with = "duration")]
    pub count: Option<u64>,
    /// Bytes of each value; below 24 they cannot tell who wrote them
    #[arg(long, default_value_t = 100)]
    pub value_bytes: usize,
    /// Nodes that are set and read
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub keys: u32,
    /// Children of the node that `children` lists
    #[arg(long, default_value_t = 100)]
    pub children: u32,
    /// Makes the same choices again
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Session timeout to ask for
    #[arg(long, default_value = "30s", value_parser = parse_duration)]
    pub session_timeout: Duration,
    /// How long late replies are waited for when time is up
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    pub grace: Duration,
    /// Node to work under; it is left as it was found
    #[arg(long, default_value = "/ringkeeper-bench")]
    pub path: String,
}

impl LoadArgs {
    /// The loads, one for each workload.
    pub(crate) fn loads(&self) -> Result<Vec<Load>> {
        self.workloads.iter().map(|workload| self.load(*workload)).collect()
    }

    fn load(&self, workload: Workload) -> Result<Load> {
        self.check(workload)?;
        Ok(Load {
            workload,
            connections: self.connections,
            pipeline: if workload.is_pipelined() { self.pipeline as usize } else { 1 },
            threads: self.threads,
            rate: self.rate,
            arrival: self.arrival,
            warmup: nanos(self.warmup),
            duration: nanos(self.duration),
            count: self.count,
            value_bytes: self.value_bytes,
            keys: self.keys,
            children: self.children,
            seed: self.seed,
            session_ms: i32::try_from(self.session_timeout.as_millis()).unwrap_or(i32::MAX),
            grace: nanos(self.grace),
            path: self.path.trim_end_matches('/').to_string(),
        })
    }

    fn check(&self, workload: Workload) -> Result<()> {
        if self.rate.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) {
            bail!("--rate must be above 0");
        }
        if self.rate.is_some() && !workload.is_pipelined() {
            bail!("{workload} has its own rhythm and takes no --rate");
        }
        if self.connections < self.threads {
            bail!("--threads must not exceed --connections");
        }
        if self.value_bytes > 1_000_000 {
            bail!("--value-bytes must stay below 1 MB, the default limit of every server");
        }
        if self.path.len() < 2 || !ringkeeper_engine::path::is_valid(&self.path) {
            bail!("--path must name a node below the root, such as /ringkeeper-bench");
        }
        Ok(())
    }
}

impl RunArgs {
    /// The target.
    pub(crate) fn target(&self) -> Result<Target> {
        let servers = resolve(&self.server)?;
        Ok(Target { name: self.server.clone(), servers, pids: self.server_pid.clone() })
    }
}

impl CheckArgs {
    /// The target.
    pub(crate) fn target(&self) -> Result<Target> {
        let servers = resolve(&self.server)?;
        Ok(Target { name: self.server.clone(), servers, pids: Vec::new() })
    }

    /// The load of the size that was asked for.
    pub(crate) fn load(&self) -> Result<Load> {
        let (connections, rate) = self.load.figures();
        let words = [
            "bench".to_string(),
            format!("mix:{}", checkup::READS),
            format!("--connections={connections}"),
            format!("--rate={rate}"),
            format!("--path={}", self.path),
        ];
        // The other parameters are those of a plain run.
        let plain = Cli::try_parse_from(words)?;
        let load = plain.run.load.loads()?.pop().expect("one workload is one load");
        Ok(Load { warmup: nanos(self.warmup), duration: nanos(self.duration), ..load })
    }
}

impl VersusArgs {
    /// The targets.
    pub(crate) fn targets(&self) -> Result<Vec<Target>> {
        let named = [("apache", &self.apache), ("ringkeeper", &self.ringkeeper)];
        let named =
            named.into_iter().filter_map(|(name, at)| Some(format!("{name}={}", at.as_ref()?)));
        let all: Vec<String> = self.server.iter().cloned().chain(named).collect();
        if all.len() < 2 {
            bail!("a comparison needs two targets at least: --server NAME=HOST:PORT, twice");
        }
        let targets = all.iter().map(|text| parse_target(text)).collect::<Result<Vec<_>>>()?;
        for (at, target) in targets.iter().enumerate() {
            if targets[..at].iter().any(|other| other.name == target.name) {
                bail!("two targets are called {}: names tell them apart", target.name);
            }
        }
        Ok(targets)
    }
}

fn parse_target(text: &str) -> Result<Target> {
    let Some((name, servers)) = text.split_once('=') else {
        bail!("NAME=HOST:PORT expected instead of {text:?}");
    };
    Ok(Target { name: name.to_string(), servers: resolve(servers)?, pids: Vec::new() })
}

fn resolve(servers: &str) -> Result<Vec<SocketAddr>> {
    servers.split(',').map(resolve_one).collect()
}

/// IPv4 is preferred, since `localhost` names both and most servers listen there.
fn resolve_one(server: &str) -> Result<SocketAddr> {
    let found = server.to_socket_addrs().with_context(|| format!("cannot resolve {server:?}"))?;
    let mut found: Vec<SocketAddr> = found.collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    found.first().copied().with_context(|| format!("{server:?} has no address"))
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let number_end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(number_end);
    let scale = match unit {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return Err(format!("unknown unit {unit:?}; ms, s, m or h are known")),
    };
    let number: f64 = number.trim().parse().map_err(|_| format!("{text:?} is no duration"))?;
    Duration::try_from_secs_f64(number * scale).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
        let cli = Cli::parse_from(["bench", "set", "get", "-c", "2", "--rate", "100"]);
        assert_eq!(cli.run.load.workloads, [Workload::Set, Workload::Get]);
        let loads = cli.run.load.loads().unwrap();
        assert_eq!((loads.len(), loads[0].rate), (2, Some(100.0)));
        let cli = Cli::parse_from(["bench", "versus", "--server", "a=[::1]:1,127.0.0.1:2"]);
        let Some(Command::Versus(versus)) = cli.command else { panic!("versus was asked for") };
        assert!(versus.targets().is_err());
        assert_eq!(parse_target(&versus.server[0]).unwrap().servers.len(), 2);
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [&["bench", "watch", "--rate", "5"][..], &["bench", "--path", "a"]] {
            assert!(Cli::parse_from(bad).run.load.loads().is_err(), "{bad:?}");
        }
        for (text, ms) in [("5", 5_000), ("20ms", 20), ("1.5m", 90_000)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)));
        }
        assert!(parse_duration("5 parsecs").is_err() && parse_duration("-1").is_err());
    }
}
