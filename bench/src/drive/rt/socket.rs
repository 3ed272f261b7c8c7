//! Connections on io_uring or epoll.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use tokio_uring::buf::BoundedBuf as _;

use super::CARRIER;
use crate::model::io::Io;

/// Room that a read offers to the kernel at least.
const READ_BYTES_MIN: usize = 32 << 10;

/// A connection. Reading and writing go on at the same time.
pub(crate) enum Socket {
    Uring(tokio_uring::net::TcpStream),
    Epoll(tokio::net::TcpStream),
}

impl Socket {
    /// Connects to a server, unless it takes longer than `timeout`: a host that is gone does not
    /// even refuse.
    pub(crate) async fn connect(server: SocketAddr, timeout: Duration) -> io::Result<Socket> {
        // Not a timer of the kernel's: that costs as much as a part of the connection.
        match tokio::time::timeout(timeout, Socket::connect_without_timeout(server)).await {
            Ok(connected) => connected,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no connection in time")),
        }
    }

    async fn connect_without_timeout(server: SocketAddr) -> io::Result<Socket> {
        match CARRIER.get() {
            Io::Uring => {
                let stream = tokio_uring::net::TcpStream::connect(server).await?;
                stream.set_nodelay(true)?;
                Ok(Socket::Uring(stream))
            }
            Io::Epoll => {
                let stream = tokio::net::TcpStream::connect(server).await?;
                stream.set_nodelay(true)?;
                Ok(Socket::Epoll(stream))
            }
        }
    }

    /// Appends what has arrived, waiting for something if need be; 0 bytes mean the end.
    pub(crate) async fn read(&self, mut buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        if buffer.capacity() - buffer.len() < READ_BYTES_MIN / 2 {
            buffer.reserve(READ_BYTES_MIN.max(buffer.len()));
        }
        match self {
            Socket::Uring(stream) => {
                let filled = buffer.len();
                let (got, slice) = stream.read(buffer.slice(filled..)).await;
                (got, slice.into_inner())
            }
            Socket::Epoll(stream) => loop {
                if let Err(error) = stream.readable().await {
                    return (Err(error), buffer);
                }
                match stream.try_read_buf(&mut buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    got => return (got, buffer),
                }
            },
        }
    }

    /// Sends all of it and hands the buffer back.
    pub(crate) async fn write_all(&self, buffer: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        match self {
            Socket::Uring(stream) => stream.write_all(buffer).await,
            Socket::Epoll(stream) => (send_all(stream, &buffer).await, buffer),
        }
    }

    /// Ends the connection; a task that waits in a read sees its end.
    pub(crate) fn shutdown(&self) {
        // It may be gone already, which is what was wanted.
        let _ = match self {
            Socket::Uring(stream) => stream.shutdown(Shutdown::Both),
            Socket::Epoll(stream) => {
                rustix::net::shutdown(stream, rustix::net::Shutdown::Both).map_err(Into::into)
            }
        };
    }
}

async fn send_all(stream: &tokio::net::TcpStream, mut rest: &[u8]) -> io::Result<()> {
    while !rest.is_empty() {
        match stream.try_write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(sent) => rest = &rest[sent..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
