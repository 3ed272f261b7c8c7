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
pub mod interrupt;
mod load;
pub mod model;
mod record;
mod result_writer;
mod run;
mod search;
pub mod servers;
pub mod show;
mod verify;

use std::ffi::OsString;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};

use crate::cli::{CheckArgs, Cli, Command, CompareArgs, OutputArgs, RunArgs, VersusArgs};
use crate::drive::rt;
use crate::load::args::Load;
use crate::load::{scenario, unused_options};
use crate::model::error::error_text;
use crate::model::io::{Io, IoChoice};
use crate::record::results::{self, Document, Run, Verdict};
use crate::result_writer::{Outcome, ResultWriter};
use crate::search::{Goal, Search};
use crate::servers::probe::ProbeOptions;
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
    let outcome = interrupt::listen(interrupt::Second::Kills)
        .context("cannot listen to signals")
        .and_then(|()| match &cli.command {
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

/// Loads a server with sets for three seconds: the median latency in microseconds, and operations
/// per second.
pub fn measure_sets(server: SocketAddr, connections: usize, pipeline: usize) -> Result<(f64, f64)> {
    let words = ["bench", "set", "--warmup=500ms", "--duration=3s"].map(OsString::from);
    let counts = [format!("--connections={connections}"), format!("--pipeline={pipeline}")];
    let words = words.into_iter().chain(counts.map(OsString::from)).collect();
    let load = Cli::parse_load(words)?.loads(settle_io(IoChoice::Auto)?)?.remove(0);
    let run = run::run(
        &Target::new("server", vec![server], ProbeOptions::default()),
        &load,
        &mut Live::new(false),
    )?;
    ensure!(run.is_good(), "the load was not carried: {}", run.fault_examples.join("; "));
    Ok((run.total.latency_us.p50, run.total.ops_per_s))
}

/// Settles what carries the sockets, and says so where it was not what was hoped for.
fn settle_io(choice: IoChoice) -> Result<Io> {
    let (io, reason) = rt::choose(choice)?;
    if let Some(reason) = reason {
        eprintln!("{reason}: sockets on epoll");
    }
    Ok(io)
}

/// A session of runs: where their results go, and what is shown meanwhile.
struct Session {
    results: ResultWriter,
    live: Live,
    /// Where tables go: not between the lines of a result on the standard output.
    print: fn(&str),
}

impl Session {
    fn open(output: &OutputArgs) -> Result<Session> {
        let results = ResultWriter::open(output)?;
        let print = if results.takes_stdout() { print_aside } else { print };
        Ok(Session { results, live: output.live()?, print })
    }

    /// Shows a run and keeps it.
    fn keep(&mut self, run: Run) {
        (self.print)(&text::report(&run, show::columns()));
        self.results.add(run);
    }

    /// Writes what is only written at the end; `page` makes the HTML.
    fn close(mut self, page: impl Fn(&Document) -> String) -> Result<Outcome> {
        self.results.close(page)?;
        self.live.check()?;
        self.results.outcome(self.print)
    }
}

fn run_plain(args: &RunArgs, words: &[OsString], found: &ArgMatches) -> Result<Outcome> {
    let io = settle_io(args.load.io)?;
    let scenario = args.scenario.as_deref().map(scenario::read).transpose()?;
    let loads = match &scenario {
        None => args.load.loads(io)?,
        Some(scenario) => scenario::loads(scenario, words, io, Cli::parse_load)?,
    };
    let mut session = Session::open(&args.output)?;
    let unused = unused_options::unused(found, &loads);
    unused.iter().for_each(|sentence| session.live.say(sentence));
    let target = args.target(scenario.and_then(|scenario| scenario.servers))?;
    if let Some(goal) = &args.search {
        return run_search(goal, &target, &loads, session);
    }
    let repeats = args.repeat;
    let turns = loads.iter().flat_map(|load| (1..=repeats).map(move |repeat| (load, repeat)));
    for (load, repeat) in turns {
        let title = load.title();
        session.live.say(&format!("{title} on {}{}", target.name, turn(repeat, repeats)));
        match run::run(&target, load, &mut session.live) {
            Ok(run) => session.keep(Run { repeat, ..run }),
            // The next load would not fare better.
            Err(error) => {
                session.results.fail(&title, error)?;
                break;
            }
        }
        if interrupt::is_wanted() {
            break;
        }
    }
    (session.print)(&text::repeats(&session.results.document.results));
    session.close(html::report)
}

fn run_search(
    goal: &Goal,
    target: &Target,
    loads: &[Load],
    mut session: Session,
) -> Result<Outcome> {
    let mut all_found = true;
    for load in loads {
        let is_pipelined = load.workload.is_pipelined();
        ensure!(is_pipelined, "{} has its own rhythm: it has no rate to search", load.workload);
        session.live.say(&format!("{} on {}: {goal}", load.title(), target.name));
        let mut search = Search::new(load.rate.unwrap_or(search::START));
        while let Some(rate) = search.next() {
            let step = search.is_confirming();
            let load = goal.load(load, rate, step);
            let run = run::run(target, &load, &mut session.live)?;
            if interrupt::is_wanted() {
                break;
            }
            search.take(goal.judge(rate, &run));
            (session.print)(&search.last_line(step));
            let is_bad = !run.faults.is_empty();
            if is_bad || search.found().is_some() {
                session.keep(run);
            }
            if is_bad {
                break;
            }
        }
        (session.print)(&search.text(goal));
        all_found &= search.found().is_some();
        let (failed, text) = (search.found().is_none(), search.text(goal).trim().to_owned());
        session.results.conclude(Verdict { failed, text });
        session.results.document.searches.push(search.json(goal));
    }
    let outcome = session.close(html::report)?;
    Ok(if all_found { outcome } else { Outcome::Bad })
}

fn run_versus(args: &VersusArgs) -> Result<Outcome> {
    let io = settle_io(args.load.io)?;
    let targets = args.targets()?;
    let mut session = Session::open(&args.output)?;
    for load in args.load.loads(io)? {
        for round in 0..args.rounds {
            for which in turns(targets.len(), round) {
                interrupt::check()?;
                let (target, title) = (&targets[which], load.title());
                session.live.say(&format!("{title} on {}, round {}", target.name, round + 1));
                let run = match run::run(target, &load, &mut session.live) {
                    Ok(run) => Run { repeat: round + 1, ..run },
                    Err(error) => return give_up(session.results, &title, error),
                };
                if run.is_good() {
                    session.results.add(run);
                } else {
                    session.keep(run);
                }
            }
        }
    }
    let mut sides = Side::each_target(&session.results.document);
    // Who goes first changes from round to round; the first target is the base all the same.
    sides.sort_by_key(|side| targets.iter().position(|target| target.name == side.name));
    (session.print)(&versus::table(&sides, show::columns()));
    let comparisons = compare::compare(&sides)?;
    (session.print)(&compare::summary(&comparisons));
    session.results.document.versus = Some(versus::json(&comparisons));
    session.close(|one| html::comparison(&sides, &comparisons, one))
}

/// A comparison without one of its sides is none; what was measured is kept all the same.
fn give_up(mut results: ResultWriter, title: &str, error: anyhow::Error) -> Result<Outcome> {
    results.fail(title, error)?;
    results.close(html::report)?;
    Ok(Outcome::Bad)
}

fn run_compare(args: &CompareArgs) -> Result<Outcome> {
    let sides = compare::read_sides(&args.files, &args.base, &args.new)?;
    let comparisons = compare::compare(&sides)?;
    let mut document = Document::begin();
    for side in &sides[1..] {
        let verdicts = condition::judge(&args.fail_if, &side.runs, Some(&sides[0].runs))?;
        document.verdicts.extend(verdicts.into_iter().map(Into::into));
    }
    if args.json.as_deref().is_none_or(|path| path.as_os_str() != "-") {
        print(&compare::table(&comparisons, show::columns()));
    }
    if let Some(path) = &args.json {
        results::save(path, &format!("{:#}\n", versus::json(&comparisons)))?;
    }
    if let Some(path) = &args.html {
        let page = html::comparison(&sides, &comparisons, &document);
        results::save(path, &page)?;
    }
    let failed = document.verdicts.iter().any(|verdict| verdict.failed);
    document.verdicts.iter().for_each(|verdict| print(&format!("{}\n", verdict.text)));
    Ok(match (failed, comparisons.iter().any(compare::Comparison::is_worse)) {
        (true, _) => Outcome::ConditionFailed,
        // Conditions, if there are any, decide alone.
        (false, true) if args.fail_if.is_empty() => Outcome::Bad,
        (false, _) => Outcome::Good,
    })
}

fn run_check(args: &CheckArgs) -> Result<Outcome> {
    let (target, load) = (args.target()?, args.load(settle_io(IoChoice::Auto)?)?);
    let mut session = Session::open(&args.output)?;
    session.live.say(&format!("{} on {}", capacity::announcement(args.load, &load), target.name));
    let run = run::run(&target, &load, &mut session.live)?;
    let (passed, verdict) = capacity::verdict(args.load, &run);
    session.keep(run);
    let text = verdict.trim().to_owned();
    session.results.conclude(Verdict { failed: !passed, text });
    (session.print)(&format!("\n{verdict}"));
    let outcome = session.close(html::report)?;
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

fn print(text: &str) {
    // A reader that closed the terminal does not need the text.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn print_aside(text: &str) {
    // The same as above.
    let _ = std::io::stderr().write_all(text.as_bytes());
}
