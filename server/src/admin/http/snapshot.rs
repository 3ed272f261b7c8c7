//! A snapshot for whoever asks: taken now, and sent as it stands on the disk.

use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::fs::File;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, timeout};

use super::command::{Query, word};
use super::site::{Reply, Site, empty, refusal};
use ringkeeper_engine::snapshot::{Finished, name};

/// How long a snapshot may take.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// Bytes that are read from the file at once.
const PIECE_BYTES: usize = 64 << 10;
const NAME: &str = "snapshot";

/// Takes one, and sends it unless only its name is wanted.
pub(super) async fn take(site: &Site, query: &Query) -> Response<Reply> {
    if !site.snapshot_enabled {
        let text = "Snapshot command is disabled";
        return refusal(StatusCode::SERVICE_UNAVAILABLE, NAME, text);
    }
    if !is_due(site) {
        site.hub.snapshots.limited.fetch_add(1, Relaxed);
        let text = "Snapshot request was rate limited; see admin.rateLimiterIntervalInMS";
        return refusal(StatusCode::TOO_MANY_REQUESTS, NAME, text);
    }
    let finished = match timeout(PATIENCE, site.hub.snapshots.requests.request()).await {
        Ok(Ok(Ok(finished))) => finished,
        Ok(Ok(Err(reason))) => return failed(&reason),
        Ok(Err(_)) => return failed("the server stops"),
        Err(_) => return failed("it took too long"),
    };
    let streams = word(query, "streaming").is_none_or(|word| word.eq_ignore_ascii_case("true"));
    let mut reply = if streams {
        match open(site, finished).await {
            Ok(reply) => reply,
            Err(error) => return failed(&error.to_string()),
        }
    } else {
        empty(StatusCode::OK, NAME)
    };
    note(reply.headers_mut(), finished);
    reply
}

fn failed(reason: &str) -> Response<Reply> {
    let text = format!("no snapshot could be taken: {reason}");
    refusal(StatusCode::INTERNAL_SERVER_ERROR, NAME, &text)
}

/// One in each interval, however it ended.
fn is_due(site: &Site) -> bool {
    let mut last = site.last_snapshot.lock();
    let due = last.is_none_or(|at| at.elapsed() > site.snapshot_interval);
    if due {
        *last = Some(Instant::now());
    }
    due
}

fn note(headers: &mut HeaderMap, finished: Finished) {
    let zxid = HeaderValue::from_str(&format!("{}", finished.zxid));
    headers.insert("last_zxid", zxid.expect("a zxid is hexadecimal"));
    headers.insert("snapshot_size", HeaderValue::from(finished.bytes));
}

async fn open(site: &Site, finished: Finished) -> io::Result<Response<Reply>> {
    let path = site.hub.facts.data_dir.join(name(finished.zxid));
    let file = File::open(path).await?;
    let body = FileBody { file, left: finished.bytes, piece: vec![0; PIECE_BYTES] };
    let mut reply = Response::new(body.boxed());
    let content = HeaderValue::from_static("application/octet-stream");
    reply.headers_mut().insert(CONTENT_TYPE, content);
    Ok(reply)
}

/// The bytes of a file, a piece at a time. What is purged meanwhile can still be read.
struct FileBody {
    file: File,
    left: u64,
    piece: Vec<u8>,
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let FileBody { file, left, piece } = &mut *self;
        if *left == 0 {
            return Poll::Ready(None);
        }
        let mut buffer = ReadBuf::new(piece);
        if let Err(error) = ready!(Pin::new(file).poll_read(context, &mut buffer)) {
            return Poll::Ready(Some(Err(error)));
        }
        let got = buffer.filled();
        if got.is_empty() {
            return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
        }
        let count = u64::try_from(got.len()).unwrap_or(u64::MAX).min(*left);
        *left -= count;
        let bytes = Bytes::copy_from_slice(&got[..usize::try_from(count).unwrap_or(got.len())]);
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
