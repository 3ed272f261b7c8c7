//! Sockets on epoll, by a tokio runtime of one thread. No other module names it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use rustix::net::{Shutdown, shutdown};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

/// Runs a future, and the tasks it spawns, on this thread.
pub(super) fn run<F: Future>(future: F) -> io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    Ok(LocalSet::new().block_on(&runtime, future))
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
        loop {
            if let Err(error) = self.stream.readable().await {
                return (Err(error), buffer);
            }
            match self.stream.try_read_buf(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                got => return (got, buffer),
            }
        }
    }

    /// Sends all of it and hands the buffer back.
    pub(super) async fn write_all(&self, buffer: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        let mut rest = &buffer[..];
        while !rest.is_empty() {
            match self.stream.try_write(rest) {
                Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), buffer),
                Ok(sent) => rest = &rest[sent..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if let Err(error) = self.stream.writable().await {
                        return (Err(error), buffer);
                    }
                }
                Err(error) => return (Err(error), buffer),
            }
        }
        (Ok(()), buffer)
    }

    /// Ends the connection; whoever waits in a read sees its end.
    pub(super) fn shutdown(&self) {
        // It may be gone already, which is what was wanted.
        let _ = shutdown(&self.stream, Shutdown::Both);
    }
}
