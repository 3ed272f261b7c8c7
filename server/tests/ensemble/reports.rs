//! What the leader and its followers count, under ZooKeeper's names.

use crate::three::Three;

/// The leader orders and commits, and the others get its proposals and commits. A session that is
/// closed has not expired, whichever server had it.
#[test]
fn leader_counts_what_it_orders_and_followers_what_they_learn() {
    let three = Three::start(&[]);
    let leader = three.wait_leader();
    let others = three.others(leader);
    let fresh = "Proposal sizes last/min/max: ";
    for id in [leader, others[0], others[1]] {
        let mut client = three.connect(id);
        client.create(&format!("/by{id}"), &[id; 100]).unwrap();
        client.close().unwrap();
    }
    // Of each client: a session begins and ends, and a node between the two.
    let none = ["zk_stale_sessions_expired\t0", "zk_pending_syncs\t0"];
    three.wait_numbers(
        leader,
        &[
            &none[..],
            &["zk_commit_count\t9", "zk_proposal_count\t9"],
            &["zk_learner_commit_received_count\t0", "zk_learner_proposal_received_count\t0"],
            &["zk_cnt_leader_unavailable_time\t1"],
        ]
        .concat(),
    );
    for other in &others {
        three.wait_numbers(
            *other,
            &[
                &none[..1],
                &["zk_commit_count\t0", "zk_proposal_count\t0"],
                &["zk_learner_commit_received_count\t9"],
                &["zk_learner_proposal_received_count\t9", "zk_cnt_leader_unavailable_time\t0"],
            ]
            .concat(),
        );
        assert!(!three.server(*other).word("srvr").contains(fresh));
        assert!(!three.server(*other).word("mntr").contains("_proposal_size"));
    }
    let srvr = three.server(leader).word("srvr");
    let (_, sizes) = srvr.split_once(fresh).expect("a leader has proposals");
    let sizes: Vec<u64> = sizes.trim().split('/').map(|size| size.parse().unwrap()).collect();
    // The last one ends a session: a header, and no more than a few bytes.
    assert!(sizes[0] == sizes[1] && (32..60).contains(&sizes[0]), "{srvr}");
    assert!((150..250).contains(&sizes[2]), "{srvr}");
}

/// The number behind a name of `mntr`.
fn number(mntr: &str, name: &str) -> u64 {
    let name = format!("zk_{name}\t");
    let value = mntr.lines().find_map(|line| line.strip_prefix(&*name));
    value.unwrap_or_else(|| panic!("{name} {mntr}")).parse().expect("a number")
}

/// Times are taken for groups, so there is one at least, and no more than transactions.
#[test]
fn replication_is_measured_where_it_happens() {
    let three = Three::start(&[]);
    let leader = three.wait_leader();
    let others = three.others(leader);
    let mut client = three.connect(others[0]);
    client.create("/a", b"").unwrap();
    for _ in 0..20 {
        client.set("/a", b"1").unwrap();
    }
    client.close().unwrap();
    // All have everything, with six transactions more.
    three.see("/a", b"1");
    three.wait_numbers(leader, &["zk_diff_count\t2", "zk_snap_count\t0"]);
    let mntr = three.server(leader).word("mntr");
    let acks = others.iter().map(|id| format!("{id}_ack_latency"));
    for name in acks.chain(["quorum_ack_latency".to_owned(), "propagation_latency".to_owned()]) {
        let count = number(&mntr, &format!("cnt_{name}"));
        assert!((1..=29).contains(&count), "{name} {count}");
    }
    assert_eq!(number(&mntr, "cnt_commit_propagation_latency"), 0, "it follows none");
    for other in others {
        let mntr = three.server(other).word("mntr");
        for name in ["commit_propagation_latency", "proposal_latency", "propagation_latency"] {
            let count = number(&mntr, &format!("cnt_{name}"));
            assert!((1..=29).contains(&count), "server {other} {name} {count}");
        }
        assert_eq!(number(&mntr, "cnt_quorum_ack_latency"), 0, "it leads nobody");
    }
}
