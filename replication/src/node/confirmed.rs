//! Sessions that no leader has confirmed for as long as they live.

use ringkeeper_engine::SessionId;

use super::{ClockPort, Node, Ports};
use crate::Input;

impl<P: Ports> Node<P> {
    /// Closes the connections of these sessions, if there are any: their leader may have let them
    /// expire. Their requests stay on their way.
    pub(crate) fn leave_sessions(&mut self, sessions: &[SessionId]) {
        let (now, records) = (self.world.clock.now(), self.begin_step());
        self.replica.step(Input::Unconfirmed { sessions, now }, &mut self.outputs);
        self.end_step(records);
    }
}
