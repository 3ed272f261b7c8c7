//! Quotas: limits on the number of nodes and the bytes of data under a path.
//!
//! They are kept where ZooKeeper keeps them, in the data of two nodes under `/zookeeper/quota`:
//! `…/zookeeper_limits`, whose creation arms the path, and `…/zookeeper_stats`, whose creation
//! counts the subtree and which follows every change under the path from then on. Of several armed
//! paths above a node, the longest one counts it, and only that one.
//!
//! Clients may write anything into either node. Limits that cannot be read are reported as such;
//! stats that cannot be read are counted anew (on ZooKeeper 3.9 they stop the server). What is
//! longer than [`QUOTA_TEXT_BYTES_MAX`] cannot be read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::Tree;
use super::node::NodeId;
use crate::limits::QUOTA_TEXT_BYTES_MAX;
use crate::path;

const QUOTAS: &str = "/zookeeper/quota";
const LIMITS: &str = "zookeeper_limits";
const STATS: &str = "zookeeper_stats";

const COUNT: &str = "count";
const BYTES: &str = "bytes";
const COUNT_HARD: &str = "countHardLimit";
const BYTES_HARD: &str = "byteHardLimit";

/// What a change would mean for the quota above it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum QuotaVerdict {
    /// There is no quota, or it is kept.
    Within,
    /// A soft limit would be exceeded: worth a warning, nothing more.
    SoftExceeded(QuotaExcess),
    /// A hard limit would be exceeded: refused, if quotas are enforced.
    HardExceeded(QuotaExcess),
    /// The limits above the change cannot be read. ZooKeeper, if it enforces quotas, answers
    /// such a change with -5.
    Unreadable {
        /// The path whose limits they are.
        prefix: String,
    },
}

/// A limit that would be exceeded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QuotaExcess {
    /// The path that the quota is set on.
    pub prefix: String,
    /// What is limited.
    pub of: QuotaOf,
    /// The limit.
    pub limit: i64,
    /// What it would become.
    pub would_be: i64,
}

/// Whether a limit refuses or only warns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QuotaLimit {
    /// It only warns.
    Soft,
    /// It refuses.
    Hard,
}

/// The quotas of one namespace, added up; what has no limit is left out.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct QuotaSum {
    /// Nodes allowed.
    pub count_max: Option<i64>,
    /// Nodes there.
    pub count: i64,
    /// Bytes of data allowed.
    pub bytes_max: Option<i64>,
    /// Bytes of data there.
    pub bytes: i64,
}

/// What a quota limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QuotaOf {
    /// Nodes, the one with the quota included.
    Count,
    /// Bytes of data, without names.
    Bytes,
}

/// The armed paths.
#[derive(Default)]
pub(super) struct Quotas {
    armed: BTreeSet<Box<str>>,
    /// Nothing is counted: nodes come in with the stats that they have.
    is_paused: bool,
}

impl Quotas {
    /// Whether there is nothing to keep.
    pub(super) fn is_empty(&self) -> bool {
        self.armed.is_empty()
    }

    /// The armed paths, in order.
    #[cfg(test)]
    pub(super) fn armed(&self) -> impl Iterator<Item = &str> {
        self.armed.iter().map(|path| &**path)
    }

    /// The longest armed path that is `path` or above it.
    fn above<'a>(&self, path: &'a str) -> Option<&'a str> {
        if self.armed.is_empty() {
            return None;
        }
        let up = |path: &&'a str| path.rsplit_once('/').map(|(parent, _)| parent);
        std::iter::successors(Some(path), up).find(|path| self.armed.contains(*path))
    }
}

impl Tree {
    /// What creating or growing something at `path` would mean for the quota above it. The deltas
    /// are nodes and bytes of data more (or less).
    pub fn quota_excess(&self, path: &str, count_delta: i64, bytes_delta: i64) -> QuotaVerdict {
        let Some(prefix) = self.quotas.above(path) else { return QuotaVerdict::Within };
        let limits = self.quota_node(prefix, LIMITS).expect("an armed path has limits");
        let Some(limits) = self.data(limits).and_then(Track::parse) else {
            return QuotaVerdict::Unreadable { prefix: prefix.into() };
        };
        let Some(stats) = self.quota_node(prefix, STATS) else { return QuotaVerdict::Within };
        let stats = self.data(stats).and_then(Track::parse);
        let stats = stats.unwrap_or_else(|| self.count_anew(prefix));
        let count = (QuotaOf::Count, count_delta, COUNT, COUNT_HARD);
        let bytes = (QuotaOf::Bytes, bytes_delta, BYTES, BYTES_HARD);
        let mut verdict = QuotaVerdict::Within;
        for (of, delta, key, hard_key) in [count, bytes] {
            let hard = limits.get(hard_key);
            let limit = if hard > -1 { hard } else { limits.get(key) };
            let would_be = stats.get(key).wrapping_add(delta);
            if delta == 0 || limit < 0 || would_be <= limit {
                continue;
            }
            let excess = QuotaExcess { prefix: prefix.into(), of, limit, would_be };
            if hard > -1 {
                return QuotaVerdict::HardExceeded(excess);
            }
            if verdict == QuotaVerdict::Within {
                verdict = QuotaVerdict::SoftExceeded(excess);
            }
        }
        verdict
    }

    /// All quotas, added up by the first component of their paths. Those that cannot be read are
    /// left out.
    pub fn quota_sums(&self) -> BTreeMap<Box<str>, QuotaSum> {
        let mut sums: BTreeMap<Box<str>, QuotaSum> = BTreeMap::new();
        let read = |prefix: &str, node: &str| {
            let id = self.quota_node(prefix, node)?;
            self.data(id).and_then(Track::parse)
        };
        for prefix in &self.quotas.armed {
            let (limits, stats) = (read(prefix, LIMITS), read(prefix, STATS));
            let (Some(limits), Some(stats)) = (limits, stats) else { continue };
            let sum = sums.entry(path::namespace(prefix).into()).or_default();
            sum.count = sum.count.saturating_add(stats.get(COUNT));
            sum.bytes = sum.bytes.saturating_add(stats.get(BYTES));
            for (max, hard, soft) in
                [(&mut sum.count_max, COUNT_HARD, COUNT), (&mut sum.bytes_max, BYTES_HARD, BYTES)]
            {
                let hard = limits.get(hard);
                let limit = if hard > -1 { hard } else { limits.get(soft) };
                if limit > -1 {
                    *max = Some(max.unwrap_or(0).saturating_add(limit));
                }
            }
        }
        sums
    }

    /// A node was created at `path`: it may belong to a quota, and it may be part of one.
    pub(super) fn quota_created(&mut self, path: &str, bytes: i64) {
        if self.quotas.is_paused {
            return self.arm_if_limits(path);
        }
        if let Some((prefix, node)) = quota_part(path) {
            match node {
                LIMITS => {
                    self.quotas.armed.insert(prefix.into());
                }
                STATS => self.set_stats(prefix, &self.count_anew(prefix)),
                _ => {}
            }
        }
        self.quota_grown(path, 1, bytes);
    }

    /// The node at `path` was deleted.
    pub(super) fn quota_deleted(&mut self, path: &str, bytes: i64) {
        if let Some((prefix, LIMITS)) = quota_part(path) {
            self.quotas.armed.remove(prefix);
        }
        self.quota_grown(path, -1, -bytes);
    }

    /// The node at `path` has so much more, or less; the stats of its quota follow.
    pub(super) fn quota_grown(&mut self, path: &str, count: i64, bytes: i64) {
        if self.quotas.is_paused {
            return;
        }
        let Some(prefix) = self.quotas.above(path) else { return };
        let Some(stats) = self.quota_node(prefix, STATS) else { return };
        let track = match self.data(stats).and_then(Track::parse) {
            Some(mut track) => {
                track.add(COUNT, count);
                track.add(BYTES, bytes);
                track
            }
            // The subtree has changed already, so the new count has the change in it.
            None => self.count_anew(prefix),
        };
        self.set_stats(prefix, &track);
    }

    /// Arms every path that has limits, in a tree that was loaded.
    pub(super) fn arm_if_limits(&mut self, path: &str) {
        if let Some((prefix, LIMITS)) = quota_part(path) {
            self.quotas.armed.insert(prefix.into());
        }
    }

    /// Nodes that come in from now on have been counted: stats stay as they come.
    pub(crate) fn pause_quotas(&mut self) {
        self.quotas.is_paused = true;
    }

    /// What changes from now on is counted.
    pub(crate) fn resume_quotas(&mut self) {
        self.quotas.is_paused = false;
    }

    /// Counts the subtree of every armed path anew. ZooKeeper does this at each start; here it is
    /// needed after a start from a snapshot of ZooKeeper's only, since ours are exact. It does not
    /// give what replay gives: clients may have set the stats, a path may have been armed later
    /// than its stats were made, and what is below another armed path does not count for the upper
    /// one.
    pub fn recount_quotas(&mut self) {
        for prefix in self.quotas.armed.clone() {
            if self.quota_node(&prefix, STATS).is_some() {
                self.set_stats(&prefix, &self.count_anew(&prefix));
            }
        }
    }

    fn quota_node(&self, prefix: &str, node: &str) -> Option<NodeId> {
        self.find(&[QUOTAS, prefix, "/", node].concat())
    }

    fn count_anew(&self, prefix: &str) -> Track {
        let mut track = Track::default();
        let (count, bytes) = match self.find(prefix) {
            Some(id) => (self.descendants(id) + 1, self.subtree_bytes(id)),
            None => (0, 0),
        };
        track.set(COUNT, count as i64);
        track.set(BYTES, bytes as i64);
        track
    }

    fn set_stats(&mut self, prefix: &str, track: &Track) {
        let stats = self.quota_node(prefix, STATS).expect("the callers have seen it");
        self.rewrite_data(stats, track.text().as_bytes());
    }
}

/// Whether what lies at this path is the limits or the usage of a quota.
pub fn is_quota_text(path: &str) -> bool {
    matches!(quota_part(path), Some((_, LIMITS | STATS)))
}

/// The quota that a node belongs to by its path, and its name: ("/a", "zookeeper_limits").
/// There is no quota on the root.
fn quota_part(path: &str) -> Option<(&str, &str)> {
    let (prefix, node) = path.strip_prefix(QUOTAS)?.rsplit_once('/')?;
    if prefix.starts_with('/') { Some((prefix, node)) } else { None }
}

/// The text of limits or stats: `count=4,bytes=5=;byteHardLimit=7;countHardLimit=6`.
#[derive(Default, PartialEq, Debug)]
struct Track {
    values: BTreeMap<String, i64>,
}

impl Track {
    /// Reads the text as ZooKeeper does: pairs between runs of `,` and `;`, of which only the
    /// first two fields between `=` matter, and no value is -1. Every change below a quota reads
    /// its texts, so that long ones are not looked at.
    fn parse(text: &[u8]) -> Option<Track> {
        if text.len() > QUOTA_TEXT_BYTES_MAX {
            return None;
        }
        let text = String::from_utf8_lossy(text);
        let mut track = Track::default();
        let pairs = text.trim_end_matches([',', ';']);
        if pairs.is_empty() {
            return Some(track);
        }
        let mut after_separator = false;
        for pair in pairs.split([',', ';']) {
            // A run of separators is one; a leading one stands behind an empty pair.
            if pair.is_empty() && after_separator {
                continue;
            }
            after_separator = true;
            let mut fields = pair.trim_end_matches('=').split('=');
            let (key, value) = (fields.next()?, fields.next());
            let value = match value {
                Some("") => -1,
                Some(number) => number.parse().ok()?,
                None => return None,
            };
            track.values.insert(key.into(), value);
        }
        Some(track)
    }

    /// A value; -1 is none.
    fn get(&self, key: &str) -> i64 {
        self.values.get(key).copied().unwrap_or(-1)
    }

    fn set(&mut self, key: &str, value: i64) {
        self.values.insert(key.into(), value);
    }

    fn add(&mut self, key: &str, delta: i64) {
        self.set(key, self.get(key).wrapping_add(delta));
    }

    /// Count and bytes first, and an extra `=` before what only newer readers know.
    fn text(&self) -> String {
        let mut text = format!("{COUNT}={},{BYTES}={}", self.get(COUNT), self.get(BYTES));
        let mut mark = "=";
        for (key, value) in &self.values {
            if key != COUNT && key != BYTES {
                write!(text, "{mark};{key}={value}").expect("writing to a String cannot fail");
                mark = "";
            }
        }
        text
    }
}

#[cfg(test)]
#[path = "quota_tests.rs"]
mod tests;
