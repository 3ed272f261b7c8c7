//! Requests that waited for a leader when this server became it: it orders them itself.

use std::collections::VecDeque;

use ringkeeper_engine::SessionId;
use ringkeeper_engine::op::Write;
use ringkeeper_engine::request::Origin;
use ringkeeper_engine::sequencer::Caller;
use ringkeeper_engine::wire::Reader;
use ringkeeper_engine::wire::peer::{LearnerPacket, PacketDecoder, PacketLimits};

use super::{Awaited, Forwarded, Forwarding, Revalidation, Waiting};
use crate::Committed;

/// What waited for a leader, and the order in which it came.
#[derive(Default)]
pub(crate) struct Kept {
    forwarding: Forwarding,
    order: VecDeque<Position>,
}

/// Where the next request is found.
#[derive(Clone, Copy)]
enum Position {
    Request(SessionId),
    Revalidation(SessionId),
}

/// A request that waited.
pub(crate) enum KeptRequest {
    /// A session begins, with this timeout in milliseconds. Its client has not heard of the id.
    Open(SessionId, Origin, i32),
    /// A client writes.
    Write(Caller, Origin, Write),
    /// A client ends its session.
    Close(Caller, Origin),
    /// A client wants an answer when everything that is committed by now is applied.
    Sync(Caller, Origin),
    /// A client that has proved that the session is its own takes it up.
    Attach(SessionId, Origin, i32),
}

impl Kept {
    /// Everything that waits.
    pub(crate) fn new(forwarding: Forwarding) -> Kept {
        let mut order = Vec::with_capacity(forwarding.len());
        for (session, waiting) in &forwarding.sessions {
            for waiting in waiting {
                if let Waiting::Forwarded(forwarded) = waiting {
                    order.push((forwarded.number, Position::Request(*session)));
                }
            }
        }
        for (session, waiting) in &forwarding.revalidations {
            let positions = waiting.iter().map(|it| (it.number, Position::Revalidation(*session)));
            order.extend(positions);
        }
        order.sort_unstable_by_key(|(number, _)| *number);
        let order = order.into_iter().map(|(_, position)| position).collect();
        Kept { forwarding, order }
    }

    /// Whether nothing waits any more.
    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Requests, and what waits behind them.
    pub(crate) fn len(&self) -> usize {
        self.forwarding.len()
    }

    /// Takes the oldest request: how many bytes its packet has, and what waits behind it alone.
    pub(crate) fn pop(&mut self) -> Option<(KeptRequest, usize, Vec<Committed>)> {
        match self.order.pop_front()? {
            Position::Request(session) => {
                let (first, behind) = self.forwarding.pop(session).expect("it has its position");
                let bytes = first.packet.len();
                Some((request(session, &first), bytes, behind))
            }
            Position::Revalidation(session) => {
                let first = self.forwarding.revalidated(session);
                let Revalidation { origin, timeout_ms, packet, .. } =
                    first.expect("it has its position");
                Some((KeptRequest::Attach(session, origin, timeout_ms), packet.len(), Vec::new()))
            }
        }
    }

    /// What was not taken, for the next leader.
    pub(crate) fn into_forwarding(self) -> Forwarding {
        let mut forwarding = self.forwarding;
        forwarding.list_syncs();
        forwarding
    }
}

fn request(session: SessionId, forwarded: &Forwarded) -> KeptRequest {
    let origin = forwarded.origin;
    if let Awaited::Opened(timeout_ms) = forwarded.awaited {
        return KeptRequest::Open(session, origin, timeout_ms);
    }
    let bytes = forwarded.packet.len();
    let mut decoder = PacketDecoder::new(PacketLimits {
        data_bytes_max: bytes,
        identities_max: bytes,
        identity_bytes_max: bytes,
    });
    decoder.push(&forwarded.packet);
    let packet = decoder.decode().ok().flatten().expect("this server has made the packet");
    let Ok(LearnerPacket::Request { session, cxid, op, record, identities }) =
        LearnerPacket::read(packet)
    else {
        panic!("this server has made the request")
    };
    let ids = identities.unwrap_or_default();
    let caller = Caller { session, cxid, ids };
    match forwarded.awaited {
        Awaited::Opened(_) => unreachable!("it is above"),
        Awaited::Closed(_) => KeptRequest::Close(caller, origin),
        Awaited::Synced => KeptRequest::Sync(caller, origin),
        Awaited::Written(..) => {
            let write = Write::decode(op, &mut Reader::new(record));
            KeptRequest::Write(caller, origin, write.expect("it was decoded when it came"))
        }
    }
}
