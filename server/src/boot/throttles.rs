//! From settings to the limits of the engine.

use ringkeeper_engine::Millis;
use ringkeeper_engine::throttle::{Blue, ConnectionLimits, ConnectionThrottle, RequestLimits};
use ringkeeper_replication::node::GroupSettings;

use crate::config::Settings;

/// What limits new connections, if anything does. The seed is that of the chance to be turned away.
pub(crate) fn connections(
    settings: &Settings,
    seed: u64,
    now: Millis,
) -> Option<ConnectionThrottle> {
    let tokens_max = settings.connection_throttle_tokens?;
    let freeze_ms = settings.connection_throttle_freeze_time_ms;
    let blue = Blue {
        freeze_ms,
        increase: settings.connection_throttle_drop_increase,
        decrease: settings.connection_throttle_drop_decrease,
        enough_missing: settings.connection_throttle_decrease_ratio,
    };
    // No kind of connection costs less than a local session would, as in ZooKeeper.
    let least = settings.connection_throttle_local_weight;
    let weight =
        |weight: u32| if settings.connection_throttle_weighted { weight.max(least) } else { 1 };
    let limits = ConnectionLimits {
        tokens_max,
        fill_ms: millis(settings.connection_throttle_fill_time_ms),
        fill_count: settings.connection_throttle_fill_count,
        blue: (freeze_ms >= 0).then_some(blue),
        open_weight: weight(settings.connection_throttle_global_weight),
        renew_weight: weight(settings.connection_throttle_renew_weight),
        seed,
    };
    Some(ConnectionThrottle::new(limits, now))
}

/// What limits requests. Make it once: its clones count together.
pub(crate) fn requests(settings: &Settings) -> RequestLimits {
    RequestLimits {
        in_process_max: settings.request_throttle_max_requests.map(|most| most as usize),
        stall_ms: millis(settings.request_throttle_stall_time_ms),
        drop_stale: settings.request_throttle_drop_stale,
        stale_by_latency: settings.request_stale_latency_check,
        stale_by_connection: settings.request_stale_connection_check,
        wait_us_max: settings.throttled_op_wait_time_ms.map(|ms| ms.saturating_mul(1_000)),
        large_from: usize::try_from(settings.large_request_threshold).ok(),
        large_bytes_max: settings.large_request_max_bytes as usize,
        ..RequestLimits::default()
    }
}

/// How groups of records are cut.
pub(crate) fn groups(settings: &Settings) -> GroupSettings {
    GroupSettings {
        delay_us: settings.flush_delay_ms.saturating_mul(1_000),
        idle_us: settings.max_write_queue_poll_ms.saturating_mul(1_000),
        records_max: settings.max_batch_size.unwrap_or(0),
        target: settings.commit_target,
    }
}

fn millis(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use ringkeeper_engine::throttle::NewConnection;

    use super::*;
    use crate::cli::StartArgs;
    use crate::config::Env;

    fn settings(definitions: &[&str]) -> Settings {
        let definitions = definitions.iter().map(|text| (*text).to_owned()).collect();
        let args = StartArgs { definitions, ..StartArgs::default() };
        Settings::load(&args, &Env::default()).expect("good settings").0
    }

    fn let_in(definitions: &[&str], who: NewConnection) -> usize {
        let mut all = vec!["connection_throttle_tokens=12", "connection_throttle_fill_time=100000"];
        all.extend(definitions);
        let mut throttle = connections(&settings(&all), 1, Millis(0)).expect("there are tokens");
        (0..100).filter(|_| throttle.admit(who, Millis(0))).count()
    }

    #[test]
    fn nothing_is_limited_by_default() {
        let settings = settings(&[]);
        assert!(connections(&settings, 1, Millis(0)).is_none());
        let requests = requests(&settings);
        assert!(!requests.holds() && requests.take_bytes(1 << 20));
        assert!(!groups(&settings).is_timed());
    }

    #[test]
    fn the_local_weight_is_the_least() {
        let on = "connection_throttle_weight_enabled=true";
        assert_eq!(let_in(&[], NewConnection::Renew), 12);
        assert_eq!(let_in(&[on], NewConnection::Open), 12);
        assert_eq!(let_in(&[on], NewConnection::Renew), 18);
        let local = "connection_throttle_local_session_weight=4";
        assert_eq!(let_in(&[on, local], NewConnection::Renew), 12);
    }

    #[test]
    fn a_freeze_time_of_0_is_one() {
        let empty = |freeze: &str| {
            let definitions =
                ["connection_throttle_tokens=1", freeze, "connection_throttle_drop_increase=0.5"];
            let mut throttle = connections(&settings(&definitions), 1, Millis(0)).unwrap();
            assert!(throttle.admit(NewConnection::Open, Millis(0)));
            throttle.admit(NewConnection::Open, Millis(1));
            throttle.chance()
        };
        assert_eq!(empty("connection_throttle_freeze_time=0"), 0.5);
        assert_eq!(empty("connection_throttle_freeze_time=-1"), 0.0);
    }

    #[test]
    fn requests_are_limited_as_the_settings_say() {
        let limits = requests(&settings(&[
            "request_throttle_max_requests=1",
            "throttled_op_wait_time=7",
            "largeRequestThreshold=0",
            "largeRequestMaxBytes=10",
            "requestThrottleStallTime=20",
        ]));
        assert!(limits.holds() && limits.admits_request());
        assert_eq!((limits.wait_us_max, limits.stall_ms), (Some(7_000), 20));
        assert!(limits.take_bytes(10) && !limits.take_bytes(1));
        assert!(limits.drop_stale && limits.stale_by_connection && !limits.stale_by_latency);
    }

    #[test]
    fn the_pause_that_ends_a_group_is_a_third_of_the_delay() {
        let default = groups(&settings(&["flushDelay=9"]));
        assert_eq!((default.delay_us, default.idle_us, default.records_max), (9_000, 3_000, 1_000));
        let given = groups(&settings(&["flushDelay=9", "maxWriteQueuePollTime=0"]));
        assert_eq!(given.idle_us, 0);
    }
}
