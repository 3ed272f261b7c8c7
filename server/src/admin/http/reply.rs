//! Answers over HTTP, as bytes with a status.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::sync::OwnedSemaphorePermit;

use super::fields::{Fields, Json};

/// The body of an answer.
pub(super) type Reply = BoxBody<Bytes, std::io::Error>;

/// Bytes of a report that are handed to its connection at a time.
const CHUNK_BYTES: usize = 64 << 10;

pub(super) const JSON: &str = "application/json";
pub(super) const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const HTML: &str = "text/html; charset=utf-8";
pub(super) const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) const ALLOWED: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, OPTIONS");

/// Which command was meant, and what went wrong, close every answer.
pub(super) fn finish(fields: Fields, name: &str) -> Fields {
    let has_error = fields.has("error");
    let fields = fields.with("command", name);
    if has_error { fields } else { fields.with("error", Json::Null) }
}

/// The answer of a command without fields of its own.
pub(super) fn empty(status: StatusCode, name: &str) -> Response<Reply> {
    plain(status, JSON, finish(Fields::new(), name).to_text())
}

/// The answer of a command that was not carried out.
pub(super) fn refusal(status: StatusCode, name: &str, error: &str) -> Response<Reply> {
    let fields = Fields::new().with("command", name).with("error", error);
    plain(status, JSON, fields.to_text())
}

pub(super) fn too_long(name: &str) -> Response<Reply> {
    refusal(StatusCode::SERVICE_UNAVAILABLE, name, "the server did not answer in time")
}

pub(super) fn not_found(paths: &str) -> Response<Reply> {
    plain(StatusCode::NOT_FOUND, TEXT, format!("there is nothing here; there is {paths}\n"))
}

pub(super) fn wrong_method() -> Response<Reply> {
    let mut reply = plain(StatusCode::METHOD_NOT_ALLOWED, TEXT, String::new());
    reply.headers_mut().insert(ALLOW, ALLOWED);
    reply
}

/// As [`plain`], for a report: its permit is given back when the client has read nearly all of it.
pub(super) fn counted(
    content: &'static str,
    text: String,
    permit: ReportPermit,
) -> Response<Reply> {
    let bytes = Bytes::from(text);
    let body = Report { bytes, _permit: permit }.boxed();
    let mut reply = Response::new(body);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content));
    reply
}

/// What bounds the reports that are in memory.
pub(super) type ReportPermit = OwnedSemaphorePermit;

/// A report on its way. It leaves in chunks, so that what is not read by the client stays here.
struct Report {
    bytes: Bytes,
    _permit: ReportPermit,
}

impl Body for Report {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Report>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        let len = self.bytes.len().min(CHUNK_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.bytes.split_to(len)))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

pub(super) fn plain(status: StatusCode, content: &'static str, text: String) -> Response<Reply> {
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed();
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content));
    reply
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    #[test]
    fn report_counts_until_it_is_read_to_its_end() {
        let reports = Arc::new(Semaphore::new(1));
        let permit = reports.clone().try_acquire_owned().unwrap();
        let text = "x".repeat(5 * CHUNK_BYTES / 2);
        let mut body = counted(TEXT, text.clone(), permit).into_body();
        assert_eq!(body.size_hint().exact(), Some(text.len() as u64));
        let mut task = Context::from_waker(std::task::Waker::noop());
        let mut read = Vec::new();
        while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut task) {
            let data = frame.into_data().unwrap();
            assert!(data.len() <= CHUNK_BYTES && reports.available_permits() == 0);
            read.extend_from_slice(&data);
        }
        assert!(read == text.as_bytes() && body.is_end_stream());
        drop(body);
        assert_eq!(reports.available_permits(), 1);
    }
}
