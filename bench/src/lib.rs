//! A client that counts: loads any server that speaks the ZooKeeper protocol, verifies every
//! reply while it does, and reports honest figures.
//!
//! The folders, lower ones first; none imports from one above it:
//! - `model`: plain data;
//! - `load`: what the sessions are to do, and the options and scenarios that say so;
//! - `verify`: whether replies are right, and whether acknowledged writes are there in the end;
//! - `servers`: the processes under load, what they report, and how they are killed;
//! - `record`: what is counted and timed, and the JSON that keeps it;
//! - `drive`: the threads, sessions and sockets that carry a load;
//! - `show`: results as text, live lines, pages and comparisons.
//!
//! `run` carries one load to one target, `search` looks for the highest rate, `cli` is the command
//! line, and `result_writer` puts results where they were asked for.

mod cli;
mod drive;
mod load;
mod model;
mod record;
mod result_writer;
mod run;
mod search;
mod servers;
mod show;
mod verify;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};

use crate::cli::{CheckArgs, Cli, Command, CompareArgs, RunArgs, VersusArgs};
use crate::drive::{interrupt, rt};
use crate::load::parameters::Load;
use crate::load::{scenario, unused_options};
use crate::model::error::error_text;
use crate::model::io::{Io, IoChoice};
use crate::record::results::{self, Document};
use crate::result_writer::{Notebook, Outcome};
use crate::search::{Goal, Search};
use crate::servers::target::Target;
use crate::show::compare::{self, Side};
use crate::show::live::Live;
use crate::show::{capacity, condition, html, text, versus};

/// Runs `ringkeeper bench` with the arguments behind that word. Exit codes: 0 if every run was
/// measured and nothing was wrong, 1 if the server did something wrong or a run ended before its
/// time, 2 if nothing could be measured, 3 if a condition of `--fail-if` holds, 130 (128 and the
/// signal's number) if it was interrupted.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = std::iter::once("bench".into()).chain(args).collect();
    let parsed = Cli::command().try_get_matches_from(&args);
    let parsed = parsed.and_then(|found| Ok((Cli::from_arg_matches(&found)?, found)));
    let (cli, found) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            // It prints help too, which is no failure; a closed terminal is none either.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let outcome =
        interrupt::listen().context("cannot listen to signals").and_then(|()| match &cli.command {
            None => run_plain(&cli.run, &args, &found),
            Some(Command::Versus(versus)) => run_versus(versus),
            Some(Command::Compare(compare)) => run_compare(compare),
            Some(Command::Check(check)) => run_check(check),
            Some(Command::Scenarios(scenarios)) => {
                scenario::list(scenarios.show.as_deref()).map(|list| {
                    print(&list);
                    Outcome::Good
                })
            }
        });
    if let Err(error) = &outcome {
        eprintln!("bench: {}", error_text(error));
    }
    match (interrupt::exit_code(), outcome) {
        (Some(code), _) => ExitCode::from(code),
        (None, Ok(Outcome::Good)) => ExitCode::SUCCESS,
        (None, Ok(Outcome::Bad)) => ExitCode::from(1),
        (None, Ok(Outcome::ConditionFailed)) => ExitCode::from(3),
        (None, Err(_)) => ExitCode::from(2),
    }
}

/// Settles what carries the sockets, and says so where it was not what was hoped for.
fn settle_io(choice: IoChoice) -> Result<Io> {
    let (io, reason) = rt::choose(choice)?;
    if let Some(reason) = reason {
        eprintln!("{reason}: sockets on epoll");
    }
    Ok(io)
}

fn run_plain(args: &RunArgs, words: &[OsString], found: &ArgMatches) -> Result<Outcome> {
    let io = settle_io(args.load.io)?;
    let scenario = args.scenario.as_deref().map(scenario::read).transpose()?;
    let loads = match &scenario {
        None => args.load.loads(io)?,
        Some(scenario) => scenario::loads(scenario, words, io, Cli::parse_load)?,
    };
    let mut notebook = Notebook::open(&args.output)?;
    let mut live = args.output.live()?;
    unused_options::idle(found, &loads).iter().for_each(|said| live.say(said));
    let target = args.target(scenario.and_then(|scenario| scenario.servers))?;
    if let Some(goal) = &args.search {
        return run_search(goal, &target, &loads, &mut notebook, &mut live);
    }
    let print = printer(&notebook);
    let repeats = args.repeat;
    let turns = loads.iter().flat_map(|load| (1..=repeats).map(move |repeat| (load, repeat)));
    for (load, repeat) in turns {
        let title = load.title();
        live.say(&format!("{title} on {}{}", target.name, turn(repeat, repeats)));
        match run::run(&target, load, &mut live) {
            Ok(mut run) => {
                run.repeat = repeat;
                print(&text::report(&run));
                notebook.add(run);
            }
            // The next load would not fare better.
            Err(error) => {
                notebook.fail(&title, error)?;
                break;
            }
        }
        if interrupt::is_wanted() {
            break;
        }
    }
    print(&text::repeats(&notebook.document.results));
    notebook.close(Notebook::page)?;
    live.check()?;
    notebook.outcome(print)
}

fn run_search(
    goal: &Goal,
    target: &Target,
    loads: &[Load],
    notebook: &mut Notebook,
    live: &mut Live,
) -> Result<Outcome> {
    let print = printer(notebook);
    let mut all_found = true;
    for load in loads {
        let is_pipelined = load.workload.is_pipelined();
        ensure!(is_pipelined, "{} has its own rhythm: it has no rate to search", load.workload);
        live.say(&format!("{} on {}: {goal}", load.title(), target.name));
        let mut search = Search::new(load.rate.unwrap_or(search::START));
        while let Some(rate) = search.next() {
            let step = search.is_confirming();
            let load = goal.load(load, rate, step);
            let run = run::run(target, &load, live)?;
            if interrupt::is_wanted() {
                break;
            }
            search.take(goal.judge(rate, &run));
            print(&search.last_line(step));
            let is_bad = !run.faults.is_empty();
            if is_bad || search.found().is_some() {
                print(&text::report(&run));
                notebook.add(run);
            }
            if is_bad {
                break;
            }
        }
        print(&search.text(goal));
        all_found &= search.found().is_some();
        notebook.document.searches.push(search.json(goal));
    }
    notebook.close(Notebook::page)?;
    live.check()?;
    let outcome = notebook.outcome(print)?;
    Ok(if all_found { outcome } else { Outcome::Bad })
}

fn run_versus(args: &VersusArgs) -> Result<Outcome> {
    let io = settle_io(args.load.io)?;
    let targets = args.targets()?;
    let mut notebook = Notebook::open(&args.output)?;
    let mut live = args.output.live()?;
    let print = printer(&notebook);
    for load in args.load.loads(io)? {
        for round in 0..args.rounds {
            for which in turns(targets.len(), round) {
                interrupt::check()?;
                let (target, title) = (&targets[which], load.title());
                live.say(&format!("{title} on {}, round {}", target.name, round + 1));
                let mut run = match run::run(target, &load, &mut live) {
                    Ok(run) => run,
                    Err(error) => return give_up(notebook, &title, error),
                };
                run.repeat = round + 1;
                if !run.is_good() {
                    print(&text::report(&run));
                }
                notebook.add(run);
            }
        }
    }
    let mut sides = Side::each_target(&notebook.document);
    // Who goes first changes from round to round; the first target is the base all the same.
    sides.sort_by_key(|side| targets.iter().position(|target| target.name == side.name));
    print(&versus::table(&sides));
    let comparisons = compare::compare(&sides)?;
    print(&compare::summary(&comparisons));
    notebook.document.versus = Some(versus::json(&comparisons));
    let page = |one: &Document| html::comparison(&sides, &comparisons, &one.command_line());
    notebook.close(page)?;
    live.check()?;
    notebook.outcome(print)
}

/// A comparison without one of its sides is none; what was measured is kept all the same.
fn give_up(mut notebook: Notebook, title: &str, error: anyhow::Error) -> Result<Outcome> {
    notebook.fail(title, error)?;
    notebook.close(Notebook::page)?;
    Ok(Outcome::Bad)
}

fn run_compare(args: &CompareArgs) -> Result<Outcome> {
    let sides = compare::read_sides(&args.files, &args.base, &args.new)?;
    let comparisons = compare::compare(&sides)?;
    let document = Document::begin();
    if args.json.as_deref().is_none_or(|path| path.as_os_str() != "-") {
        print(&compare::table(&comparisons));
    }
    if let Some(path) = &args.json {
        results::save(path, &format!("{:#}\n", versus::json(&comparisons)))?;
    }
    if let Some(path) = &args.html {
        let page = html::comparison(&sides, &comparisons, &document.command_line());
        results::save(path, &page)?;
    }
    let mut failed = false;
    for side in &sides[1..] {
        for ruling in condition::judge(&args.fail_if, &side.runs, Some(&sides[0].runs))? {
            failed |= ruling.failed;
            print(&format!("{}\n", ruling.text));
        }
    }
    Ok(match (failed, comparisons.iter().any(compare::Comparison::is_worse)) {
        (true, _) => Outcome::ConditionFailed,
        // Conditions, if there are any, decide alone.
        (false, true) if args.fail_if.is_empty() => Outcome::Bad,
        (false, _) => Outcome::Good,
    })
}

fn run_check(args: &CheckArgs) -> Result<Outcome> {
    let (target, load) = (args.target()?, args.load(settle_io(IoChoice::Auto)?)?);
    let mut notebook = Notebook::open(&args.output)?;
    let mut live = args.output.live()?;
    let print = printer(&notebook);
    live.say(&format!("{} on {}", capacity::announcement(args.load, &load), target.name));
    let run = run::run(&target, &load, &mut live)?;
    print(&text::report(&run));
    let (passed, verdict) = capacity::verdict(args.load, &run);
    print(&format!("\n{verdict}"));
    notebook.add(run);
    notebook.close(Notebook::page)?;
    live.check()?;
    let outcome = notebook.outcome(print)?;
    Ok(if passed { outcome } else { Outcome::Bad })
}

fn turn(repeat: u32, repeats: u32) -> String {
    if repeats > 1 { format!(", run {repeat} of {repeats}") } else { String::new() }
}

/// Who goes first changes from round to round, since the second finds a warmer host.
fn turns(targets: usize, round: u32) -> Vec<usize> {
    let mut turns: Vec<usize> = (0..targets).collect();
    if round % 2 == 1 {
        turns.reverse();
    }
    turns
}

/// Where tables go: not between the lines of a result on the standard output.
fn printer(notebook: &Notebook) -> fn(&str) {
    if notebook.takes_stdout() { print_aside } else { print }
}

fn print(text: &str) {
    // Whoever closed the terminal does not need the text.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn print_aside(text: &str) {
    // The same as above.
    let _ = std::io::stderr().write_all(text.as_bytes());
}
