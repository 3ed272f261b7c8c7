//! Counters at the end of their 32 bits: what takes two thousand million operations to get to is
//! put into the log that the server starts on.

use std::rc::Rc;

use ringkeeper_engine::client::{Core, Create, CreateMode, Message, Options, Reply, Request};
use ringkeeper_engine::database::Interest;
use ringkeeper_engine::tree::{Progress, TreeLoader};
use ringkeeper_engine::txn::{CreateOp, CreateTxn, NodeKind, Txn, TxnBody};
use ringkeeper_engine::watch::ConnId;
use ringkeeper_engine::wire::{Acl, Stat};
use ringkeeper_engine::{Code, Millis, SessionId, Zxid};

use crate::server::{HASH_SEED, Server, ServerSettings, empty_database};

/// `/s` has had so many children but two, and `/v` so many changes but two.
const LAST: i32 = i32::MAX;

fn worn() -> Vec<Rc<Txn>> {
    let acl = [Acl::open()];
    let create = |path: &str, parent_cversion| {
        TxnBody::Create(CreateTxn {
            op: CreateOp::Create,
            path: path.into(),
            data: Some(Box::from(*b"0")),
            acl: acl.clone().into(),
            kind: NodeKind::Persistent,
            parent_cversion,
        })
    };
    let bodies = [
        create("/s", 1),
        create("/v", 2),
        create("/s/old", LAST - 1),
        TxnBody::SetData { path: "/v".into(), data: None, version: LAST - 1 },
        TxnBody::SetAcl { path: "/v".into(), acl: acl.clone().into(), version: LAST - 1 },
    ];
    let txn = |(zxid, body)| Txn {
        session: SessionId(5),
        cxid: 1,
        zxid: Zxid(zxid),
        time: Millis(7),
        body,
    };
    (1..).zip(bodies).map(txn).map(Rc::new).collect()
}

/// One client that waits for each answer.
struct Session {
    server: Server,
    conn: ConnId,
    core: Core<()>,
}

impl Session {
    fn on(history: Vec<Rc<Txn>>) -> Session {
        let mut server = Server::after(history, ServerSettings::default());
        let mut core = Core::new(Options::default());
        let conn = server.open(0);
        let mut bytes = Vec::new();
        core.connect(server.now.mono, &mut bytes);
        let mut session = Session { server, conn, core };
        session.exchange(&bytes, |message| matches!(message, Message::Connected(_)).then_some(()));
        session
    }

    /// Sends, and lets everything move until there is what is looked for.
    fn exchange<T>(
        &mut self,
        bytes: &[u8],
        mut look: impl FnMut(Message<'_, ()>) -> Option<T>,
    ) -> T {
        let mut sent = bytes;
        for _ in 0..10 {
            self.server.turn(self.conn, std::mem::take(&mut sent));
            let conn = self.server.shards[0].shard.conn_mut(self.conn).expect("it stays open");
            let out = std::mem::take(&mut conn.out);
            let mut rest = &out[..];
            while let Some(message) = self.core.receive(&mut rest).expect("it makes sense") {
                if let Some(found) = look(message) {
                    return found;
                }
            }
        }
        panic!("no answer");
    }

    fn call<T>(&mut self, request: &Request<'_>, read: impl Fn(&Reply<'_, ()>) -> T) -> T {
        let mut bytes = Vec::new();
        self.core.request(request, (), &mut bytes);
        self.exchange(&bytes, |message| match message {
            Message::Reply(reply) => Some(read(&reply)),
            _ => None,
        })
    }

    fn code(&mut self, request: &Request<'_>) -> i32 {
        self.call(request, |reply| reply.err)
    }

    fn stat(&mut self, path: &str) -> Stat {
        self.call(&Request::Exists { path, watch: false }, |reply| reply.body.stat().unwrap())
    }

    fn create_sequential(&mut self) -> String {
        let (acl, mode) = ([Acl::open()], CreateMode::PersistentSequential);
        let create = Create { path: "/s/n-", data: None, acl: &acl, mode };
        self.call(&Request::Create(create), |reply| reply.body.path().unwrap().into_owned())
    }

    fn set(&mut self, version: i32) -> i32 {
        self.code(&Request::SetData { path: "/v", data: Some(b"1"), version })
    }

    fn set_acl(&mut self, version: i32) -> i32 {
        self.code(&Request::SetAcl { path: "/v", acl: &[Acl::open()], version })
    }
}

#[test]
fn sequence_numbers_go_on_behind_the_largest() {
    let mut session = Session::on(worn());
    let expected = ["/s/n-2147483646", "/s/n-2147483647", "/s/n--2147483648", "/s/n--2147483647"];
    for path in expected {
        assert_eq!(session.create_sequential(), path);
    }
    let stat = session.stat("/s");
    let created = (LAST - 1).wrapping_add(4);
    assert_eq!(stat.num_children, 5);
    // Creations and deletions, as far as 32 bits go.
    assert_eq!(stat.cversion, created.wrapping_mul(2).wrapping_sub(5));
    let acl = [Acl::open()];
    let plain = Create { path: "/s/plain", data: None, acl: &acl, mode: CreateMode::Persistent };
    assert_eq!(session.code(&Request::Create(plain)), 0);
    assert_eq!(session.create_sequential(), "/s/n--2147483645", "plain ones count, too");
}

#[test]
fn a_multi_passes_the_largest_sequence_number() {
    let mut session = Session::on(worn());
    let (acl, mode) = ([Acl::open()], CreateMode::PersistentSequential);
    let create = Request::Create(Create { path: "/s/m-", data: None, acl: &acl, mode });
    let paths = session
        .call(&Request::Multi(&[create; 3]), |reply| format!("{:?}", reply.body.multi().unwrap()));
    for path in ["/s/m-2147483646", "/s/m-2147483647", "/s/m--2147483648"] {
        assert!(paths.contains(&format!("{path:?}")), "{paths}");
    }
}

#[test]
fn versions_go_on_behind_the_largest() {
    let mut session = Session::on(worn());
    let bad = Code::BadVersion.to_wire();
    assert_eq!(session.set(LAST - 1), 0);
    assert_eq!(session.set(LAST), 0);
    let stat = session.stat("/v");
    assert_eq!((stat.version, stat.aversion), (i32::MIN, LAST - 1));
    assert_eq!(session.set(LAST), bad);
    assert_eq!(session.set(i32::MIN), 0);
    assert_eq!((session.set_acl(LAST - 1), session.set_acl(LAST)), (0, 0));
    assert_eq!((session.set_acl(LAST), session.set_acl(i32::MIN)), (bad, 0));
    assert_eq!(session.stat("/v").aversion, i32::MIN + 1);
    let delete = |version| Request::Delete { path: "/v", version };
    assert_eq!(session.code(&delete(LAST)), bad);
    assert_eq!(session.code(&delete(i32::MIN + 1)), 0);
}

/// At version -1 a condition cannot be told from none; ZooKeeper 3.9 has the same gap.
#[test]
fn version_minus_one_is_reached_and_left() {
    let mut history = worn();
    let fourth = Rc::get_mut(&mut history[3]).expect("nobody else has it");
    let TxnBody::SetData { version, .. } = &mut fourth.body else {
        panic!("the fourth one sets data");
    };
    *version = -3;
    let mut session = Session::on(history);
    for (expected, after) in [(-3, -2), (-2, -1), (-1, 0), (0, 1)] {
        assert_eq!(session.set(expected), 0);
        assert_eq!(session.stat("/v").version, after);
    }
}

/// Neither a log nor a snapshot is where a counter starts again.
#[test]
fn worn_counters_survive_a_restart() {
    let mut session = Session::on(worn());
    (0..3).for_each(|_| drop(session.create_sequential()));
    (0..3).for_each(|_| assert_eq!(session.set(-1), 0));
    let (stats, digest) = (stats(&mut session), session.server.db().tree.digest());
    let history = std::mem::take(&mut session.server.history);
    let mut db = empty_database();
    history.iter().for_each(|txn| drop(db.apply(txn, Interest::None)));
    assert_eq!(db.tree.digest(), digest);
    let header = db.tree.begin_snapshot().encode();
    let mut loader = TreeLoader::new(HASH_SEED, &header).unwrap();
    let mut block = Vec::new();
    while db.tree.snapshot_slice(2, &mut block) != Progress::Done {}
    loader.add_block(&block).unwrap();
    let mut tree = loader.finish().unwrap();
    tree.keep_digest(ringkeeper_engine::tree::Digest::Kept);
    assert_eq!(tree.digest(), digest, "a snapshot gives another tree");

    let mut again = Session::on(history);
    assert_eq!(self::stats(&mut again), stats);
    assert_eq!(again.create_sequential(), "/s/n--2147483647");
    assert_eq!(again.set(i32::MIN + 1), 0);
}

fn stats(session: &mut Session) -> (Stat, Stat) {
    (session.stat("/s"), session.stat("/v"))
}

/// Nobody's pings could be noticed while the process did not run.
#[test]
fn pause_of_the_process_expires_no_session_and_silent_ones_expire_after_it() {
    let mut session = Session::on(Vec::new());
    let id = session.core.session().id;
    let timeout_ms = i64::from(session.core.timeout_ms());
    session.server.pass(3 * timeout_ms);
    assert!(session.server.knows(id), "a pause is not a silence");
    let mut silent_ms = 0;
    while session.server.knows(id) {
        session.server.pass(250);
        silent_ms += 250;
        assert!(silent_ms <= 2 * timeout_ms, "it never expires");
    }
    assert!(silent_ms >= timeout_ms, "it has its full timeout again, not {silent_ms} ms");
}
