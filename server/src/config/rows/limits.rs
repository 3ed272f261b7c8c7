//! What is slowed down or turned away under load.

use super::super::table::{Kind, Row, Topic};
use super::{INT_MAX, LONG_MAX, bytes, count, millis};

pub(super) const TOPIC: Topic = Topic {
    title: "Limits",
    about: "What is slowed down or turned away when there is too much of it.",
    rows: ROWS,
};

const SHARE: Kind = Kind::Decimal { min: 0.0, max: 1.0 };

const ROWS: &[Row] = &[
    Row::property("globalOutstandingLimit", count(1, INT_MAX), "1000")
        .doc("The most requests in progress before reading from busy connections stops."),
    Row::property("largeRequestMaxBytes", bytes(1, INT_MAX), "104857600")
        .doc("The most bytes all large requests in progress may have together."),
    Row::property("largeRequestThreshold", bytes(-1, INT_MAX), "-1")
        .doc("The size from which a request counts as large; -1 means none does."),
    Row::property("request_throttle_max_requests", count(0, INT_MAX), "0")
        .aliases(&["requestThrottleLimit"])
        .doc("The most requests in progress before new ones are held back; 0 removes the limit."),
    Row::property("request_throttle_stall_time", millis(1, INT_MAX), "100")
        .aliases(&["requestThrottleStallTime"])
        .doc("The longest a request is held back before the limit is looked at again."),
    Row::property("request_throttle_drop_stale", Kind::Switch, "true")
        .properties(&["zookeeper.request_throttle_drop_stale", "request_throttle_drop_stale"])
        .aliases(&["requestThrottleDropStale"])
        .doc("Whether held back requests that went stale are dropped with their connection."),
    Row::property("request_stale_latency_check", Kind::Switch, "false")
        .aliases(&["requestStaleLatencyCheck"])
        .doc("Whether a request that waited longer than its session timeout is stale."),
    Row::property("request_stale_connection_check", Kind::Switch, "true")
        .aliases(&["requestStaleConnectionCheck"])
        .doc("Whether a request whose connection is gone is stale."),
    Row::property("throttled_op_wait_time", millis(0, INT_MAX), "0")
        .aliases(&["throttledOpWaitTime"])
        .doc("A request held back longer than this is answered with an error; 0 means none is."),
    Row::property("connection_throttle_tokens", count(0, INT_MAX), "0")
        .aliases(&["connectionMaxTokens"])
        .doc(
            "The most tokens for new connections that can be saved up; each takes one when it \
             asks for a session, and is closed where there is none; 0 turns throttling off.",
        ),
    Row::property("connection_throttle_fill_time", millis(1, INT_MAX), "1")
        .aliases(&["connectionTokenFillTime"])
        .doc("How often tokens for new connections are added."),
    Row::property("connection_throttle_fill_count", count(1, INT_MAX), "1")
        .aliases(&["connectionTokenFillCount"])
        .doc("How many tokens for new connections are added each time."),
    Row::property("connection_throttle_freeze_time", millis(-1, INT_MAX), "-1")
        .aliases(&["connectionFreezeTime"])
        .doc("How often the share of dropped connections is adjusted; -1 means none are dropped."),
    Row::property("connection_throttle_drop_increase", SHARE, "0.02")
        .aliases(&["connectionDropIncrease"])
        .doc("What the share of dropped connections grows by while there are no tokens."),
    Row::property("connection_throttle_drop_decrease", SHARE, "0.002")
        .aliases(&["connectionDropDecrease"])
        .doc("What the share of dropped connections shrinks by while there are enough tokens."),
    Row::property("connection_throttle_decrease_ratio", SHARE, "0")
        .aliases(&["connectionDecreaseRatio"])
        .doc("The share of tokens from which there are enough."),
    Row::property("connection_throttle_weight_enabled", Kind::Switch, "false")
        .doc("Whether a connection costs tokens by its kind instead of one."),
    Row::property("connection_throttle_global_session_weight", count(1, INT_MAX), "3")
        .doc("What a new session costs; the tokens and what is added grow by the same factor."),
    Row::property("connection_throttle_local_session_weight", count(1, INT_MAX), "1").doc(
        "What a local session would cost; here it is what the other two weights are at least.",
    ),
    Row::property("connection_throttle_renew_session_weight", count(1, INT_MAX), "2")
        .doc("What the reconnect of a session costs in tokens."),
    Row::property("request_throttler.shutdownTimeout", millis(1, LONG_MAX), "10000")
        .no_meaning("a stop answers what was read and waits for nothing else")
        .doc("How long a stopping server waits for requests that are held back."),
];
