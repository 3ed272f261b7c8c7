//! What a member wants done to its log besides flushes. The thread that flushes does it between
//! two of them, so that no write of before can reach the disk after it.

use super::refusal::Refusal;
use super::{Fatal, Log};
use crate::Zxid;
use crate::device::{Directory, EnsembleIdentity, Epochs};

/// Counts the histories of a log: each cut and each install begins the next one. What was under way
/// before is reported with the older number, and means nothing any more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Generation(pub u64);

/// A change of the log or of what is noted beside it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogCommand {
    /// See [`Log::cut`].
    Cut {
        /// The leader's history ends here, or goes on otherwise behind it.
        after: Zxid,
        /// What is known to be committed.
        committed: Zxid,
    },
    /// See [`Log::install`].
    Install {
        /// What the state that was received holds.
        zxid: Zxid,
        /// What is known to be committed.
        committed: Zxid,
    },
    /// See [`Log::save_epochs`].
    Save(Epochs),
    /// See [`Log::mark_diverged`].
    MarkDiverged(Zxid),
    /// See [`Log::adopt`].
    Adopt(EnsembleIdentity),
}

impl LogCommand {
    /// Whether what was under way before it means nothing behind it.
    pub fn begins_generation(self) -> bool {
        match self {
            LogCommand::Cut { .. } | LogCommand::Install { .. } => true,
            LogCommand::Save(_) | LogCommand::MarkDiverged(_) | LogCommand::Adopt(_) => false,
        }
    }
}

/// A group that is durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flushed {
    /// The log is durable up to here.
    pub durable: Zxid,
    /// Records of the group.
    pub records: u32,
    /// When the first of them was ordered, as it was submitted.
    pub since_us: u64,
    /// Microseconds that the flush took.
    pub micros: u64,
}

/// What has become durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogEvent {
    /// A group.
    Flushed(Flushed),
    /// The log was cut and ends here.
    Cut(Zxid),
    /// It could not be cut, and nothing was changed: nothing whole that a start could begin from
    /// lies before the cut. The state has to be received as a whole.
    CutTooFar(Zxid),
    /// The log begins anew behind the state at this zxid.
    Installed(Zxid),
    /// What was received cannot be used, and nothing was changed. It has to be received again.
    NotInstalled(Zxid),
    /// The epochs are noted.
    Saved(Epochs),
    /// It is noted that the state behind this transaction is not the leader's.
    MarkedDiverged(Zxid),
    /// It is noted whose ensemble this is.
    Adopted(EnsembleIdentity),
}

/// An event, and the history that it is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Completion {
    /// The generation in which it was begun; for a cut or an install, the one that it begins.
    pub generation: Generation,
    /// What is durable.
    pub event: LogEvent,
}

impl<D: Directory> Log<D> {
    /// Does what the command says. An error means that the process must stop.
    pub fn execute(&mut self, command: LogCommand) -> Result<LogEvent, Fatal> {
        match command {
            LogCommand::Cut { after, committed } => match self.cut(after, committed) {
                Err(Fatal::Refused(Refusal::CutTooFar { .. })) => Ok(LogEvent::CutTooFar(after)),
                result => result.map(LogEvent::Cut),
            },
            LogCommand::Install { zxid, committed } => match self.install(zxid, committed) {
                Err(Fatal::Refused(Refusal::Received { .. })) => Ok(LogEvent::NotInstalled(zxid)),
                result => result.map(|()| LogEvent::Installed(zxid)),
            },
            LogCommand::Save(epochs) => self.save_epochs(epochs).map(|()| LogEvent::Saved(epochs)),
            LogCommand::MarkDiverged(zxid) => {
                self.mark_diverged(zxid).map(|()| LogEvent::MarkedDiverged(zxid))
            }
            LogCommand::Adopt(ensemble) => {
                self.adopt(ensemble).map(|()| LogEvent::Adopted(ensemble))
            }
        }
    }
}
