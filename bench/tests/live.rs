//! The blocking client against a real server: any that speaks the protocol, named by
//! `RINGKEEPER_TEST_SERVER=host:port`. Without it nothing is tested, and that is said.

use std::time::Duration;

use ringkeeper_engine::Code;
use ringkeeper_engine::client::{
    Client, Create, CreateMode, Error, MultiResult, Options, Request, WatchMode, Watches,
};
use ringkeeper_engine::wire::event::EventType;
use ringkeeper_engine::wire::{Acl, Id};

const ROOT: &str = "/ringkeeper-client-test";

#[test]
fn every_client_call_is_accepted() {
    let Ok(server) = std::env::var("RINGKEEPER_TEST_SERVER") else {
        eprintln!("skipped: RINGKEEPER_TEST_SERVER is not set");
        return;
    };
    let mut client = Client::connect(&server, Options::default()).unwrap();
    clear(&mut client, ROOT);
    client.create(ROOT, b"").unwrap();
    nodes(&mut client);
    multis(&mut client);
    watches(&server, &mut client);
    identities(&mut client);
    reattaching(&server, &mut client);
    clear(&mut client, ROOT);
    client.close().unwrap();
}

fn clear(client: &mut Client, path: &str) {
    let Ok(names) = client.children(path) else { return };
    for name in names {
        clear(client, &format!("{path}/{name}"));
    }
    client.delete(path).unwrap();
}

fn at(name: &str) -> String {
    format!("{ROOT}/{name}")
}

fn nodes(client: &mut Client) {
    let (path, stat) = client.create2(&at("a"), b"one", CreateMode::Persistent).unwrap();
    assert_eq!((path.as_str(), stat.data_length), (at("a").as_str(), 3));
    assert_eq!(client.set(&at("a"), b"two!").unwrap().version, 1);
    assert_eq!(client.get(&at("a")).unwrap().0, Some(b"two!".to_vec()));
    assert_eq!(client.exists(&at("a")).unwrap().unwrap().data_length, 4);
    assert_eq!(client.exists(&at("none")).unwrap(), None);
    let refused = client.set_version(&at("a"), b"", 7).unwrap_err();
    assert_eq!(refused.code(), Some(Code::BadVersion));
    assert!(refused.to_string().contains("BadVersion"), "{refused}");
    let sequential = client.create_mode(&at("s-"), b"", CreateMode::PersistentSequential).unwrap();
    assert_eq!(sequential, at("s-0000000001"));
    client.create_mode(&at("c"), b"", CreateMode::Container).unwrap();
    client.create_mode(&at("t"), b"", CreateMode::Ttl(100_000)).unwrap();
    client.create_mode(&at("e"), b"", CreateMode::Ephemeral).unwrap();
    assert_eq!(client.ephemerals(ROOT).unwrap(), [at("e")]);
    assert_eq!(client.children(ROOT).unwrap(), ["a", "c", "e", "s-0000000001", "t"]);
    assert_eq!(client.children_stat(ROOT).unwrap().1.num_children, 5);
    assert_eq!(client.descendants(ROOT).unwrap(), 5);
    assert_eq!(client.sync(ROOT).unwrap(), ROOT);
    client.ping().unwrap();
}

fn multis(client: &mut Client) {
    let acl = &[Acl::open()];
    let (m, missing) = (at("m"), at("missing"));
    let create = Create { path: &m, data: Some(b"x"), acl, mode: CreateMode::Persistent };
    let good = [
        Request::Create(create),
        Request::SetData { path: &m, data: None, version: 0 },
        Request::Check { path: &m, version: 1 },
    ];
    let results = client.multi(&good).unwrap();
    assert!(matches!(&results[0], MultiResult::Created { path } if path == m.as_str()));
    assert!(matches!(results[1], MultiResult::Set(stat) if stat.version == 1));
    assert_eq!(results[2], MultiResult::Checked);
    let bad = [
        Request::Delete { path: &m, version: -1 },
        Request::Delete { path: &missing, version: -1 },
    ];
    let expected = [MultiResult::Failed(0), MultiResult::Failed(Code::NoNode.to_wire())];
    assert_eq!(client.multi(&bad).unwrap(), expected);
    let reads = [
        Request::GetData { path: &m, watch: false },
        Request::GetChildren { path: &m, watch: false },
    ];
    let results = client.multi_read(&reads).unwrap();
    assert!(matches!(&results[0], MultiResult::Data { data: None, stat } if stat.version == 1));
    assert_eq!(results[1], MultiResult::Children(Vec::new()));
}

fn watches(server: &str, client: &mut Client) {
    let mut other = Client::connect(server, Options::default()).unwrap();
    client.get_watch(&at("a")).unwrap();
    client.add_watch(ROOT, WatchMode::PersistentRecursive).unwrap();
    other.set(&at("a"), b"three").unwrap();
    other.create(&at("new"), b"").unwrap();
    let patience = Duration::from_secs(5);
    let event = client.wait_event(patience).unwrap().unwrap();
    assert_eq!((event.kind, event.path), (EventType::NodeDataChanged, at("a").into()));
    let event = client.wait_event(patience).unwrap().unwrap();
    assert_eq!((event.kind, event.path), (EventType::NodeCreated, at("new").into()));
    assert_eq!(client.wait_event(Duration::from_millis(20)).unwrap(), None);
    other.close().unwrap();
}

fn identities(client: &mut Client) {
    client.auth("digest", b"bob:secret").unwrap();
    let bob = Id { scheme: "digest".into(), id: "bob".into() };
    assert!(client.who_am_i().unwrap().contains(&bob));
    let mine = Acl { perms: 31, id: Id { scheme: "auth".into(), id: String::new() } };
    client.set_acl(&at("a"), &[mine], -1).unwrap();
    assert_eq!(client.acl(&at("a")).unwrap().0[0].id.scheme, "digest");
    client.set_acl(&at("a"), &[Acl::open()], 1).unwrap();
}

fn reattaching(server: &str, client: &mut Client) {
    let before = client.session();
    client.reattach(server).unwrap();
    assert_eq!(client.session().id, before.id);
    assert_eq!(client.ephemerals("/").unwrap(), [at("e")]);
    let a = at("a");
    let watches = Watches { relative_zxid: 1, data: &[&a], ..Watches::default() };
    client.set_watches(&watches).unwrap();
    assert_eq!(client.take_events().len(), 1);
    let mut taken = Client::resume(server, Options::default(), client.session()).unwrap();
    assert_eq!(taken.session().id, before.id);
    assert!(matches!(client.ping(), Err(Error::Closed | Error::Io(_))));
    client.reattach(server).unwrap();
    assert!(matches!(taken.ping(), Err(Error::Closed | Error::Io(_))));
}
