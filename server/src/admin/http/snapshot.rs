//! A snapshot on request: taken now, and sent as it stands on the disk.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http_body_util::BodyExt;
use http_body_util::channel::{Channel, Sender};
use hyper::body::Bytes;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use parking_lot::Mutex;
use ringkeeper_engine::snapshot::{Finished, name};
use tokio::time::{Instant, timeout};

use super::input::{Query, value};
use super::reply::{Reply, empty, refusal};
use crate::admin::workers::Pool;
use crate::config::Settings;
use crate::storage::snapshots::SnapshotStats;

/// How long a snapshot may take.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// Bytes that are read from the file at once.
const PIECE_BYTES: usize = 64 << 10;
const NAME: &str = "snapshot";

/// The command, and when it was carried out last.
pub(super) struct SnapshotCommand {
    enabled: bool,
    interval: Duration,
    last: Mutex<Option<Instant>>,
}

impl SnapshotCommand {
    /// It was never carried out.
    pub(super) fn new(settings: &Settings) -> SnapshotCommand {
        SnapshotCommand {
            enabled: settings.admin_snapshot_enabled,
            interval: Duration::from_millis(settings.admin_rate_limiter_interval_ms),
            last: Mutex::new(None),
        }
    }

    /// Takes a snapshot, and sends it unless only its name is wanted.
    pub(super) async fn take(
        &self,
        snapshots: &SnapshotStats,
        (dir, workers): (&Path, &Pool),
        query: &Query,
    ) -> Response<Reply> {
        if !self.enabled {
            let text = "Snapshot command is disabled";
            return refusal(StatusCode::SERVICE_UNAVAILABLE, NAME, text);
        }
        if !self.is_due() {
            snapshots.limited.fetch_add(1, Relaxed);
            let text = "Snapshot request was rate limited; see admin.rateLimiterIntervalInMS";
            return refusal(StatusCode::TOO_MANY_REQUESTS, NAME, text);
        }
        let finished = match timeout(PATIENCE, snapshots.requests.request()).await {
            Ok(Ok(Ok(finished))) => finished,
            Ok(Ok(Err(reason))) => return failed(&reason),
            Ok(Err(_)) => return failed("the server stops"),
            Err(_) => return failed("it took too long"),
        };
        let streams = value(query, "streaming");
        let mut reply = if streams.is_none_or(|value| value.eq_ignore_ascii_case("true")) {
            match open(dir, workers, finished).await {
                Ok(reply) => reply,
                Err(error) => return failed(&error.to_string()),
            }
        } else {
            empty(StatusCode::OK, NAME)
        };
        note(reply.headers_mut(), finished);
        reply
    }

    /// One in each interval, however it ended.
    fn is_due(&self) -> bool {
        let mut last = self.last.lock();
        let due = last.is_none_or(|at| at.elapsed() > self.interval);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}

fn failed(reason: &str) -> Response<Reply> {
    let text = format!("no snapshot could be taken: {reason}");
    refusal(StatusCode::INTERNAL_SERVER_ERROR, NAME, &text)
}

fn note(headers: &mut HeaderMap, finished: Finished) {
    let zxid = HeaderValue::from_str(&format!("{}", finished.zxid));
    headers.insert("last_zxid", zxid.expect("a zxid is hexadecimal"));
    headers.insert("snapshot_size", HeaderValue::from(finished.bytes));
}

async fn open(dir: &Path, workers: &Pool, finished: Finished) -> io::Result<Response<Reply>> {
    let path = dir.join(name(finished.zxid));
    // A file that is open can be read to the end, also when it is removed meanwhile.
    let file = workers.run(move || File::open(path)).await?;
    let (sender, body) = Channel::new(1);
    tokio::spawn(send(workers.clone(), file, finished.bytes, sender));
    let mut reply = Response::new(body.boxed());
    let content = HeaderValue::from_static("application/octet-stream");
    reply.headers_mut().insert(CONTENT_TYPE, content);
    reply.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(finished.bytes));
    Ok(reply)
}

/// Sends so many bytes of a file. Workers read them a piece at a time, so that slow clients hold
/// none of them. It ends when the client has gone.
async fn send(workers: Pool, mut file: File, bytes: u64, mut body: Sender<Bytes, io::Error>) {
    let mut left = bytes;
    while left > 0 {
        let (rest, piece) = workers.run(move || read_piece(file, left)).await;
        file = rest;
        let piece = match piece {
            Ok(piece) if piece.is_empty() => {
                return body.abort(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(piece) => piece,
            Err(error) => return body.abort(error),
        };
        left -= piece.len() as u64;
        if body.send_data(Bytes::from(piece)).await.is_err() {
            return;
        }
    }
}

fn read_piece(mut file: File, left: u64) -> (File, io::Result<Vec<u8>>) {
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    let read = (&mut file).take(left.min(PIECE_BYTES as u64)).read_to_end(&mut piece);
    (file, read.map(|_| piece))
}
