//! The ephemeral node by which a session shows that it lives: a session that is re-attached must
//! find it where it was.

use ringkeeper_engine::Code;
use ringkeeper_engine::client::{Create, CreateMode, Reply, Request};
use ringkeeper_engine::wire::Acl;

use crate::drive::session::RequestSender;
use crate::model::kind::Kind;
use crate::model::op::Op;
use crate::model::op::Tag;
use crate::model::outage::Outages;
use crate::verify::check;
use crate::verify::fault::{Fault, FaultKind};

/// Requests, distinguished by the sequence number of their operation.
const MAKE: u64 = 0;
const POLL: u64 = 1;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// To be created.
    Missing,
    /// Nothing to do.
    Settled,
    /// To be looked for.
    Doubted,
}

/// One session's node.
pub(crate) struct Presence {
    lane: u32,
    path: String,
    state: State,
}

impl Presence {
    /// Of a session that is re-attached when its connection is lost.
    pub(crate) fn new(lane: u32, path: String) -> Presence {
        Presence { lane, path, state: State::Missing }
    }

    /// Asks what there is to ask.
    pub(crate) fn fill(&mut self, sender: &mut RequestSender<'_>) {
        let op = |seq| Op { kind: Kind::Presence, key: self.lane, seq };
        let path = &self.path;
        match std::mem::replace(&mut self.state, State::Settled) {
            State::Settled => {}
            State::Missing => {
                let (acl, mode) = ([Acl::open()], CreateMode::Ephemeral);
                let create = Create { path, data: None, acl: &acl, mode };
                sender.send(&Request::Create(create), op(MAKE), sender.now);
            }
            State::Doubted => {
                sender.send(&Request::Exists { path, watch: false }, op(POLL), sender.now);
            }
        }
    }

    /// Whether there is something to ask.
    pub(crate) fn is_settled(&self) -> bool {
        self.state == State::Settled
    }

    /// The session goes on over another connection.
    pub(crate) fn reattached(&mut self) {
        if self.state == State::Settled {
            self.state = State::Doubted;
        }
    }

    /// The outcome of this operation is unknown.
    pub(crate) fn unknown(&mut self, op: Op) {
        self.state = if op.seq == MAKE { State::Missing } else { State::Doubted };
    }

    pub(crate) fn reply(
        &mut self,
        reply: &Reply<'_, Tag>,
        outages: &mut Outages,
    ) -> Result<(), Fault> {
        let again = reply.tag.op.seq == MAKE && reply.err == Code::NodeExists.to_wire();
        if again {
            // It was created by the request that was in flight when the connection was lost.
            return Ok(());
        }
        if reply.tag.op.seq == POLL && reply.err == Code::NoNode.to_wire() {
            let story = format!("{} is gone, though its session was never closed", self.path);
            return Err(Fault::new(FaultKind::LostWrite, story));
        }
        check::accepted(reply)?;
        outages.ephemerals_kept += u64::from(reply.tag.op.seq == POLL);
        Ok(())
    }
}
