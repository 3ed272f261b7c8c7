//! Quotas against what a ZooKeeper 3.9.5 was seen to do.

use super::*;
use crate::tree::testing::Grown;
use crate::txn::NodeKind;

const NULL: Option<&[u8]> = None;

impl Grown {
    fn put(&mut self, path: &str, data: &str) {
        self.create_as(path, NodeKind::Persistent, Some(data.as_bytes()));
    }

    fn limit(&mut self, path: &str, limits: &str) {
        self.put(&format!("/zookeeper/quota{path}/zookeeper_limits"), limits);
    }

    fn stats(&self, path: &str) -> String {
        self.text(&format!("/zookeeper/quota{path}/zookeeper_stats"))
    }

    fn excess(&self, path: &str, count: i64, bytes: i64) -> String {
        match self.tree.quota_excess(path, count, bytes) {
            QuotaVerdict::Within => "within".into(),
            QuotaVerdict::SoftExceeded(e) => format!("soft {:?} {}>{}", e.of, e.would_be, e.limit),
            QuotaVerdict::HardExceeded(e) => format!("hard {:?} {}>{}", e.of, e.would_be, e.limit),
            QuotaVerdict::Unreadable { prefix } => format!("unreadable {prefix}"),
        }
    }
}

/// `/a` with children `b` and `c`, nine bytes in all, and its quota node.
fn with_quota_node() -> Grown {
    let mut grown = Grown::new();
    grown.put("/a", "12345");
    grown.put("/a/b", "123");
    grown.create_as("/a/c", NodeKind::Persistent, NULL);
    grown.put("/zookeeper/quota/a", "");
    grown
}

#[test]
fn stats_count_the_subtree_and_follow_it() {
    let mut grown = with_quota_node();
    grown.limit("/a", "count=5,bytes=20");
    grown.put("/a/x", "1");
    grown.put("/zookeeper/quota/a/zookeeper_stats", "junk given by the client");
    assert_eq!(grown.stats("/a"), "count=4,bytes=9");
    grown.put("/a/d", "1234");
    assert_eq!(grown.stats("/a"), "count=5,bytes=13");
    grown.put("/a/e", "1234");
    grown.set("/a", Some(b"123456789"));
    assert_eq!(grown.stats("/a"), "count=6,bytes=21");
    grown.delete("/a/e");
    assert_eq!(grown.stats("/a"), "count=5,bytes=17");
    grown.put("/aa", "not below it");
    assert_eq!(grown.stats("/a"), "count=5,bytes=17");
    let stat = grown.stat("/zookeeper/quota/a/zookeeper_stats");
    assert_eq!((stat.version, stat.czxid == stat.mzxid, stat.data_length), (0, true, 16));
}

#[test]
fn stats_are_what_a_client_made_of_them() {
    let mut grown = with_quota_node();
    grown.limit("/a", "count=5,bytes=20");
    grown.put("/zookeeper/quota/a/zookeeper_stats", "");
    let stats = "/zookeeper/quota/a/zookeeper_stats";
    grown.set(stats, Some(b"count=100,bytes=7;zz=4;aa=3"));
    assert_eq!(grown.stats("/a"), "count=100,bytes=7;zz=4;aa=3");
    grown.put("/a/e", "1234");
    assert_eq!(grown.stats("/a"), "count=101,bytes=11=;aa=3;zz=4");
    assert_eq!(grown.stat(stats).version, 1);
    // From here on ZooKeeper would have stopped.
    grown.set(stats, Some(b"junk"));
    grown.put("/a/f", "1");
    assert_eq!(grown.stats("/a"), "count=5,bytes=13");
    grown.set(stats, NULL);
    grown.delete("/a/f");
    assert_eq!(grown.stats("/a"), "count=4,bytes=12");
}

#[test]
fn only_the_longest_armed_path_counts() {
    let mut grown = with_quota_node();
    grown.limit("/a", "count=5,bytes=20");
    grown.put("/zookeeper/quota/a/zookeeper_stats", "");
    grown.put("/zookeeper/quota/a/b", "");
    grown.limit("/a/b", "count=-1,bytes=-1");
    grown.put("/zookeeper/quota/a/b/zookeeper_stats", "");
    grown.put("/a/b/k", "kk");
    assert_eq!(grown.stats("/a"), "count=3,bytes=8");
    assert_eq!(grown.stats("/a/b"), "count=2,bytes=5");
    grown.delete("/zookeeper/quota/a/b/zookeeper_limits");
    grown.put("/a/b/l", "ll");
    assert_eq!(grown.stats("/a"), "count=4,bytes=10");
    assert_eq!(grown.stats("/a/b"), "count=2,bytes=5");
}

#[test]
fn stats_may_come_first_go_or_stand_alone() {
    let mut grown = with_quota_node();
    grown.put("/zookeeper/quota/a/zookeeper_stats", "count=0,bytes=0");
    assert_eq!(grown.stats("/a"), "count=3,bytes=8");
    grown.put("/a/t", "22");
    assert_eq!(grown.stats("/a"), "count=3,bytes=8", "nothing is armed yet");
    grown.limit("/a", "count=9,bytes=9");
    grown.put("/a/u", "22");
    assert_eq!(grown.stats("/a"), "count=4,bytes=10");
    grown.delete("/zookeeper/quota/a/zookeeper_stats");
    grown.delete("/a/u");
    assert_eq!(grown.excess("/a/z", 100, 100), "within", "there is nothing to add to");
    grown.put("/zookeeper/quota/m", "");
    grown.limit("/m", "count=1,bytes=-1");
    grown.put("/zookeeper/quota/m/zookeeper_stats", "");
    assert_eq!(grown.stats("/m"), "count=0,bytes=0");
    grown.put("/m", "12");
    assert_eq!(grown.stats("/m"), "count=1,bytes=2");
}

#[test]
fn a_quota_on_zookeeper_counts_its_own_stats_twice() {
    let mut grown = Grown::new();
    grown.put("/zookeeper/quota/zookeeper", "");
    grown.limit("/zookeeper", "count=1,bytes=1");
    grown.put("/zookeeper/quota/zookeeper/zookeeper_stats", "");
    assert_eq!(grown.stats("/zookeeper"), "count=7,bytes=15");
    grown.put("/zookeeper/x", "123");
    grown.set("/zookeeper/x", Some(b"1"));
    assert_eq!(grown.stats("/zookeeper"), "count=8,bytes=16");
}

#[test]
fn quota_nodes_elsewhere_mean_nothing() {
    let mut grown = Grown::new();
    grown.put("/zookeeper/quotaX", "");
    for parent in ["/zookeeper/quota", "/zookeeper", "/zookeeper/quotaX", ""] {
        grown.put(&format!("{parent}/zookeeper_limits"), "count=0,bytes=0");
        grown.put(&format!("{parent}/zookeeper_stats"), "untouched");
        assert_eq!(grown.text(&format!("{parent}/zookeeper_stats")), "untouched");
    }
    assert!(grown.tree.quotas.is_empty());
    grown.delete("/zookeeper/quota/zookeeper_limits");
}

#[test]
fn limits_are_hard_or_soft() {
    let mut grown = with_quota_node();
    grown.limit("/a", "count=3,bytes=8");
    grown.put("/zookeeper/quota/a/zookeeper_stats", "");
    let limits = "/zookeeper/quota/a/zookeeper_limits";
    assert_eq!(grown.excess("/b", 1, 1), "within");
    assert_eq!(grown.excess("/aa", 1, 1), "within");
    assert_eq!(grown.excess("/a/d", 1, 0), "soft Count 4>3");
    assert_eq!(grown.excess("/a/d", 0, 1), "soft Bytes 9>8");
    assert_eq!(grown.excess("/a", 0, -1), "within");
    grown.set(limits, Some(b"count=1,bytes=-1=;byteHardLimit=10;countHardLimit=4"));
    assert_eq!(grown.excess("/a/d/e", 1, 0), "within", "the hard limit is the one that counts");
    assert_eq!(grown.excess("/a/d/e", 2, 0), "hard Count 5>4");
    assert_eq!(grown.excess("/a/d/e", 0, 3), "hard Bytes 11>10");
    assert_eq!(grown.excess("/a/d/e", 0, 0), "within");
    grown.set(limits, Some(b"count=1,bytes=-1=;byteHardLimit=10;countHardLimit=-1"));
    assert_eq!(grown.excess("/a/d", 1, 5), "hard Bytes 13>10", "a hard one goes first");
    assert_eq!(grown.excess("/a/d", 1, 1), "soft Count 4>1");
    grown.set(limits, Some(b""));
    assert_eq!(grown.excess("/a/d", 9, 9), "within");
}

#[test]
fn limits_are_read_as_zookeeper_reads_them() {
    let mut grown = with_quota_node();
    grown.limit("/a", "");
    grown.put("/zookeeper/quota/a/zookeeper_stats", "");
    let limits = "/zookeeper/quota/a/zookeeper_limits";
    for (text, expected) in [
        ("count=0;,;bytes=-1;countHardLimit=2", "hard Count 4>2"),
        ("count=0,bytes=-1;countHardLimit=+2", "hard Count 4>2"),
        ("count=2=3==,", "soft Count 4>2"),
        ("count==5", "within"),
        (";,", "within"),
        ("other=5", "within"),
        ("count=2,count=9", "within"),
        ("junk", "unreadable /a"),
        ("count=0,bytes=-1;countHardLimit=2;foo=bar", "unreadable /a"),
        ("count=junk", "unreadable /a"),
        ("count= 5,bytes=-1", "unreadable /a"),
        ("count=", "unreadable /a"),
        (",count=5", "unreadable /a"),
        ("=", "unreadable /a"),
        ("count=9223372036854775808", "unreadable /a"),
    ] {
        grown.set(limits, Some(text.as_bytes()));
        assert_eq!(grown.excess("/a/d", 1, 0), expected, "{text}");
    }
    grown.set(limits, NULL);
    assert_eq!(grown.excess("/a/d", 1, 0), "unreadable /a");
    grown.set(limits, Some(b"count=\xff"));
    assert_eq!(grown.excess("/a/d", 1, 0), "unreadable /a");
}

#[test]
fn quotas_are_counted_anew_on_request() {
    let mut grown = with_quota_node();
    grown.limit("/a", "count=5,bytes=20");
    grown.recount();
    grown.put("/zookeeper/quota/a/zookeeper_stats", "");
    grown.set("/zookeeper/quota/a/zookeeper_stats", Some(b"count=100,bytes=100"));
    grown.recount();
    assert_eq!(grown.stats("/a"), "count=3,bytes=8");
}

impl Grown {
    fn recount(&mut self) {
        self.tree.recount_quotas();
    }
}

#[test]
fn text_longer_than_what_is_read_counts_as_unreadable_wherever_it_came_from() {
    let mut grown = with_quota_node();
    grown.limit("/a", "count=5,bytes=20");
    grown.put("/zookeeper/quota/a/zookeeper_stats", "");
    let pairs = |len: usize| format!("count=90,bytes=90{}", ";k=1".repeat((len - 17) / 4));
    let (fits, long) = (pairs(QUOTA_TEXT_BYTES_MAX), pairs(QUOTA_TEXT_BYTES_MAX + 4));
    grown.set("/zookeeper/quota/a/zookeeper_stats", Some(fits.as_bytes()));
    grown.put("/a/d", "1234");
    assert_eq!(grown.stats("/a"), "count=91,bytes=94=;k=1");
    grown.set("/zookeeper/quota/a/zookeeper_stats", Some(long.as_bytes()));
    grown.put("/a/e", "1234");
    assert_eq!(grown.stats("/a"), "count=5,bytes=16", "it is counted anew");
    grown.set("/zookeeper/quota/a/zookeeper_limits", Some(long.as_bytes()));
    assert_eq!(grown.excess("/a/f", 1, 0), "unreadable /a");
}
