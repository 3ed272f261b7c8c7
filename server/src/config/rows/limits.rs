//! What is slowed down or turned away under load.

use super::super::table::{Kind, Row, Topic};
use super::{INT_MAX, LONG_MAX, bytes, count, millis};

pub(super) const TOPIC: Topic = Topic {
    title: "Limits",
    about: "What is slowed down or turned away when there is too much of it.",
    rows: ROWS,
};

const SHARE: Kind = Kind::Decimal { min: 0.0, max: 1.0 };

const LARGE: &str = "a large request counts as any other, against globalOutstandingLimit";
const THROTTLE: &str = "requests are held back by globalOutstandingLimit alone";
const DROPS: &str = "new connections are turned away only when there is no token left";
const WEIGHTS: &str = "every connection costs one token";

const ROWS: &[Row] = &[
    Row::property("globalOutstandingLimit", count(1, INT_MAX), "1000")
        .doc("The most requests in progress before reading from busy connections stops."),
    Row::property("largeRequestMaxBytes", bytes(1, INT_MAX), "104857600")
        .not_yet(LARGE)
        .doc("The most bytes all large requests in progress may have together."),
    Row::property("largeRequestThreshold", bytes(-1, INT_MAX), "-1")
        .not_yet(LARGE)
        .doc("The size from which a request counts as large; -1 means none does."),
    Row::property("request_throttle_max_requests", count(0, INT_MAX), "0")
        .aliases(&["requestThrottleLimit"])
        .not_yet(THROTTLE)
        .doc("The most requests in progress before new ones are held back; 0 removes the limit."),
    Row::property("request_throttle_stall_time", millis(1, INT_MAX), "100")
        .aliases(&["requestThrottleStallTime"])
        .not_yet(THROTTLE)
        .doc("The longest a request is held back before the limit is looked at again."),
    Row::property("request_throttle_drop_stale", Kind::Switch, "true")
        .properties(&["zookeeper.request_throttle_drop_stale", "request_throttle_drop_stale"])
        .aliases(&["requestThrottleDropStale"])
        .not_yet(THROTTLE)
        .doc("Whether held back requests that went stale are dropped with their connection."),
    Row::property("request_stale_latency_check", Kind::Switch, "false")
        .aliases(&["requestStaleLatencyCheck"])
        .not_yet(THROTTLE)
        .doc("Whether a request that waited longer than its session timeout is stale."),
    Row::property("request_stale_connection_check", Kind::Switch, "true")
        .aliases(&["requestStaleConnectionCheck"])
        .not_yet(THROTTLE)
        .doc("Whether a request whose connection is gone is stale."),
    Row::property("throttled_op_wait_time", millis(0, INT_MAX), "0")
        .aliases(&["throttledOpWaitTime"])
        .not_yet(THROTTLE)
        .doc("A request held back longer than this is answered with an error; 0 means none is."),
    Row::property("connection_throttle_tokens", count(0, INT_MAX), "0")
        .aliases(&["connectionMaxTokens"])
        .doc(
            "The most tokens for new connections that can be saved up; each takes one, and is \
             closed at once where there is none; 0 turns throttling off.",
        ),
    Row::property("connection_throttle_fill_time", millis(1, INT_MAX), "1")
        .aliases(&["connectionTokenFillTime"])
        .doc("How often tokens for new connections are added."),
    Row::property("connection_throttle_fill_count", count(1, INT_MAX), "1")
        .aliases(&["connectionTokenFillCount"])
        .doc("How many tokens for new connections are added each time."),
    Row::property("connection_throttle_freeze_time", millis(-1, INT_MAX), "-1")
        .aliases(&["connectionFreezeTime"])
        .not_yet(DROPS)
        .doc("How often the share of dropped connections is adjusted; -1 means none are dropped."),
    Row::property("connection_throttle_drop_increase", SHARE, "0.02")
        .aliases(&["connectionDropIncrease"])
        .not_yet(DROPS)
        .doc("What the share of dropped connections grows by while there are no tokens."),
    Row::property("connection_throttle_drop_decrease", SHARE, "0.002")
        .aliases(&["connectionDropDecrease"])
        .not_yet(DROPS)
        .doc("What the share of dropped connections shrinks by while there are enough tokens."),
    Row::property("connection_throttle_decrease_ratio", SHARE, "0")
        .aliases(&["connectionDecreaseRatio"])
        .not_yet(DROPS)
        .doc("The share of tokens from which there are enough."),
    Row::property("connection_throttle_weight_enabled", Kind::Switch, "false")
        .not_yet(WEIGHTS)
        .doc("Whether a connection costs tokens by its kind instead of one."),
    Row::property("connection_throttle_global_session_weight", count(1, INT_MAX), "3")
        .not_yet(WEIGHTS)
        .doc("What a new session costs in tokens."),
    Row::property("connection_throttle_local_session_weight", count(1, INT_MAX), "1")
        .not_yet(WEIGHTS)
        .doc("What a new local session costs in tokens; the other two weights are at least this."),
    Row::property("connection_throttle_renew_session_weight", count(1, INT_MAX), "2")
        .not_yet(WEIGHTS)
        .doc("What the reconnect of a session costs in tokens."),
    Row::property("request_throttler.shutdownTimeout", millis(1, LONG_MAX), "10000")
        .no_meaning("a stop answers what was read and waits for nothing else")
        .doc("How long a stopping server waits for requests that are held back."),
];
