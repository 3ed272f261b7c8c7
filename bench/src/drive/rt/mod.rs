//! What carries the sessions of a driver thread: an executor, sockets and timers.
//!
//! Two runtimes offer the same: io_uring, and epoll where io_uring is not allowed. Everything else
//! is written against this module and does not know which one it runs on.

mod epoll;
mod timer;
mod uring;

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::model::io::{Io, IoChoice};

pub(crate) use timer::Timer;

/// Room that a read offers to the kernel at least.
const READ_BYTES_MIN: usize = 32 << 10;

/// Settles the choice, and says why it was not io_uring.
pub(crate) fn choose(choice: IoChoice) -> io::Result<(Io, Option<String>)> {
    let probed = match choice {
        IoChoice::Epoll => return Ok((Io::Epoll, None)),
        IoChoice::Auto | IoChoice::Uring => uring::probe(),
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
        Io::Uring => uring::run(future),
        Io::Epoll => epoll::run(future),
    }
}

/// Starts a task on this thread; it ends with the thread's [`run`] at the latest.
pub(crate) fn spawn(task: impl Future<Output = ()> + 'static) {
    // Both runtimes are a local task set of tokio at heart.
    drop(tokio::task::spawn_local(task));
}

fn make_room(buffer: &mut Vec<u8>) {
    if buffer.capacity() - buffer.len() < READ_BYTES_MIN / 2 {
        buffer.reserve(READ_BYTES_MIN.max(buffer.len()));
    }
}

/// A connection. Reading and writing go on at the same time.
pub(crate) enum Socket {
    /// On io_uring.
    Uring(uring::Socket),
    /// On epoll.
    Epoll(epoll::Socket),
}

impl Socket {
    /// Connects to a server, unless it takes longer than `patience`: a host that is gone does not
    /// even refuse.
    pub(crate) async fn connect(server: SocketAddr, patience: Duration) -> io::Result<Socket> {
        let mut timer = Timer::new()?;
        let mut connecting = pin!(Socket::connect_patiently(server));
        let mut waiting = pin!(timer.wait(patience));
        poll_fn(|context| match connecting.as_mut().poll(context) {
            Poll::Ready(connected) => Poll::Ready(connected),
            Poll::Pending => waiting.as_mut().poll(context).map(|waited| {
                let late = io::Error::new(io::ErrorKind::TimedOut, "no connection in time");
                waited.and(Err(late))
            }),
        })
        .await
    }

    async fn connect_patiently(server: SocketAddr) -> io::Result<Socket> {
        match CARRIER.get() {
            Io::Uring => uring::Socket::connect(server).await.map(Socket::Uring),
            Io::Epoll => epoll::Socket::connect(server).await.map(Socket::Epoll),
        }
    }

    /// Appends what has arrived, waiting for something if need be; 0 bytes mean the end.
    pub(crate) async fn read(&self, buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        match self {
            Socket::Uring(socket) => socket.read(buffer).await,
            Socket::Epoll(socket) => socket.read(buffer).await,
        }
    }

    /// Sends all of it and hands the buffer back.
    pub(crate) async fn write_all(&self, buffer: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        match self {
            Socket::Uring(socket) => socket.write_all(buffer).await,
            Socket::Epoll(socket) => socket.write_all(buffer).await,
        }
    }

    /// Ends the connection; whoever waits in a read sees its end.
    pub(crate) fn shutdown(&self) {
        match self {
            Socket::Uring(socket) => socket.shutdown(),
            Socket::Epoll(socket) => socket.shutdown(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

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
