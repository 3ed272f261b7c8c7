//! Whether a server would start: what a start looks at before it serves, and nothing is changed.

use anyhow::Context;

use super::{addresses, choose_io};
use crate::admin::http::Ports;
use crate::config::{Io, Settings};
use crate::shards::{Admission, Listener};
use crate::storage;

/// Says whether a server would start with these settings, here and now; the error is that of the
/// start. Directories, their owner and contents, addresses and ports are looked at, in the order of
/// a start. Ports are taken for a moment, and directories locked.
pub fn look(settings: &Settings) -> anyhow::Result<()> {
    let addresses = addresses(settings)?;
    storage::open::look(settings)?;
    match settings.io {
        Io::IoUring => drop(choose_io(Io::IoUring)?),
        Io::Auto | Io::Epoll => {}
    }
    let address = addresses[0];
    let backlog = i32::try_from(settings.listen_backlog).unwrap_or(i32::MAX);
    Listener::bind_after_another(address, backlog, Admission::Alone)
        .with_context(|| format!("cannot listen on {address}; is another server there?"))?;
    Ports::bind(settings)?;
    Ok(())
}
