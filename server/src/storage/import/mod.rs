//! `ringkeeper import`: the state out of the directory of an Apache ZooKeeper, into a directory of
//! ours.

mod progress;
mod report;
mod source;
mod state;
mod unpack;
mod write;

use std::io::Write;
use std::path::Path;

use anyhow::bail;
use ringkeeper_engine::Zxid;

use crate::cli::ImportArgs;
use crate::storage::inspect::{EmptyDirectory, ignore_broken_pipe};
use crate::storage::open::random_seed;
use progress::Progress;
use report::Report;
use source::Source;
use state::Limits;

/// Reads, reports, and writes, unless it is a dry run.
pub fn import(args: &ImportArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    // Order: what cannot be written to is said before a long time of reading.
    let target = match (&args.to, args.dry_run) {
        (Some(to), false) => Some(EmptyDirectory::open(to)?),
        (None, false) => bail!("--to is missing: name a new directory, or give --dry-run"),
        (_, true) => None,
    };
    let progress = Progress::new();
    let source = Source::look(&args.from)?;
    let until = args.until.unwrap_or(Zxid(u64::MAX));
    let limits = Limits { until, needs_log: !args.without_log, seed: random_seed()? };
    let mut state = state::read(&source, limits, &progress)?;
    if args.until.is_some() && state.imported.last < until {
        bail!("the log ends with {}, before {until}", state.imported.last);
    }
    source.check_unchanged(&args.from)?;
    let report = Report::new(&source, &state);
    if let Some(target) = &target {
        write::write(&mut state.imported, target, &progress)?;
    }
    drop(progress);
    let to = target.as_ref().and(args.to.as_deref());
    ignore_broken_pipe(match (args.json, to) {
        (true, to) => report.write_json(to, out),
        (false, None) => {
            report.write_text(out).and_then(|()| writeln!(out, "Nothing was written."))
        }
        (false, Some(to)) => report.write_text(out).and_then(|()| write_advice(to, out)),
    })
}

fn write_advice(to: &Path, out: &mut dyn Write) -> std::io::Result<()> {
    let to = to.display();
    writeln!(
        out,
        "{to} holds this state now. Start it with the zoo.cfg of the ZooKeeper, in which dataDir is \
         that directory and dataLogDir and the list of servers are gone, or with:\n  \
         ringkeeper start -Dringkeeper.sessionPasswords=java 2181 {to}\n\
         The setting lets clients keep the sessions that they have."
    )
}
