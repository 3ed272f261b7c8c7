//! Where a whole state is on its way to the node, and what is to be done about it.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::database::Database;
use ringkeeper_engine::log::LogCommand;
use ringkeeper_engine::zookeeper::Rebuild;

use super::StateTask;
use super::incoming_state::IncomingState;

/// What [`super::follow`] does with the node, in order.
pub(super) enum FollowTask {
    /// [`crate::Node::command`].
    Command(LogCommand),
    /// [`super::StatePort::begin`].
    State(StateTask),
}

/// Where a state is.
pub(super) enum Transfer {
    /// There is none.
    None,
    /// Its bytes come, and it is made of them meanwhile.
    Incoming(IncomingState),
    /// What is committed behind it is added.
    Loaded(Box<Rebuild>),
    /// What is committed behind it does not fit it.
    Unusable,
    /// It is written to the disk.
    Writing,
    /// The log begins anew behind it.
    Installing(Box<Database>),
    /// The state is read again from a log that was cut.
    Reloading(Zxid),
}

/// How far a state is on its way, for reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StateProgress {
    /// So many bytes of the state of this SNAP have come. What is not known is how many there are.
    Receiving(Zxid, u64),
    /// All bytes have come, and it is made of them; or what is committed behind it is added.
    Loading,
    /// It is written to the disk, or the log begins anew behind it.
    Writing,
    /// The state is read again from a log that was cut.
    Reloading,
}
