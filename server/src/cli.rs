//! The command line.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::builder::PossibleValue;
use clap::{Args, Parser, Subcommand, ValueEnum};
use ringkeeper_engine::Zxid;

use crate::config::{LogFormat, LogLevel};
use crate::demo::DemoArgs;

/// What the user asked for.
#[derive(Clone, Debug)]
pub struct Cli {
    /// The command; serving with the defaults when none was given.
    pub command: Command,
}

/// A coordination service that any ZooKeeper client takes for Apache ZooKeeper.
///
/// Without a command it serves on 127.0.0.1:2181 and keeps its state in ./ringkeeper-data.
#[derive(Debug, Parser)]
#[command(
    name = "ringkeeper",
    version,
    max_term_width = 100,
    after_long_help = EXAMPLES,
    subcommand_help_heading = "Commands"
)]
struct Words {
    /// How the server's messages look.
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<LogFormat>,

    /// Which of the server's messages are written.
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<LogLevel>,

    #[command(subcommand)]
    command: Option<Command>,
}

const EXAMPLES: &str = "\
Examples:
  ringkeeper                          try it out, on 127.0.0.1:2181
  ringkeeper start zoo.cfg            serve with the configuration of a ZooKeeper
  ringkeeper start 2181 /data         serve on a port, from a directory
  ringkeeper check zoo.cfg            say what each line of a configuration does here
  ringkeeper settings session         list the settings whose name or meaning has that word";

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Serve clients until stopped.
    #[command(after_long_help = START_EXAMPLES, aliases = ["run", "start-foreground"])]
    Start(StartArgs),
    /// Say what each line of a configuration does here, and whether a server would start with it.
    #[command(after_long_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// List the settings.
    Settings(SettingsArgs),
    /// Show an ensemble in this terminal, whose servers can be killed, stopped, cut off and started
    /// again while a client writes.
    #[command(after_long_help = DEMO_EXAMPLES)]
    Demo(DemoArgs),
    /// Measure a running service.
    #[command(disable_help_flag = true)]
    Bench {
        /// The arguments of the benchmark.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
        args: Vec<OsString>,
    },
    /// Measure this host, and say which settings suit it.
    #[command(disable_help_flag = true)]
    Tune {
        /// The arguments of the measurement.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
        args: Vec<OsString>,
    },
    /// Look at the transaction log of a server, or repair it.
    Log {
        /// What to do with it.
        #[command(subcommand)]
        command: LogCommand,
    },
    /// Take the data of an Apache ZooKeeper over into a new directory.
    #[command(after_long_help = IMPORT_EXAMPLES)]
    Import(ImportArgs),
    /// Put snapshots back.
    Snapshot {
        /// What to do with it.
        #[command(subcommand)]
        command: SnapshotCommand,
    },
    /// Make the directory of one member the beginning of a new ensemble, where a quorum of the old
    /// one is lost for good. It says first what may be lost.
    #[command(after_long_help = RECOVER_QUORUM_EXAMPLES)]
    RecoverQuorum(RecoverQuorumArgs),
    /// Say whether a server serves its clients: one line, and the exit code 0 or 1.
    #[command(after_long_help = STATUS_EXAMPLES)]
    Status(StatusArgs),
    /// Print the version.
    Version,
}

/// What can be done with a snapshot.
#[derive(Clone, Debug, Subcommand)]
pub enum SnapshotCommand {
    /// Put a snapshot into an empty directory, for a server to start from.
    #[command(after_long_help = RESTORE_EXAMPLES)]
    Restore(RestoreArgs),
}

const RESTORE_EXAMPLES: &str = "\
Examples:
  curl -o backup -H 'Authorization: digest super:PASSWORD' http://HOST:8080/commands/snapshot
  ringkeeper snapshot restore backup /var/lib/ringkeeper-new
  ringkeeper start 2181 /var/lib/ringkeeper-new

The snapshot is checked on the way. Sessions that were open when it was taken end in the new server
with their timeouts, as their passwords do not go along.";

/// Which snapshot to put where.
#[derive(Args, Clone, Debug)]
pub struct RestoreArgs {
    /// The snapshot: what the command snapshot has sent, or a file of a data directory.
    #[arg(value_name = "FILE")]
    pub snapshot: PathBuf,

    /// A data directory that is empty or that does not exist yet.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

const IMPORT_EXAMPLES: &str = "\
Examples:
  ringkeeper import --from /var/lib/zookeeper --dry-run
  ringkeeper import --from /var/lib/zookeeper --to /var/lib/ringkeeper
  ringkeeper import --from /data/zk,/log/zk --to /var/lib/ringkeeper --json

Stop the ZooKeeper first; its files are only read. Of the servers of an ensemble take the one with
the largest last zxid, which --dry-run tells. Everything is taken over but the list of members of
the ensemble: nodes with their whole stats, ACLs, quotas, sessions. This was tried with ZooKeeper
3.9; the forms of 3.4 to 3.8 are understood, but were tried with composed files only. Clients keep
their sessions where the server is started with ringkeeper.sessionPasswords=java.";

/// What to take over, and where to.
#[derive(Args, Clone, Debug)]
pub struct ImportArgs {
    /// The dataDir of the ZooKeeper, and its dataLogDir where that is another one.
    #[arg(long, value_name = "DIR[,LOGDIR]")]
    pub from: PathBuf,

    /// A data directory that is empty or that does not exist yet.
    #[arg(long, value_name = "DIR", required_unless_present = "dry_run")]
    pub to: Option<PathBuf>,

    /// Read everything and say what is there, and write nothing.
    #[arg(long)]
    pub dry_run: bool,

    /// The last transaction to take, in hexadecimal behind 0x, or in decimal.
    #[arg(long, value_name = "ZXID", value_parser = parse_zxid)]
    pub until: Option<Zxid>,

    /// Take the newest snapshot although there is no log beside it.
    #[arg(long)]
    pub without_log: bool,

    /// For programs: JSON instead of text.
    #[arg(long)]
    pub json: bool,
}

/// What can be done with a log.
#[derive(Clone, Debug, Subcommand)]
pub enum LogCommand {
    /// Write out the transactions, oldest first. It changes nothing.
    #[command(after_long_help = DUMP_EXAMPLES)]
    Dump(DumpArgs),
    /// Cut a damaged log off behind its last good transaction. It says first what would be lost.
    #[command(after_long_help = REPAIR_EXAMPLES)]
    Repair(RepairArgs),
}

const DUMP_EXAMPLES: &str = "\
Examples:
  ringkeeper log dump /var/lib/ringkeeper --from 0x1f40
  ringkeeper log dump /var/lib/ringkeeper --json

Each line has the zxid, the time, the session, the client's number of the request, and what
changes. Only what is still in the log is there: what is older is in a snapshot.";

const REPAIR_EXAMPLES: &str = "\
Examples:
  ringkeeper log repair /var/lib/ringkeeper            say what is wrong and what it would take
  ringkeeper log repair /var/lib/ringkeeper --yes      do it

Acknowledged transactions are lost by a repair. The files that held them stay, under names that
begin with \"damaged.\". The server has to be stopped.";

const DEMO_EXAMPLES: &str = "\
Examples:
  ringkeeper demo
  ringkeeper demo -n 5 --dir ./demo
  ringkeeper demo --for 10s --do 'kill leader at 3s' --do 'restart 1 at 6s' --json

In a terminal the keys 1 to 9 choose a server, and k, s, p and r kill, stop, partition and restart
it; q ends. Elsewhere it prints a line for what happens, and one each second. The exit code is 1 if
a write that was acknowledged was lost.";

const RECOVER_QUORUM_EXAMPLES: &str = "\
Examples:
  ringkeeper recover-quorum /var/lib/ringkeeper            say what is there and what may be lost
  ringkeeper recover-quorum /var/lib/ringkeeper --yes      do it

Only for a majority of the members whose disks are lost. As long as a majority can be started, with
their disks, start them: nothing is lost then. All members have to be stopped.";

/// Which directory to begin with, and whether to do it.
#[derive(Args, Clone, Debug)]
pub struct RecoverQuorumArgs {
    /// Where it is.
    #[command(flatten)]
    pub directories: Directories,

    /// Do it, instead of only saying what is there and what may be lost.
    #[arg(long)]
    pub yes: bool,
}

/// The directories of a server.
#[derive(Args, Clone, Debug)]
pub struct Directories {
    /// The data directory (dataDir).
    #[arg(value_name = "DIR")]
    pub data_dir: PathBuf,

    /// The directory of the log (dataLogDir), where it is another one.
    #[arg(long, value_name = "DIR")]
    pub log_dir: Option<PathBuf>,
}

/// Which transactions to write, and how.
#[derive(Args, Clone, Debug)]
pub struct DumpArgs {
    /// Where they are.
    #[command(flatten)]
    pub directories: Directories,

    /// For programs: a JSON object per line.
    #[arg(long)]
    pub json: bool,

    /// The first transaction to write, in hexadecimal behind 0x, or in decimal.
    #[arg(long, value_name = "ZXID", value_parser = parse_zxid, default_value = "0")]
    pub from: Zxid,
}

/// What to repair, and whether to do it.
#[derive(Args, Clone, Debug)]
pub struct RepairArgs {
    /// Where the log is.
    #[command(flatten)]
    pub directories: Directories,

    /// Do it, instead of only saying what it would do.
    #[arg(long)]
    pub yes: bool,
}

fn parse_zxid(text: &str) -> Result<Zxid, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map(Zxid).map_err(|_| "a zxid is a number such as 0x1f40".to_owned())
}

const START_EXAMPLES: &str = "\
Examples:
  ringkeeper start /etc/zookeeper/conf/zoo.cfg
  ringkeeper start zoo.cfg -Dzookeeper.snapCount=50000 -Djute.maxbuffer=4194304
  ringkeeper start 2181 /var/lib/ringkeeper 2000 100

Values are looked for on the command line, then in zoo.cfg, then in the ZOO_… variables of
ZooKeeper's container image, and last among the defaults.";

const CONFIG_HELP: &str =
    "A zoo.cfg; or, as in ZooKeeper, clientPort dataDir [tickTime] [maxClientCnxns]";

const STATUS_EXAMPLES: &str = "\
Examples:
  ringkeeper status
  ringkeeper status --server zk1.example.com:2181 --json

It asks the four-letter word srvr, so that it works for Apache ZooKeeper as well. As the health
check of a container: HEALTHCHECK CMD [\"ringkeeper\", \"status\"]";

const CHECK_EXAMPLES: &str = "\
Examples:
  ringkeeper check zoo.cfg
  ringkeeper check --json zoo.cfg

The exit code is 0 if a server would start here and now, and else that of the start: 2 for a fault
of the configuration, 1 for what is around it, such as a directory in use, a damaged log or a port
that is taken. Nothing is changed. A log is read to its end, as a start does.";

/// Where the settings of a server come from.
#[derive(Args, Clone, Debug, Default)]
pub struct StartArgs {
    /// A zoo.cfg, or ZooKeeper's arguments in the place of one.
    #[arg(value_name = "CONFIG", num_args = 0..=4, help = CONFIG_HELP)]
    pub config: Vec<OsString>,

    /// A setting by its ZooKeeper system property or by its key in zoo.cfg.
    #[arg(short = 'D', value_name = "NAME=VALUE")]
    pub definitions: Vec<String>,

    /// How the server's messages look, from `--log-format`.
    #[arg(skip)]
    pub log_format: Option<LogFormat>,

    /// Which of the server's messages are written, from `--log-level`.
    #[arg(skip)]
    pub log_level: Option<LogLevel>,
}

/// What to check, and how to say it.
#[derive(Args, Clone, Debug, Default)]
pub struct CheckArgs {
    /// The configuration, as for start.
    #[command(flatten)]
    pub start: StartArgs,

    /// For programs: JSON instead of text.
    #[arg(long)]
    pub json: bool,
}

/// Which server to ask, and how to say it.
#[derive(Args, Clone, Debug)]
pub struct StatusArgs {
    /// Where it serves its clients.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:2181")]
    pub server: String,

    /// Whether it may be stopped: exit code 0 where the ensemble serves on without it, 1 where not,
    /// or where that is not known.
    #[arg(long)]
    pub would_stop: bool,

    /// For programs: JSON instead of text.
    #[arg(long)]
    pub json: bool,

    /// How long to wait for it, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 5_000)]
    pub timeout_ms: u64,
}

/// Which settings to list, and how.
#[derive(Args, Clone, Debug, Default)]
pub struct SettingsArgs {
    /// Only settings whose name or meaning contains this.
    #[arg(value_name = "WORD")]
    pub word: Option<String>,

    /// For programs: JSON instead of text.
    #[arg(long)]
    pub json: bool,
}

impl ValueEnum for LogFormat {
    fn value_variants<'a>() -> &'a [LogFormat] {
        &[LogFormat::Text, LogFormat::Json]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.word()))
    }
}

impl ValueEnum for LogLevel {
    fn value_variants<'a>() -> &'a [LogLevel] {
        &[LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.word()))
    }
}

/// Reads the command line of this process. Mistakes and `--help` end the process here.
pub fn parse() -> Cli {
    parse_from(std::env::args_os()).unwrap_or_else(|error| error.exit())
}

/// Reads a command line whose first word is the name of the program.
pub fn parse_from(words: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let words = Words::try_parse_from(by_name(words.into_iter().collect()))?;
    let mut command = words.command.unwrap_or_else(|| Command::Start(StartArgs::default()));
    if let Command::Start(args) | Command::Check(CheckArgs { start: args, .. }) = &mut command {
        args.log_format = words.log_format;
        args.log_level = words.log_level;
    }
    Ok(Cli { command })
}

/// A program called `ringkeeper-bench` is `ringkeeper bench`, so that links can stand for commands.
fn by_name(mut words: Vec<OsString>) -> Vec<OsString> {
    let name = words.first().map(PathBuf::from);
    let stem = name.as_deref().and_then(Path::file_stem).and_then(OsStr::to_str);
    let command = stem.and_then(|stem| stem.strip_prefix("ringkeeper-"));
    if let Some(command @ ("bench" | "tune" | "check" | "settings")) = command {
        words.insert(1, OsString::from(command));
    }
    words
}

/// The text of `ringkeeper version`.
pub fn version() -> String {
    format!("ringkeeper {}", env!("CARGO_PKG_VERSION"))
}
