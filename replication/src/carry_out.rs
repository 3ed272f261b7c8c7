//! Carrying out what is committed: apply, report changes, answer.

use std::sync::Arc;

use ringkeeper_engine::audit::{AuditLine, Audited, tell_session_end};
use ringkeeper_engine::database::{Database, Interest, OpResult};
use ringkeeper_engine::op::{OpSettings, Read, Reading, read_owned};
use ringkeeper_engine::request::{Answer, Delivery, Origin, Outcome};
use ringkeeper_engine::sequencer::Asker;
use ringkeeper_engine::txn::Txn;

use crate::{Committed, Proposal};

/// Where deliveries go.
pub trait Mail {
    /// Whether any shard holds a watch, or is about to.
    fn interest(&self) -> Interest;
    /// Hands a delivery to one shard.
    fn to_shard(&mut self, shard: u16, delivery: Delivery);
    /// Whether there is an audit log.
    fn audits(&self) -> bool {
        false
    }
    /// Hands a line to the audit log. Only where there is one.
    fn audit(&mut self, line: AuditLine) {
        drop(line);
    }
    /// Hands changes to every shard that holds watches.
    fn to_watching_shards(&mut self, delivery: impl Fn() -> Delivery);
}

/// Carries out one committed step.
///
/// Order: changes reach the shards before the answer of the request that made them, so a
/// notification precedes the writer's own reply.
pub fn carry_out(
    committed: Committed,
    db: &mut Database,
    settings: &OpSettings,
    mail: &mut impl Mail,
) {
    match committed {
        Committed::Apply(proposal) => apply(proposal, db, mail),
        Committed::Refused(audited, time) => {
            audited.tell_refusal(time, &mut |line| mail.audit(line));
        }
        Committed::Answer(origin, outcome) => answer(origin, outcome, db, mail),
        Committed::Read(origin, asker, request) => {
            answer_read(origin, &asker, &request, db, settings, mail);
        }
        Committed::Evict(origin, session) => {
            mail.to_shard(origin.shard, Delivery::Evict(origin.conn, session));
        }
    }
}

fn apply(proposal: Proposal, db: &mut Database, mail: &mut impl Mail) {
    let applied = db.apply(&proposal.txn, mail.interest());
    if !applied.changes.is_empty() {
        let changes: Arc<[_]> = applied.changes.into();
        mail.to_watching_shards(|| Delivery::Changes(applied.zxid, changes.clone()));
    }
    if mail.audits() {
        audit(&proposal.txn, proposal.audited, &applied.result, mail);
    }
    let Some(origin) = proposal.origin else { return };
    let outcome = match proposal.grant {
        Some(grant) => Outcome::Granted(grant),
        None => Outcome::Result(applied.result),
    };
    answer(origin, outcome, db, mail);
}

/// Every change has its line, but for the removal of spent nodes, which ZooKeeper does not tell.
fn audit(txn: &Txn, audited: Option<Box<Audited>>, result: &OpResult, mail: &mut impl Mail) {
    tell_session_end(txn.session, txn.time, &txn.body, &mut |line| mail.audit(line));
    if let Some(audited) = audited {
        audited.tell(txn.time, result, &mut |line| mail.audit(line));
    }
}

fn answer(origin: Origin, outcome: Outcome, db: &Database, mail: &mut impl Mail) {
    let answer = Answer { origin, zxid: db.applied(), outcome };
    mail.to_shard(origin.shard, Delivery::Answer(answer));
}

fn answer_read(
    origin: Origin,
    asker: &Asker,
    request: &Read,
    db: &Database,
    settings: &OpSettings,
    mail: &mut impl Mail,
) {
    let reading = Reading { tree: &db.tree, settings, ids: &asker.ids, session: asker.session };
    let reply = read_owned(request, reading);
    answer(origin, Outcome::Read(Box::new(reply)), db, mail);
}
