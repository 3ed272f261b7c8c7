//! Answers over HTTP, as bytes with a status.

use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

use super::fields::{Fields, Json};

/// The body of an answer.
pub(super) type Reply = BoxBody<Bytes, std::io::Error>;

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

pub(super) fn plain(status: StatusCode, content: &'static str, text: String) -> Response<Reply> {
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed();
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content));
    reply
}
