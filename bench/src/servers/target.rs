//! The servers to load, and what starts them again.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use crate::servers::ephemeral::EphemeralServer;
use crate::servers::probe::ProbeOptions;

/// Servers to load, as one.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub name: String,
    /// Sessions are spread over these.
    pub servers: Vec<SocketAddr>,
    /// Processes to account for; found by their ports on this host if empty.
    pub pids: Vec<u32>,
    /// Who starts them again when they are killed.
    pub supervisor: Supervisor,
    /// What to find out about them beside the load.
    pub probe: ProbeOptions,
}

impl Target {
    /// Servers that are not ours to kill.
    pub(crate) fn new(name: &str, servers: Vec<SocketAddr>, probe: ProbeOptions) -> Target {
        let (pids, supervisor) = (Vec::new(), Supervisor::None);
        Target { name: name.to_string(), servers, pids, supervisor, probe }
    }
}

/// Who starts the servers of a target again.
#[derive(Clone, Debug, Default)]
pub(crate) enum Supervisor {
    /// None: they are not ours to kill.
    #[default]
    None,
    /// This process, which has started its only server itself.
    Own(Rc<RefCell<EphemeralServer>>),
    /// A command of the user's.
    Command(String),
}
