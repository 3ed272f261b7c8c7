//! `wchs`, `wchc`, `wchp`: who watches what.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;

use ringkeeper_engine::SessionId;

use crate::admin::part::Part;

/// The text of `wchs`. Where the watches are listed, paths that several shards watch count once.
pub(in crate::admin) fn summary(part: &Part) -> String {
    let counts = &part.counts;
    let listed: HashSet<&str> =
        part.watched.iter().flat_map(|watched| watched.iter()).map(|(path, _)| path).collect();
    let paths = if listed.is_empty() { counts.watched_paths } else { listed.len() as u64 };
    format!(
        "{} connections watching {paths} paths\nTotal watches:{}\n",
        counts.watching_conns, counts.data_watches
    )
}

/// The text of `wchp`: each path with its watchers.
pub(in crate::admin) fn by_path(part: &Part) -> String {
    let mut paths: BTreeMap<&str, Vec<SessionId>> = BTreeMap::new();
    for (path, sessions) in part.watched.iter().flat_map(|watched| watched.iter()) {
        paths.entry(path).or_default().extend_from_slice(sessions);
    }
    let mut text = String::new();
    for (path, sessions) in &mut paths {
        sessions.sort_unstable();
        text.push_str(path);
        for session in sessions {
            write!(text, "\n\t{session}").expect("writing to a string cannot fail");
        }
        text.push('\n');
    }
    text.push('\n');
    text
}

/// The text of `wchc`: each watcher with its paths, also those whose watches are gone.
pub(in crate::admin) fn by_session(part: &Part) -> String {
    let mut watchers: BTreeMap<SessionId, Vec<&str>> = BTreeMap::new();
    for session in &part.watchers {
        watchers.entry(*session).or_default();
    }
    for (path, sessions) in part.watched.iter().flat_map(|watched| watched.iter()) {
        for session in sessions {
            watchers.entry(*session).or_default().push(path);
        }
    }
    let mut text = String::new();
    for (session, paths) in &mut watchers {
        paths.sort_unstable();
        write!(text, "{session}").expect("writing to a string cannot fail");
        for path in paths {
            text.push_str("\n\t");
            text.push_str(path);
        }
        text.push('\n');
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::part::Counts;
    use crate::admin::watched::Watched;

    const ONE: SessionId = SessionId(0x100_002c_a9e9_0000);
    const TWO: SessionId = SessionId(0x100_002c_a9e9_0001);

    fn part() -> Part {
        let slice = |watches: &[(&str, SessionId)]| {
            let mut watched = Watched::default();
            watches.iter().for_each(|(path, session)| watched.push(path, *session));
            watched
        };
        let mut part = Part::default();
        part.watched.push(slice(&[("/p", TWO), ("/a", TWO), ("/r", TWO)]));
        part.watched.push(slice(&[("/a", ONE), ("/zz", ONE)]));
        part.watchers = vec![ONE, TWO, SessionId(0x7)];
        part
    }

    #[test]
    fn wchs_is_as_zookeepers() {
        let counts =
            Counts { watching_conns: 2, watched_paths: 5, data_watches: 5, ..Counts::default() };
        let mut all = Part { counts, ..Part::default() };
        assert_eq!(summary(&all), "2 connections watching 5 paths\nTotal watches:5\n");
        all.watched = part().watched;
        assert_eq!(summary(&all), "2 connections watching 4 paths\nTotal watches:5\n");
    }

    #[test]
    fn a_path_that_two_shards_watch_is_listed_once() {
        let text = "/a\n\t0x100002ca9e90000\n\t0x100002ca9e90001\n/p\n\t0x100002ca9e90001\n\
                    /r\n\t0x100002ca9e90001\n/zz\n\t0x100002ca9e90000\n\n";
        assert_eq!(by_path(&part()), text);
    }

    #[test]
    fn watchers_whose_watches_are_gone_are_listed() {
        let text = "0x7\n0x100002ca9e90000\n\t/a\n\t/zz\n0x100002ca9e90001\n\t/a\n\t/p\n\t/r\n\n";
        assert_eq!(by_session(&part()), text);
    }

    #[test]
    fn nobody_is_an_empty_line() {
        assert_eq!(
            (by_path(&Part::default()).as_str(), by_session(&Part::default()).as_str()),
            ("\n", "\n")
        );
    }
}
