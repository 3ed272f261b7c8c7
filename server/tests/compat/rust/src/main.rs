//! Exercises a server through the crate `zookeeper-client`: `ringkeeper-compat HOST:PORT`.
//!
//! Panics, and so exits non-zero, at the first check that fails. The line `@restart` asks the
//! runner to kill and start the server.

mod support;

use std::time::Duration;

use support::{event, eventually, Checks, CONTAINER, EPHEMERAL, PERSISTENT, ROOT, SEQUENTIAL};
use zookeeper_client::{
    Acls, AddWatchMode, Client, CreateMode, Error, EventType, LockOptions, LockPrefix,
    MultiReadResult, MultiWriteError, MultiWriteResult,
};

#[tokio::main]
async fn main() {
    let Some(address) = std::env::args().nth(1) else {
        eprintln!("usage: ringkeeper-compat HOST:PORT");
        std::process::exit(2);
    };
    let mut checks = Checks::connect(&address).await;
    macro_rules! run {
        ($($check:ident),* $(,)?) => {
            $(
                checks.prepare().await;
                let done = $check(&checks).await;
                checks.count(stringify!($check), done);
            )*
        };
    }
    run!(
        create_get_set_delete,
        children,
        sequence,
        ephemeral,
        container_and_ttl,
        one_shot_watches,
        persistent_watch,
        recursive_watch,
        write_multi,
        read_multi,
        check_writer,
        acl_and_auth,
        counts_and_lists,
        lock,
        session_reattach,
        session_end,
        pipelining,
        restart,
    );
    checks.prepare().await;
    println!("zookeeper-client: {} passed, 0 failed, {} skipped", checks.passed, checks.skipped);
}

async fn create_get_set_delete(checks: &Checks) -> bool {
    let (zk, path) = (&checks.zk, &format!("{ROOT}/a"));
    let (stat, _) = zk.create(path, b"one", PERSISTENT).await.unwrap();
    assert_eq!(zk.get_data(path).await.unwrap(), (b"one".to_vec(), stat));
    assert_eq!(zk.check_stat(path).await.unwrap(), Some(stat));
    let changed = zk.set_data(path, b"two!", Some(0)).await.unwrap();
    assert_eq!((changed.version, changed.data_length, changed.czxid), (1, 4, stat.czxid));
    assert!(changed.mzxid > stat.mzxid);
    assert_eq!(zk.set_data(path, b"x", Some(0)).await.unwrap_err(), Error::BadVersion);
    assert_eq!(zk.create(path, b"", PERSISTENT).await.unwrap_err(), Error::NodeExists);
    let orphan = format!("{ROOT}/no/parent");
    assert_eq!(zk.create(&orphan, b"", PERSISTENT).await.unwrap_err(), Error::NoNode);
    zk.mkdir(&format!("{path}/b/c"), PERSISTENT).await.unwrap();
    assert_eq!(zk.delete(path, None).await.unwrap_err(), Error::NotEmpty);
    zk.delete(&format!("{path}/b/c"), Some(0)).await.unwrap();
    zk.delete(&format!("{path}/b"), None).await.unwrap();
    zk.delete(path, Some(1)).await.unwrap();
    assert_eq!(zk.get_data(path).await.unwrap_err(), Error::NoNode);
    zk.sync(ROOT).await.unwrap();
    true
}

async fn children(checks: &Checks) -> bool {
    let zk = checks.zk.clone().chroot(ROOT).unwrap();
    for name in ["/b", "/a", "/\u{436}\u{6f22}"] {
        zk.create(name, b"", PERSISTENT).await.unwrap();
    }
    let (mut names, stat) = zk.get_children("/").await.unwrap();
    names.sort();
    assert_eq!(names, ["a", "b", "\u{436}\u{6f22}"]);
    assert_eq!((stat.num_children, stat.cversion), (3, 3));
    assert_eq!(zk.list_children("/").await.unwrap().len(), 3);
    true
}

async fn sequence(checks: &Checks) -> bool {
    for number in 0..12 {
        let prefix = format!("{ROOT}/s-");
        let (_, sequence) = checks.zk.create(&prefix, b"", SEQUENTIAL).await.unwrap();
        assert_eq!(sequence.into_i64(), number);
    }
    true
}

async fn ephemeral(checks: &Checks) -> bool {
    let other = checks.client().await;
    let path = &format!("{ROOT}/e");
    let (stat, _) = other.create(path, b"", EPHEMERAL).await.unwrap();
    assert_eq!(stat.ephemeral_owner, other.session_id().0);
    let child = format!("{path}/child");
    let refused = checks.zk.create(&child, b"", PERSISTENT).await.unwrap_err();
    assert_eq!(refused, Error::NoChildrenForEphemerals);
    drop(other);
    eventually("it is gone", || async { checks.zk.check_stat(path).await.unwrap().is_none() })
        .await;
    true
}

async fn container_and_ttl(checks: &Checks) -> bool {
    let (stat, _) = checks.zk.create(&format!("{ROOT}/box"), b"", CONTAINER).await.unwrap();
    assert_eq!(stat.ephemeral_owner, 0);
    let options = PERSISTENT.clone().with_ttl(Duration::from_secs(60));
    let (stat, _) = checks.zk.create(&format!("{ROOT}/ttl"), b"x", &options).await.unwrap();
    assert_eq!((stat.ephemeral_owner, stat.data_length), (0, 1));
    true
}

async fn one_shot_watches(checks: &Checks) -> bool {
    let (zk, other, path) = (&checks.zk, checks.client().await, &format!("{ROOT}/w"));
    let (none, created) = zk.check_and_watch_stat(path).await.unwrap();
    assert!(none.is_none());
    let (_, _, listed) = zk.get_and_watch_children(ROOT).await.unwrap();
    let (stat, _) = other.create(path, b"1", PERSISTENT).await.unwrap();
    let first = event(created.changed()).await;
    assert_eq!((first.event_type, &first.path), (EventType::NodeCreated, path));
    assert_eq!(first.zxid, stat.czxid);
    assert_eq!(event(listed.changed()).await.event_type, EventType::NodeChildrenChanged);
    let (_, _, changed) = zk.get_and_watch_data(path).await.unwrap();
    other.set_data(path, b"2", None).await.unwrap();
    assert_eq!(event(changed.changed()).await.event_type, EventType::NodeDataChanged);
    let (_, deleted) = zk.check_and_watch_stat(path).await.unwrap();
    let (_, _, removed) = zk.get_and_watch_data(path).await.unwrap();
    drop(removed);
    other.delete(path, None).await.unwrap();
    assert_eq!(event(deleted.changed()).await.event_type, EventType::NodeDeleted);
    true
}

async fn persistent_watch(checks: &Checks) -> bool {
    let other = checks.client().await;
    let mut watcher = checks.zk.watch(ROOT, AddWatchMode::Persistent).await.unwrap();
    for number in 0..3 {
        other.create(&format!("{ROOT}/{number}"), b"", PERSISTENT).await.unwrap();
        other.set_data(&format!("{ROOT}/{number}"), b"unseen", None).await.unwrap();
        other.set_data(ROOT, b"seen", None).await.unwrap();
        let seen = event(watcher.changed()).await;
        assert_eq!(seen.event_type, EventType::NodeChildrenChanged);
        assert_eq!(event(watcher.changed()).await.event_type, EventType::NodeDataChanged);
    }
    drop(watcher);
    true
}

async fn recursive_watch(checks: &Checks) -> bool {
    let other = checks.client().await;
    let mut watcher = checks.zk.watch(ROOT, AddWatchMode::PersistentRecursive).await.unwrap();
    let deep = format!("{ROOT}/a/b");
    other.mkdir(&deep, PERSISTENT).await.unwrap();
    other.set_data(&deep, b"1", None).await.unwrap();
    other.delete(&deep, None).await.unwrap();
    let wanted = [
        (EventType::NodeCreated, format!("{ROOT}/a")),
        (EventType::NodeCreated, deep.clone()),
        (EventType::NodeDataChanged, deep.clone()),
        (EventType::NodeDeleted, deep),
    ];
    let mut zxid = 0;
    for (kind, path) in wanted {
        let seen = event(watcher.changed()).await;
        assert_eq!((seen.event_type, &seen.path), (kind, &path));
        assert!(seen.zxid > zxid, "events come in the order of the transactions");
        zxid = seen.zxid;
    }
    true
}

async fn write_multi(checks: &Checks) -> bool {
    let (zk, path) = (&checks.zk, &format!("{ROOT}/m"));
    let mut writer = zk.new_multi_writer();
    writer.add_create(path, b"1", PERSISTENT).unwrap();
    writer.add_set_data(path, b"2", Some(0)).unwrap();
    writer.add_check_version(path, 1).unwrap();
    writer.add_create(&format!("{path}/s-"), b"", SEQUENTIAL).unwrap();
    writer.add_delete(&format!("{path}/s-0000000000"), None).unwrap();
    let results = writer.commit().await.unwrap();
    assert!(matches!(&results[1], MultiWriteResult::SetData { stat } if stat.version == 1));
    let name = format!("{path}/s-0000000000");
    assert!(matches!(&results[3], MultiWriteResult::Create { path, .. } if *path == name));
    assert!(matches!(results[4], MultiWriteResult::Delete));
    writer.add_create(&format!("{ROOT}/n"), b"", PERSISTENT).unwrap();
    writer.add_check_version(path, 7).unwrap();
    writer.add_delete(path, None).unwrap();
    let failure = writer.commit().await.unwrap_err();
    let wanted = MultiWriteError::OperationFailed { index: 1, source: Error::BadVersion };
    assert_eq!(failure, wanted);
    assert!(zk.check_stat(&format!("{ROOT}/n")).await.unwrap().is_none());
    assert!(zk.new_multi_writer().commit().await.unwrap().is_empty());
    true
}

async fn read_multi(checks: &Checks) -> bool {
    let zk = &checks.zk;
    zk.create(&format!("{ROOT}/r"), b"x", PERSISTENT).await.unwrap();
    let mut reader = zk.new_multi_reader();
    reader.add_get_data(&format!("{ROOT}/r")).unwrap();
    reader.add_get_children(ROOT).unwrap();
    reader.add_get_data(&format!("{ROOT}/none")).unwrap();
    let results = reader.commit().await.unwrap();
    assert!(matches!(&results[0], MultiReadResult::Data { data, .. } if data == b"x"));
    assert!(matches!(&results[1], MultiReadResult::Children { children } if children == &["r"]));
    assert!(matches!(&results[2], MultiReadResult::Error { err: Error::NoNode }));
    true
}

async fn check_writer(checks: &Checks) -> bool {
    let zk = &checks.zk;
    let path = format!("{ROOT}/guarded");
    let mut writer = zk.new_check_writer(ROOT, Some(0)).unwrap();
    writer.add_create(&path, b"", PERSISTENT).unwrap();
    writer.commit().await.unwrap();
    let mut writer = zk.new_check_writer(ROOT, Some(5)).unwrap();
    writer.add_delete(&path, None).unwrap();
    writer.commit().await.unwrap_err();
    assert!(zk.check_stat(&path).await.unwrap().is_some());
    true
}

async fn acl_and_auth(checks: &Checks) -> bool {
    let (zk, path) = (&checks.zk, &format!("{ROOT}/mine"));
    let owner = checks.connector().with_auth("digest", b"ann:secret");
    let owner = owner.connect(&checks.address).await.unwrap();
    let mine = CreateMode::Persistent.with_acls(Acls::creator_all());
    assert_eq!(zk.create(path, b"x", &mine).await.unwrap_err(), Error::InvalidAcl);
    owner.create(path, b"x", &mine).await.unwrap();
    assert_eq!(zk.get_data(path).await.unwrap_err(), Error::NoAuth);
    let (acl, _) = owner.get_acl(path).await.unwrap();
    assert_eq!((acl[0].scheme(), acl[0].id()), ("digest", "ann:7RJfAeIvrl4zdj6sS2fXrQHDvHM="));
    let stat = owner.set_acl(path, &Acls::anyone_read(), Some(0)).await.unwrap();
    assert_eq!(stat.aversion, 1);
    assert_eq!(zk.get_data(path).await.unwrap().0, b"x");
    assert_eq!(zk.set_data(path, b"y", None).await.unwrap_err(), Error::NoAuth);
    let users = owner.list_auth_users().await.unwrap();
    assert!(users.iter().any(|user| (user.scheme(), user.user()) == ("digest", "ann")));
    let stranger = checks.client().await;
    assert_eq!(stranger.auth("nonsense", b"x").await.unwrap_err(), Error::AuthFailed);
    true
}

async fn counts_and_lists(checks: &Checks) -> bool {
    let (zk, other) = (&checks.zk, checks.client().await);
    zk.mkdir(&format!("{ROOT}/x/y/z"), PERSISTENT).await.unwrap();
    let path = format!("{ROOT}/x/e");
    other.create(&path, b"", EPHEMERAL).await.unwrap();
    assert_eq!(zk.count_descendants_number(ROOT).await.unwrap(), 4);
    assert_eq!(other.list_ephemerals(ROOT).await.unwrap(), [path]);
    assert!(zk.list_ephemerals(ROOT).await.unwrap().is_empty());
    let (config, stat) = zk.get_config().await.unwrap();
    println!("      the configuration has {} bytes, aversion {}", config.len(), stat.aversion);
    true
}

async fn lock(checks: &Checks) -> bool {
    let options = LockOptions::new(Acls::anyone_all());
    let options = options.with_ancestor_options(CONTAINER.clone()).unwrap();
    let prefix = || LockPrefix::new_curator("/ringkeeper-rust/locks", "latch-").unwrap();
    let first = checks.zk.lock(prefix(), b"", options.clone()).await.unwrap();
    let other = checks.client().await;
    let waiting = tokio::spawn(async move {
        let second = other.lock(prefix(), b"", options).await.unwrap();
        second.set_data(ROOT, b"second", None).await.unwrap();
    });
    eventually("the second waits", || async {
        checks.zk.list_children("/ringkeeper-rust/locks").await.unwrap().len() == 2
    })
    .await;
    first.set_data(ROOT, b"first", None).await.unwrap();
    assert_eq!(checks.zk.get_data(ROOT).await.unwrap().0, b"first");
    drop(first);
    waiting.await.unwrap();
    assert_eq!(checks.zk.get_data(ROOT).await.unwrap().0, b"second");
    true
}

async fn session_reattach(checks: &Checks) -> bool {
    let first = checks.connector().with_detached().connect(&checks.address).await.unwrap();
    let path = &format!("{ROOT}/e");
    let (stat, _) = first.create(path, b"", EPHEMERAL).await.unwrap();
    let session = first.into_session();
    let second = checks.connector().with_session(session).connect(&checks.address).await.unwrap();
    assert_eq!(second.session_id().0, stat.ephemeral_owner);
    assert_eq!(second.check_stat(path).await.unwrap(), Some(stat));
    true
}

async fn session_end(checks: &Checks) -> bool {
    let first = checks.client().await;
    let session = first.session().clone();
    let mut watcher = first.state_watcher();
    drop(first);
    while !watcher.changed().await.is_terminated() {}
    let late = checks.connector().with_session(session).connect(&checks.address).await;
    assert_eq!(late.err(), Some(Error::SessionExpired));
    true
}

async fn pipelining(checks: &Checks) -> bool {
    let prefix = format!("{ROOT}/p-");
    // Requests are sent when their futures are made, not when they are awaited.
    let creates: Vec<_> = (0..500).map(|_| checks.zk.create(&prefix, b"", SEQUENTIAL)).collect();
    for (number, create) in creates.into_iter().enumerate() {
        assert_eq!(create.await.unwrap().1.into_i64(), number as i64);
    }
    true
}

/// The session, its ephemerals and its watches outlive the server.
///
/// A one-shot watch, since version 0.11.2 of the crate does not set persistent ones again.
async fn restart(checks: &Checks) -> bool {
    let client: Client = checks.client().await;
    let (path, session) = (&format!("{ROOT}/e"), client.session_id());
    let (stat, _) = client.create(path, b"", EPHEMERAL).await.unwrap();
    let (_, _, watcher) = client.get_and_watch_data(path).await.unwrap();
    if !support::restart_server() {
        return false;
    }
    eventually("it is connected again", || async {
        client.check_stat(path).await == Ok(Some(stat))
    })
    .await;
    assert_eq!(client.session_id(), session);
    eventually("the other is connected again", || async {
        checks.zk.set_data(path, b"1", None).await.is_ok()
    })
    .await;
    let seen = event(watcher.changed()).await;
    assert_eq!((seen.event_type, &seen.path), (EventType::NodeDataChanged, path));
    true
}
