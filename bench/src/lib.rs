//! A client that counts: loads any server that speaks the ZooKeeper protocol, verifies every
//! reply while it does, and reports honest figures.
//!
//! From the outside in: [`run()`] reads the command line, `scenario` files of it; `run` (the
//! module) carries one load to one target, `search` carries many; `driver` is one thread of it;
//! `link` is a session with its socket and `session` is one without, and a `Part` says what the
//! session is for (`pipelined`, `fanout`, `recipe`; `storm` has a shape of its own). `rt` is what
//! carries the sockets. `check` decides whether a reply is a good one, `ledger` writes down what was
//! acknowledged and `audit` looks whether it is there in the end; `tally` counts and times;
//! `throw_away` is a server for one run and `kill` kills servers; `report`, `text`, `live` and
//! `versus` show.

mod audit;
mod check;
mod cli;
mod clock;
mod course;
mod driver;
mod fanout;
mod fault;
mod host;
mod interrupt;
mod keys;
mod kill;
mod kind;
mod ledger;
mod link;
mod live;
mod load;
mod load_args;
mod mix;
mod outage;
mod pipelined;
mod recipe;
mod report;
mod rt;
mod run;
mod scenario;
mod search;
mod session;
mod signal;
mod sizes;
mod storm;
mod tally;
mod text;
mod throw_away;
mod tree;
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
use load::{Load, Target};
use rt::Io;
use search::{Goal, Search};
use versus::Side;

/// Whether the figures stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    Good,
    Bad,
}

/// Runs `ringkeeper bench` with the arguments behind that word. Exit codes: 0 if every run was
/// measured and nothing was wrong, 1 if the server did something wrong or a run ended before its
/// time, 2 if nothing could be measured, 130 (128 and the signal's number) if it was interrupted.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = std::iter::once("bench".into()).chain(args).collect();
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => {
            // It prints help too, which is no failure; a closed terminal is none either.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let outcome =
        interrupt::listen().context("cannot listen to signals").and_then(|()| match &cli.command {
            None => run_plain(&cli.run, &args),
            Some(Command::Versus(versus)) => run_versus(versus),
            Some(Command::Scenarios(scenarios)) => scenario::list(scenarios.show.as_deref()),
        });
    if let Err(error) = &outcome {
        eprintln!("bench: {error:#}");
    }
    match (interrupt::exit_code(), outcome) {
        (Some(code), _) => ExitCode::from(code),
        (None, Ok(Outcome::Good)) => ExitCode::SUCCESS,
        (None, Ok(Outcome::Bad)) => ExitCode::from(1),
        (None, Err(_)) => ExitCode::from(2),
    }
}

/// Settles what carries the sockets, and says so where it was not what was hoped for.
fn settle_io(load: &load_args::LoadArgs) -> Result<Io> {
    let (io, reason) = Io::choose(load.io)?;
    if let Some(reason) = reason {
        eprintln!("{reason}: sockets on epoll");
    }
    Ok(io)
}

fn run_plain(args: &RunArgs, words: &[OsString]) -> Result<Outcome> {
    let io = settle_io(&args.load)?;
    let scenario = args.scenario.as_deref().map(scenario::read).transpose()?;
    let loads = match &scenario {
        None => args.load.loads(io)?,
        Some(scenario) => scenario::loads(scenario, words, io)?,
    };
    let target = args.target(scenario.and_then(|scenario| scenario.servers))?;
    let mut live = Live::new(!args.output.quiet);
    if let Some(goal) = &args.search {
        return run_search(args, goal, &target, &loads, &mut live);
    }
    let mut reports = Vec::new();
    for load in loads {
        live.say(&format!("{} on {}", text::title(&load), target.name));
        let report = run::run(&target, &load, &mut live)?;
        print(&text::report(&report));
        reports.push(report);
        save(&args.output, || json!(reports.iter().map(report::Report::json).collect::<Vec<_>>()))?;
        if interrupt::is_wanted() {
            break;
        }
    }
    let good = reports.iter().all(report::Report::is_good);
    Ok(if good { Outcome::Good } else { Outcome::Bad })
}

fn run_search(
    args: &RunArgs,
    goal: &Goal,
    target: &Target,
    loads: &[Load],
    live: &mut Live,
) -> Result<Outcome> {
    let mut results = Vec::new();
    let mut good = true;
    for load in loads {
        anyhow::ensure!(
            load.workload.is_pipelined(),
            "{} has its own rhythm: no rate of it can be searched",
            load.workload
        );
        let mut search = Search::new(load.rate.unwrap_or(search::START));
        let mut report = None;
        live.say(&format!("{} on {}, as fast as {goal}", text::title(load), target.name));
        while let Some(rate) = search.next() {
            let least = if search.is_confirming() { load.duration * 2 } else { load.duration };
            let duration = goal.duration(rate, least);
            let step_load = Load { rate: Some(rate), duration, ..load.clone() };
            let run = run::run(target, &step_load, &mut Live::new(false))?;
            if interrupt::is_wanted() {
                break;
            }
            let step = goal.judge(rate, &run);
            print(&format!("{}\n", search::line(&step, search.is_confirming())));
            if !run.faults.is_empty() {
                print(&text::report(&run));
                break;
            }
            search.take(step);
            report = Some(run);
        }
        if let Some(report) = report.as_ref().filter(|_| search.found().is_some()) {
            print(&text::report(report));
        }
        print(&search.text(goal));
        good &= search.found().is_some();
        let report = report.map(|report| report.json());
        results.push(json!({ "search": search.json(goal), "report": report }));
        save(&args.output, || json!(results))?;
    }
    Ok(if good { Outcome::Good } else { Outcome::Bad })
}

fn run_versus(args: &VersusArgs) -> Result<Outcome> {
    let io = settle_io(&args.load)?;
    let targets = args.targets()?;
    let mut live = Live::new(!args.output.quiet);
    let mut comparisons = Vec::new();
    let mut good = true;
    for load in args.load.loads(io)? {
        let mut sides: Vec<Side> = targets.iter().map(side).collect();
        for round in 0..args.rounds {
            for turn in turns(targets.len(), round) {
                interrupt::check()?;
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
