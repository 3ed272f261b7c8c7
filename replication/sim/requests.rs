//! Random requests, in the shapes that the suites of real clients have: every operation, flag and
//! kind of watch, lists of identities, quotas, multis of every kind, data of every size.
//!
//! Left out is what a model of the state alone cannot foresee: lists that hide a node from readers
//! (their watches do not fire), SASL, and changes of the members.

use ringkeeper_engine::client::{Create, CreateMode, Request, WatchMode, WatcherType};
use ringkeeper_engine::txn::CONFIG_NODE;
use ringkeeper_engine::wire::record::perms;
use ringkeeper_engine::wire::{Acl, Id};

use super::random::Random;

/// The nodes that clients write.
pub(crate) const PATHS: [&str; 7] = ["/a", "/b", "/a/x", "/a/y", "/b/z", "/a/x/q", "/"];
/// Those of a quota on one of them.
const QUOTA: [&str; 3] = [
    "/zookeeper/quota/a",
    "/zookeeper/quota/a/zookeeper_limits",
    "/zookeeper/quota/a/zookeeper_stats",
];
/// How a client authenticates.
pub(crate) const USER: (&str, &[u8]) = ("digest", b"user:password");

const MODES: [CreateMode; 9] = [
    CreateMode::Persistent,
    CreateMode::Persistent,
    CreateMode::Persistent,
    CreateMode::Ephemeral,
    CreateMode::PersistentSequential,
    CreateMode::EphemeralSequential,
    CreateMode::Container,
    CreateMode::Ttl(1_500),
    CreateMode::SequentialTtl(60_000),
];
const KINDS: [WatcherType; 5] = [
    WatcherType::Any,
    WatcherType::Data,
    WatcherType::Children,
    WatcherType::Persistent,
    WatcherType::PersistentRecursive,
];

/// What the parts of a request are made of.
struct Drawn {
    path: &'static str,
    other: &'static str,
    data: Option<Vec<u8>>,
    acl: Vec<Acl>,
    mode: CreateMode,
    version: i32,
    watch: bool,
    kind: WatcherType,
}

/// Draws a request, and hands it to `send`.
pub(crate) fn draw(random: &mut Random, send: impl FnOnce(&Request<'_>)) {
    let all = Drawn {
        path: random.pick::<&str>(&PATHS),
        other: random.pick::<&str>(&PATHS),
        data: data(random),
        acl: acl(random),
        mode: *random.pick(&MODES),
        version: random.below(4) as i32 - 1,
        watch: random.percent(50),
        kind: *random.pick(&KINDS),
    };
    match random.below(44) {
        0..=24 => draw_write(random, &all, send),
        _ => draw_read(random, &all, send),
    }
}

/// Most lists are open. The others let everybody read, and those write who have authenticated.
fn acl(random: &mut Random) -> Vec<Acl> {
    let reads = || Acl { perms: perms::READ, id: Id::anyone() };
    let writes = |perms| Acl { perms, id: Id { scheme: "auth".into(), id: String::new() } };
    match random.below(30) {
        0 => vec![reads(), writes(perms::ALL)],
        1 => vec![reads(), writes(perms::WRITE | perms::CREATE | perms::ADMIN)],
        2 => vec![],
        _ => vec![Acl::open()],
    }
}

/// A byte, more often than not.
fn data(random: &mut Random) -> Option<Vec<u8>> {
    let byte = random.below(256) as u8;
    let bytes = match random.below(60) {
        0 => return None,
        1..=2 => 0,
        3..=5 => 300,
        6 => 5_000,
        _ => 1,
    };
    Some(vec![byte; bytes])
}

fn draw_write(random: &mut Random, all: &Drawn, send: impl FnOnce(&Request<'_>)) {
    let Drawn { path, other, data, acl, version, .. } = all;
    let (data, create) = (data.as_deref(), all.create());
    // Most of them do not mind the version.
    let any = if random.percent(80) { -1 } else { *version };
    match random.below(25) {
        0..=6 => send(&Request::Create(create)),
        7 => send(&Request::Create2(create)),
        8..=10 => send(&Request::Delete { path, version: any }),
        11..=14 => send(&Request::SetData { path, data, version: *version }),
        // The root stays open: everybody could be locked out.
        15 if *path != "/" => send(&Request::SetAcl { path, acl, version: any }),
        16..=19 => draw_multi(random, all, send),
        20 => send(&Request::DeleteContainer { path: other }),
        21..=22 => draw_quota(random, send),
        _ => send(&Request::SetData { path, data, version: -1 }),
    }
}

/// Up to four operations, any of which may fail, also none; one after the other sees those before.
fn draw_multi(random: &mut Random, all: &Drawn, send: impl FnOnce(&Request<'_>)) {
    let Drawn { path, other, data, acl, version, .. } = all;
    let plain = Create { path: other, data: None, acl, mode: CreateMode::Persistent };
    let parts = [
        Request::Create(plain),
        Request::SetData { path, data: data.as_deref(), version: -1 },
        Request::Delete { path: other, version: -1 },
        Request::Check { path, version: *version },
        Request::Create(all.create()),
        Request::Create2(all.create()),
        Request::Delete { path, version: *version },
    ];
    let from = random.below(parts.len());
    let until = (from + random.below(5)).min(parts.len());
    send(&Request::Multi(&parts[from..until]));
}

/// A quota is a node with limits and one with what is used.
fn draw_quota(random: &mut Random, send: impl FnOnce(&Request<'_>)) {
    let (path, acl) = (*random.pick(&QUOTA), [Acl::open()]);
    let data = Some(*random.pick(&[&b"count=3,bytes=40"[..], b"count=100,bytes=-1", b"x"]));
    match random.below(4) {
        0 => send(&Request::Delete { path, version: -1 }),
        1 => send(&Request::SetData { path, data, version: -1 }),
        _ => send(&Request::Create(Create { path, data, acl: &acl, mode: CreateMode::Persistent })),
    }
}

fn draw_read(random: &mut Random, all: &Drawn, send: impl FnOnce(&Request<'_>)) {
    let Drawn { path, watch, kind, .. } = *all;
    let parts = [
        Request::GetData { path, watch: false },
        Request::GetChildren { path: all.other, watch: false },
        Request::GetData { path: all.other, watch: false },
    ];
    send(&match random.below(24) {
        0..=2 => Request::Exists { path, watch },
        3..=5 => Request::GetData { path, watch },
        6..=7 => Request::GetChildren { path, watch },
        8 => Request::GetChildren2 { path, watch },
        9 => Request::GetAllChildrenNumber { path },
        10 => Request::GetEphemerals { prefix: random.pick::<&str>(&["/", "/a", "/b/z"]) },
        11 => Request::MultiRead(&parts[random.below(3)..]),
        12..=13 => Request::Sync { path },
        14..=15 => Request::Ping,
        16 => Request::AddWatch { path, mode: WatchMode::Persistent },
        17 => Request::AddWatch { path, mode: WatchMode::PersistentRecursive },
        18 => Request::RemoveWatches { path, kind },
        19 => Request::CheckWatches { path, kind },
        20 => Request::GetData { path: CONFIG_NODE, watch },
        21 => Request::GetAcl { path },
        22 => Request::GetData { path: random.pick::<&str>(&QUOTA), watch },
        _ if random.percent(5) => Request::CloseSession,
        _ => Request::WhoAmI,
    });
}

impl Drawn {
    fn create(&self) -> Create<'_> {
        let Drawn { path, data, acl, mode, .. } = self;
        Create { path, data: data.as_deref(), acl, mode: *mode }
    }
}
