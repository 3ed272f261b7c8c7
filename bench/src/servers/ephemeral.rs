//! A Ringkeeper for one run: this executable in a directory of its own, gone when the run is over.
//!
//! It ends with this process however that ends: the kernel kills it. A directory that is left
//! behind because this process was killed too is removed by the next run beside it.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, Once, PoisonError, mpsc};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::getpid;

use super::child::die_with_parent;

/// How the directories are called, before the number of the process that made them.
const PREFIX: &str = "ringkeeper-bench-";
/// What the server has said; it also marks the directory as one of ours.
const MESSAGES: &str = "messages.txt";
/// Behind port and directory: the tick, as many connections as the load has, and only clients of
/// this host, also for its metrics.
const SETTINGS: [&str; 5] = [
    "2000",
    "0",
    "-DclientPortAddress=127.0.0.1",
    "-Dzookeeper.admin.serverAddress=127.0.0.1",
    "-Dzookeeper.4lw.commands.whitelist=*",
];
/// How long a start may take: it measures the disk first.
const START: Duration = Duration::from_secs(60);

/// The directory that a panic has to remove, since a panic may end the process at once.
static DIRECTORY: Mutex<Option<PathBuf>> = Mutex::new(None);

/// A server for one run.
#[derive(Debug)]
pub(crate) struct EphemeralServer {
    directory: PathBuf,
    child: Child,
    ports: Ports,
}

/// Where a server listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ports {
    /// For clients.
    pub clients: SocketAddr,
    /// For metrics.
    pub http: Option<SocketAddr>,
}

impl EphemeralServer {
    /// Starts one below the working directory.
    pub(crate) fn start() -> Result<EphemeralServer> {
        let here = std::env::current_dir().context("there is no working directory")?;
        remove_stale(&here);
        let directory = here.join(format!("{PREFIX}{}", getpid().as_raw_nonzero()));
        fs::create_dir(&directory).with_context(|| {
            let place = directory.display();
            format!("cannot create {place} for a server; --server names one that runs already")
        })?;
        on_panic_remove(&directory);
        match run(&directory, (0, 0)) {
            Ok((child, ports)) => Ok(EphemeralServer { directory, child, ports }),
            Err(error) => {
                remove(&directory);
                Err(error)
            }
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.ports.clients
    }

    pub(crate) fn metrics(&self) -> Option<SocketAddr> {
        self.ports.http
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Ends it as a power cut would end it, but for the page cache; returns which process it was.
    pub(crate) fn kill(&mut self) -> io::Result<u32> {
        self.child.kill()?;
        self.child.wait().map(|_| self.child.id())
    }

    /// Starts it again, on the same ports and data.
    pub(crate) fn restart(&mut self) -> Result<()> {
        let http = self.ports.http.map_or(0, |http| http.port());
        (self.child, self.ports) = run(&self.directory, (self.ports.clients.port(), http))?;
        Ok(())
    }
}

impl Drop for EphemeralServer {
    fn drop(&mut self) {
        // It may have ended by itself; what counts is that it is gone.
        let _ = self.kill();
        remove(&self.directory);
    }
}

/// Starts a server on these ports and waits until it says that it is ready.
fn run(directory: &Path, (port, http): (u16, u16)) -> Result<(Child, Ports)> {
    let mut command = own("start", directory)?;
    command.arg(port.to_string()).arg(directory.join("data")).args(SETTINGS);
    command.arg(format!("-Dzookeeper.admin.serverPort={http}")).env_clear();
    // Ctrl-C is for this process, which ends the server when it has cleaned up.
    command.process_group(0);
    started(&mut command, directory)
}

/// This very program under another command; it ends with this process. Its messages go into a
/// directory.
pub fn own(word: &str, directory: &Path) -> Result<Command> {
    let stderr = File::create(directory.join(MESSAGES)).context("cannot keep its messages")?;
    let program = std::env::current_exe().context("this executable cannot be found")?;
    let mut command = Command::new(program);
    command.arg(word).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
    die_with_parent(&mut command);
    Ok(command)
}

/// Starts a server that was set up by [`own`], and waits until it says that it is ready.
pub fn started(command: &mut Command, directory: &Path) -> Result<(Child, Ports)> {
    let mut child = command.spawn().context("cannot start a server")?;
    match wait_ready(&mut child) {
        Some(ports) => Ok((child, ports)),
        None => {
            let _ = child.kill();
            let _ = child.wait();
            let said = fs::read_to_string(directory.join(MESSAGES)).unwrap_or_default();
            bail!("the server did not start: {}", said.trim());
        }
    }
}

/// Reads what the server says until it is ready, and goes on reading so that it never blocks.
fn wait_ready(child: &mut Child) -> Option<Ports> {
    let output = child.stdout.take()?;
    let (ready, ports) = mpsc::channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let clients =
            lines.find_map(|line| line.trim().strip_prefix("clients")?.trim().parse().ok());
        let (mut http, mut served) = (None, false);
        for line in lines.by_ref() {
            let url = line.trim().strip_prefix("http").map(str::trim);
            let host = url.and_then(|url| url.strip_prefix("http://")?.split('/').next());
            http = http.or(host.and_then(|host| host.parse().ok()));
            served = line.starts_with("ready in ");
            if served {
                break;
            }
        }
        // The receiver is gone where the start took too long.
        let _ = ready.send(clients.filter(|_| served).map(|clients| Ports { clients, http }));
        lines.for_each(drop);
    });
    ports.recv_timeout(START).ok().flatten()
}

/// Removes the directories of processes that are no more.
fn remove_stale(here: &Path) {
    let Ok(entries) = fs::read_dir(here) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse::<u32>().ok());
        let is_stale = owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists());
        if is_stale && entry.path().join(MESSAGES).exists() {
            remove(&entry.path());
        }
    }
}

fn remove(directory: &Path) {
    *lock() = None;
    // What cannot be removed now is removed by the next run.
    let _ = fs::remove_dir_all(directory);
}

fn on_panic_remove(directory: &Path) {
    static HOOK: Once = Once::new();
    *lock() = Some(directory.to_path_buf());
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            before(panic);
            if let Some(directory) = lock().take() {
                let _ = fs::remove_dir_all(directory);
            }
        }));
    });
}

fn lock() -> std::sync::MutexGuard<'static, Option<PathBuf>> {
    DIRECTORY.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_of_dead_processes_are_removed() {
        let here = tempfile::tempdir().unwrap();
        let own = std::process::id();
        let names = [format!("{PREFIX}{own}"), format!("{PREFIX}{}", u32::MAX), "other".into()];
        for name in &names {
            fs::create_dir(here.path().join(name)).unwrap();
            fs::write(here.path().join(name).join(MESSAGES), "").unwrap();
        }
        remove_stale(here.path());
        let left = names.iter().map(|name| here.path().join(name).exists());
        assert_eq!(left.collect::<Vec<_>>(), [true, false, true]);
    }
}
