//! Sockets on io_uring, by tokio-uring. No other module names it.

use std::future::Future;
use std::io;
use std::net::{Shutdown, SocketAddr};

use tokio_uring::buf::BoundedBuf;
use tokio_uring::net::TcpStream;

/// Entries of the submission ring: a sweep over more sockets is submitted in parts.
const RING_ENTRIES: u32 = 1_024;

/// Runs a future, and the tasks it spawns, on this thread.
pub(super) fn run<F: Future>(future: F) -> io::Result<F::Output> {
    Ok(runtime()?.block_on(future))
}

/// Whether this process may have a ring.
pub(super) fn probe() -> io::Result<()> {
    runtime().map(drop)
}

fn runtime() -> io::Result<tokio_uring::Runtime> {
    polite().or_else(|_| tokio_uring::Runtime::new(tokio_uring::builder().entries(RING_ENTRIES)))
}

/// Completions are only looked at between sweeps, so the kernel need not interrupt for them.
/// Kernels before 5.19 do not know that.
fn polite() -> io::Result<tokio_uring::Runtime> {
    let mut ring = tokio_uring::uring_builder();
    ring.setup_coop_taskrun();
    tokio_uring::Runtime::new(tokio_uring::builder().entries(RING_ENTRIES).uring_builder(&ring))
}

/// A connection. Reading and writing go on at the same time.
pub(crate) struct Socket {
    stream: TcpStream,
}

impl Socket {
    /// Connects to a server.
    pub(super) async fn connect(server: SocketAddr) -> io::Result<Socket> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        Ok(Socket { stream })
    }

    /// Appends what has arrived, waiting for something if need be; 0 bytes mean the end.
    pub(super) async fn read(&self, mut buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        super::make_room(&mut buffer);
        let filled = buffer.len();
        let (got, slice) = self.stream.read(buffer.slice(filled..)).await;
        (got, slice.into_inner())
    }

    /// Sends all of it and hands the buffer back.
    pub(super) async fn write_all(&self, buffer: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        self.stream.write_all(buffer).await
    }

    /// Ends the connection; whoever waits in a read sees its end.
    pub(super) fn shutdown(&self) {
        // It may be gone already, which is what was wanted.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
