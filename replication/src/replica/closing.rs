//! Ends of sessions: their ephemeral nodes go with them, in as many transactions as it takes.
//!
//! A session of a million nodes would be one transaction that holds up everybody for as long as it
//! is ordered, written and applied, and that a log with little space left could not take. So a step
//! orders a bounded portion of what goes with sessions. Once a portion is in the tree the next one
//! follows. A session that has begun to end takes no writes and cannot be attached to any more.

use std::collections::VecDeque;

use ringkeeper_engine::request::Origin;
use ringkeeper_engine::sequencer::Caller;
use ringkeeper_engine::session::Owner;
use ringkeeper_engine::{Zxid, limits};

/// A session that has begun to end.
#[derive(Debug)]
pub(crate) struct Closing {
    pub(crate) caller: Caller,
    pub(crate) by: ClosedBy,
}

/// Who ends a session.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ClosedBy {
    /// A client of this server, which is answered.
    Client(Origin),
    /// A client of a learner, which sees it in the order.
    Learner,
    /// Its time is up; who owned it.
    Expiry(Option<Owner>),
}

/// Sessions that have begun to end.
#[derive(Default)]
pub(crate) struct ClosingSessions {
    pub(super) waiting: VecDeque<Closing>,
    /// The last portion. The next one follows when it is applied.
    pub(super) portion: Zxid,
    /// What this step may still order.
    pub(super) bytes_left: usize,
}

impl ClosingSessions {
    /// A step begins.
    pub(crate) fn begin_step(&mut self) {
        self.bytes_left = limits::CLOSE_BYTES_MAX;
    }

    /// A session begins to end.
    pub(crate) fn push(&mut self, closing: Closing) {
        self.waiting.push_back(closing);
    }

    /// How many have begun.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether a step would order something, where everything up to `applied` is in the tree.
    pub(crate) fn is_due(&self, applied: Zxid) -> bool {
        !self.waiting.is_empty() && self.portion <= applied
    }

    /// This server orders no more: the clients here that wait for the end of their sessions.
    pub(crate) fn take_clients(&mut self) -> Vec<Origin> {
        let client = |closing: Closing| match closing.by {
            ClosedBy::Client(origin) => Some(origin),
            ClosedBy::Learner | ClosedBy::Expiry(_) => None,
        };
        self.waiting.drain(..).filter_map(client).collect()
    }
}
