//! What this host can do with durable writes: it is measured, and set right.
//!
//! `probe` measures with the engine's own log device, `recommend` draws conclusions (`model` is the
//! reasoning, and pure), `check` reads the host, `change` sets it right and back, `verify` closes
//! the loop, and `watch` looks at a running server.

mod change;
mod chart;
mod check;
mod cli;
mod compare;
mod confirm;
mod html;
mod model;
mod print;
mod probe;
mod recommend;
mod run_probe;
mod terminal;
mod text;
mod verify;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

pub use crate::check::{Configuration, Configured};
use crate::cli::{Cli, Command};
pub use ringkeeper_bench::show::paint::Paint;

/// Runs `ringkeeper tune` with its arguments; the first one is the name of the program.
pub fn run(args: impl Iterator<Item = OsString>, configuration: Configuration<'_>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let done = match &cli.command {
        Command::Probe(args) => run_probe::run(args),
        Command::Recommend(args) => recommend::run(args),
        Command::Check(args) => check::run(args, configuration),
        Command::Apply(args) => change::run_apply(args, configuration),
        Command::Undo(args) => change::run_undo(args),
        Command::Verify(args) => verify::run(args, configuration),
        Command::Watch(args) => watch::run(args),
    };
    done.unwrap_or_else(|error| {
        eprintln!("ringkeeper tune: {error:#}");
        ExitCode::FAILURE
    })
}
