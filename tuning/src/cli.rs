//! The command line of `ringkeeper tune`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::probe::Depth;

/// Measure this host, say which settings suit it, and set it right.
#[derive(Debug, Parser)]
#[command(
    name = "ringkeeper tune",
    bin_name = "ringkeeper tune",
    max_term_width = 100,
    after_help = EXAMPLES
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  ringkeeper tune check                                   is this host fit for a server?
  ringkeeper tune probe --dir /var/lib/ringkeeper         what does a durable write cost here?
  ringkeeper tune recommend --dir /var/lib/ringkeeper --output tune.cfg
  ringkeeper tune apply                                   what would be changed (changes nothing)
  ringkeeper tune apply --yes; ringkeeper tune undo       change it, and change it back
  ringkeeper tune watch --server 127.0.0.1:2181           what bounds a running server?

Exit codes: 0 fine, 1 a warning or a failure, 2 unfit (check) or a wrong command line,
130 interrupted.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Measure every way to make a commit durable, on the disk of a directory.
    Probe(ProbeArgs),
    /// Say which settings follow from a probe, why, and what to expect of them.
    Recommend(RecommendArgs),
    /// Say what of this host keeps a server from being safe or fast.
    Check(CheckArgs),
    /// Change what `check` found and what can be changed safely. Without --yes it only says what.
    Apply(ApplyArgs),
    /// Change back what `apply` has changed.
    Undo(UndoArgs),
    /// Probe, apply, probe again, compare, and say whether the advised setting is the best.
    Verify(VerifyArgs),
    /// Read a running server's numbers and say what bounds it.
    Watch(WatchArgs),
}

/// How thoroughly to probe.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct DepthArgs {
    /// A few seconds, three sizes.
    #[arg(long)]
    quick: bool,

    /// More than a minute, seven sizes.
    #[arg(long, conflicts_with = "quick")]
    thorough: bool,
}

impl DepthArgs {
    pub(crate) fn depth(self) -> Depth {
        match (self.quick, self.thorough) {
            (true, _) => Depth::Quick,
            (false, true) => Depth::Thorough,
            (false, false) => Depth::Normal,
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct ProbeArgs {
    /// A directory on the disk to measure; what is written there is removed again.
    #[arg(long, default_value = ".")]
    pub(crate) dir: PathBuf,

    #[command(flatten)]
    pub(crate) depth: DepthArgs,

    /// Writes the report as JSON; "-" is standard output, and then nothing else goes there.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Writes the report as one HTML file.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct RecommendArgs {
    /// A report of `probe --json`, instead of a new probe.
    #[arg(long, value_name = "FILE", conflicts_with = "dir")]
    pub(crate) from: Option<PathBuf>,

    /// A directory on the disk to probe: that of the log.
    #[arg(long, default_value = ".")]
    pub(crate) dir: PathBuf,

    #[command(flatten)]
    pub(crate) depth: DepthArgs,

    /// Writes the settings to a file that a zoo.cfg can name: ringkeeper.include=FILE.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Starts a server with the settings on a free port of 127.0.0.1, with its state in a
    /// directory of its own under --dir, loads it for a few seconds, and says how far off the
    /// prediction was.
    #[arg(long)]
    pub(crate) confirm: bool,

    /// For programs: JSON instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is looked at.
#[derive(Args, Clone, Debug)]
pub(crate) struct Subject {
    /// The server's zoo.cfg; without it the settings of a start without one.
    #[arg(long, value_name = "ZOO_CFG")]
    pub(crate) config: Option<PathBuf>,

    /// The data directory, instead of the one that the configuration names.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    pub(crate) dir: Option<PathBuf>,

    /// Works on a copy of /proc and /sys instead of this host.
    #[arg(long, hide = true, default_value = "/")]
    pub(crate) root: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) subject: Subject,

    /// For programs: JSON instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ApplyArgs {
    /// What to check; only what it finds is changed.
    #[command(flatten)]
    pub(crate) check: Target,

    /// Changes it. Without this nothing is changed.
    #[arg(long)]
    pub(crate) yes: bool,

    /// Writes a shell script that does it, and changes nothing.
    #[arg(long, value_name = "FILE", conflicts_with = "yes")]
    pub(crate) output_script: Option<PathBuf>,

    /// Where every change is recorded before it is made.
    #[arg(long, value_name = "FILE", default_value = STATE)]
    pub(crate) state: PathBuf,
}

/// Where `apply` notes what it changed.
const STATE: &str = "/var/lib/ringkeeper/tune-undo.json";

/// What a change is for.
#[derive(Args, Clone, Debug)]
pub(crate) struct Target {
    #[command(flatten)]
    pub(crate) subject: Subject,

    /// Only changes whose condition contains this word, such as swappiness.
    #[arg(long, value_name = "WORD")]
    pub(crate) only: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct UndoArgs {
    /// Where `apply` recorded its changes.
    #[arg(long, value_name = "FILE", default_value = STATE)]
    pub(crate) state: PathBuf,

    /// Also forgets values that another program has changed since; they are left as they are.
    #[arg(long)]
    pub(crate) forget: bool,

    /// Works on a copy of /proc and /sys instead of this host.
    #[arg(long, hide = true, default_value = "/")]
    pub(crate) root: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    /// What to check; only what it finds is changed.
    #[command(flatten)]
    pub(crate) check: Target,

    #[command(flatten)]
    pub(crate) depth: DepthArgs,

    /// Does it. Without this it says what it would change.
    #[arg(long)]
    pub(crate) yes: bool,

    /// Where every change is recorded before it is made.
    #[arg(long, value_name = "FILE", default_value = STATE)]
    pub(crate) state: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct WatchArgs {
    /// The server.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:2181")]
    pub(crate) server: String,

    /// Its port for commands over HTTP (admin.serverPort), where it does not answer mntr
    /// (4lw.commands.whitelist).
    #[arg(long, value_name = "[HOST:]PORT", default_value = "8080")]
    pub(crate) http: String,

    /// Seconds between two looks.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 2,
        value_parser = clap::value_parser!(u64).range(1..=3_600)
    )]
    pub(crate) interval: u64,

    /// One interval, then the advice, then it ends.
    #[arg(long)]
    pub(crate) once: bool,

    /// For programs: a JSON object per interval.
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
