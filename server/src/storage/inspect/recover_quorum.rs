//! Making one directory of an ensemble the beginning of a new one, where a quorum is lost for good.

use std::io::{self, Write};

use anyhow::{Context, bail};
use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::{
    Directory, DirectoryLock, EnsembleId, EnsembleIdentity, Epochs, Identity, Standing,
};
use ringkeeper_engine::log::repair_plan;

use super::Outcome;
use crate::cli::RecoverQuorumArgs;

/// By how much the next epoch is later than the last one that this directory knows of. The lost
/// members may have gone on without it; however long they did, what they have is of earlier epochs.
const EPOCHS_SKIPPED: u32 = 10_000;

/// Says what a directory has and what may be lost, and makes it the first member of a new ensemble
/// with `--yes`: it counts for itself, new members take its state over, and nothing that a member
/// of the lost ensemble has counts any more.
pub fn recover_quorum(args: &RecoverQuorumArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let (dirs, identity) = super::open(&args.directories)?;
    let shown = args.directories.data_dir.display();
    let _locks = lock(args)?;
    check(&identity, &shown.to_string())?;
    let plan = repair_plan(&dirs, &identity)?;
    if let Some(trouble) = plan.trouble {
        bail!("{trouble}; take another member's directory, or see `ringkeeper log repair`");
    }
    let after = skipped(identity.epochs, plan.last)
        .with_context(|| format!("{shown} has used up nearly all epochs; restore a snapshot"))?;
    super::ignore_broken_pipe(write_state(&identity, plan.last, out))?;
    if !args.yes {
        super::ignore_broken_pipe(writeln!(out, "Nothing was changed. To do it, give --yes."))?;
        return Ok(Outcome::Damaged);
    }
    // Another id: a member of the lost ensemble on its old directory is a stranger to the new one.
    let mut id = EnsembleId([0; 16]);
    dirs.snapshots.random(&mut id.0)?;
    let renamed = |old| EnsembleIdentity { id, standing: Standing::Confirmed, ..old };
    let ensemble = identity.ensemble.map(renamed);
    // A member of an ensemble without an id must not be led by others that are empty either.
    let alone = Some(plan.last).filter(|last| *last != Zxid::ZERO);
    Identity { epochs: after, ensemble, alone, ..identity.clone() }
        .save(&dirs.snapshots)
        .with_context(|| format!("{shown} cannot be changed"))?;
    super::ignore_broken_pipe(write_done(&identity, plan.last, out))?;
    Ok(Outcome::Done)
}

/// A directory is not changed under a server that runs on it.
fn lock(args: &RecoverQuorumArgs) -> anyhow::Result<Vec<DirectoryLock>> {
    let paths = [Some(&args.directories.data_dir), args.directories.log_dir.as_ref()];
    paths.into_iter().flatten().map(|path| Ok(DirectoryLock::acquire(path)?)).collect()
}

/// Whether the state of a directory is one that a server has vouched for.
fn check(identity: &Identity, shown: &str) -> anyhow::Result<()> {
    if !identity.is_member() {
        bail!("{shown} was never a member's of an ensemble: it needs no quorum but itself");
    }
    if let Some(zxid) = identity.diverged {
        bail!(
            "the state in {shown} is not that of its leader from {zxid} on: take another member's"
        );
    }
    if identity.intent.is_some() {
        bail!(
            "{shown} was being brought in line with a leader, and holds a part of it only: take \
             another member's, or start this one first, so that it finishes"
        );
    }
    Ok(())
}

/// The epochs of a member that never had another leader's history, and that begins behind all that
/// others can have. None where there are not so many left.
fn skipped(epochs: Epochs, last: Zxid) -> Option<Epochs> {
    let known = epochs.recovered(last);
    let promised = known.promised.checked_add(EPOCHS_SKIPPED)?;
    (promised < u32::MAX / 2).then_some(Epochs { promised, current: 0 })
}

fn write_state(identity: &Identity, last: Zxid, out: &mut dyn Write) -> io::Result<()> {
    let Epochs { promised, current } = identity.epochs.recovered(last);
    writeln!(
        out,
        "This is the directory of server {}. Its log ends with {last}; it has the history of \
         epoch {current}, and has promised epoch {promised}.",
        identity.server
    )?;
    writeln!(
        out,
        "Made the beginning of a new ensemble, it is all that is left of the old one:\n\
         - Writes that were acknowledged and are not in this directory are lost. There may be some \
         unless a quorum of the other directories was lost before it acknowledged anything that \
         this one lacks: look at every directory that is left, and take the one with the latest \
         zxid of the latest epoch.\n\
         - Writes that were not acknowledged and are in this directory take effect.\n\
         - No other member may ever be started on its old directory again."
    )
}

fn write_done(identity: &Identity, last: Zxid, out: &mut dyn Write) -> io::Result<()> {
    let server = identity.server;
    writeln!(
        out,
        "Done: the ensemble begins with server {server}, at {last}.\n\
         1. Give all members the same server lines again, server {server} among them.\n\
         2. Empty the directories of all others, but for their myid.\n\
         3. Start server {server} FIRST, and the others when it says that it looks for a leader: \
         they get its state. Others that are a majority without it begin an empty ensemble."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_epoch_is_behind_all_that_was_promised_and_the_history_is_its_own() {
        let epochs = Epochs { promised: 7, current: 5 };
        let after = skipped(epochs, Zxid::new(6, 90)).expect("there are epochs left");
        assert_eq!(after, Epochs { promised: 7 + EPOCHS_SKIPPED, current: 0 });
        let used_up = Epochs { promised: u32::MAX - 1, current: 5 };
        assert_eq!(skipped(used_up, Zxid::new(6, 90)), None);
    }
}
