//! Whether a server would start: what a start looks at before it serves, and nothing is changed.

use super::ports::ClientPorts;
use super::{choose_io, tls};
use crate::admin::http::Ports;
use crate::config::{Io, Settings};
use crate::shards::Admission;
use crate::storage;

/// Says whether a server would start with these settings, here and now; the error is that of the
/// start. Directories, their owner and contents, addresses and ports are looked at, in the order of
/// a start. Ports are taken for a moment, and directories locked.
pub fn look(settings: &Settings) -> anyhow::Result<()> {
    let mut ports = ClientPorts::of(settings)?;
    tls(settings)?;
    storage::open::look(settings)?;
    match settings.io {
        Io::IoUring => drop(choose_io(Io::IoUring)?),
        Io::Auto | Io::Epoll => {}
    }
    ports.bind(Admission::Alone)?;
    Ports::bind(settings)?;
    Ok(())
}
