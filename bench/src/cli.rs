//! The command line.

use std::cell::RefCell;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand};

use crate::kill::Keeper;
use crate::load::Target;
use crate::load_args::LoadArgs;
use crate::search::Goal;
use crate::throw_away::ThrowAway;

/// Loads any server that speaks the ZooKeeper protocol, verifies every reply and tells how fast
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

Exit codes: 0 all is well, 1 something was wrong or cut short, 2 nothing could be measured, 130
interrupted by Ctrl-C (what there is has been shown, and the nodes have been removed).";

/// What to do.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Runs the same load against several targets in turn and compares them
    Versus(VersusArgs),
    /// Lists the scenarios that come with it
    Scenarios(ScenariosArgs),
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
    /// Starts a killed server again: a shell command, with {server} in the place of HOST:PORT
    #[arg(long, value_name = "COMMAND", requires = "server")]
    pub restart_cmd: Option<String>,
    /// Runs the phases of a scenario: a name from `bench scenarios`, a TOML file, or a YAML file
    /// of keeper-bench. Options given here replace those of its phases
    #[arg(long, value_name = "NAME|FILE", conflicts_with_all = ["workloads", "search"])]
    pub scenario: Option<String>,
    /// Finds the highest rate that holds a goal, such as 'p99<5ms'
    #[arg(long, value_name = "GOAL", conflicts_with = "count")]
    pub search: Option<Goal>,
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
    #[arg(long, required = true, value_name = "NAME=HOST:PORT,..")]
    pub server: Vec<String>,
    /// How often each target has its turn
    #[arg(long, default_value_t = 3)]
    pub rounds: u32,
    /// The load.
    #[command(flatten)]
    pub load: LoadArgs,
    /// Where the result goes.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Where the result goes.
#[derive(Args, Debug)]
pub(crate) struct OutputArgs {
    /// Writes the result as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Only the result, no line per second
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

impl VersusArgs {
    /// The targets.
    pub(crate) fn targets(&self) -> Result<Vec<Target>> {
        if self.server.len() < 2 {
            bail!("a comparison needs two targets at least: --server NAME=HOST:PORT, twice");
        }
        self.server.iter().map(|text| parse_target(text)).collect()
    }
}

fn parse_target(text: &str) -> Result<Target> {
    let Some((name, servers)) = text.split_once('=') else {
        bail!("NAME=HOST:PORT expected instead of {text:?}");
    };
    let (servers, pids) = (resolve(servers)?, Vec::new());
    Ok(Target { name: name.to_string(), servers, pids, keeper: Keeper::Nobody })
}

impl RunArgs {
    /// The target: the servers asked for, those that a scenario names, or one that is started
    /// for this run.
    pub(crate) fn target(&self, named: Option<String>) -> Result<Target> {
        let Some(servers) = self.server.clone().or(named) else {
            let own = ThrowAway::start()?;
            let (address, directory) = (own.address(), own.directory().display().to_string());
            if !self.output.quiet {
                eprintln!("no --server: a Ringkeeper for this run alone, in {directory}");
            }
            return Ok(Target {
                name: format!("own server, {address}"),
                servers: vec![address],
                pids: Vec::new(),
                keeper: Keeper::Own(Rc::new(RefCell::new(own))),
            });
        };
        Ok(Target {
            servers: resolve(&servers)?,
            name: servers,
            pids: self.server_pid.clone(),
            keeper: self.restart_cmd.clone().map_or(Keeper::Nobody, Keeper::Command),
        })
    }
}

/// The addresses of some servers.
pub(crate) fn resolve(servers: &str) -> Result<Vec<SocketAddr>> {
    servers.split(',').map(resolve_one).collect()
}

/// IPv4 is preferred, since `localhost` names both and most servers listen there.
fn resolve_one(server: &str) -> Result<SocketAddr> {
    let found = server.to_socket_addrs().with_context(|| format!("cannot resolve {server:?}"))?;
    let mut found: Vec<SocketAddr> = found.collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    found.first().copied().with_context(|| format!("{server:?} has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::Io;
    use crate::workload::Workload;

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
        assert_eq!(parse_target(&versus.server[0]).unwrap().servers.len(), 2);
    }
}
