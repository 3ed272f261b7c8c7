//! Nobody sees a change before its event, whichever threads the writer and the watcher are on.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ringkeeper_engine::client::{Client, Event, WatchMode};
use tempfile::tempdir;

use crate::host::Host;

const CHANGES: usize = 1500;
const WATCHERS: usize = 6;

/// Reads until the writer is done; a persistent watch owes an event for each change, and the ones
/// that a reply shows must all be there before it.
fn watch(mut client: Client, all_watch: &Barrier, done: &AtomicBool) -> usize {
    client.add_watch("/changed", WatchMode::Persistent).unwrap();
    client.add_watch("/filled", WatchMode::PersistentRecursive).unwrap();
    all_watch.wait();
    let (mut changed, mut filled, mut looked) = (0, 0, 0);
    loop {
        let last = done.load(Ordering::Acquire);
        let version = client.get("/changed").unwrap().1.version;
        let early = client.take_events();
        changed += count(&early, "/changed");
        filled += count(&early, "/filled/");
        assert!(changed >= version as usize, "version {version} after {changed} events");
        let children = client.children("/filled").unwrap().len();
        let early = client.take_events();
        changed += count(&early, "/changed");
        filled += count(&early, "/filled/");
        assert!(filled >= children, "{children} children after {filled} events");
        looked += 1;
        if last {
            return looked;
        }
    }
}

fn count(events: &[Event<'_>], prefix: &str) -> usize {
    events.iter().filter(|event| event.path.starts_with(prefix)).count()
}

fn events_come_first(definitions: &[&str]) {
    let home = tempdir().unwrap();
    let host = Host::start(home.path(), definitions);
    let mut writer = host.connect();
    writer.create("/changed", b"").unwrap();
    writer.create("/filled", b"").unwrap();
    let (all_watch, done) = (Barrier::new(WATCHERS + 1), AtomicBool::new(false));
    thread::scope(|scope| {
        let watchers: Vec<_> = (0..WATCHERS)
            .map(|_| host.connect())
            .map(|client| scope.spawn(|| watch(client, &all_watch, &done)))
            .collect();
        all_watch.wait();
        for number in 0..CHANGES {
            writer.set("/changed", b"again").unwrap();
            writer.create(&format!("/filled/{number}"), b"").unwrap();
        }
        done.store(true, Ordering::Release);
        for watcher in watchers {
            assert!(watcher.join().expect("its assertions hold") > 1);
        }
    });
}

#[test]
fn events_come_before_what_they_announce() {
    events_come_first(&["ringkeeper.shards=1"]);
    events_come_first(&["ringkeeper.shards=1", "ringkeeper.io=epoll"]);
}

#[test]
fn events_come_before_what_they_announce_between_shards() {
    events_come_first(&["ringkeeper.shards=3"]);
    events_come_first(&["ringkeeper.shards=2", "ringkeeper.io=epoll"]);
}
