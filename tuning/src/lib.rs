//! What this host can do with durable writes.
//!
//! Thin on purpose for now: it shows the measurement that the server makes at its first start.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use ringkeeper_engine::device::{Load, ProbeReport, probe};

/// Measure this host, and say which settings suit it.
#[derive(Debug, Parser)]
#[command(name = "ringkeeper tune", bin_name = "ringkeeper tune")]
struct Words {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure every way to make a commit durable, on the disk of a directory.
    Probe(ProbeArgs),
}

#[derive(Args, Debug)]
struct ProbeArgs {
    /// A directory on the disk to measure; what is written there is removed again.
    #[arg(long, default_value = ".")]
    dir: PathBuf,

    /// How long to measure, in milliseconds.
    #[arg(
        long,
        default_value_t = 3_000,
        value_parser = clap::value_parser!(u64).range(100..=60_000)
    )]
    millis: u64,
}

/// Runs `ringkeeper tune` with its arguments; the first one is the name of the program.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let words = match Words::try_parse_from(args) {
        Ok(words) => words,
        Err(error) => error.exit(),
    };
    let Command::Probe(args) = words.command;
    match probe(&args.dir, Duration::from_millis(args.millis)) {
        Ok(report) => {
            print(&report);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("ringkeeper tune: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print(report: &ProbeReport) {
    println!(
        "{:8} {:>8} {:6} {:>8} {:>8} {:>8} {:>10}",
        "way", "bytes", "load", "commits", "p50 us", "p99 us", "written"
    );
    for row in &report.measured {
        let load = match row.load {
            Load::Quiet => "quiet",
            Load::Busy => "busy",
        };
        let written = row.written_bytes.map_or_else(|| "?".to_owned(), |bytes| bytes.to_string());
        println!(
            "{:8} {:>8} {load:6} {:>8} {:>8} {:>8} {written:>10}",
            row.strategy, row.bytes, row.commits, row.p50_us, row.p99_us
        );
    }
    println!("advice: ringkeeper.log.device={}: {}", report.chosen, report.why);
}
