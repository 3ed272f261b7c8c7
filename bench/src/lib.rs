//! A client that counts: loads any server that speaks the ZooKeeper protocol, verifies every
//! reply while it does, and reports honest figures.
//!
//! From the outside in: [`run()`] reads the command line; `run` (the module) carries one load to
//! one target; `driver` is one thread of it; `session` is one session without its socket, and a
//! `Part` says what the session is for (`pipelined`, `fanout`; `storm` has a shape of its own).
//! `uring_rt` is the only module that knows what carries the sockets. `check` decides whether a
//! reply is a good one, `audit` whether every write is there in the end; `tally` counts and times; `report`, `text`, `live` and `versus` show.

mod audit;
mod check;
mod cli;
mod clock;
mod course;
mod driver;
mod fanout;
mod fault;
mod host;
mod kind;
mod live;
mod load;
mod pipelined;
mod report;
mod run;
mod session;
mod signal;
mod storm;
mod tally;
mod text;
mod tree;
mod uring_rt;
mod value;
mod versus;
mod workload;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use serde_json::{Value, json};

use cli::{Cli, Command, OutputArgs, RunArgs, VersusArgs};
use live::Live;
use load::Target;
use versus::Side;

/// Whether the figures stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    Good,
    Bad,
}

/// Runs `ringkeeper bench` with the arguments behind that word. Exit codes: 0 if every run was
/// measured and nothing was wrong, 1 if the server did something wrong or a run ended before its
/// time, 2 if nothing could be measured.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(std::iter::once("bench".into()).chain(args)) {
        Ok(cli) => cli,
        Err(error) => {
            // It prints help too, which is no failure; a closed terminal is none either.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let outcome = match &cli.command {
        None => run_plain(&cli.run),
        Some(Command::Versus(versus)) => run_versus(versus),
    };
    match outcome {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Bad) => ExitCode::from(1),
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run_plain(args: &RunArgs) -> Result<Outcome> {
    let target = args.target()?;
    let mut live = Live::new(!args.output.quiet);
    let mut reports = Vec::new();
    for load in args.load.loads()? {
        live.say(&format!("{} on {}", text::title(&load), target.name));
        let report = run::run(&target, &load, &mut live)?;
        print(&text::report(&report));
        reports.push(report);
        save(&args.output, || json!(reports.iter().map(report::Report::json).collect::<Vec<_>>()))?;
    }
    let good = reports.iter().all(report::Report::is_good);
    Ok(if good { Outcome::Good } else { Outcome::Bad })
}

fn run_versus(args: &VersusArgs) -> Result<Outcome> {
    let targets = args.targets()?;
    let mut live = Live::new(!args.output.quiet);
    let mut comparisons = Vec::new();
    let mut good = true;
    for load in args.load.loads()? {
        let mut sides: Vec<Side> = targets.iter().map(side).collect();
        for round in 0..args.rounds {
            for turn in turns(targets.len(), round) {
                let (target, title) = (&targets[turn], text::title(&load));
                live.say(&format!("{title} on {}, round {}", target.name, round + 1));
                sides[turn].rounds.push(run::run(target, &load, &mut live)?);
            }
        }
        for report in sides.iter().flat_map(|side| &side.rounds).filter(|r| !r.is_good()) {
            print(&text::report(report));
        }
        print(&versus::table(&text::title(&load), &sides));
        good &= sides.iter().all(Side::is_good);
        comparisons.push(versus::json(&sides));
        save(&args.output, || json!(comparisons))?;
    }
    Ok(if good { Outcome::Good } else { Outcome::Bad })
}

fn side(target: &Target) -> Side {
    Side { name: target.name.clone(), rounds: Vec::new() }
}

/// Who goes first changes from round to round, since the second finds a warmer host.
fn turns(targets: usize, round: u32) -> Vec<usize> {
    let mut turns: Vec<usize> = (0..targets).collect();
    if round % 2 == 1 {
        turns.reverse();
    }
    turns
}

fn print(text: &str) {
    // Whoever closed the terminal does not need the text.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Saves what there is so far: a long session that is cut short keeps its results.
fn save(output: &OutputArgs, results: impl Fn() -> Value) -> Result<()> {
    let Some(path) = &output.json else { return Ok(()) };
    let document = json!({
        "tool": concat!("ringkeeper bench ", env!("CARGO_PKG_VERSION")),
        "command": std::env::args().collect::<Vec<_>>(),
        "host": host::describe(),
        "results": results(),
    });
    let text = format!("{document:#}\n");
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
