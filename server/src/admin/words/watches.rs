//! `wchs`, `wchc`, `wchp`: who watches what.

use std::collections::HashSet;
use std::fmt::Write;

use super::{Answer, Text, Word};
use crate::admin::collection::Collection;
use crate::admin::partial::PartialReport;
use crate::admin::slices::Progress;

pub(super) static WCHS: Word =
    Word::new(b"wchs", Answer::Report(&SUMMARY, Text::Long(|_, report| summary(report))));
pub(super) static WCHC: Word =
    Word::new(b"wchc", Answer::Report(&BY_SESSION, Text::Long(|_, report| by_session(report))));
pub(super) static WCHP: Word =
    Word::new(b"wchp", Answer::Report(&BY_PATH, Text::Long(|_, report| by_path(report))));

/// The numbers of watches. A path that several shards watch is one path.
pub(in crate::admin) static SUMMARY: Collection = Collection::list(|slice| {
    slice.count();
    if slice.shards > 1 { slice.list_watches() } else { Progress::Done }
});
/// The watches, and the sessions that have, or have had, one.
pub(in crate::admin) static BY_SESSION: Collection =
    Collection::list(|slice| slice.list_watchers());
/// The watches.
pub(in crate::admin) static BY_PATH: Collection = Collection::list(|slice| slice.list_watches());

/// The text of `wchs`. Where the watches are listed, paths that several shards watch count once.
fn summary(report: &PartialReport) -> String {
    let counts = &report.counts;
    let listed: HashSet<&str> =
        report.watched.iter().flat_map(|watched| watched.iter()).map(|(path, _)| path).collect();
    let paths = if listed.is_empty() { counts.watched_paths } else { listed.len() as u64 };
    format!(
        "{} connections watching {paths} paths\nTotal watches:{}\n",
        counts.watching_conns, counts.data_watches
    )
}

/// The text of `wchp`: each path with its watchers.
fn by_path(report: &PartialReport) -> String {
    let mut paths = report.watches_by_path();
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
fn by_session(report: &PartialReport) -> String {
    let mut watchers = report.watches_by_session();
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
    use ringkeeper_engine::SessionId;

    use super::*;
    use crate::admin::partial::Counts;
    use crate::admin::watched::Watched;

    const ONE: SessionId = SessionId(0x100_002c_a9e9_0000);
    const TWO: SessionId = SessionId(0x100_002c_a9e9_0001);

    fn part() -> PartialReport {
        let slice = |watches: &[(&str, SessionId)]| {
            let mut watched = Watched::default();
            watches.iter().for_each(|(path, session)| watched.push(path, *session));
            watched
        };
        let mut part = PartialReport::default();
        part.watched.push(slice(&[("/p", TWO), ("/a", TWO), ("/r", TWO)]));
        part.watched.push(slice(&[("/a", ONE), ("/zz", ONE)]));
        part.watchers = vec![ONE, TWO, SessionId(0x7)];
        part
    }

    #[test]
    fn wchs_is_as_zookeepers() {
        let counts =
            Counts { watching_conns: 2, watched_paths: 5, data_watches: 5, ..Counts::default() };
        let mut all = PartialReport { counts, ..PartialReport::default() };
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
    fn wchc_and_wchp_without_watches_are_an_empty_line() {
        assert_eq!(
            (
                by_path(&PartialReport::default()).as_str(),
                by_session(&PartialReport::default()).as_str()
            ),
            ("\n", "\n")
        );
    }
}
