//! When a process has a turn: what the server's threads look at before they sleep.

use ringkeeper_replication::leader::LinkId;
use ringkeeper_replication::member::{has_work, wait_ms};

use super::super::server::ShardThread;
use super::port::Side;
use super::process::Process;

/// How often the thread for whole states wakes the node's, microseconds.
const PROGRESS_US: u64 = 100_000;

impl Process {
    /// Whether the next turn would find something to do: what the server's threads look at before
    /// they sleep.
    pub(crate) fn has_work(&self) -> bool {
        let shard_has = |(index, thread): (usize, &ShardThread)| {
            self.server.waiting(index) > 0 || !thread.shard.outputs.requests.is_empty()
        };
        self.server.has_work()
            || self.states.is_done()
            || self.feeds.is_ready()
            || self.server.has_lost_changes()
            || !self.arrivals.is_empty()
            || !self.arrived.is_empty()
            || self.server.shards.iter().enumerate().any(shard_has)
            || self.links_have_work()
    }

    /// As [`Process::has_work`], between members.
    fn links_have_work(&self) -> bool {
        let port = self.port_ref();
        let leader = self.leader.as_ref().is_some_and(|it| {
            it.socket.is_readable(port.followed().wants_bytes())
                || !port.followed().outgoing().is_empty()
        });
        let learners = || {
            let Some(member) = port.voter() else { return false };
            self.learners.iter().any(|(link, socket)| {
                let (link, wants) = (LinkId(*link), member.wants_learner_bytes(LinkId(*link)));
                socket.is_readable(wants)
                    || (socket.has_ended && !wants)
                    || (socket.space > 0 && member.has_learner_outgoing(link))
            })
        };
        let own = || match &port.side {
            Side::Voter(_) => has_work(self.server.node_ref(), self.now),
            Side::Observer(observer) => observer.followed.has_work(),
        };
        leader || learners() || own()
    }

    /// Microseconds until time alone makes a turn necessary.
    pub(crate) fn wait_us(&self) -> u64 {
        let node = self.server.node_ref();
        let own_ms = match &self.port_ref().side {
            Side::Voter(_) => wait_ms(node, self.now),
            Side::Observer(observer) => observer.wait_ms(),
        };
        let own_us = u64::try_from(own_ms).unwrap_or(0).saturating_mul(1_000);
        // The thread for whole states wakes the node's as it goes on.
        let state_us = if self.states.is_busy() { PROGRESS_US } else { u64::MAX };
        node.wait_us().min(own_us).min(state_us)
    }
}
