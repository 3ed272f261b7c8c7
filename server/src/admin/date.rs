//! Dates as Java prints them, always in UTC.

use time::OffsetDateTime;
use time::macros::format_description;

/// `Sat Nov 21 02:17:57 UTC 2026`: Java's `Date.toString`. The argument is in milliseconds since
/// 1970.
pub(super) fn full(wall_ms: i64) -> String {
    let format = format_description!(
        "[weekday repr:short] [month repr:short] [day] [hour]:[minute]:[second] UTC [year]"
    );
    of_seconds(wall_ms.div_euclid(1_000)).format(format).unwrap_or_default()
}

/// `2026-02-11 20:18`. The argument is in seconds since 1970.
pub(super) fn minute(wall_s: i64) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]");
    of_seconds(wall_s).format(format).unwrap_or_default()
}

fn of_seconds(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_java_prints_them() {
        assert_eq!(full(1_795_227_477_622), "Sat Nov 21 02:17:57 UTC 2026");
        assert_eq!(full(1_780_000_000_000), "Thu May 28 20:26:40 UTC 2026");
        assert_eq!(minute(1_770_841_080), "2026-02-11 20:18");
    }
}
