//! Commands to the log, which are executed between two flushes.

use ringkeeper_engine::log::{LogCommand, LogEvent};

use super::{LogPort, Node, Ports};

impl<P: Ports> Node<P> {
    /// Gives the log a command, whose outcome [`Node::log_event`] reports after a turn. One that
    /// begins a generation drops the group under construction and the one that waits; what becomes
    /// durable of the generation before commits nothing any more.
    pub fn command(&mut self, command: LogCommand) {
        if command.begins_generation() {
            self.outputs.group.clear();
            self.gathering.rest();
        }
        self.generation = self.world.log.command(command);
    }

    /// The outcome of the oldest command that was not returned yet.
    pub fn log_event(&mut self) -> Option<LogEvent> {
        self.log_events.pop_front()
    }
}
