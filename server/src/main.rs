//! The `ringkeeper` binary.

use std::process::ExitCode;

use ringkeeper_server::cli::{self, Command, StartArgs};
use ringkeeper_server::config::{Env, Paint, Settings, check, page};
use ringkeeper_server::{boot, logging};

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
        Command::Check(args) => match check::run(&args, &env, Paint::for_stdout(&env), &mut out) {
            Ok(checked) => checked.exit_code(),
            Err(_) => ExitCode::FAILURE,
        },
        Command::Settings(args) => {
            ExitCode::from(u8::from(page::run(&args, Paint::for_stdout(&env), &mut out).is_err()))
        }
        Command::Bench { args } => {
            drop(out);
            ringkeeper_bench::run(args.into_iter())
        }
        Command::Tune { args } => {
            drop(out);
            ringkeeper_tuning::run(std::iter::once("ringkeeper tune".into()).chain(args))
        }
        Command::Version => {
            println!("{}", cli::version());
            ExitCode::SUCCESS
        }
    }
}

fn start(args: &StartArgs, env: &Env) -> ExitCode {
    let (settings, warnings) = match Settings::load(args, env) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    logging::start(settings.log_format, settings.log_level);
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    match boot::serve(&settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringkeeper: {error:#}");
            ExitCode::FAILURE
        }
    }
}
