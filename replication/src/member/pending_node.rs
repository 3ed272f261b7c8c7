//! Stands in for what the node gains.

use ringkeeper_engine::session::ServerId;

use crate::Node;
use crate::node::Ports;

pub(super) trait PendingNode {
    fn lead(&mut self, _: u32, _: Vec<ServerId>) {}
    fn stop_leading(&mut self) {}
    fn is_caught_up(&self) -> bool {
        false
    }
    fn is_log_at_rest(&self) -> bool {
        false
    }
}

impl<P: Ports> PendingNode for Node<P> {}
