//! Does anything make the server pause? A light, steady load while the tree grows by millions and
//! snapshots are taken.
//!
//! ```text
//! cargo build --release --bin ringkeeper --example stalls
//! target/release/examples/stalls                          # 1 M znodes, then 1 M more
//! target/release/examples/stalls --nodes 1000000 --grow 9000000 --bytes 10
//! target/release/examples/stalls --watches                # 1 M watches, 10,000 sessions
//! target/release/examples/stalls --herd                  # 10,000 sessions alone
//! ```
//!
//! One client asks for 500 reads and 200 writes a second. Each request has a moment at which it is
//! due; its latency counts from there, so that a pause is seen by everything that it delays. Each
//! phase stands beside one that differs in nothing but what is looked at: growing beside as many
//! multis that change nodes which are there, a snapshot beside none. `late` is how late a thread
//! of this process was woken in that phase: what the machine does to everybody, whoever serves.

mod herd;
mod host;
mod paced;
mod phases;
mod table;
mod watches;

use std::path::PathBuf;

use clap::Parser;

use crate::host::Host;

/// Looks for pauses of a server that grows and takes snapshots.
#[derive(Parser, Debug)]
struct Args {
    /// Znodes before anything is measured.
    #[arg(long, default_value_t = 1_000_000)]
    nodes: u32,
    /// Znodes that are created while the load is measured.
    #[arg(long, default_value_t = 1_000_000)]
    grow: u32,
    /// Bytes of data in each.
    #[arg(long, default_value_t = 100)]
    bytes: usize,
    /// Seconds of the measurement without anything else.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// How many snapshots are looked at.
    #[arg(long, default_value_t = 3)]
    snapshots: u32,
    /// Looks at a million watches and at 10,000 sessions that watch one node instead.
    #[arg(long)]
    watches: bool,
    /// Looks at the 10,000 sessions without the million watches.
    #[arg(long)]
    herd: bool,
    /// Sessions that watch one node, as far as open files are allowed.
    #[arg(long, default_value_t = 10_000)]
    sessions: usize,
    /// The binary; the one beside this program's folder where it is left out.
    #[arg(long)]
    server: Option<PathBuf>,
    /// Where the server's directory is made.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Settings of the server, as `ringkeeper start -D` takes them.
    #[arg(short = 'D', value_name = "KEY=VALUE")]
    definitions: Vec<String>,
}

fn main() {
    let args = Args::parse();
    let mut settings = args.definitions.clone();
    settings.push("maxClientCnxns=0".into());
    settings.push("maxSessionTimeout=600000".into());
    settings.push(format!("snapCount={}", phases::snap_count(&args)));
    settings.push("ringkeeper.replayLimitMs=0".into());
    let host = Host::start(args.server.clone(), args.dir.clone(), &settings);
    if args.watches || args.herd {
        watches::run(&args, &host);
    } else {
        phases::run(&args, &host);
    }
}
