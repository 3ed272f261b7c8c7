//! A connection that is closed when nothing moves on it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// A socket, and the time at which its patience ends. While an answer is made the other side
/// cannot be blamed, so that this time does not count.
pub(super) struct IdleStream {
    stream: TcpStream,
    limit: Option<Duration>,
    end: Pin<Box<Sleep>>,
    working: Arc<AtomicBool>,
}

impl IdleStream {
    /// Nothing has moved yet. Without a limit it may stay as long as it likes.
    pub(super) fn new(
        stream: TcpStream,
        limit: Option<Duration>,
        working: Arc<AtomicBool>,
    ) -> IdleStream {
        let end = Box::pin(tokio::time::sleep(limit.unwrap_or_default()));
        IdleStream { stream, limit, end, working }
    }

    /// What a socket says that cannot go on now, or the end of the patience.
    fn wait<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        let Some(limit) = self.limit else { return Poll::Pending };
        loop {
            ready!(self.end.as_mut().poll(context));
            if !self.working.load(Relaxed) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.end.as_mut().reset(Instant::now() + limit);
        }
    }

    fn moved<T>(&mut self, result: io::Result<T>) -> Poll<io::Result<T>> {
        if let Some(limit) = self.limit {
            self.end.as_mut().reset(Instant::now() + limit);
        }
        Poll::Ready(result)
    }
}

impl AsyncRead for IdleStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Ready(result) => self.moved(result),
            Poll::Pending => self.wait(context),
        }
    }
}

impl AsyncWrite for IdleStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            Poll::Ready(result) => self.moved(result),
            Poll::Pending => self.wait(context),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write_vectored(context, pieces) {
            Poll::Ready(result) => self.moved(result),
            Poll::Pending => self.wait(context),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
