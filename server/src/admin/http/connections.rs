//! What is told of one connection.

use ringkeeper_engine::SessionId;
use ringkeeper_engine::op::OpSpec;

use super::fields::Fields;
use crate::admin::partial::ConnLine;
use crate::admin::words::conns::{address, avg_latency, min_latency};

/// What `stats` tells.
pub(super) fn brief(conn: &ConnLine) -> Fields {
    Fields::new()
        .with("remote_socket_address", address(conn.peer).to_string())
        .with("interest_ops", i64::from(conn.interest))
        .with("outstanding_requests", u64::try_from(conn.queued).unwrap_or(u64::MAX))
        .with("packets_received", conn.stats.received)
        .with("packets_sent", conn.stats.sent)
}

/// What `connections` tells: without a session, no more than that.
pub(super) fn full(conn: &ConnLine) -> Fields {
    let (fields, stats) = (brief(conn), &conn.stats);
    if conn.session == SessionId::NONE {
        return fields;
    }
    fields
        .with("session_id", conn.session.0)
        .with("last_operation", OpSpec::of(stats.last_op).short)
        .with("established", stats.established.0)
        .with("session_timeout", conn.timeout_ms)
        .with("last_cxid", stats.last_cxid)
        .with("last_zxid", stats.last_zxid)
        .with("last_response_time", stats.last_response)
        .with("last_latency", stats.last_latency)
        .with("min_latency", min_latency(stats))
        .with("avg_latency", avg_latency(stats))
        .with("max_latency", stats.max_latency)
}
