//! Stands in for what the node gains.

use crate::Node;
use crate::node::{LogPort, Ports};

pub(super) trait PendingNode {
    fn is_log_at_rest(&self) -> bool;
}

impl<P: Ports> PendingNode for Node<P> {
    fn is_log_at_rest(&self) -> bool {
        !self.world().log.is_busy()
    }
}
