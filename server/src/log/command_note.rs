//! What the server says of commands to its log, when they are done.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::{EnsembleId, EnsembleIdentity, Standing};
use ringkeeper_engine::log::LogCommand;

/// What is said of a command when it is done.
pub(super) enum CommandNote {
    Nothing,
    Cut(Zxid),
    Installed(Zxid),
    MarkedDiverged(Zxid),
    Confirmed(EnsembleId),
}

impl CommandNote {
    pub(super) fn of(command: &LogCommand) -> CommandNote {
        match command {
            LogCommand::Cut { after, .. } => CommandNote::Cut(*after),
            LogCommand::Install { zxid, .. } => CommandNote::Installed(*zxid),
            LogCommand::MarkDiverged(zxid) => CommandNote::MarkedDiverged(*zxid),
            LogCommand::Adopt(EnsembleIdentity { id, standing: Standing::Confirmed, .. }) => {
                CommandNote::Confirmed(*id)
            }
            LogCommand::Save(_) | LogCommand::Adopt(_) => CommandNote::Nothing,
        }
    }

    /// Not before it is done: whoever reads it may rely on it.
    pub(super) fn log(self) {
        match self {
            CommandNote::Nothing => {}
            CommandNote::Cut(after) => tracing::info!("the log is cut behind {after}"),
            CommandNote::Installed(zxid) => {
                tracing::info!("the log begins anew behind the state that was received at {zxid}");
            }
            CommandNote::MarkedDiverged(zxid) => {
                tracing::warn!("the state behind {zxid} is noted as not being the leader's");
            }
            CommandNote::Confirmed(id) => {
                tracing::info!("the directory of this server belongs to ensemble {id}");
            }
        }
    }
}
