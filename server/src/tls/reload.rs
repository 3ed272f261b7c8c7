//! Changed stores are taken over while the server runs.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::material::{TlsCounters, TlsMaterial};
use super::settings::{files, load};
use crate::config::Settings;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// What connections from now on get where stores have changed.
#[derive(Clone)]
pub struct StoreReload {
    /// What is in force.
    pub material: Arc<TlsMaterial>,
    /// Where it is counted.
    pub counters: Arc<TlsCounters>,
}

impl StoreReload {
    /// Reads the stores again. Those that cannot be used change nothing, and the log says why.
    pub fn run(&self, settings: &Settings) {
        match load(settings) {
            Ok(config) => {
                self.material.replace(config);
                TlsCounters::count(&self.counters.reloads);
                tracing::info!("the keys and certificates of TLS were read again; they hold now");
            }
            Err(why) => {
                TlsCounters::count(&self.counters.reloads_failed);
                tracing::warn!("the keys and certificates of TLS stay as they were: {why:#}");
            }
        }
    }
}

/// The thread that looks whether a store has changed.
pub struct StoreWatch {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl StoreWatch {
    /// Starts it.
    ///
    /// # Errors
    /// Where the system refuses a thread.
    pub fn start(settings: Settings, reload: StoreReload) -> std::io::Result<StoreWatch> {
        let (stop, stopped) = channel();
        let watch = move || watch(&settings, &reload, &stopped);
        let thread = std::thread::Builder::new().name("tls-stores".into()).spawn(watch)?;
        Ok(StoreWatch { stop, thread })
    }

    /// Ends it.
    pub fn stop(self) {
        drop(self.stop);
        let _ = self.thread.join();
    }
}

fn watch(settings: &Settings, reload: &StoreReload, stopped: &Receiver<()>) {
    let files = files(settings);
    let mut seen = Sign::of_all(&files);
    while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        let now = Sign::of_all(&files);
        if now != seen {
            seen = now;
            reload.run(settings);
        }
    }
}

/// What shows that a file is another one, or was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Sign {
    inode: u64,
    bytes: u64,
    written: (i64, i64),
}

impl Sign {
    fn of(file: &Path) -> Option<Sign> {
        let it = std::fs::metadata(file).ok()?;
        Some(Sign { inode: it.ino(), bytes: it.len(), written: (it.mtime(), it.mtime_nsec()) })
    }

    fn of_all(files: &[PathBuf]) -> Vec<Option<Sign>> {
        files.iter().map(|file| Sign::of(file)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_that_is_written_or_replaced_or_gone_has_another_sign() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("store.pem");
        let mut signs = vec![Sign::of(&file)];
        std::fs::write(&file, "a").unwrap();
        signs.push(Sign::of(&file));
        std::fs::write(&file, "ab").unwrap();
        signs.push(Sign::of(&file));
        let other = home.path().join("other.pem");
        std::fs::write(&other, "cd").unwrap();
        std::fs::rename(&other, &file).unwrap();
        signs.push(Sign::of(&file));
        assert!(signs.windows(2).all(|pair| pair[0] != pair[1]), "{signs:?}");
        assert_eq!(Sign::of(&file), signs[3]);
    }
}
