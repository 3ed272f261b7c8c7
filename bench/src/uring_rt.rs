//! What carries the sessions of a driver thread: tokio-uring.
//!
//! This is the only module that names the runtime. It offers a thread's executor, a socket and a
//! timer; anything that offers the same can take its place.

use std::future::Future;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio_uring::buf::BoundedBuf;
use tokio_uring::fs::File;
use tokio_uring::net::TcpStream;

/// Entries of the submission ring: a sweep over more sockets is submitted in parts.
const RING_ENTRIES: u32 = 1_024;
/// Room that a read offers to the kernel at least.
const READ_BYTES_MIN: usize = 32 << 10;

/// Runs a future, and the tasks it spawns, on this thread.
pub(crate) fn run<F: Future>(future: F) -> io::Result<F::Output> {
    let runtime = polite()
        .or_else(|_| tokio_uring::Runtime::new(tokio_uring::builder().entries(RING_ENTRIES)))
        .map_err(|error| {
            let hint = "io_uring is not available here: see kernel.io_uring_disabled, and the \
                        seccomp profile if this is a container";
            io::Error::new(error.kind(), format!("{hint} ({error})"))
        })?;
    Ok(runtime.block_on(future))
}

/// Completions are only looked at between sweeps, so the kernel need not interrupt for them.
/// Kernels before 5.19 do not know that.
fn polite() -> io::Result<tokio_uring::Runtime> {
    let mut ring = tokio_uring::uring_builder();
    ring.setup_coop_taskrun();
    tokio_uring::Runtime::new(tokio_uring::builder().entries(RING_ENTRIES).uring_builder(&ring))
}

/// Starts a task on this thread; it ends with the thread's [`run`] at the latest.
pub(crate) fn spawn(task: impl Future<Output = ()> + 'static) {
    drop(tokio_uring::spawn(task));
}

/// A connection. Reading and writing go on at the same time.
pub(crate) struct Socket {
    stream: TcpStream,
}

impl Socket {
    /// Connects to a server.
    pub(crate) async fn connect(server: SocketAddr) -> io::Result<Socket> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        Ok(Socket { stream })
    }

    /// Appends what has arrived, waiting for something if need be; 0 bytes mean the end.
    pub(crate) async fn read(&self, mut buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        if buffer.capacity() - buffer.len() < READ_BYTES_MIN / 2 {
            buffer.reserve(READ_BYTES_MIN.max(buffer.len()));
        }
        let filled = buffer.len();
        let (got, slice) = self.stream.read(buffer.slice(filled..)).await;
        (got, slice.into_inner())
    }

    /// Sends all of it and hands the buffer back.
    pub(crate) async fn write_all(&self, buffer: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        self.stream.write_all(buffer).await
    }

    /// Ends the connection; whoever waits in a read sees its end.
    pub(crate) fn shutdown(&self) {
        // It may be gone already, which is what was wanted.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// Wakes a task with the precision of the kernel's timers.
pub(crate) struct Timer {
    /// Sets the timer; `file` is the same timer, owned by the ring.
    fd: OwnedFd,
    file: File,
    buffer: Vec<u8>,
}

impl Timer {
    /// A timer for one task.
    pub(crate) fn new() -> io::Result<Timer> {
        let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
        let file = File::from_std(std::fs::File::from(fd.try_clone()?));
        Ok(Timer { fd, file, buffer: Vec::with_capacity(8) })
    }

    /// Waits.
    pub(crate) async fn sleep(&mut self, duration: Duration) -> io::Result<()> {
        // Zero would disarm the timer.
        let duration = duration.max(Duration::from_nanos(1));
        let value = Timespec {
            tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: duration.subsec_nanos().into(),
        };
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let when = Itimerspec { it_interval: zero, it_value: value };
        timerfd_settime(&self.fd, TimerfdTimerFlags::empty(), &when)?;
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let (got, buffer) = self.file.read_at(buffer, 0).await;
        self.buffer = buffer;
        got.map(drop)
    }
}
