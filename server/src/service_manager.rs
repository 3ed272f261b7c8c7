//! Messages to the service manager that has started this process: the protocol of `sd_notify(3)`.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Where the service manager listens, if it is told anything.
pub(crate) struct ServiceManager {
    socket: Option<(UnixDatagram, SocketAddr)>,
}

impl ServiceManager {
    /// The one that `NOTIFY_SOCKET` names; none where nothing is named.
    pub(crate) fn of_process() -> ServiceManager {
        let name = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let socket = name.and_then(|name| match open(&name) {
            Ok(socket) => Some(socket),
            Err(error) => {
                tracing::warn!("NOTIFY_SOCKET={}: {error}", name.display());
                None
            }
        });
        ServiceManager { socket }
    }

    /// Sends a line for each thing that holds now. Nobody waits for it.
    pub(crate) fn tell(&self, state: &str) {
        if let Some((socket, address)) = &self.socket {
            // It may have gone; then it does not wait for anything either.
            let _ = socket.send_to_addr(state.as_bytes(), address);
        }
    }

    /// Says that settings are being read again; behind it comes `READY=1`.
    pub(crate) fn tell_reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }
}

fn open(name: &OsStr) -> std::io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes() {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
        _ => SocketAddr::from_pathname(name)?,
    };
    Ok((UnixDatagram::unbound()?, address))
}

/// How often the service manager wants to hear that the server lives: within half of the time
/// after which it ends one that is silent.
pub(crate) fn watchdog_interval() -> Option<Duration> {
    let variable = |name| std::env::var(name).ok();
    interval(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"), std::process::id())
}

fn interval(usec: Option<String>, pid: Option<String>, own: u32) -> Option<Duration> {
    let micros: u64 = usec?.parse().ok().filter(|micros| *micros > 0)?;
    let for_another = pid.is_some_and(|pid| pid.parse() != Ok(own));
    (!for_another).then(|| Duration::from_micros(micros) / 2)
}

/// The thread that says that the server lives, as long as it does.
pub(crate) struct Watchdog {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Watchdog {
    /// Starts it. `lives` may take as long as it is given.
    pub(crate) fn start(
        manager: ServiceManager,
        interval: Duration,
        lives: impl Fn(Duration) -> bool + Send + 'static,
    ) -> std::io::Result<Watchdog> {
        let (stop, stopped) = channel();
        let work = move || watch(&manager, interval, &lives, &stopped);
        let thread = std::thread::Builder::new().name("watchdog".into()).spawn(work)?;
        Ok(Watchdog { stop, thread })
    }

    /// Ends it.
    pub(crate) fn stop(self) {
        drop(self.stop);
        let _ = self.thread.join();
    }
}

fn watch(
    manager: &ServiceManager,
    interval: Duration,
    lives: &dyn Fn(Duration) -> bool,
    stopped: &Receiver<()>,
) {
    loop {
        if lives(interval) {
            manager.tell("WATCHDOG=1");
        }
        match stopped.recv_timeout(interval / 2) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watchdog_of_another_process_or_without_a_time_is_none() {
        let text = |text: &str| Some(text.to_owned());
        let second = Some(Duration::from_secs(1));
        assert_eq!(interval(text("2000000"), None, 7), second);
        assert_eq!(interval(text("2000000"), text("7"), 7), second);
        for (usec, pid) in [
            (text("2000000"), text("8")),
            (text("2000000"), text("x")),
            (text("0"), None),
            (text("soon"), None),
            (None, None),
        ] {
            assert_eq!(interval(usec, pid, 7), None);
        }
    }

    #[test]
    fn silent_server_is_not_said_to_live() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("notify");
        let heard = UnixDatagram::bind(&path).expect("a socket");
        let (asked, asking) = channel();
        let answers = std::sync::Mutex::new(vec![true, false].into_iter());
        let lives = move |_| {
            let lives = answers.lock().expect("no panic").next().unwrap_or(true);
            asked.send(lives).expect("the test listens");
            lives
        };
        let socket = Some(open(path.as_os_str()).expect("a socket"));
        let interval = Duration::from_millis(2);
        let watchdog =
            Watchdog::start(ServiceManager { socket }, interval, lives).expect("a thread");
        let said: Vec<bool> = asking.iter().take(3).collect();
        watchdog.stop();
        assert_eq!(said, [true, false, true]);
        heard.set_nonblocking(true).expect("a socket");
        let mut bytes = [0; 64];
        let mut messages = 0;
        while let Ok(count) = heard.recv(&mut bytes) {
            assert_eq!(&bytes[..count], b"WATCHDOG=1");
            messages += 1;
        }
        let lived = 2 + asking.try_iter().filter(|lives| *lives).count();
        assert_eq!(messages, lived);
    }
}
