//! Two of three disks are lost for good: the third is made the beginning of a new ensemble.

use crate::program::ringkeeper;
use crate::three::Three;

fn recover(directory: &str, more: &[&str]) -> (Option<i32>, String) {
    let arguments: Vec<&str> = ["recover-quorum", directory].iter().chain(more).copied().collect();
    let output = ringkeeper(&arguments).output().expect("the binary runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).expect("UTF-8"))
}

#[test]
fn survivor_of_a_lost_quorum_begins_a_new_ensemble_with_all_that_it_has() {
    let mut three = Three::start(&[]);
    let leader = three.wait_leader();
    let [survivor, lost] = three.others(leader)[..] else { panic!("there are two") };
    let mut client = three.connect(survivor);
    client.create("/n", b"kept").unwrap();
    three.see("/n", b"kept");
    let directory = three.data(survivor).display().to_string();
    let (code, said) = recover(&directory, &["--yes"]);
    assert!(code == Some(1) && said.contains("in use"), "a server runs on it: {said}");
    [leader, lost, survivor].into_iter().for_each(|id| three.take(id).kill());
    [leader, lost].into_iter().for_each(|id| three.wipe(id));

    let (code, said) = recover(&directory, &[]);
    assert!(code == Some(1) && said.contains("Nothing was changed"), "{said}");
    assert!(said.contains(&format!("the directory of server {survivor}")), "{said}");
    assert!(said.contains("epoch 1") && said.contains("are lost"), "{said}");
    let (code, said) = recover(&directory, &["--yes"]);
    assert!(code == Some(0) && said.contains("begins with server"), "{said}");

    // One new member is enough for a quorum.
    [survivor, lost].into_iter().for_each(|id| three.launch(id));
    assert_eq!(three.wait_leader(), survivor, "it alone has the history");
    three.see("/n", b"kept");
    let epoch = three.role(survivor).number("leader_epoch").expect("it leads");
    assert!(epoch > 10_000, "{epoch}");
    three.connect(lost).set("/n", b"new").unwrap();
    three.launch(leader);
    three.wait_leader();
    three.see("/n", b"new");
}

#[test]
fn directory_that_does_not_exist_is_refused_and_not_made() {
    let three = Three::start(&[]);
    let missing = three.data(9);
    let (code, said) = recover(&missing.display().to_string(), &["--yes"]);
    assert!(code == Some(1) && !said.is_empty() && !missing.exists(), "{said}");
}
