//! How long it takes until another thread goes on: a commit has a hand-off before and behind it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ringkeeper_engine::device::Load;
use rustix::event::{EventfdFlags, eventfd};
use serde::{Deserialize, Serialize};

use super::pinning::Pinning;
use super::spread::{Spread, histogram};
use super::stop::Stop;
use super::words::LoadWord;

/// Hand-offs of one kind at most.
const TURNS_MAX: u32 = 3_000;
/// About what a commit takes.
const COMMIT: Duration = Duration::from_micros(50);
/// A reply that takes longer than this never comes.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A thread is woken by parking and unparking it (a futex).
pub(crate) const FUTEX: &str = "futex";
/// A thread is woken through an eventfd.
pub(crate) const EVENTFD: &str = "eventfd";
/// A thread is handed something that takes a while, as a commit does, and hands it back: by futex,
/// with the waiting one asleep in between, as it is when it waits for a commit.
pub(crate) const WAITED: &str = "around a wait";
/// A byte goes to another thread through TCP on the loopback address, and back.
pub(crate) const LOOPBACK: &str = "loopback round trip";

/// One kind of hand-off under one load.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Wake {
    pub(crate) kind: String,
    /// What else went on.
    #[serde(with = "LoadWord")]
    pub(crate) load: Load,
    /// How often it was measured.
    pub(crate) count: u64,
    /// How long it took: one way, or there and back for [`LOOPBACK`].
    pub(crate) micros: Spread,
}

/// Measures every kind, each for about `time`.
pub(crate) fn measure(load: Load, time: Duration, stop: &Stop) -> Result<Vec<Wake>> {
    let clock = Turns { time, stop };
    let kinds = [
        (FUTEX, futex(&clock, Duration::ZERO)?, 2),
        (WAITED, futex(&clock, COMMIT)?, 2),
        (EVENTFD, eventfds(&clock)?, 2),
    ];
    let mut wakes: Vec<Wake> =
        kinds.into_iter().map(|(kind, turns, ways)| wake(kind, load, &turns, ways)).collect();
    // Without a loopback address there is nothing to measure, and no server to tune either.
    if let Ok(turns) = loopback(&clock) {
        wakes.push(wake(LOOPBACK, load, &turns, 1));
    }
    Ok(wakes)
}

fn wake(kind: &str, load: Load, turns: &[u64], ways: u64) -> Wake {
    let mut histogram = histogram();
    turns.iter().for_each(|nanos| histogram.saturating_record((nanos / ways).max(1)));
    Wake { kind: kind.to_owned(), load, count: histogram.len(), micros: Spread::of(&histogram) }
}

/// How many turns are taken.
struct Turns<'a> {
    time: Duration,
    stop: &'a Stop,
}

impl Turns<'_> {
    /// Nanoseconds of each turn there and back, without those that `turn` says were not the way's.
    fn take(&self, mut turn: impl FnMut() -> Result<u64>) -> Result<Vec<u64>> {
        let begun = Instant::now();
        let mut nanos = Vec::with_capacity(TURNS_MAX as usize);
        while nanos.len() < TURNS_MAX as usize && begun.elapsed() < self.time {
            if self.stop.is_wanted() {
                break;
            }
            let start = Instant::now();
            let aside = turn()?;
            let took = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
            nanos.push(took.saturating_sub(aside));
        }
        Ok(nanos)
    }
}

fn futex(turns: &Turns<'_>, pause: Duration) -> Result<Vec<u64>> {
    use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
    // 0: our turn, 1: theirs, 2: the end.
    let turn = AtomicU32::new(0);
    let paused_ns = AtomicU64::new(0);
    let here = std::thread::current();
    let pinning = Pinning::new();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            pinning.iter().for_each(Pinning::move_over);
            loop {
                match turn.load(Ordering::Acquire) {
                    0 => std::thread::park(),
                    1 => {
                        if !pause.is_zero() {
                            let begun = Instant::now();
                            std::thread::sleep(pause);
                            let paused = begun.elapsed().as_nanos();
                            let paused = u64::try_from(paused).unwrap_or(u64::MAX);
                            paused_ns.store(paused, Ordering::Relaxed);
                        }
                        turn.store(0, Ordering::Release);
                        here.unpark();
                    }
                    _ => break,
                }
            }
        });
        let taken = turns.take(|| {
            turn.store(1, Ordering::Release);
            other.thread().unpark();
            while turn.load(Ordering::Acquire) == 1 {
                std::thread::park();
            }
            Ok(paused_ns.load(Ordering::Relaxed))
        });
        turn.store(2, Ordering::Release);
        other.thread().unpark();
        taken
    })
}

fn eventfds(turns: &Turns<'_>) -> Result<Vec<u64>> {
    let (there, back) = (eventfd(0, EventfdFlags::empty())?, eventfd(0, EventfdFlags::empty())?);
    let (one, end) = (1_u64.to_ne_bytes(), u64::from(u32::MAX).to_ne_bytes());
    let pinning = Pinning::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pinning.iter().for_each(Pinning::move_over);
            let mut value = [0; 8];
            while rustix::io::read(&there, &mut value).is_ok() && value == one {
                if rustix::io::write(&back, &one).is_err() {
                    break;
                }
            }
            // Wakes a thread that still waits.
            let _ = rustix::io::write(&back, &one);
        });
        let taken = turns.take(|| {
            rustix::io::write(&there, &one)?;
            rustix::io::read(&back, &mut [0; 8])?;
            Ok(0)
        });
        let ended = rustix::io::write(&there, &end);
        ended.context("cannot end the other thread")?;
        taken
    })
}

fn loopback(turns: &Turns<'_>) -> Result<Vec<u64>> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on 127.0.0.1")?;
    let mut here = TcpStream::connect(listener.local_addr()?)?;
    let (mut there, _) = listener.accept()?;
    for end in [&here, &there] {
        end.set_nodelay(true)?;
        end.set_read_timeout(Some(TIMEOUT))?;
    }
    let pinning = Pinning::new();
    let move_over = || pinning.iter().for_each(Pinning::move_over);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            move_over();
            let mut byte = [0];
            while there.read_exact(&mut byte).is_ok() && there.write_all(&byte).is_ok() {}
        });
        let taken = turns.take(|| {
            here.write_all(&[1])?;
            here.read_exact(&mut [0])?;
            Ok(0)
        });
        drop(here);
        taken
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_measured() {
        let wakes = measure(Load::Quiet, Duration::from_millis(20), &Stop::default()).unwrap();
        let kinds: Vec<&str> = wakes.iter().map(|wake| wake.kind.as_str()).collect();
        assert_eq!(kinds, [FUTEX, WAITED, EVENTFD, LOOPBACK]);
        assert!(wakes.iter().all(|wake| wake.count > 0 && wake.micros.p50 > 0.0), "{wakes:?}");
    }

    #[test]
    fn stop_ends_wake_measurement() {
        let stop = Stop::default();
        stop.request();
        let wakes = measure(Load::Quiet, Duration::from_secs(60), &stop).unwrap();
        assert!(wakes.iter().all(|wake| wake.count == 0));
    }
}
