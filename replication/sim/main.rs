//! `ringkeeper-sim`: plays seeds of the simulator, any number of them.
#![allow(dead_code, reason = "the tests of this crate use more of these modules")]
#![expect(clippy::disallowed_types, reason = "the program's threads share a summary")]
#![expect(
    clippy::disallowed_methods,
    reason = "the program measures itself; the simulation does not"
)]

mod args;
#[path = "mod.rs"]
mod sim;
mod summary;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use args::{Args, Command};
use sim::ensemble::crash_points::{History, end_at_steps};
use sim::ensemble::runner::{EnsembleOutcome, play_ensemble, run_ensemble};
use sim::ensemble::world::World;
use sim::runner::{FailureClass, run};
use summary::{Failure, Played, Summary};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often progress is shown.
const PROGRESS: Duration = Duration::from_millis(250);

thread_local! {
    /// The seed that this thread plays.
    static SEED: Cell<u64> = const { Cell::new(0) };
    /// Why it has failed.
    static FAILED: RefCell<Option<Failure>> = const { RefCell::new(None) };
}

fn main() -> ExitCode {
    let args = match Args::parse(std::env::args().skip(1)) {
        Ok(Command::Run(args)) => args,
        Ok(Command::CrashPoints) => {
            let all = [History::Election, History::Write, History::Change, History::Rejoin];
            for history in all {
                let count = end_at_steps(history, (0, 1));
                println!("{history:?}: {count} ends of processes, nothing lost");
            }
            return ExitCode::SUCCESS;
        }
        Ok(Command::Help) => {
            print!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}\n`ringkeeper-sim --help` says what there is");
            return ExitCode::from(summary::USAGE);
        }
    };
    install_hook(&args);
    let summary = play_all(&args);
    let exit = summary.exit_code();
    println!("{}", if args.json { summary.json() } else { summary.text() });
    ExitCode::from(exit)
}

/// What a panic means is decided where it happens. Where panics abort, this is the end.
fn install_hook(args: &Args) {
    let (json, shows_backtrace, is_ensemble) = (args.json, args.is_replay, args.is_ensemble);
    std::panic::set_hook(Box::new(move |panic| {
        let location = panic.location();
        let file = location.map_or("", |location| location.file());
        let line = location.map_or(0, |location| location.line());
        let payload = panic.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
        let what = text.unwrap_or("a panic without a text").to_owned();
        let (seed, class) = (SEED.get(), FailureClass::of(file));
        let failure = Failure { seed, is_ensemble, class, what, at: format!("{file}:{line}") };
        eprintln!("{}", if json { failure.json() } else { failure.text() });
        let backtrace = Backtrace::capture();
        if shows_backtrace && backtrace.status() == BacktraceStatus::Captured {
            eprintln!("{backtrace}");
        }
        if cfg!(panic = "abort") {
            std::process::exit(i32::from(summary::exit_code(class)));
        }
        FAILED.with(|failed| *failed.borrow_mut() = Some(failure));
    }));
}

/// Plays every seed on as many threads as there should be.
fn play_all(args: &Args) -> Summary {
    let (next, stops) = (AtomicU64::new(args.first), AtomicBool::new(false));
    let total = Mutex::new(Summary::new(args.jobs));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..args.jobs {
            scope.spawn(|| {
                while let Some(seed) = next_seed(&next, args.last, &stops) {
                    play(args, seed, &total, &stops);
                }
            });
        }
        if std::io::stderr().is_terminal() && !args.json {
            show_progress(args, &total, begun);
        }
    });
    let mut summary = total.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    summary.wall = begun.elapsed();
    summary
}

fn next_seed(next: &AtomicU64, last: u64, stops: &AtomicBool) -> Option<u64> {
    if stops.load(Ordering::Relaxed) {
        return None;
    }
    let seed = next.fetch_add(1, Ordering::Relaxed);
    (seed <= last).then_some(seed)
}

fn play(args: &Args, seed: u64, total: &Mutex<Summary>, stops: &AtomicBool) {
    SEED.set(seed);
    #[cfg(feature = "plant")]
    ringkeeper_replication::plant(args.plant);
    let played = std::panic::catch_unwind(|| match args.is_ensemble {
        true if args.is_replay => Played::of_ensemble(report_event(seed)),
        true => Played::of_ensemble(run_ensemble(seed)),
        false => Played::of_member(run(seed)),
    });
    let mut total = total.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    match played {
        Ok(outcome) => {
            if args.is_replay {
                eprintln!("{}", outcome.text);
            }
            total.add(&outcome);
        }
        Err(_) => {
            let failure = FAILED.with(|failed| failed.borrow_mut().take());
            total.failures.push(failure.expect("the hook has noted it"));
            stops.store(args.stops_at_failure, Ordering::Relaxed);
        }
    }
}

/// Plays an ensemble and prints what happens.
fn report_event(seed: u64) -> EnsembleOutcome {
    let mut world = World::new(seed);
    world.is_reported = true;
    eprintln!("{:#?}", world.swarm);
    play_ensemble(world)
}

/// One line that is written over until all seeds are played.
fn show_progress(args: &Args, total: &Mutex<Summary>, begun: Instant) {
    let all = args.last - args.first + 1;
    loop {
        std::thread::sleep(PROGRESS);
        let total = total.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let done = total.seeds + total.failures.len() as u64;
        let pace = total.virtual_us as f64 / 1e6 / begun.elapsed().as_secs_f64();
        let failed = total.failures.len();
        let mut out = std::io::stderr();
        let _ = write!(out, "\r{done}/{all} seeds, {pace:.0} simulated s/s, {failed} failed");
        if done >= all || (failed > 0 && args.stops_at_failure) {
            let _ = writeln!(out);
            return;
        }
    }
}
