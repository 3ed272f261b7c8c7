//! Servers that are stopped as services are.

use crate::three::Three;

#[test]
fn leader_that_is_stopped_hands_over_first() {
    let mut three = Three::start(&[]);
    let leader = three.wait_leader();
    let [one, _] = three.others(leader)[..] else { panic!("there are two") };
    let mut client = three.connect(one);
    client.create("/n", b"1").unwrap();
    let (status, lines) = three.take(leader).terminate();
    assert!(status.success(), "{status} {lines:#?}");
    let handed = lines.iter().any(|line| line.contains("leadership is handed over"));
    assert!(handed, "{lines:#?}");
    // The session goes on.
    client.set("/n", b"2").unwrap();
    assert_ne!(three.wait_leader(), leader);
    three.see("/n", b"2");
}

#[test]
fn all_servers_are_restarted_one_after_the_other_and_a_new_session_is_served_in_between() {
    let mut three = Three::start(&[]);
    three.wait_leader();
    for id in [1, 2, 3] {
        let (status, lines) = three.take(id).terminate();
        assert!(status.success(), "{status} {lines:#?}");
        let leader = three.wait_leader();
        let mut client = three.connect(leader);
        client.create(&format!("/without{id}"), &[id]).unwrap();
        client.close().unwrap();
        three.launch(id);
        three.wait_leader();
    }
    for id in [1, 2, 3] {
        three.see(&format!("/without{id}"), &[id]);
    }
}
