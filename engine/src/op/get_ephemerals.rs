//! getEphemerals (103).

use super::Reading;
use crate::wire::Put;

/// Appends the session's ephemeral nodes whose path begins with `prefix` (a raw string prefix,
/// not a component match; null, empty and "/" mean all).
pub fn reply(prefix: Option<&str>, reading: Reading<'_>, out: &mut Vec<u8>) {
    let prefix = prefix.unwrap_or_default();
    let paths = reading.tree.ephemerals(reading.session).map(|id| reading.tree.path_of(id));
    let mut matching: Vec<String> = paths.filter(|path| path.starts_with(prefix)).collect();
    matching.sort_unstable();
    out.put_count(matching.len());
    for path in &matching {
        out.put_string(path);
    }
}
