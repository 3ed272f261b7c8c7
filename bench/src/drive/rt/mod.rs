//! What carries the sessions of a driver thread: an executor, sockets and timers.
//!
//! Two runtimes offer the same: io_uring, and epoll where io_uring is not allowed. Everything else
//! is written against this module and does not know which one it runs on.

mod socket;
mod timer;

use std::cell::Cell;
use std::future::Future;
use std::io;

use tokio::task::LocalSet;

use crate::model::io::{Io, IoChoice};

pub(crate) use socket::Socket;
pub(crate) use timer::Timer;

/// Entries of the submission ring: a sweep over more sockets is submitted in parts.
const RING_ENTRIES: u32 = 1_024;

/// Settles the choice, and says why it was not io_uring.
pub(crate) fn choose(choice: IoChoice) -> io::Result<(Io, Option<String>)> {
    let probed = match choice {
        IoChoice::Epoll => return Ok((Io::Epoll, None)),
        IoChoice::Auto | IoChoice::Uring => ring().map(drop),
    };
    let Err(error) = probed else { return Ok((Io::Uring, None)) };
    let reason = format!(
        "io_uring is not available here ({error}; see kernel.io_uring_disabled, or the seccomp \
         profile of a container)"
    );
    match choice {
        IoChoice::Uring => Err(io::Error::new(error.kind(), reason)),
        IoChoice::Auto | IoChoice::Epoll => Ok((Io::Epoll, Some(reason))),
    }
}

thread_local! {
    /// What carries the sockets of this thread, set by [`run`].
    static CARRIER: Cell<Io> = const { Cell::new(Io::Epoll) };
}

/// Runs a future, and the tasks it spawns, on this thread.
pub(crate) fn run<F: Future>(io: Io, future: F) -> io::Result<F::Output> {
    CARRIER.set(io);
    match io {
        Io::Uring => Ok(ring()?.block_on(future)),
        Io::Epoll => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok(LocalSet::new().block_on(&runtime, future))
        }
    }
}

/// Completions are only looked at between sweeps, so the kernel need not interrupt for them.
/// Kernels before 5.19 do not know that.
fn ring() -> io::Result<tokio_uring::Runtime> {
    let mut cooperative = tokio_uring::uring_builder();
    cooperative.setup_coop_taskrun();
    let mut builder = tokio_uring::builder();
    let polled = builder.entries(RING_ENTRIES).uring_builder(&cooperative);
    tokio_uring::Runtime::new(polled)
        .or_else(|_| tokio_uring::Runtime::new(tokio_uring::builder().entries(RING_ENTRIES)))
}

/// Starts a task on this thread; it ends with the thread's [`run`] at the latest.
pub(crate) fn spawn(task: impl Future<Output = ()> + 'static) {
    // Both runtimes are a local task set of tokio at heart.
    drop(tokio::task::spawn_local(task));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::time::Duration;

    #[test]
    fn both_runtimes_read_write_and_wake() {
        let (chosen, _) = choose(IoChoice::Auto).unwrap();
        for io in [chosen, Io::Epoll] {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let server = listener.local_addr().unwrap();
            let echo = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut word = [0; 5];
                stream.read_exact(&mut word).unwrap();
                stream.write_all(&word).unwrap();
            });
            let heard = run(io, async move {
                let socket = Socket::connect(server, Duration::from_secs(60)).await.unwrap();
                socket.write_all(b"hello".to_vec()).await.0.unwrap();
                let (got, buffer) = socket.read(Vec::new()).await;
                assert_eq!(got.unwrap(), 5);
                Timer::new().unwrap().wait(Duration::from_micros(10)).await.unwrap();
                assert_eq!(socket.read(Vec::new()).await.0.unwrap(), 0);
                buffer
            });
            assert_eq!(heard.unwrap(), b"hello", "{io:?}");
            echo.join().unwrap();
        }
    }
}
