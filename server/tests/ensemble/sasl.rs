//! A client's SASL identity goes with its requests to the leader, whichever server it is at.

use ringkeeper_engine::Code;
use ringkeeper_engine::client::{Create, CreateMode, Request};
use tempfile::tempdir;

use crate::sasl_client::{PROVIDER, jaas_file, log_in, only};
use crate::three::Three;

#[test]
fn list_of_a_followers_sasl_client_holds_on_all_three() {
    let home = tempdir().unwrap();
    let jaas: &'static str = jaas_file(home.path(), "user_bob=\"builder\" user_eve=\"e\"").leak();
    let three = Three::start(&[PROVIDER, ("java.security.auth.login.config", jaas)]);
    let leader = three.wait_leader();
    let follower = three.others(leader)[0];
    let mut bob = three.connect(follower);
    log_in(&mut bob, "bob", "builder").unwrap();
    let (acl, mode) = (&[only("auth", "")], CreateMode::Persistent);
    bob.done(&Request::Create(Create { path: "/bobs", data: None, acl, mode })).unwrap();
    for id in [1, 2, 3] {
        let mut own = three.connect(id);
        log_in(&mut own, "bob", "builder").unwrap();
        own.sync("/bobs").unwrap();
        assert_eq!(own.acl("/bobs").unwrap().0, [only("sasl", "bob")]);
        own.set("/bobs", &[id]).unwrap();
        let mut eve = three.connect(id);
        log_in(&mut eve, "eve", "e").unwrap();
        eve.sync("/bobs").unwrap();
        assert_eq!(eve.get("/bobs").unwrap_err().code(), Some(Code::NoAuth));
        assert_eq!(eve.set("/bobs", b"x").unwrap_err().code(), Some(Code::NoAuth));
        let mut nobody = three.connect(id);
        nobody.sync("/bobs").unwrap();
        assert_eq!(nobody.set("/bobs", b"x").unwrap_err().code(), Some(Code::NoAuth));
        let mut stranger = three.connect(id);
        let refused = log_in(&mut stranger, "bob", "wrong").unwrap_err();
        assert_eq!(refused.code(), Some(Code::AuthFailed));
    }
}
