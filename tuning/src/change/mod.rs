//! Changes to the host: each is a value of one file of the kernel, recorded before it is made.

mod apply;
mod journal;
mod plan;
mod script;
mod undo;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub(crate) use self::apply::{apply, run as run_apply};
pub(crate) use self::journal::Journal;
pub(crate) use self::plan::plan;
pub(crate) use self::undo::{run as run_undo, undo};
use ringkeeper_bench::servers::root::{Root, chosen};

/// A value that a file of the kernel should have.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Change {
    /// The file, from the root.
    pub(crate) path: String,
    pub(crate) to: String,
    /// What makes it last beyond a restart of the host.
    pub(crate) lasting: String,
}

impl Change {
    /// A file that holds a value, or shows all choices and takes one.
    pub(crate) fn plain(path: &Path, to: &str, lasting: &str) -> Change {
        let path = path.to_string_lossy().into_owned();
        Change { path, to: to.to_owned(), lasting: lasting.to_owned() }
    }

    /// A value of `sysctl`.
    pub(crate) fn sysctl(name: &str, to: &str) -> Change {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        let lasting = format!("/etc/sysctl.d/60-ringkeeper.conf: {name} = {to}");
        Change::plain(Path::new(&path), to, &lasting)
    }
}

/// What a file holds now, or the choice in force.
pub(crate) fn current(root: &Root, path: &str) -> std::io::Result<String> {
    root.read(path).map(|text| chosen(&text).to_owned())
}

/// Writes a value and looks whether it is in force. The kernel takes one `write` per value, and
/// the file is never created: if it is not there, there is nothing to change.
fn set(root: &Root, path: &str, to: &str) -> Result<(), String> {
    use std::io::Write;
    let shown = root.at(path);
    let written = std::fs::OpenOptions::new()
        .write(true)
        .truncate(!root.is_host())
        .open(&shown)
        .and_then(|mut file| file.write_all(to.as_bytes()));
    written.map_err(|error| format!("cannot write \"{to}\" to {}: {error}", shown.display()))?;
    match current(root, path) {
        Ok(now) if now == to => Ok(()),
        Ok(now) => Err(format!("{path} holds \"{now}\" after \"{to}\" was written to it")),
        Err(error) => Err(format!("cannot read {path} again: {error}")),
    }
}

#[cfg(test)]
mod tests;
