//! getEphemerals (103).

use std::ops::Bound;

use super::Reading;
use crate::wire::Put;

/// Appends the session's ephemeral nodes whose path begins with `prefix` (a raw string prefix,
/// not a component match; null, empty and "/" mean all), in the order of their paths.
pub fn reply(prefix: Option<&str>, reading: Reading<'_>, out: &mut Vec<u8>) {
    let prefix = prefix.unwrap_or_default();
    let start = out.len();
    out.put_count(0);
    let paths = reading.tree.ephemeral_paths(reading.session, Bound::Included(prefix));
    let mut count = 0;
    for path in paths.take_while(|path| path.starts_with(prefix)) {
        out.put_string(path);
        count += 1;
    }
    super::set_count(count, start, out);
}
