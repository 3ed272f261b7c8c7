//! Which ensemble a server belongs to, whose sessions it takes, and what it has in common with the
//! others.

use std::fs;

use ringkeeper_engine::client::{Client, Options, Session};
use ringkeeper_engine::device::{Disk, Durability, Identity, Strategy};
use ringkeeper_engine::session::Passwords;

use crate::three::Three;

fn disk(three: &Three, id: u8) -> Disk {
    Disk::open(&three.data(id), Strategy::Pwrite, Durability::Synced).expect("it is there")
}

fn identity(three: &Three, id: u8) -> Identity {
    Identity::read(&disk(three, id)).expect("it is whole").expect("it is there")
}

/// Takes a session up at a server; the server must take it.
fn resume(three: &Three, id: u8, session: Session) -> Client {
    Client::resume(three.server(id).address, Options::default(), session).expect("it lives")
}

/// The password is the ensemble's, and cannot be computed.
#[test]
fn session_moves_to_every_server_and_to_one_that_lost_its_disk() {
    let mut three = Three::start(&[]);
    let leader = three.wait_leader();
    let mut client = three.connect(leader);
    client.create("/n", b"0").unwrap();
    let session = client.session();
    assert_ne!(session.password, Passwords::Java.of(session.id));
    let [wiped, _] = three.others(leader)[..] else { panic!("there are two") };
    three.take(wiped).kill();
    three.wipe(wiped);
    three.launch(wiped);
    three.wait_leader();
    let mut session = client.session();
    drop(client);
    for id in three.others(leader).into_iter().chain([leader]) {
        let mut moved = resume(&three, id, session);
        moved.set("/n", &[id]).unwrap();
        assert_eq!(moved.session().id, session.id);
        session = moved.session();
    }
    let wrong = Session { password: Passwords::Java.of(session.id), ..session };
    let refused = Client::resume(three.server(wiped).address, Options::default(), wrong);
    assert!(refused.is_err(), "that is no password of this ensemble");
}

/// Its sessions keep their passwords: the secret of its directory becomes that of the ensemble.
#[test]
fn session_of_a_standalone_server_that_becomes_the_first_of_three_lives_on() {
    let mut three = Three::start(&[]);
    for id in [1, 2, 3] {
        three.take(id).kill();
        three.wipe(id);
    }
    three.launch_alone(1);
    let mut client = three.connect(1);
    client.create("/n", b"alone").unwrap();
    let session = client.session();
    drop(client);
    three.take(1).kill();
    [1, 2, 3].into_iter().for_each(|id| three.launch(id));
    assert_eq!(three.wait_leader(), 1, "it has the history");
    for id in [2, 3, 1] {
        let mut moved = resume(&three, id, session);
        moved.set("/n", &[id]).unwrap();
    }
}

/// Directories of an earlier version have no id, and their sessions ZooKeeper's passwords.
#[test]
fn session_from_before_the_ensemble_had_an_id_lives_on_with_its_password() {
    let mut three = Three::start(&[("ringkeeper.sessionPasswords", "java")]);
    let leader = three.wait_leader();
    let mut client = three.connect(leader);
    client.create("/n", b"0").unwrap();
    let session = client.session();
    assert_eq!(session.password, Passwords::Java.of(session.id));
    drop(client);
    three.set("ringkeeper.sessionPasswords", "secret");
    for id in [1, 2, 3] {
        three.take(id).kill();
        let earlier = Identity { ensemble: None, ..identity(&three, id) };
        earlier.save(&disk(&three, id)).unwrap();
    }
    [1, 2, 3].into_iter().for_each(|id| three.launch(id));
    let leader = three.wait_leader();
    let mut moved = resume(&three, three.others(leader)[0], session);
    moved.set("/n", b"1").unwrap();
    let now = moved.session();
    assert_ne!(now.password, session.password, "from now on it has another one");
    drop(moved);
    resume(&three, leader, now).set("/n", b"2").unwrap();
    // One that begins now has the ensemble's.
    let fresh = three.connect(leader).session();
    assert_ne!(fresh.password, Passwords::Java.of(fresh.id));
}

#[test]
fn server_with_a_directory_of_another_ensemble_is_left_alone_and_all_say_so() {
    let mut other = Three::start(&[]);
    other.wait_leader();
    other.wait_line(3, "the directory of this server belongs to ensemble");
    other.take(3).kill();
    let mut three = Three::start(&[]);
    let leader = three.wait_leader();
    let stranger = 3;
    three.wait_line(stranger, "the directory of this server belongs to ensemble");
    three.take(stranger).kill();
    three.wipe(stranger);
    fs::create_dir_all(three.data(stranger)).unwrap();
    for entry in fs::read_dir(other.data(3)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), three.data(stranger).join(entry.file_name())).unwrap();
    }
    three.launch(stranger);
    let ids = |three: &Three, id| identity(three, id).ensemble.expect("it has one").id.to_string();
    let (own, theirs) = (ids(&three, three.others(stranger)[0]), ids(&three, stranger));
    assert_ne!(own, theirs);
    for id in three.others(stranger) {
        let said = three.wait_line(id, "server 3 takes part in elections as a member of ensemble");
        assert!(said.contains(&own) && said.contains(&theirs), "{said}");
    }
    let said = three.wait_line(stranger, "takes part in elections as a member of ensemble");
    assert!(said.contains(&own) && said.contains(&theirs), "{said}");
    let role = three.role(stranger);
    assert!(!role.serves(), "{role:?}");
    // The others go on.
    let next = if leader == stranger { three.others(stranger)[0] } else { leader };
    three.connect(next).create("/n", b"1").unwrap();
    // On an empty directory it is one of them.
    three.take(stranger).kill();
    three.wipe(stranger);
    three.launch(stranger);
    three.wait_leader();
    three.see("/n", b"1");
    assert_eq!(ids(&three, stranger), own);
}

/// An observer hears who leads, and is refused by the leader.
#[test]
fn observer_with_a_directory_of_another_ensemble_is_refused_and_both_say_so() {
    let mut other = Three::start_with_observer();
    other.wait_leader();
    other.wait_line(4, "the directory of this server belongs to ensemble");
    other.take(4).kill();
    let mut three = Three::start_with_observer();
    let leader = three.wait_leader();
    three.wait_line(leader, "the directory of this server belongs to ensemble");
    three.take(4).kill();
    three.wipe(4);
    fs::create_dir_all(three.data(4)).unwrap();
    for entry in fs::read_dir(other.data(4)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), three.data(4).join(entry.file_name())).unwrap();
    }
    three.launch(4);
    let said = three.wait_line(4, "the leader is of ensemble");
    assert!(said.contains(" belongs to ensemble "), "{said}");
    let said = three.wait_line(leader, "the directory of this server 4 belongs to ensemble");
    assert!(said.contains("a connection to the quorum port at 127."), "{said}");
    assert!(!three.role(4).serves());
}

#[test]
fn settings_that_differ_are_said_by_the_server_and_its_leader() {
    let mut three = Three::start(&[]);
    let leader = three.wait_leader();
    let [other, _] = three.others(leader)[..] else { panic!("there are two") };
    three.take(other).kill();
    three.set("jute.maxbuffer", "2000000");
    three.set("maxSessionTimeout", "60000");
    three.launch(other);
    three.wait_leader();
    let said = three.wait_line(other, "has other settings than this server");
    for part in [
        "which leads",
        "jute.maxbuffer=2000000 here and 1048575 there",
        "maxSessionTimeout=60000 here and 40000 there",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let said = three.wait_line(leader, "has other settings than this server");
    for part in [
        &format!("server {other} at 127."),
        "jute.maxbuffer=1048575 here and 2000000 there",
        "maxSessionTimeout=40000 here and 60000 there",
    ] {
        assert!(said.contains(part), "{said}");
    }
}

/// The one that was there first stays, and the others say that there are two.
#[test]
fn second_server_with_a_number_is_reported_and_the_ensemble_goes_on() {
    let three = Three::start(&[]);
    let leader = three.wait_leader();
    let [doubled, other] = three.others(leader)[..] else { panic!("there are two") };
    let mut client = three.connect(doubled);
    client.create("/n", b"0").unwrap();
    let double = three.launch_double(doubled);
    let said = three.wait_line(other, "two servers may have that number");
    assert!(said.contains(&format!("server {doubled} has connected again and again")), "{said}");
    for number in 1..=50 {
        client.set("/n", &[number]).unwrap();
    }
    assert!(!double.role().serves(), "{:?}", double.role());
    double.kill();
    assert_eq!(three.wait_leader(), leader);
    three.see("/n", &[50]);
}
