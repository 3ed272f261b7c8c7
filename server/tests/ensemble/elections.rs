//! Three servers choose a leader, and what is written through any of them is at all of them.

use ringkeeper_engine::client::CreateMode;

use crate::three::Three;

#[test]
fn servers_of_three_files_choose_a_leader_and_each_serves_what_the_others_wrote() {
    let three = Three::start(&[]);
    let leader = three.wait_leader();
    for id in [1, 2, 3] {
        let mut client = three.connect(id);
        client.create(&format!("/by{id}"), &[id]).unwrap();
        client.close().unwrap();
    }
    for id in [1, 2, 3] {
        three.see(&format!("/by{id}"), &[id]);
    }
    for id in [1, 2, 3] {
        let mode = if id == leader { "leader" } else { "follower" };
        let srvr = three.server(id).word("srvr");
        assert!(srvr.contains(&format!("\nMode: {mode}\n")), "{srvr}");
        let state = format!("zk_server_state\t{mode}");
        three.wait_numbers(id, &[&state, "zk_quorum_size\t3"]);
    }
    three.wait_numbers(leader, &["zk_synced_followers\t2", "zk_learners\t2"]);
    for other in three.others(leader) {
        assert!(!three.server(other).word("mntr").contains("zk_synced_followers"));
    }
    // Clients see the members that the files list.
    let mut client = three.connect(leader);
    let config = client.get("/zookeeper/config").unwrap().0.unwrap();
    let config = String::from_utf8(config).unwrap();
    assert!(config.contains("server.3=") && config.ends_with("version=0"), "{config}");
    for other in three.others(leader) {
        three.see("/zookeeper/config", config.as_bytes());
        assert_eq!(three.role(other).number("leader"), Some(leader.into()));
    }
}

/// A session belongs to the ensemble: its ephemeral nodes are seen everywhere, and go with it.
#[test]
fn ephemeral_node_of_a_session_at_a_follower_goes_with_its_session() {
    let three = Three::start(&[]);
    let leader = three.wait_leader();
    let [one, other] = three.others(leader)[..] else { panic!("there are two") };
    let mut client = three.connect(one);
    client.create_mode("/mine", b"", CreateMode::Ephemeral).unwrap();
    let mut watching = three.connect(other);
    watching.sync("/mine").unwrap();
    assert!(watching.exists("/mine").unwrap().is_some());
    client.close().unwrap();
    watching.sync("/mine").unwrap();
    assert!(watching.exists("/mine").unwrap().is_none());
}

/// It has no vote, takes what they decide, and sends its clients' writes to the leader.
#[test]
fn observer_of_three_serves_what_they_write_and_is_none_of_their_quorum() {
    let mut three = Three::start_with_observer();
    let leader = three.wait_leader();
    let mut client = three.connect(4);
    client.create("/n", b"1").unwrap();
    three.see("/n", b"1");
    let lines = ["zk_quorum_size\t3", "zk_synced_followers\t2", "zk_synced_observers\t1"];
    three.wait_numbers(leader, &lines);
    assert!(three.server(4).word("srvr").contains("\nMode: observer\n"));
    // With the next leader its session goes on.
    three.take(leader).kill();
    client.set("/n", b"2").unwrap();
    three.wait_leader();
    three.see("/n", b"2");
}
