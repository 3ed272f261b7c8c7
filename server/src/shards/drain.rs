//! The end of a shard: how long clients that are connected are served on, and how a connection is
//! closed so that no request of its client is lost.

use std::os::fd::AsFd;

use ringkeeper_engine::Millis;
use ringkeeper_engine::shard::Shard;
use rustix::io::Errno;
use rustix::net::SendFlags;

/// How long a client has to be quiet before it is left, milliseconds.
const QUIET_MS: i64 = 150;
/// How often quiet ones are looked for.
const LOOK_MS: i64 = 25;
/// How long requests of clients that are never quiet are taken in.
const INPUT_MS: i64 = 1_000;

/// The end of a shard under way. All times are of the monotonic clock, milliseconds.
pub(super) struct Drain {
    began: i64,
    /// When requests are not waited for any more whose answers have not come.
    by: i64,
    next_look: i64,
    takes_input: bool,
}

impl Drain {
    /// Begins to part with the clients. Requests get their answers within `drain_ms`.
    pub(super) fn begin(shard: &mut Shard, now_ms: i64, drain_ms: i64) -> Drain {
        shard.begin_departure();
        let next_look = now_ms + QUIET_MS;
        Drain { began: now_ms, by: now_ms + drain_ms, next_look, takes_input: true }
    }

    /// Time passes.
    pub(super) fn tick(&mut self, shard: &mut Shard, now_ms: i64) {
        if self.takes_input && now_ms >= self.began + INPUT_MS {
            self.takes_input = false;
            shard.depart_all();
        }
        if self.takes_input && now_ms >= self.next_look {
            self.next_look = now_ms + LOOK_MS;
            shard.depart_quiet(Millis(now_ms - QUIET_MS));
        }
    }

    /// When it has something to do.
    pub(super) fn due_ms(&self) -> i64 {
        if self.takes_input { self.next_look.min(self.began + INPUT_MS) } else { self.by }
    }

    /// Whether the time for answers is over.
    pub(super) fn is_over(&self, now_ms: i64) -> bool {
        now_ms >= self.by
    }
}

/// Whether a client was left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Parting {
    /// Everything is sent: the socket is to be shut down.
    Done,
    /// It has sent something more, or does not take its last reply at once.
    NotYet,
}

/// Whether a socket holds something that was not read.
pub(super) fn has_unread(socket: impl AsFd) -> bool {
    rustix::io::ioctl_fionread(&socket).is_ok_and(|unread| unread > 0)
}

/// Sends the last bytes to a client that departs, in one segment with the end of the stream, which
/// the caller shuts down. Not where the client has sent something that was not read: that is
/// answered first. What it sends from this moment until it hears of the end is lost.
pub(super) fn part(socket: impl AsFd, out: &mut Vec<u8>) -> Parting {
    if has_unread(&socket) {
        return Parting::NotYet;
    }
    if out.is_empty() {
        return Parting::Done;
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT | SendFlags::MORE;
    match rustix::net::send(&socket, out, flags) {
        Ok(count) if count == out.len() => {
            out.clear();
            Parting::Done
        }
        Ok(count) => {
            out.drain(..count);
            Parting::NotYet
        }
        Err(Errno::AGAIN | Errno::INTR) => Parting::NotYet,
        // There is nobody any more.
        Err(_) => Parting::Done,
    }
}
