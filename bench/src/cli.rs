//! The command line.

use std::cell::RefCell;
use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand};

use crate::load::args::Load;
use crate::load::args::{LoadArgs, parse_nanos};
use crate::model::clock::Nanos;
use crate::model::io::Io;
use crate::search::Goal;
use crate::servers::ephemeral::EphemeralServer;
use crate::servers::probe::ProbeOptions;
use crate::servers::target::Supervisor;
use crate::servers::target::Target;
use crate::show::capacity::{self, Size};
use crate::show::condition::Condition;

/// Loads any server that speaks the ZooKeeper protocol, verifies every reply and reports how fast
/// it was.
#[derive(Parser, Debug)]
#[command(
    name = "bench",
    bin_name = "ringkeeper bench",
    args_conflicts_with_subcommands = true,
    args_override_self = true,
    max_term_width = 100,
    after_help = EXAMPLES
)]
pub(crate) struct Cli {
    /// What to do instead of a plain run.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// A plain run.
    #[command(flatten)]
    pub run: RunArgs,
}

const EXAMPLES: &str = "\
Examples:
  ringkeeper bench                                     a server of its own, mostly reads, 5 s
  ringkeeper bench --server zk1:2181,zk2:2181 set      an ensemble, writes
  ringkeeper bench create get -c 256 -p 1 -d 30s       two loads, one after the other
  ringkeeper bench mix:get=80,set=15,create=5 --keys-dist zipf:0.99
  ringkeeper bench set --rate 5000                     an open loop: the server sets no pace
  ringkeeper bench set --search 'p99<5ms'              the highest rate that holds this
  ringkeeper bench lock:4 -c 32                        a recipe, its mutual exclusion verified
  ringkeeper bench set --kill-leader-every 5s -d 30s   kill -9 under load; no acknowledged write
                                                       may be lost
  ringkeeper bench --scenario kafka                    as Kafka does; see `bench scenarios`
  ringkeeper bench versus --server a=:2181 --server b=:2182 set get

Exit codes: 0 all is well, 1 something was wrong or cut short, 2 nothing could be measured, 3 a
condition of --fail-if holds, 130 interrupted by Ctrl-C (what there is has been shown, and the nodes
have been removed).";

impl Cli {
    /// The load of a whole command line.
    pub(crate) fn parse_load(words: Vec<OsString>) -> clap::error::Result<LoadArgs> {
        Ok(Cli::try_parse_from(words)?.run.load)
    }
}

/// What to do.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Runs the same load against several targets in turn and compares them
    Versus(Box<VersusArgs>),
    /// Lists the scenarios that come with it
    Scenarios(ScenariosArgs),
    /// Compares results of `--json`, and says what differs by more than chance
    Compare(CompareArgs),
    /// Checks whether a server is good enough for a use of a certain size
    Check(CheckArgs),
}

/// A run against one target.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// Server to load; several, separated by commas, are one ensemble. Without it a Ringkeeper is
    /// started in the working directory for this run alone
    #[arg(long, value_name = "HOST:PORT,..")]
    pub server: Option<String>,
    /// Process of the server, for its CPU and memory; found by its port on this host otherwise
    #[arg(long, value_name = "PID", requires = "server")]
    pub server_pid: Vec<u32>,
    /// Where the server has its metrics for Prometheus: how its commits are distributed
    #[arg(long, value_name = "HOST:PORT", requires = "server")]
    pub metrics: Option<String>,
    /// Starts a killed server again: a shell command, with {server} in the place of HOST:PORT
    #[arg(long, value_name = "COMMAND", requires = "server")]
    pub restart_cmd: Option<String>,
    /// Runs the phases of a scenario: a name from `bench scenarios`, a TOML file, or a YAML file
    /// of keeper-bench. Options given here replace those of its phases
    #[arg(long, value_name = "NAME|FILE", conflicts_with_all = ["workloads", "search"])]
    pub scenario: Option<String>,
    /// Finds the highest rate that holds a goal, such as 'p99<5ms'
    #[arg(
        long,
        value_name = "GOAL",
        conflicts_with_all = ["count", "repeat", "kill_leader_every"]
    )]
    pub search: Option<Goal>,
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
    #[arg(long, short, default_value = "30s", value_parser = parse_nanos)]
    pub duration: Nanos,
    /// Time before anything is measured
    #[arg(long, default_value = "3s", value_parser = parse_nanos)]
    pub warmup: Nanos,
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

/// What to do with scenarios.
#[derive(Args, Debug)]
pub(crate) struct ScenariosArgs {
    /// Prints a scenario, to be saved and changed
    #[arg(long, value_name = "NAME")]
    pub show: Option<String>,
}

impl CheckArgs {
    /// The target.
    pub(crate) fn target(&self) -> Result<Target> {
        Ok(Target::new(&self.server, resolve(&self.server)?, self.output.probe()))
    }

    /// The load of the size that was asked for.
    pub(crate) fn load(&self, io: Io) -> Result<Load> {
        let (connections, rate) = self.load.figures();
        let words = [
            "bench".to_string(),
            format!("mix:{}", capacity::READS),
            format!("--connections={connections}"),
            format!("--rate={rate}"),
            format!("--path={}", self.path),
        ];
        // The other parameters are those of a plain run.
        let plain = Cli::try_parse_from(words)?;
        let mut load = plain.run.load.loads(io)?.pop().expect("one workload is one load");
        (load.args.warmup, load.args.duration) = (self.warmup, self.duration);
        Ok(load)
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
        let targets = all
            .iter()
            .map(|text| parse_target(text, self.output.probe()))
            .collect::<Result<Vec<_>>>()?;
        for (at, target) in targets.iter().enumerate() {
            if targets[..at].iter().any(|other| other.name == target.name) {
                bail!("two targets are called {}: names must differ", target.name);
            }
        }
        Ok(targets)
    }
}

fn parse_target(text: &str, probe: ProbeOptions) -> Result<Target> {
    let Some((name, servers)) = text.split_once('=') else {
        bail!("NAME=HOST:PORT expected instead of {text:?}");
    };
    Ok(Target::new(name, resolve(servers)?, probe))
}

impl RunArgs {
    /// The target: the servers asked for, those that a scenario names, or one that is started
    /// for this run.
    pub(crate) fn target(&self, named: Option<String>) -> Result<Target> {
        let mut probe = self.output.probe();
        probe.metrics = self.metrics.as_deref().map(resolve_one).transpose()?;
        let Some(servers) = self.server.clone().or(named) else {
            let own = EphemeralServer::start()?;
            let (address, directory) = (own.address(), own.directory().display().to_string());
            if !self.output.quiet {
                eprintln!("no --server: a Ringkeeper for this run alone, in {directory}");
            }
            probe.metrics = own.metrics();
            let target = Target::new(&format!("own server, {address}"), vec![address], probe);
            return Ok(Target {
                supervisor: Supervisor::Own(Rc::new(RefCell::new(own))),
                ..target
            });
        };
        let supervisor = self.restart_cmd.clone().map_or(Supervisor::None, Supervisor::Command);
        let target = Target::new(&servers, resolve(&servers)?, probe);
        Ok(Target { pids: self.server_pid.clone(), supervisor, ..target })
    }
}

impl OutputArgs {
    /// What to find out about the servers beside the load.
    fn probe(&self) -> ProbeOptions {
        ProbeOptions { counters: !self.no_counters, probe_disk: self.probe_disk, metrics: None }
    }
}

/// The addresses of some servers.
pub(crate) fn resolve(servers: &str) -> Result<Vec<SocketAddr>> {
    servers.split(',').map(resolve_one).collect()
}

/// The port of clients, where none is named.
const PORT: u16 = 2181;

/// Host and port: without a port it is that of all clients, without a host it is this one. IPv4 is
/// preferred, since `localhost` names both and most servers listen there.
fn resolve_one(server: &str) -> Result<SocketAddr> {
    let server = server.trim();
    let whole = match server.rsplit_once(':') {
        Some(("", port)) => format!("127.0.0.1:{port}"),
        Some((host, _)) if !host.contains(':') || host.ends_with(']') => server.to_string(),
        Some(_) if !server.ends_with(']') => format!("[{server}]:{PORT}"),
        Some(_) | None => format!("{server}:{PORT}"),
    };
    let found = whole.to_socket_addrs().with_context(|| format!("cannot resolve {server:?}"))?;
    let mut found: Vec<SocketAddr> = found.collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    found.first().copied().with_context(|| format!("{server:?} has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::workload::Workload;

    #[test]
    fn server_addresses_default_host_and_port() {
        let expected = ["127.0.0.1:2182", "127.0.0.1:2181", "[::1]:2181", "[::1]:2181", "[::1]:7"];
        let found = resolve(":2182,127.0.0.1, ::1,[::1],[::1]:7").unwrap();
        assert_eq!(found, expected.map(|address| address.parse().unwrap()));
        for bad in ["", "127.0.0.1:", "127.0.0.1:x", "a,,b", "127.0.0.1:70000"] {
            assert!(resolve(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
        let cli = Cli::parse_from(["bench", "set", "get", "-c", "2", "--rate", "100"]);
        assert_eq!(cli.run.load.workloads, [Workload::Set, Workload::Get]);
        let loads = cli.run.load.loads(Io::Epoll).unwrap();
        assert_eq!((loads.len(), loads[0].rate), (2, Some(100.0)));
        let cli = Cli::parse_from(["bench", "versus", "--server", "a=[::1]:1,127.0.0.1:2"]);
        let Some(Command::Versus(versus)) = cli.command else { panic!("versus was asked for") };
        assert!(versus.targets().is_err());
        assert_eq!(
            parse_target(&versus.server[0], ProbeOptions::default()).unwrap().servers.len(),
            2
        );
    }
}
