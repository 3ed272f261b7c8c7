//! The `ringkeeper` binary.

mod huge_pages;

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use ringkeeper_server::admin::{status, would_stop};
use ringkeeper_server::cli::{self, Command, LogCommand, SnapshotCommand, StartArgs, StatusArgs};
use ringkeeper_server::config::tuned;
use ringkeeper_server::config::{Env, Paint, Settings, Weight, check, page};
use ringkeeper_server::storage::import;
use ringkeeper_server::storage::inspect::{self, Outcome};
use ringkeeper_server::{boot, demo, fatal, logging};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let env = Env::of_process();
    let mut out = std::io::stdout().lock();
    match cli::parse().command {
        Command::Start(args) => {
            drop(out);
            start(&args, &env)
        }
        Command::Check(args) => {
            let look = |settings: &Settings| boot::look(settings).map_err(|error| reason(&error));
            match check::run(&args, (&env, &look), Paint::for_stdout(), &mut out) {
                Ok(checked) => checked.exit_code(),
                Err(error) => unless_pipe_closed(&error),
            }
        }
        Command::Settings(args) => match page::run(&args, Paint::for_stdout(), &mut out) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => unless_pipe_closed(&error),
        },
        Command::Log { command } => look_at_log(&command, &mut out),
        Command::Import(args) => done(import::import(&args, &mut out)),
        Command::Snapshot { command: SnapshotCommand::Restore(args) } => {
            done(inspect::restore(&args, &mut out))
        }
        Command::Demo(args) => {
            drop(out);
            match demo::run(&args) {
                Ok(demo::Verdict::Kept) => ExitCode::SUCCESS,
                Ok(demo::Verdict::Lost) => ExitCode::FAILURE,
                Err(error) => {
                    eprintln!("ringkeeper: {}", reason(&error));
                    ExitCode::FAILURE
                }
            }
        }
        Command::RecoverQuorum(args) => ended(inspect::recover_quorum(&args, &mut out)),
        Command::Bench { args } => {
            drop(out);
            ringkeeper_bench::run(args.into_iter())
        }
        Command::Tune { args } => {
            drop(out);
            let words = std::iter::once("ringkeeper tune".into()).chain(args);
            ringkeeper_tuning::run(words, &|config| tuned::configured(config, &env))
        }
        Command::Status(args) => match run_status(&args, &mut out) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => unless_pipe_closed(&error),
        },
        Command::Version => {
            // Nobody reads it: nobody minds.
            let _ = writeln!(out, "{}", cli::version());
            ExitCode::SUCCESS
        }
    }
}

/// Whether the server serves, or may be stopped.
fn run_status(args: &StatusArgs, out: &mut dyn Write) -> io::Result<bool> {
    if args.would_stop { would_stop::run(args, out) } else { status::run(args, out) }
}

fn done(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringkeeper: {}", reason(&error));
            ExitCode::FAILURE
        }
    }
}

/// A reader such as `head` has seen enough and goes; that is no failure.
fn unless_pipe_closed(error: &io::Error) -> ExitCode {
    if error.kind() == ErrorKind::BrokenPipe {
        return ExitCode::SUCCESS;
    }
    eprintln!("ringkeeper: cannot write to standard output: {error}");
    ExitCode::FAILURE
}

fn look_at_log(command: &LogCommand, out: &mut dyn Write) -> ExitCode {
    let outcome = match command {
        LogCommand::Dump(args) => inspect::dump(args, out).map(|()| Outcome::Whole),
        LogCommand::Repair(args) => inspect::repair(args, out),
    };
    ended(outcome)
}

fn ended(outcome: anyhow::Result<Outcome>) -> ExitCode {
    match outcome {
        Ok(Outcome::Whole | Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Damaged) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("ringkeeper: {}", reason(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and what caused it, each cause once: most errors say themselves what caused them.
fn reason(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |said, cause| {
        if said.is_empty() {
            cause
        } else if said.contains(&cause) {
            said
        } else {
            format!("{said}: {cause}")
        }
    })
}

fn start(args: &StartArgs, env: &Env) -> ExitCode {
    let (settings, warnings) = match Settings::load(args, env) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    huge_pages::avoid();
    fatal::stop_on_panic();
    if let Err(error) = fatal::stop_on_bus_error() {
        eprintln!("ringkeeper: no handler for SIGBUS: {error}");
        return ExitCode::FAILURE;
    }
    logging::start(settings.log_format, settings.log_level);
    for warning in warnings {
        match warning.weight {
            Weight::Note => tracing::info!("{warning}"),
            Weight::Warning => tracing::warn!("{warning}"),
        }
    }
    let read_again = || match Settings::load(args, env) {
        Ok((settings, _)) => Ok(settings),
        Err(error) => Err(error.to_string()),
    };
    match boot::serve(&settings, &read_again) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringkeeper: {}", reason(&error));
            ExitCode::FAILURE
        }
    }
}
