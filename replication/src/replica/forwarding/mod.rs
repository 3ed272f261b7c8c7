//! Requests of this server's clients that the leader has to answer, and what waits behind them.
//!
//! The answers of one session leave in the order of its requests. So a read or a refusal behind a
//! write that is on its way waits here until that write has come back as a transaction, and goes
//! into the commit queue right behind it. Sessions do not wait for each other.
//!
//! What is not answered yet is kept, to be sent again to the next leader: see
//! [`Forwarding::resend`].

use std::collections::{BTreeMap, VecDeque};

use ringkeeper_engine::op::ReplyShape;
use ringkeeper_engine::request::Origin;
use ringkeeper_engine::txn::{Txn, TxnBody};
use ringkeeper_engine::{Millis, SessionId};

mod kept;
#[cfg(test)]
mod tests;

pub(crate) use self::kept::{Kept, KeptRequest};
use crate::Committed;
use crate::plant::{Bug, is_planted};

/// What a request on its way waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Awaited {
    /// The transaction that creates its session, with this timeout in milliseconds.
    Opened(i32),
    /// The transaction with the client's number, be it a refusal, that a reply of this shape can be
    /// made of.
    Written(i32, ReplyShape),
    /// The end of its session, by the client's number.
    Closed(i32),
    /// The leader's SYNC, which comes in the order of the requests on a link.
    Synced,
}

/// A request on its way to the leader.
#[derive(Debug)]
pub(crate) struct Forwarded {
    /// The connection that is answered.
    pub(crate) origin: Origin,
    /// What answers it.
    pub(crate) awaited: Awaited,
    /// The order of all requests of this server.
    number: u64,
    /// The packet, to send it again.
    packet: Box<[u8]>,
}

/// What a session waits for, in order.
#[derive(Debug)]
enum Waiting {
    Forwarded(Forwarded),
    Local(Committed),
}

/// A session that a client takes up here; the leader has to say whether it lives.
#[derive(Debug)]
pub(crate) struct Revalidation {
    /// The connection that is answered.
    pub(crate) origin: Origin,
    /// The timeout agreed, milliseconds.
    pub(crate) timeout_ms: i32,
    number: u64,
    packet: Box<[u8]>,
}

/// Whether it is settled what has become of the requests that were sent over the link before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NewLink {
    /// What was ordered of them is here, and answered; what is left never was and never will be.
    Settled,
    /// The leader may still order what it has got.
    Unsettled,
}

/// What becomes of the answers of syncs that a transaction stands in for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DueSyncs {
    /// They come over the same link.
    Come,
    /// They were lost with their link.
    AreLost,
}

/// What is put back by [`Forwarding::put_in_front`].
#[derive(Debug)]
pub(crate) enum Taken {
    /// A sync, with the packet for the next leader.
    Sync(Origin, Box<[u8]>),
    /// A request whose transaction was cut off before it was committed.
    Request(Forwarded),
    /// What waits behind the one before it.
    Behind(Committed),
}

/// The leader has answered something else than what was due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct OutOfOrder;

/// A request that is answered, and what has waited behind it alone.
pub(crate) type Answered = (Forwarded, Vec<Committed>);

/// What is on its way, by session.
#[derive(Default)]
pub(crate) struct Forwarding {
    sessions: BTreeMap<SessionId, VecDeque<Waiting>>,
    /// The sessions whose SYNC is due, in order; `None` where a later transaction of the session
    /// has stood in for it.
    syncs: VecDeque<Option<SessionId>>,
    revalidations: BTreeMap<SessionId, VecDeque<Revalidation>>,
    next_number: u64,
    len: usize,
    /// Since when the oldest request waits that was forwarded when nothing else was.
    since: Option<Millis>,
}

impl Forwarding {
    /// Requests and what waits behind them.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Since when something waits without a break.
    pub(crate) fn since(&self) -> Option<Millis> {
        self.since
    }

    /// Whether a session waits for something.
    pub(crate) fn waits(&self, session: SessionId) -> bool {
        self.sessions.contains_key(&session)
    }

    /// Keeps a request of a session until it is answered.
    pub(crate) fn forward(
        &mut self,
        session: SessionId,
        (origin, awaited): (Origin, Awaited),
        packet: &[u8],
        now: Millis,
    ) {
        let (number, packet) = (self.number(now), packet.into());
        if awaited == Awaited::Synced {
            self.syncs.push_back(Some(session));
        }
        let forwarded = Forwarded { origin, awaited, number, packet };
        self.sessions.entry(session).or_default().push_back(Waiting::Forwarded(forwarded));
    }

    /// Keeps a session that a client takes up until the leader has said whether it lives.
    pub(crate) fn revalidate(
        &mut self,
        session: SessionId,
        (origin, timeout_ms): (Origin, i32),
        packet: &[u8],
        now: Millis,
    ) {
        let (number, packet) = (self.number(now), packet.into());
        let revalidation = Revalidation { origin, timeout_ms, number, packet };
        self.revalidations.entry(session).or_default().push_back(revalidation);
    }

    /// Puts something behind what its session waits for. It comes back where the session waits
    /// for nothing.
    pub(crate) fn behind(&mut self, session: SessionId, local: Committed) -> Option<Committed> {
        let Some(waiting) = self.sessions.get_mut(&session) else { return Some(local) };
        waiting.push_back(Waiting::Local(local));
        self.len += 1;
        None
    }

    /// The request that a transaction answers, and what has waited behind it. None where it is of
    /// another server, or of the leader itself.
    pub(crate) fn answered_by(&mut self, txn: &Txn) -> Result<Option<Answered>, OutOfOrder> {
        match self.position(txn) {
            None => Ok(None),
            Some(0) if !self.is_of_shape(txn) => Err(OutOfOrder),
            Some(0) => Ok(self.pop(txn.session)),
            Some(_) => Err(OutOfOrder),
        }
    }

    /// The syncs that come before the request which a transaction answers, and whose answers have
    /// not come: the leader has ordered that request later, so everything that they wait for is
    /// learned by now, and the commit of the transaction says that the leader led. A leader sends
    /// the transaction before the SYNC where it has to find out whether it leads, and the SYNC of a
    /// link that is lost does not come at all. Requests before it that are no syncs are out of
    /// order.
    pub(crate) fn answered_before(&mut self, txn: &Txn, syncs: DueSyncs) -> Vec<Answered> {
        let mut all = Vec::new();
        while self.position(txn).is_some_and(|position| position > 0) {
            let waiting = self.sessions.get(&txn.session).and_then(VecDeque::front);
            let Some(Waiting::Forwarded(Forwarded { awaited: Awaited::Synced, .. })) = waiting
            else {
                break;
            };
            let first = self.syncs.iter().position(|session| *session == Some(txn.session));
            let first = first.expect("every sync is in the list");
            match syncs {
                DueSyncs::Come => self.syncs[first] = None,
                DueSyncs::AreLost => drop(self.syncs.remove(first)),
            }
            all.extend(self.pop(txn.session));
        }
        all
    }

    /// Whether the oldest request of the session can be answered with the transaction.
    fn is_of_shape(&self, txn: &Txn) -> bool {
        match self.sessions.get(&txn.session).and_then(VecDeque::front) {
            Some(Waiting::Forwarded(Forwarded { awaited: Awaited::Written(_, shape), .. })) => {
                shape.is_answered_by(&txn.body)
            }
            Some(Waiting::Forwarded(_) | Waiting::Local(_)) | None => true,
        }
    }

    /// Where the request stands in its session that a transaction answers.
    fn position(&self, txn: &Txn) -> Option<usize> {
        self.sessions.get(&txn.session)?.iter().position(|waiting| match waiting {
            Waiting::Forwarded(forwarded) => answers(txn, forwarded.awaited),
            Waiting::Local(_) => false,
        })
    }

    /// The leader has answered the oldest sync. None where a transaction has stood in for it.
    pub(crate) fn synced(&mut self) -> Result<Option<Answered>, OutOfOrder> {
        let Some(session) = *self.syncs.front().ok_or(OutOfOrder)? else {
            self.syncs.pop_front();
            return Ok(None);
        };
        match self.sessions.get(&session).and_then(VecDeque::front) {
            Some(Waiting::Forwarded(Forwarded { awaited: Awaited::Synced, .. })) => {}
            _ => return Err(OutOfOrder),
        }
        self.syncs.pop_front();
        self.pop(session).ok_or(OutOfOrder).map(Some)
    }

    /// The leader has said whether a session lives.
    pub(crate) fn revalidated(&mut self, session: SessionId) -> Result<Revalidation, OutOfOrder> {
        let waiting = self.revalidations.get_mut(&session).ok_or(OutOfOrder)?;
        let first = waiting.pop_front().ok_or(OutOfOrder)?;
        if waiting.is_empty() {
            self.revalidations.remove(&session);
        }
        self.ended(1);
        Ok(first)
    }

    /// Appends everything that is not answered, in the order in which it was forwarded. Returns
    /// what is given up.
    ///
    /// A write takes effect once. When the leader of a later epoch is established, the history
    /// before it is final: a write that is in there was answered from it, and one that is not never
    /// will be, because the leader before it has dropped what it had not ordered.
    ///
    /// The same leader may still order what it has got over a link that is lost. One of ours does
    /// that before it takes anything over the next link. So it is sent a sync first, whose answer
    /// comes behind all that was ordered before: then it is settled as well. One of ZooKeeper's may
    /// order it at any time, and would refuse what was not sent yet, because the session is the
    /// other link's. So sessions with a write are given up there. Whatever else is sent twice does
    /// no more than once.
    pub(crate) fn resend(&mut self, link: NewLink, out: &mut Vec<u8>) -> Vec<GivenUp> {
        let given_up = match link {
            NewLink::Settled => Vec::new(),
            NewLink::Unsettled => self.give_up_writes(),
        };
        let mut packets: Vec<(u64, &[u8])> = Vec::with_capacity(self.len);
        for waiting in self.sessions.values().flatten() {
            if let Waiting::Forwarded(forwarded) = waiting {
                packets.push((forwarded.number, &forwarded.packet));
            }
        }
        let revalidations = self.revalidations.values().flatten();
        packets.extend(revalidations.map(|waiting| (waiting.number, &*waiting.packet)));
        packets.sort_unstable_by_key(|(number, _)| *number);
        packets.iter().for_each(|(_, packet)| out.extend_from_slice(packet));
        if is_planted(Bug::ResentTwice) {
            packets.iter().for_each(|(_, packet)| out.extend_from_slice(packet));
        }
        self.list_syncs();
        given_up
    }

    /// Puts requests, and what waits behind them alone, in front of everything that waits: they
    /// were in the order of a leader that leads no more, or were cut off.
    pub(crate) fn put_in_front(&mut self, syncs: Vec<(SessionId, Taken)>, now: Millis) {
        if syncs.is_empty() {
            return;
        }
        self.since.get_or_insert(now);
        self.len += syncs.len();
        let count = syncs.len() as u64;
        for waiting in self.sessions.values_mut().flatten() {
            if let Waiting::Forwarded(forwarded) = waiting {
                forwarded.number += count;
            }
        }
        self.revalidations.values_mut().flatten().for_each(|waiting| waiting.number += count);
        self.next_number += count;
        for (index, (session, taken)) in syncs.into_iter().enumerate().rev() {
            let waiting = match taken {
                Taken::Sync(origin, packet) => {
                    let (awaited, number) = (Awaited::Synced, index as u64 + 1);
                    Waiting::Forwarded(Forwarded { origin, awaited, number, packet })
                }
                Taken::Request(request) => {
                    Waiting::Forwarded(Forwarded { number: index as u64 + 1, ..request })
                }
                Taken::Behind(local) => Waiting::Local(local),
            };
            self.sessions.entry(session).or_default().push_front(waiting);
        }
        self.list_syncs();
    }

    /// Makes the list of the syncs of what waits.
    fn list_syncs(&mut self) {
        let mut syncs = Vec::new();
        for (session, waiting) in &self.sessions {
            for waiting in waiting {
                if let Waiting::Forwarded(forwarded) = waiting
                    && forwarded.awaited == Awaited::Synced
                {
                    syncs.push((forwarded.number, Some(*session)));
                }
            }
        }
        syncs.sort_unstable_by_key(|(number, _)| *number);
        self.syncs = syncs.into_iter().map(|(_, session)| session).collect();
    }

    /// Gives up what these sessions wait for: an earlier write of theirs will never take effect.
    pub(crate) fn give_up_sessions(&mut self, sessions: &[SessionId]) -> Vec<GivenUp> {
        let mut all = Vec::new();
        if sessions.is_empty() {
            return all;
        }
        for session in sessions {
            let waiting = self.sessions.remove(session).unwrap_or_default();
            all.extend(waiting.into_iter().map(GivenUp::of));
        }
        self.ended(all.len());
        self.list_syncs();
        all
    }

    /// Gives up the sessions with a write.
    fn give_up_writes(&mut self) -> Vec<GivenUp> {
        let is_write = |waiting: &Waiting| match waiting {
            Waiting::Forwarded(Forwarded { awaited: Awaited::Written(..), .. }) => {
                !is_planted(Bug::ResentToSameLeader)
            }
            Waiting::Forwarded(_) | Waiting::Local(_) => false,
        };
        let sessions = std::mem::take(&mut self.sessions);
        let (writing, kept): (BTreeMap<_, _>, _) =
            sessions.into_iter().partition(|(_, all)| all.iter().any(is_write));
        self.sessions = kept;
        let given_up: Vec<_> = writing.into_values().flatten().map(GivenUp::of).collect();
        self.ended(given_up.len());
        given_up
    }

    /// Gives up everything: the connections that wait, and what was due behind.
    pub(crate) fn give_up(&mut self) -> Vec<GivenUp> {
        let mut all = Vec::with_capacity(self.len);
        let sessions = std::mem::take(&mut self.sessions);
        all.extend(sessions.into_values().flatten().map(GivenUp::of));
        let revalidations = std::mem::take(&mut self.revalidations).into_values().flatten();
        all.extend(revalidations.map(|waiting| GivenUp::Revalidation(waiting.origin)));
        self.syncs.clear();
        self.ended(all.len());
        all
    }

    fn number(&mut self, now: Millis) -> u64 {
        self.since.get_or_insert(now);
        self.len += 1;
        self.next_number += 1;
        self.next_number
    }

    fn ended(&mut self, count: usize) {
        self.len -= count;
        if self.len == 0 {
            self.since = None;
        }
    }

    /// Takes the first request of a session, and what waits behind no other one.
    fn pop(&mut self, session: SessionId) -> Option<Answered> {
        let waiting = self.sessions.get_mut(&session)?;
        let Some(Waiting::Forwarded(first)) = waiting.pop_front() else {
            panic!("nothing waits that is behind no request")
        };
        let mut behind = Vec::new();
        while let Some(Waiting::Local(_)) = waiting.front() {
            if let Some(Waiting::Local(local)) = waiting.pop_front() {
                behind.push(local);
            }
        }
        if waiting.is_empty() {
            self.sessions.remove(&session);
        }
        self.ended(1 + behind.len());
        Some((first, behind))
    }
}

/// Something that is given up.
pub(crate) enum GivenUp {
    /// A request.
    Forwarded(Origin, Awaited),
    /// A session that was to be taken up.
    Revalidation(Origin),
    /// What was due behind a request.
    Local(Committed),
}

impl GivenUp {
    fn of(waiting: Waiting) -> GivenUp {
        match waiting {
            Waiting::Forwarded(Forwarded { origin, awaited, .. }) => {
                GivenUp::Forwarded(origin, awaited)
            }
            Waiting::Local(local) => GivenUp::Local(local),
        }
    }
}

/// Whether a transaction of the same session is what a request waits for. A refusal answers
/// whatever has its number.
fn answers(txn: &Txn, awaited: Awaited) -> bool {
    match (&txn.body, awaited) {
        (TxnBody::CreateSession { .. } | TxnBody::Error(_), Awaited::Opened(_)) => true,
        (TxnBody::CreateSession { .. }, _) | (_, Awaited::Opened(_) | Awaited::Synced) => false,
        (TxnBody::CloseSession { .. }, Awaited::Closed(cxid)) => txn.cxid == cxid,
        (TxnBody::CloseSession { .. }, Awaited::Written(..)) => false,
        (TxnBody::Error(_), Awaited::Closed(cxid)) => txn.cxid == cxid,
        (_, Awaited::Closed(_)) => false,
        (_, Awaited::Written(cxid, _)) => txn.cxid == cxid,
    }
}
