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

/// Whose link it is that requests are sent over from now on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NewLink {
    /// A leader that has got nothing of this server yet.
    OtherLeader,
    /// The leader that the link before was to.
    SameLeader,
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
    /// The sessions whose SYNC is due, in order; none where nothing waits for it any more.
    syncs: VecDeque<Option<SessionId>>,
    /// What the leader may have got over an earlier link: requests up to this number.
    sent_before: u64,
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

    /// The syncs that come before the request which a transaction answers, of those that a leader
    /// may have got over a link that is lost: it has ordered that request later, so everything that
    /// they wait for is learned by now. Requests before it that are no syncs are out of order.
    pub(crate) fn answered_before(&mut self, txn: &Txn) -> Vec<Answered> {
        let mut all = Vec::new();
        while self.position(txn).is_some_and(|position| position > 0) {
            let first = self.sessions.get(&txn.session).and_then(VecDeque::front);
            let Some(Waiting::Forwarded(first)) = first else { break };
            if first.awaited != Awaited::Synced || first.number > self.sent_before {
                break;
            }
            // Where it was sent again, its SYNC comes all the same.
            if let Some(due) = self.syncs.iter_mut().find(|due| **due == Some(txn.session)) {
                *due = None;
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

    /// The leader has answered the oldest sync. None where that is answered already.
    pub(crate) fn synced(&mut self) -> Result<Option<Answered>, OutOfOrder> {
        let Some(session) = self.syncs.pop_front().ok_or(OutOfOrder)? else { return Ok(None) };
        match self.sessions.get(&session).and_then(VecDeque::front) {
            Some(Waiting::Forwarded(it)) if it.awaited == Awaited::Synced => Ok(self.pop(session)),
            Some(_) | None => Err(OutOfOrder),
        }
    }

    /// The link is lost: what was sent over it may be answered by the history of the next leader.
    pub(crate) fn lose(&mut self) {
        self.sent_before = self.next_number;
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
    /// will be, because the leader before it has dropped what it had not ordered. But a write that
    /// was sent to the same leader over a link that is lost may still be ordered there, or may not;
    /// and one that was not sent yet would be refused there, because the session is that link's.
    /// So sessions with a write are given up. Whatever else is sent twice does no more than once.
    pub(crate) fn resend(&mut self, link: NewLink, out: &mut Vec<u8>) -> Vec<GivenUp> {
        let given_up = match link {
            NewLink::OtherLeader => Vec::new(),
            NewLink::SameLeader => self.give_up_writes(),
        };
        let mut packets: Vec<(u64, &[u8], Option<SessionId>)> = Vec::with_capacity(self.len);
        for (session, waiting) in &self.sessions {
            for waiting in waiting {
                let Waiting::Forwarded(forwarded) = waiting else { continue };
                let sync = (forwarded.awaited == Awaited::Synced).then_some(*session);
                packets.push((forwarded.number, &forwarded.packet, sync));
            }
        }
        let revalidations = self.revalidations.values().flatten();
        packets.extend(revalidations.map(|waiting| (waiting.number, &*waiting.packet, None)));
        packets.sort_unstable_by_key(|(number, ..)| *number);
        packets.iter().for_each(|(_, packet, _)| out.extend_from_slice(packet));
        self.syncs = packets.into_iter().map(|(.., sync)| sync).filter(Option::is_some).collect();
        given_up
    }

    /// Gives up the sessions with a write.
    fn give_up_writes(&mut self) -> Vec<GivenUp> {
        let is_write = |waiting: &Waiting| {
            matches!(waiting, Waiting::Forwarded(it) if matches!(it.awaited, Awaited::Written(..)))
                && !is_planted(Bug::ResentToSameLeader)
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
        (TxnBody::CreateSession { .. }, Awaited::Opened(_)) => true,
        (TxnBody::CreateSession { .. }, _) | (_, Awaited::Opened(_) | Awaited::Synced) => false,
        (TxnBody::CloseSession { .. }, Awaited::Closed(cxid)) => txn.cxid == cxid,
        (TxnBody::CloseSession { .. }, Awaited::Written(..)) => false,
        (TxnBody::Error(_), Awaited::Closed(cxid)) => txn.cxid == cxid,
        (_, Awaited::Closed(_)) => false,
        (_, Awaited::Written(cxid, _)) => txn.cxid == cxid,
    }
}

#[cfg(test)]
mod tests {
    use ringkeeper_engine::Zxid;
    use ringkeeper_engine::request::Outcome;
    use ringkeeper_engine::watch::ConnId;

    use super::*;

    const A: SessionId = SessionId(0xa);
    const B: SessionId = SessionId(0xb);

    fn origin(conn: u32) -> Origin {
        Origin { shard: 0, conn: ConnId(conn) }
    }

    fn txn(session: SessionId, cxid: i32, body: TxnBody) -> Txn {
        Txn { session, cxid, zxid: Zxid(1), time: Millis(0), body }
    }

    fn check(session: SessionId, cxid: i32) -> Txn {
        txn(session, cxid, TxnBody::Check { path: "/".into(), version: 0 })
    }

    fn forward(all: &mut Forwarding, session: SessionId, awaited: Awaited) {
        let packet = [all.next_number as u8];
        all.forward(session, (origin(session.0 as u32), awaited), &packet, Millis(5));
    }

    fn read(all: &mut Forwarding, session: SessionId) -> bool {
        all.behind(session, Committed::Answer(origin(9), Outcome::Synced)).is_none()
    }

    #[test]
    fn answer_of_a_request_releases_what_waits_behind_it_alone() {
        let mut all = Forwarding::default();
        forward(&mut all, A, Awaited::Written(1, ReplyShape::Empty));
        assert!(read(&mut all, A) && read(&mut all, A) && !read(&mut all, B));
        forward(&mut all, A, Awaited::Written(2, ReplyShape::Empty));
        assert!(read(&mut all, A));
        assert!(all.answered_by(&check(B, 1)).is_ok_and(|found| found.is_none()));
        let (first, behind) = all.answered_by(&check(A, 1)).unwrap().unwrap();
        assert_eq!(
            (first.awaited, behind.len(), all.len()),
            (Awaited::Written(1, ReplyShape::Empty), 2, 2)
        );
        assert_eq!(all.since(), Some(Millis(5)));
        let (second, behind) = all.answered_by(&check(A, 2)).unwrap().unwrap();
        assert_eq!((second.origin, behind.len(), all.len()), (origin(0xa), 1, 0));
        assert_eq!(all.since(), None);
        assert!(!read(&mut all, A));
    }

    #[test]
    fn answer_to_a_later_request_is_out_of_order() {
        let mut all = Forwarding::default();
        forward(&mut all, A, Awaited::Written(1, ReplyShape::Empty));
        forward(&mut all, A, Awaited::Written(2, ReplyShape::Empty));
        assert_eq!(all.answered_by(&check(A, 2)).map(|_| ()), Err(OutOfOrder));
        forward(&mut all, A, Awaited::Synced);
        assert_eq!(all.synced().map(|_| ()), Err(OutOfOrder));
        assert_eq!(all.revalidated(A).map(|_| ()), Err(OutOfOrder));
    }

    #[test]
    fn transaction_of_another_kind_than_the_request_is_no_answer() {
        let mut all = Forwarding::default();
        let created = ReplyShape::PathAndStat;
        forward(&mut all, A, Awaited::Written(1, created));
        assert_eq!(all.answered_by(&check(A, 1)).map(|_| ()), Err(OutOfOrder));
        let refused = txn(A, 1, TxnBody::Error(ringkeeper_engine::Code::NoNode));
        assert!(all.answered_by(&refused).is_ok_and(|found| found.is_some()));
    }

    #[test]
    fn session_with_a_write_is_given_up_when_the_same_leader_is_followed_again() {
        let mut all = Forwarding::default();
        forward(&mut all, A, Awaited::Synced);
        assert!(all.resend(NewLink::SameLeader, &mut Vec::new()).is_empty());
        forward(&mut all, B, Awaited::Written(1, ReplyShape::Empty));
        assert!(read(&mut all, B));
        let mut out = Vec::new();
        assert!(all.resend(NewLink::OtherLeader, &mut out).is_empty());
        assert_eq!(out, [0, 1], "a leader that has not got it gets it");
        forward(&mut all, B, Awaited::Synced);
        out.clear();
        assert_eq!(all.resend(NewLink::SameLeader, &mut out).len(), 3);
        assert_eq!((out, all.len()), (vec![0], 1));
    }

    #[test]
    fn lost_answer_of_a_sync_is_implied_by_a_later_write() {
        let mut all = Forwarding::default();
        forward(&mut all, B, Awaited::Synced);
        forward(&mut all, A, Awaited::Synced);
        assert!(read(&mut all, A));
        forward(&mut all, A, Awaited::Written(3, ReplyShape::Empty));
        assert!(all.answered_before(&check(A, 3)).is_empty(), "the link is there");
        all.lose();
        assert!(all.answered_before(&check(A, 2)).is_empty());
        let [(sync, behind)] = &all.answered_before(&check(A, 3))[..] else { panic!("it is one") };
        assert_eq!((sync.origin, behind.len()), (origin(0xa), 1));
        assert!(all.answered_by(&check(A, 3)).is_ok_and(|found| found.is_some()));
        assert!(all.synced().is_ok_and(|sync| sync.unwrap().0.origin == origin(0xb)));
        forward(&mut all, A, Awaited::Written(4, ReplyShape::Empty));
        forward(&mut all, A, Awaited::Written(5, ReplyShape::Empty));
        assert!(all.answered_before(&check(A, 5)).is_empty(), "a write is not implied");
    }

    #[test]
    fn leader_followed_again_that_comes_to_the_first_link_first_is_not_out_of_order() {
        let mut all = Forwarding::default();
        forward(&mut all, A, Awaited::Synced);
        forward(&mut all, A, Awaited::Closed(3));
        all.lose();
        assert!(all.resend(NewLink::SameLeader, &mut Vec::new()).is_empty());
        forward(&mut all, B, Awaited::Synced);
        let closed = txn(A, 3, TxnBody::CloseSession { paths: Vec::new() });
        assert_eq!(all.answered_before(&closed).len(), 1, "it was before that on the first link");
        assert!(all.answered_by(&closed).is_ok_and(|found| found.is_some()));
        assert!(all.synced().is_ok_and(|sync| sync.is_none()), "it was sent again");
        assert!(all.synced().is_ok_and(|sync| sync.unwrap().0.origin == origin(0xb)));
    }

    #[test]
    fn end_of_a_session_by_the_leader_answers_no_request() {
        let mut all = Forwarding::default();
        forward(&mut all, A, Awaited::Written(0, ReplyShape::Empty));
        let ended = txn(A, 0, TxnBody::CloseSession { paths: Vec::new() });
        assert!(all.answered_by(&ended).is_ok_and(|found| found.is_none()));
        forward(&mut all, B, Awaited::Closed(3));
        let closed = txn(B, 3, TxnBody::CloseSession { paths: Vec::new() });
        assert!(all.answered_by(&closed).is_ok_and(|found| found.is_some()));
    }

    #[test]
    fn resent_requests_keep_their_order_and_syncs_with_them() {
        let mut all = Forwarding::default();
        forward(&mut all, B, Awaited::Synced);
        forward(&mut all, A, Awaited::Written(1, ReplyShape::Empty));
        all.revalidate(B, (origin(3), 4_000), &[2], Millis(7));
        forward(&mut all, A, Awaited::Synced);
        forward(&mut all, B, Awaited::Written(4, ReplyShape::Empty));
        let mut out = Vec::new();
        assert!(all.resend(NewLink::OtherLeader, &mut out).is_empty());
        assert_eq!(out, [0, 1, 2, 3, 4]);
        assert_eq!(all.synced().unwrap().unwrap().0.origin, origin(0xb));
        assert!(all.answered_by(&check(A, 1)).unwrap().is_some());
        out.clear();
        assert!(all.resend(NewLink::OtherLeader, &mut out).is_empty());
        assert_eq!(out, [2, 3, 4]);
        assert_eq!(all.synced().unwrap().unwrap().0.origin, origin(0xa));
        assert_eq!(all.revalidated(B).unwrap().timeout_ms, 4_000);
        assert_eq!(all.give_up().len(), 1);
        assert_eq!((all.len(), all.since()), (0, None));
    }
}
