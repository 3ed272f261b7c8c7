//! The steady load, whose latencies count from the moment at which each request was due.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ringkeeper_engine::client::Client;

use crate::host::Host;

/// Reads a second.
pub(crate) const GETS: u32 = 500;
/// Writes a second.
pub(crate) const SETS: u32 = 200;
/// How often the thread that does nothing but wake up wakes up.
const BEATS: u32 = 1_000;

/// The node that is read and written.
pub(crate) const NODE: &str = "/light";

/// What was due, and how much later it was done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) due: Instant,
    pub(crate) late: Duration,
}

/// All that was measured.
#[derive(Default, Debug)]
pub(crate) struct Samples {
    pub(crate) gets: Vec<Sample>,
    pub(crate) sets: Vec<Sample>,
    /// Wakings of a thread that talks to nobody.
    pub(crate) beats: Vec<Sample>,
}

/// The load while it runs.
pub(crate) struct Paced {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Sample>>>,
}

impl Paced {
    pub(crate) fn start(host: &Host) -> Paced {
        let stop = Arc::new(AtomicBool::new(false));
        let (mut reader, mut writer) = (host.connect(), host.connect());
        if writer.exists(NODE).expect("it answers").is_none() {
            writer.create(NODE, &[b'l'; 100]).expect("it can be created");
        }
        let get = move || {
            reader.get(NODE).expect("it can be read");
        };
        let set = move || {
            writer.set(NODE, &[b'l'; 100]).expect("it can be written");
        };
        let threads = vec![
            steady(stop.clone(), GETS, get),
            steady(stop.clone(), SETS, set),
            steady(stop.clone(), BEATS, || {}),
        ];
        Paced { stop, threads }
    }

    pub(crate) fn stop(self) -> Samples {
        self.stop.store(true, Ordering::Relaxed);
        let mut found = self.threads.into_iter().map(|thread| thread.join().expect("no panic"));
        let mut next = || found.next().expect("three threads");
        Samples { gets: next(), sets: next(), beats: next() }
    }
}

/// Does something so often a second; what comes late is made up for at once.
fn steady(
    stop: Arc<AtomicBool>,
    per_second: u32,
    mut act: impl FnMut() + Send + 'static,
) -> JoinHandle<Vec<Sample>> {
    thread::spawn(move || {
        let interval = Duration::from_secs(1) / per_second;
        let mut due = Instant::now();
        let mut samples = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            due += interval;
            while let left = due.saturating_duration_since(Instant::now())
                && !left.is_zero()
            {
                thread::park_timeout(left);
            }
            act();
            samples.push(Sample { due, late: due.elapsed() });
        }
        samples
    })
}

/// Sends multis, a few of them under way at a time.
pub(crate) struct Multis<'a> {
    pub(crate) client: &'a mut Client,
    pub(crate) window: usize,
}

impl Multis<'_> {
    /// Sends `count` multis that `queue` puts into the client's buffer.
    pub(crate) fn send(&mut self, count: u32, mut queue: impl FnMut(&mut Client, u32)) {
        for n in 0..count {
            if self.client.in_flight() == self.window {
                self.take();
            }
            queue(self.client, n);
            self.client.flush().expect("it is connected");
        }
        while self.client.in_flight() > 0 {
            self.take();
        }
    }

    fn take(&mut self) {
        let answer = self.client.receive().and_then(|answer| answer.accepted());
        answer.expect("a multi that can be carried out");
    }
}
