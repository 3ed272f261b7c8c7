//! Carrying out what is committed: apply, report changes, answer.

use std::sync::Arc;

use ringkeeper_engine::database::{Database, Interest};
use ringkeeper_engine::op::{OpSettings, Read, Reading, read_owned};
use ringkeeper_engine::request::{Answer, Origin, Outcome, ShardMessage};
use ringkeeper_engine::sequencer::Caller;

use crate::{Committed, Proposal};

/// Where deliveries go.
pub trait ShardOutbox {
    /// Whether any shard holds a watch, or is about to.
    fn interest(&self) -> Interest;
    /// Hands a delivery to one shard.
    fn to_shard(&mut self, shard: u16, delivery: ShardMessage);
    /// Hands changes to every shard that holds watches.
    fn to_watching_shards(&mut self, delivery: impl Fn() -> ShardMessage);
}

/// Carries out one committed step.
///
/// Order: changes reach the shards before the answer of the request that made them, so a
/// notification precedes the writer's own reply.
pub fn apply_committed(
    committed: Committed,
    db: &mut Database,
    settings: &OpSettings,
    outbox: &mut impl ShardOutbox,
) {
    match committed {
        Committed::Apply(proposal) => apply(proposal, db, outbox),
        Committed::Answer(origin, outcome) => answer(origin, outcome, db, outbox),
        Committed::Read(origin, caller, request) => {
            answer_read(origin, &caller, &request, db, settings, outbox);
        }
        Committed::CloseConnection(origin, session) => {
            outbox.to_shard(origin.shard, ShardMessage::CloseConnection(origin.conn, session));
        }
    }
}

fn apply(proposal: Proposal, db: &mut Database, outbox: &mut impl ShardOutbox) {
    let applied = db.apply(&proposal.txn, outbox.interest());
    if !applied.changes.is_empty() {
        let changes: Arc<[_]> = applied.changes.into();
        outbox.to_watching_shards(|| ShardMessage::Changes(applied.zxid, changes.clone()));
    }
    let Some(origin) = proposal.origin else { return };
    let outcome = match proposal.grant {
        Some(grant) => Outcome::Granted(grant),
        None => Outcome::Result(applied.result),
    };
    answer(origin, outcome, db, outbox);
}

fn answer(origin: Origin, outcome: Outcome, db: &Database, outbox: &mut impl ShardOutbox) {
    let answer = Answer { origin, zxid: db.applied(), outcome };
    outbox.to_shard(origin.shard, ShardMessage::Answer(answer));
}

fn answer_read(
    origin: Origin,
    caller: &Caller,
    request: &Read,
    db: &Database,
    settings: &OpSettings,
    outbox: &mut impl ShardOutbox,
) {
    let reading = Reading { tree: &db.tree, settings, ids: &caller.ids, session: caller.session };
    let reply = read_owned(request, reading);
    answer(origin, Outcome::Read(Box::new(reply)), db, outbox);
}
