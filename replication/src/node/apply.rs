//! Applying what is committed: change the database, report the changes, answer.

use std::collections::VecDeque;
use std::sync::Arc;

use ringkeeper_engine::Zxid;
use ringkeeper_engine::database::{
    CommitStatus, Database, DigestComparison, Interest, NotReplayed, Upcoming,
};
use ringkeeper_engine::op::{OpSettings, Read, Reading, read_owned};
use ringkeeper_engine::request::{Answer, Origin, Outcome, ShardMessage};
use ringkeeper_engine::sequencer::Caller;

use super::{ChangesLost, Outbox, ShardPort};
use crate::plant::{Bug, is_planted};
use crate::{Committed, Divergence, Proposal};

/// Applies one committed step. An error is a state that is not the leader's.
///
/// Order: changes reach the shards before the answer of the request that made them, so a
/// notification precedes the writer's own reply.
pub(super) fn apply_committed(
    committed: Committed,
    db: &mut Database,
    settings: &OpSettings,
    outbox: &mut Outbox<'_, impl ShardPort>,
) -> Result<(), Divergence> {
    match committed {
        Committed::Apply(proposal) => apply(proposal, db, outbox)?,
        Committed::Replay(txn) => match outbox.interest() {
            Interest::Watched => apply(Proposal::internal(txn.read()), db, outbox)?,
            Interest::None => match db.replay(txn.payload()) {
                Ok(()) => {}
                Err(NotReplayed::Misfit(zxid, why)) => return Err(Divergence::Misfit(zxid, why)),
                Err(NotReplayed::Malformed(why)) => unreachable!("it was checked: {why}"),
            },
        },
        Committed::Answer(origin, outcome) => answer(origin, outcome, db, outbox),
        Committed::Read(origin, caller, request) => {
            let outcome = answer_read(&caller, &request, db, settings);
            answer(origin, outcome, db, outbox);
        }
        Committed::CloseConnection(origin, session) => {
            let message = ShardMessage::CloseConnection(origin.conn, session);
            outbox.send(origin.shard, message);
        }
        Committed::Verify { digest, session, created } => {
            let compared = db.compare_leaders_digest(digest, session, &created);
            if let DigestComparison::Different { expected, found } = compared
                && !is_planted(Bug::DivergenceIgnored)
            {
                return Err(Divergence::Digest { zxid: db.applied(), expected, found });
            }
        }
    }
    Ok(())
}

/// The transaction of a step, if the members compare their states behind it.
pub(super) fn compared_at(committed: &Committed) -> Option<Zxid> {
    committed.applies().filter(|zxid| zxid.counter().is_multiple_of(super::COMPARED_EVERY))
}

/// The state is not the one that it should be: nobody reads it any more, and a snapshot of it would
/// be worth nothing.
///
/// Order: before a reader can see what there is of a transaction that showed it.
pub(super) fn leave_service(db: &mut Database, shards: &mut impl ShardPort) {
    db.set_commit_status(CommitStatus::Unknown);
    let count = if is_planted(Bug::DivergenceServed) { 0 } else { shards.count() };
    (0..count).for_each(|shard| shards.lose_changes(shard, ChangesLost::Diverged));
}

/// Begins to fetch what the first `most` steps need.
pub(super) fn prefetch(committed: &VecDeque<Committed>, most: usize, db: &Database) {
    if committed.len() > 1 {
        db.prefetch(committed.iter().take(most).filter_map(|step| match step {
            Committed::Apply(proposal) => Some(Upcoming::Txn(&proposal.txn)),
            Committed::Replay(txn) => Some(Upcoming::Payload(txn.payload())),
            Committed::Read(_, _, read) => Some(Upcoming::Read(read)),
            Committed::Answer(..) | Committed::CloseConnection(..) | Committed::Verify { .. } => {
                None
            }
        }));
    }
}

fn apply(
    proposal: Proposal,
    db: &mut Database,
    outbox: &mut Outbox<'_, impl ShardPort>,
) -> Result<(), Divergence> {
    let (zxid, interest) = (proposal.txn.zxid, outbox.interest());
    let misfit = |misfit| Divergence::Misfit(zxid, misfit);
    if proposal.origin.is_none() && interest == Interest::None {
        return db.try_apply_unheard(&proposal.txn).map_err(misfit);
    }
    let applied = db.try_apply(&proposal.txn, interest).map_err(misfit)?;
    if !applied.changes.is_empty() {
        let changes: Arc<[_]> = applied.changes.into();
        outbox.send_changes(|| ShardMessage::Changes(applied.zxid, changes.clone()));
    }
    let Some(origin) = proposal.origin else { return Ok(()) };
    let outcome = match proposal.attachment {
        Some(attachment) => Outcome::Granted(attachment),
        None => Outcome::Result(applied.result),
    };
    answer(origin, outcome, db, outbox);
    Ok(())
}

fn answer(
    origin: Origin,
    outcome: Outcome,
    db: &Database,
    outbox: &mut Outbox<'_, impl ShardPort>,
) {
    let answer = Answer { origin, zxid: db.tree.reply_zxid(), outcome };
    outbox.send(origin.shard, ShardMessage::Answer(answer));
}

fn answer_read(caller: &Caller, request: &Read, db: &Database, settings: &OpSettings) -> Outcome {
    let reading = Reading { tree: &db.tree, settings, ids: &caller.ids, session: caller.session };
    match read_owned(request, reading) {
        Ok(reply) => Outcome::Read(Box::new(reply)),
        Err(code) => Outcome::Refused(code),
    }
}
