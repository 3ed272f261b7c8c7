//! The sample client: it writes a number that grows, all the time, and counts what becomes of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::Builder;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use ringkeeper_engine::Code;
use ringkeeper_engine::client::{Client, Error, Options};

use super::event::DemoEvent;
use super::monitor::Monitor;

/// The node that holds the number.
const PATH: &str = "/demo";
/// Between two writes.
const PAUSE: Duration = Duration::from_millis(2);
/// Before it looks again for a server that serves.
const RETRY: Duration = Duration::from_millis(10);
/// How long a server may take for an answer.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// A gap that is worth a line.
const GAP: Duration = Duration::from_millis(50);

/// What has become of the writes.
#[derive(Clone, Debug)]
pub(super) struct Written {
    /// Writes that were answered with success.
    pub(super) acknowledged: u64,
    /// Writes whose connection ended before the answer: they may have taken effect, or not.
    pub(super) unknown: u64,
    /// Acknowledged writes that were not there afterwards. This has to stay 0.
    pub(super) lost: u64,
    /// Sessions that were begun.
    pub(super) sessions: u64,
    /// Times that it went on with its session at another server.
    pub(super) moves: u64,
    /// The server that it is connected to.
    pub(super) server: Option<u8>,
    /// The longest time between two acknowledged writes.
    pub(super) gap_max: Duration,
    /// When the last one was acknowledged.
    pub(super) last: Option<Instant>,
}

impl Written {
    fn new() -> Written {
        Written {
            acknowledged: 0,
            unknown: 0,
            lost: 0,
            sessions: 0,
            moves: 0,
            server: None,
            gap_max: Duration::ZERO,
            last: None,
        }
    }

    /// One more was acknowledged. Returns how long none was, where that is worth a line.
    fn acknowledged(&mut self, now: Instant) -> Option<Duration> {
        self.acknowledged += 1;
        let gap = now.duration_since(self.last.replace(now)?);
        self.gap_max = self.gap_max.max(gap);
        (gap >= GAP).then_some(gap)
    }
}

/// The thread of the sample client.
pub(super) struct Writer {
    written: Arc<Mutex<Written>>,
}

struct Run {
    servers: Vec<SocketAddr>,
    monitor: Arc<Monitor>,
    written: Arc<Mutex<Written>>,
    events: Sender<DemoEvent>,
    /// Its session goes on also where the connection is gone.
    client: Option<Client>,
    is_connected: bool,
    /// The last number that was acknowledged, and the last one that was sent.
    acknowledged: u64,
    sent: u64,
}

impl Writer {
    /// Begins as soon as a server serves. The thread ends with the process.
    pub(super) fn start(
        servers: Vec<SocketAddr>,
        monitor: Arc<Monitor>,
        events: Sender<DemoEvent>,
    ) -> std::io::Result<Writer> {
        let written = Arc::new(Mutex::new(Written::new()));
        let mut run = Run {
            servers,
            monitor,
            written: written.clone(),
            events,
            client: None,
            is_connected: false,
            acknowledged: 0,
            sent: 0,
        };
        Builder::new().name("demo-writer".into()).spawn(move || {
            loop {
                let wait = match run.write() {
                    Ok(()) => PAUSE,
                    Err(_) => run.move_on(),
                };
                std::thread::sleep(wait);
            }
        })?;
        Ok(Writer { written })
    }

    /// What has become of the writes until now.
    pub(super) fn written(&self) -> Written {
        self.written.lock().clone()
    }
}

impl Run {
    fn write(&mut self) -> Result<(), Error> {
        let Some(client) = self.client.as_mut().filter(|_| self.is_connected) else {
            return Err(Error::Closed);
        };
        self.sent += 1;
        let answer = client.set(PATH, self.sent.to_string().as_bytes());
        if let Err(error) = answer {
            self.is_connected = false;
            self.written.lock().unknown += 1;
            return Err(error);
        }
        self.acknowledged = self.sent;
        if let Some(gap) = self.written.lock().acknowledged(Instant::now()) {
            let ms = gap.as_millis();
            self.say(format!("the client: no write was acknowledged for {ms} ms"));
        }
        Ok(())
    }

    /// Goes on at a server that serves, with the same session where it lives. Returns how long to
    /// wait before the next write.
    fn move_on(&mut self) -> Duration {
        let views = self.monitor.views();
        let before = self.written.lock().server;
        let count = self.servers.len();
        let first = before.map_or(0, usize::from) % count;
        let order = (0..count).map(|step| (first + step) % count);
        let Some(index) = order.into_iter().find(|index| views[*index].serves()) else {
            return RETRY;
        };
        let server = u8::try_from(index + 1).expect("servers are few");
        match self.connect(index) {
            Ok(()) => {
                self.is_connected = true;
                self.written.lock().server = Some(server);
                return Duration::ZERO;
            }
            Err(Error::Expired) => {
                self.client = None;
                self.say("the client: its session has expired".to_owned());
            }
            // The next one is tried then.
            Err(_) => self.written.lock().server = Some(server),
        }
        RETRY
    }

    fn connect(&mut self, index: usize) -> Result<(), Error> {
        let server = self.servers[index];
        match &mut self.client {
            Some(client) => {
                client.reattach(server)?;
                self.written.lock().moves += 1;
            }
            None => {
                let options = Options { timeout_ms: 4_000, ..Options::default() };
                let mut client = Client::connect(server, options)?;
                client.set_patience(PATIENCE);
                self.client = Some(client);
                self.written.lock().sessions += 1;
            }
        }
        self.verify()
    }

    /// What was acknowledged is there, wherever it is read.
    fn verify(&mut self) -> Result<(), Error> {
        let client = self.client.as_mut().expect("it was just connected");
        client.sync(PATH)?;
        let data = match client.get(PATH) {
            Ok((data, _)) => data,
            Err(error) if error.code() == Some(Code::NoNode) => {
                client.create(PATH, b"0")?;
                None
            }
            Err(error) => return Err(error),
        };
        let text = data.map(|data| String::from_utf8_lossy(&data).into_owned());
        let found: u64 = text.and_then(|text| text.parse().ok()).unwrap_or(0);
        if found < self.acknowledged {
            let lost = self.acknowledged - found;
            self.written.lock().lost += lost;
            self.say(format!("the client: {lost} ACKNOWLEDGED WRITES ARE LOST"));
        }
        (self.acknowledged, self.sent) = (found, found.max(self.sent));
        Ok(())
    }

    fn say(&self, text: String) {
        // Without a loop the process is about to end.
        let _ = self.events.send(DemoEvent::Happened(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gap_is_the_time_between_two_acknowledged_writes_and_the_longest_is_kept() {
        let (mut written, begin) = (Written::new(), Instant::now());
        assert_eq!(written.acknowledged(begin + GAP * 9), None, "the first has none before it");
        assert_eq!(written.acknowledged(begin + GAP * 9 + GAP / 2), None);
        let late = begin + GAP * 12;
        assert_eq!(written.acknowledged(late), Some(GAP * 5 / 2));
        assert_eq!((written.gap_max, written.acknowledged), (GAP * 5 / 2, 3));
    }
}
