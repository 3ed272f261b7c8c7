//! A server that was on its own, and an ensemble that has begun without it.

use crate::three::Three;

/// Nothing of what it has is given up, and the others go on. Of the first quorum it leads.
#[test]
fn state_of_a_standalone_server_outlives_an_ensemble_that_began_without_it() {
    let mut three = Three::start(&[]);
    for id in [1, 2, 3] {
        three.take(id).kill();
        three.wipe(id);
    }
    let alone = 3;
    three.launch_alone(alone);
    let mut client = three.connect(alone);
    client.create("/alone", b"3").unwrap();
    drop(client);
    three.take(alone).kill();
    // The others are a majority, and empty.
    [1, 2].into_iter().for_each(|id| three.launch(id));
    let leader = three.wait_leader();
    three.connect(leader).create("/others", b"12").unwrap();
    for _ in 0..2 {
        three.launch(alone);
        let said = three.wait_line(alone, "this server has one of its own up to");
        assert!(said.contains("To keep what is here, stop all servers"), "{said}");
        assert!(!three.role(alone).serves());
        three.connect(leader).set("/others", b"12").unwrap();
        assert!(three.role(leader).leads());
        three.take(alone).kill();
    }
    for id in [1, 2] {
        three.take(id).kill();
        three.wipe(id);
    }
    three.launch(alone);
    three.wait_line(alone, "looking for a leader");
    [1, 2].into_iter().for_each(|id| three.launch(id));
    assert_eq!(three.wait_leader(), alone);
    three.see("/alone", b"3");
}
