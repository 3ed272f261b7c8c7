//! Reading a log without bringing anything back, and without changing anything.

use super::Dirs;
use super::refusal::Refusal;
use super::survey::{End, Survey};
use crate::Zxid;
use crate::device::{Directory, Identity};
use crate::snapshot::{Replay, Start};
use crate::txn::Txn;

/// Hands over every transaction from `from` on that is in the log, in order; returns the last one
/// of the log. After an error, what was handed over before it is what is good. An error of `each`
/// ends the reading.
pub fn read_log<D: Directory>(
    dirs: &Dirs<D>,
    identity: &Identity,
    from: Zxid,
    each: impl FnMut(Txn) -> Result<(), String>,
) -> Result<Zxid, Refusal> {
    let mut survey = Survey::take(dirs, identity)?;
    let oldest = survey.segments.first().map_or(Zxid::ZERO, |header| header.prev);
    let base = oldest.max(Zxid(from.0.saturating_sub(1)));
    let mut end = End::default();
    survey.replay_log(base, &mut end, &mut Each(each))?;
    match survey.trouble.take() {
        Some((_, refusal)) => Err(refusal),
        None => Ok(end.last),
    }
}

/// Transactions without a state: checked as far as that goes.
pub struct Each<F>(pub F);

impl<F: FnMut(Txn) -> Result<(), String>> Replay for Each<F> {
    fn begin(&mut self, _: Start<'_>) -> Result<(), String> {
        Ok(())
    }

    fn block(&mut self, _: &[u8]) -> Result<(), String> {
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn begin_empty(&mut self) {}

    fn txn(&mut self, txn: Txn) -> Result<(), String> {
        (self.0)(txn)
    }
}
