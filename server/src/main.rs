//! The `ringkeeper` binary.

use std::process::ExitCode;

use ringkeeper_server::cli::{self, Command};
use ringkeeper_server::config::{Env, Settings};
use ringkeeper_server::{boot, logging};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::parse().command {
        Command::Start(args) => start(&args),
        Command::Version => {
            println!("{}", cli::version());
            ExitCode::SUCCESS
        }
        _ => ExitCode::FAILURE,
    }
}

fn start(args: &cli::StartArgs) -> ExitCode {
    let (settings, warnings) = match Settings::load(args, &Env::of_process()) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("ringkeeper: {error}");
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
