//! SASL exchanges of connections: what is answered, who a client is then, and who is closed.

use super::*;
use crate::acl::{AuthSettings, requires};
use crate::sasl::{AfterFailure, ClientExchange, Credentials};
use crate::shard::ClientEnd;
use crate::wire::Id;

fn auth(enforce: &[&str]) -> AuthSettings {
    let enforce = (!enforce.is_empty()).then(|| enforce.iter().map(|s| (*s).to_owned()).collect());
    AuthSettings { sasl_enabled: true, enforce, ..AuthSettings::default() }
}

fn offering(auth: AuthSettings, after_failure: AfterFailure) -> Shard {
    let mut credentials = Credentials::new();
    credentials.set("bob", "builder");
    credentials.set("root", "secret");
    credentials.set("super", "adminsecret");
    let sasl = SaslSettings {
        credentials: Some(credentials),
        super_users: vec!["root".to_owned()],
        after_failure,
        nonce_key: [9; 32],
    };
    let ops = OpSettings { auth, ..OpSettings::default() };
    Shard::new(0, Arc::new(ShardSettings { ops, sasl, ..settings() }))
}

/// Sends a token; the code and the token of the reply, which carries no zxid.
fn token(shard: &mut Shard, id: ConnId, token: &[u8]) -> (Code, Option<Vec<u8>>) {
    let db = Database::new(Tree::new(0), []);
    send(shard, id, Sent::Sasl { token: Some(token) }, at(&db, 1));
    let out = std::mem::take(&mut shard.conn_mut(id).expect("open").out);
    let code = i32::from_be_bytes(out[16..20].try_into().expect("four bytes"));
    assert_eq!(out[4..16], [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], "xid and zxid");
    let length = i32::from_be_bytes(out[20..24].try_into().expect("four bytes"));
    let body = usize::try_from(length).ok().map(|_| out[24..].to_vec());
    (Code::from_wire(code).expect("a code of ZooKeeper"), body)
}

/// A whole exchange; the code of the last reply.
fn log_in(shard: &mut Shard, id: ConnId, user: &str, password: &str) -> Code {
    let mut client = ClientExchange::new(user, password, "0a0b0c0d");
    let (code, challenge) = token(shard, id, b"");
    assert_eq!(code, Code::Ok);
    let response = client.step(challenge.as_deref()).expect("a challenge").expect("a response");
    let (code, last) = token(shard, id, &response);
    let convinced = client.step(last.as_deref()) == Ok(None);
    assert_eq!(convinced, code == Code::Ok && last.is_some());
    code
}

fn ids(shard: &Shard, id: ConnId) -> Vec<(String, String)> {
    let held = &shard.conn(id).expect("open").ids;
    held[1..].iter().map(|id: &Id| (id.scheme.clone(), id.id.clone())).collect()
}

fn pair(scheme: &str, id: &str) -> (String, String) {
    (scheme.to_owned(), id.to_owned())
}

fn is_closed(shard: &Shard, id: ConnId) -> bool {
    shard.conn(id).is_none_or(|conn| conn.phase == Phase::Closing)
}

#[test]
fn right_password_adds_the_identity_and_that_of_the_superuser_where_it_is_one() {
    let db = Database::new(Tree::new(0), []);
    let mut shard = offering(auth(&[]), AfterFailure::Close);
    for (user, password, expected) in [
        ("bob", "builder", vec![pair("sasl", "bob")]),
        ("root", "secret", vec![pair("sasl", "root"), pair("super", "")]),
        // A user of this name is no superuser for it.
        ("super", "adminsecret", vec![pair("sasl", "super")]),
    ] {
        let id = established(&mut shard, at(&db, 0));
        assert_eq!(log_in(&mut shard, id, user, password), Code::Ok);
        assert_eq!(ids(&shard, id), expected);
        // One exchange per connection: what comes now ends it, authenticated or not.
        assert_eq!(token(&mut shard, id, b""), (Code::AuthFailed, None));
        assert!(is_closed(&shard, id));
    }
    assert_eq!(shard.counters.auth_failed, 3);
}

#[test]
fn wrong_password_and_unknown_user_are_answered_alike_and_closed() {
    let db = Database::new(Tree::new(0), []);
    let mut shard = offering(auth(&[]), AfterFailure::Close);
    for (user, password) in [("bob", "wrong"), ("nobody", "builder"), ("bob", "")] {
        let id = established(&mut shard, at(&db, 0));
        assert_eq!(log_in(&mut shard, id, user, password), Code::AuthFailed);
        assert!(is_closed(&shard, id) && ids(&shard, id).is_empty());
        let ended = std::mem::take(&mut shard.outputs.ended);
        assert_eq!(ended.last().map(|ended| ended.end), Some(ClientEnd::AuthFailed));
    }
}

#[test]
fn requests_between_challenge_and_response_are_served() {
    let db = Database::new(Tree::new(0), []);
    let mut shard = offering(auth(&[]), AfterFailure::Close);
    let id = established(&mut shard, at(&db, 0));
    let mut client = ClientExchange::new("bob", "builder", "0a0b0c0d");
    let (_, challenge) = token(&mut shard, id, b"");
    send(&mut shard, id, Sent::Exists { path: "/a", watch: false }, at(&db, 1));
    assert!(!std::mem::take(&mut shard.conn_mut(id).expect("open").out).is_empty());
    let response = client.step(challenge.as_deref()).expect("a challenge").expect("a response");
    assert_eq!(token(&mut shard, id, &response).0, Code::Ok);
    assert_eq!(ids(&shard, id), [pair("sasl", "bob")]);
}

#[test]
fn exchange_of_one_connection_is_no_other_connections() {
    let db = Database::new(Tree::new(0), []);
    let mut shard = offering(auth(&[]), AfterFailure::Close);
    let (first, second) =
        (established(&mut shard, at(&db, 0)), established(&mut shard, at(&db, 0)));
    let mut client = ClientExchange::new("bob", "builder", "0a0b0c0d");
    let (_, challenge) = token(&mut shard, first, b"");
    let (_, other) = token(&mut shard, second, b"");
    assert_ne!(challenge, other);
    let response = client.step(challenge.as_deref()).expect("a challenge").expect("a response");
    assert_eq!(token(&mut shard, second, &response).0, Code::AuthFailed);
    assert_eq!(token(&mut shard, first, &response).0, Code::Ok);
    assert!(ids(&shard, second).is_empty());
}

#[test]
fn failed_client_goes_on_without_an_identity_where_that_is_allowed_and_none_is_required() {
    let db = Database::new(Tree::new(0), []);
    let mut shard = offering(auth(&[]), AfterFailure::GoOn);
    let id = established(&mut shard, at(&db, 0));
    assert_eq!(log_in(&mut shard, id, "bob", "wrong"), Code::Ok);
    for _ in 0..3 {
        assert_eq!(token(&mut shard, id, b""), (Code::Ok, None));
    }
    assert!(!is_closed(&shard, id) && ids(&shard, id).is_empty());

    let mut shard = offering(auth(&["sasl"]), AfterFailure::GoOn);
    assert!(requires(&shard.settings.ops.auth, "sasl"));
    let id = established(&mut shard, at(&db, 0));
    assert_eq!(log_in(&mut shard, id, "bob", "wrong"), Code::SessionClosedRequireSaslAuth);
    assert!(is_closed(&shard, id));
}

#[test]
fn required_sasl_lets_nothing_through_before_it_has_succeeded() {
    let db = Database::new(Tree::new(0), []);
    let required = || offering(auth(&["sasl"]), AfterFailure::Close);
    for request in [Sent::Exists { path: "/a", watch: false }, Sent::Ping, Sent::CloseSession] {
        let mut shard = required();
        let id = established(&mut shard, at(&db, 0));
        token(&mut shard, id, b"");
        send(&mut shard, id, request, at(&db, 1));
        let out = &shard.conn(id).expect("open").out;
        assert_eq!(out[16..20], (-124i32).to_be_bytes());
        assert!(is_closed(&shard, id));
    }
    let mut shard = required();
    let id = established(&mut shard, at(&db, 0));
    assert_eq!(log_in(&mut shard, id, "bob", "builder"), Code::Ok);
    send(&mut shard, id, Sent::Exists { path: "/a", watch: false }, at(&db, 1));
    assert!(!is_closed(&shard, id));
}

#[test]
fn server_without_users_answers_every_token_with_a_null_one() {
    let db = Database::new(Tree::new(0), []);
    let mut shard = shard();
    let id = established(&mut shard, at(&db, 0));
    for sent in [b"".as_slice(), b"token"] {
        assert_eq!(token(&mut shard, id, sent), (Code::Ok, None));
    }
    assert!(!is_closed(&shard, id));
}
