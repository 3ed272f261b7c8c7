//! Words on three shards, whose threads are played by the test.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ringkeeper_engine::database::Database;
use ringkeeper_engine::op::OpSettings;
use ringkeeper_engine::sasl::SaslSettings;
use ringkeeper_engine::shard::{Moment, Phase, Shard, ShardSettings};
use ringkeeper_engine::throttle::RequestLimits;
use ringkeeper_engine::tree::Tree;
use ringkeeper_engine::watch::{ConnId, OneShot};
use ringkeeper_engine::{Millis, Now, SessionId};
use tokio::runtime::{Builder, Runtime};

use super::coordinator::{ReportCoordinator, ShardTask};
use super::facts::ServerFacts;
use super::member::tests::observing;
use super::partial::PartialReport;
use super::shard_reporter::ShardReporter;
use super::state::{ReportSources, ServerState};
use super::words;
use super::words::conf::tests::facts;
use super::workers::Workers;
use crate::config::ensemble::tests::observer_of_three;
use crate::config::{FourLetterWords, Listen};
use crate::node::view::View;
use crate::node::waker::Waker;
use crate::peers::status::{ClientService, MemberStatus};
use crate::shards::ConnectionLimiter;

/// After which time a text that has not come will not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Turns of the runtime in which every task goes on as far as it can without other threads.
const YIELDS: usize = 16;

struct Server {
    runtime: Runtime,
    coordinator: Arc<ReportCoordinator>,
    view: Arc<View>,
    shards: Vec<(Shard, ShardReporter)>,
}

/// The state of a server that has done nothing yet.
fn state(facts: ServerFacts, view: Arc<View>, member: Option<Arc<MemberStatus>>) -> ServerState {
    ServerState::new(ReportSources {
        facts,
        view,
        gauges: Arc::default(),
        commits: Arc::default(),
        snapshots: Arc::default(),
        limiter: Arc::new(ConnectionLimiter::new(0, 0)),
        member,
        audit_lost: None,
    })
}

/// The facts of server 4 of four, an observer.
fn facts_of_observer() -> ServerFacts {
    ServerFacts {
        server_id: 4,
        client_address: Listen::Host("127.0.0.1".to_owned()),
        ensemble: Some(observer_of_three()),
        ..facts(FourLetterWords::All)
    }
}

/// The state of an observer that follows server 3.
pub(super) fn state_of_observer() -> (ServerState, Arc<MemberStatus>) {
    let member = Arc::new(observing());
    let view = Arc::new(View::new(Database::new(Tree::new(0), [])));
    let state = state(facts_of_observer(), view, Some(member.clone()));
    state.listens_on(Some(([0, 0, 0, 0], 24_004).into()), None);
    (state, member)
}

impl Server {
    fn new(shards: u16, whitelist: FourLetterWords) -> Server {
        Server::of(shards, facts(whitelist), None)
    }

    fn of(shards: u16, facts: ServerFacts, member: Option<Arc<MemberStatus>>) -> Server {
        let view = Arc::new(View::new(Database::new(Tree::new(0), [])));
        let waker = || Arc::new(Waker::new().unwrap());
        let words = words::known(&facts.changing.lock().whitelist);
        let state = Arc::new(state(facts, view.clone(), member));
        let wakers = ((0..shards).map(|_| waker()).collect(), waker());
        let runtime = Builder::new_current_thread().build().unwrap();
        let (workers, handle) = (Workers::start().unwrap(), runtime.handle().clone());
        let coordinator = Arc::new(ReportCoordinator::new(state, workers, wakers, handle));
        let settings = Arc::new(ShardSettings {
            ops: OpSettings::default(),
            sasl: SaslSettings::none(),
            frame_bytes_max: 1 << 20,
            handshake_ms: 10_000,
            catch_up_ms: 0,
            hash_seed: 0,
            outstanding_max: 1_000,
            requests: RequestLimits::default(),
            audits: false,
            words,
        });
        let shard = |index| {
            let reporter = ShardReporter::new(coordinator.clone(), index);
            (Shard::new(index, settings.clone()), reporter)
        };
        let shards = (0..shards).map(shard).collect();
        Server { runtime, coordinator, view, shards }
    }

    fn connect(&mut self, shard: usize) -> ConnId {
        let peer = ([127, 0, 0, 1], 4_000 + shard as u16).into();
        self.shards[shard].0.open(peer, Now::default())
    }

    fn send(&mut self, shard: usize, conn: ConnId, bytes: &[u8]) {
        let db = self.view.read();
        let moment = Moment { db: &db, now: Now::default(), now_us: 0 };
        self.shards[shard].0.received(conn, bytes, moment);
        self.shards[shard].0.resume_stalled(moment);
    }

    /// One turn of one shard.
    fn turn_of(&mut self, shard: usize) {
        let (shard, reporter) = &mut self.shards[shard];
        reporter.note_replies(shard);
        if !shard.outputs.words.is_empty() || reporter.has_work() {
            reporter.serve(shard);
        }
    }

    /// Goes on with reports as far as they do not wait for a shard or a worker.
    fn run_reports(&mut self) {
        self.runtime.block_on(async {
            for _ in 0..YIELDS {
                tokio::task::yield_now().await;
            }
        });
    }

    /// One turn of every thread.
    fn turn(&mut self) {
        self.run_reports();
        (0..self.shards.len()).for_each(|shard| self.turn_of(shard));
        while let Some(job) = self.coordinator.node.pop() {
            let sessions = vec![(SessionId(7), Millis(5_000))];
            job.finish_with(PartialReport { sessions, ..PartialReport::default() });
        }
    }

    /// The answer to a word, as a client reads it: whatever is there, each turn.
    fn answer_to(&mut self, shard: usize, word: &[u8]) -> String {
        let conn = self.connect(shard);
        self.send(shard, conn, word);
        let mut text = Vec::new();
        let asked = Instant::now();
        while asked.elapsed() < PATIENCE {
            self.turn();
            let Some(open) = self.shards[shard].0.conn_mut(conn) else { break };
            text.append(&mut open.out);
            if open.phase == Phase::Closing {
                self.shards[shard].0.lost(conn);
                return String::from_utf8(text).unwrap();
            }
            // Texts are made on other threads as well.
            std::thread::yield_now();
        }
        panic!("no answer to {}", String::from_utf8_lossy(word));
    }
}

fn all() -> Server {
    Server::new(3, FourLetterWords::All)
}

#[test]
fn words_about_one_shard_are_answered_at_once() {
    let mut server = all();
    for (word, text) in [
        (&b"ruok"[..], "imok"),
        (b"isro", "rw"),
        (b"gtmk", "306"),
        (b"stmk\0\0\0\0\0\0\0\x05", "5"),
        (b"gtmk", "5"),
        (b"hash", ""),
    ] {
        assert_eq!(server.answer_to(1, word), text);
    }
}

#[test]
fn word_outside_the_whitelist_is_refused() {
    let only = FourLetterWords::Only(["srvr".to_owned()].into());
    let mut server = Server::new(1, only);
    let text = "mntr is not executed because it is not in the whitelist.\n";
    assert_eq!(server.answer_to(0, b"mntr"), text);
    assert!(server.answer_to(0, b"srvr").starts_with("Zookeeper version: 3.9.5-"));
}

#[test]
fn every_shard_adds_its_part() {
    let mut server = all();
    for shard in [0, 1, 1, 2, 2, 2] {
        server.connect(shard);
    }
    let text = server.answer_to(1, b"srvr");
    assert!(text.contains("\nReceived: 1\nSent: 0\nConnections: 7\n"), "{text}");
    let text = server.answer_to(2, b"stat");
    assert_eq!(text.matches("\n /127.0.0.1:").count(), 7, "{text}");
    let text = server.answer_to(0, b"cons");
    assert_eq!(text.lines().filter(|line| line.starts_with(" /127.0.0.1:400")).count(), 7);
    assert!(text.ends_with(")\n\n"));
}

#[test]
fn dump_has_a_part_of_the_node() {
    let text = all().answer_to(2, b"dump");
    assert!(text.contains("\nSession Sets (1)/(1):\n1 expire at "), "{text}");
    assert!(text.contains(":\n\t0x7\nephemeral nodes dump:\n"), "{text}");
    assert!(text.contains("\nConnections Sets (1)/(1):\n"), "{text}");
}

#[test]
fn resets_reach_every_shard() {
    let mut server = all();
    let mut others = Vec::new();
    for shard in 0..3 {
        let conn = server.connect(shard);
        server.shards[shard].0.conn_mut(conn).unwrap().stats.received = 5;
        server.shards[shard].0.counters.sent = 1_000;
        others.push(conn);
    }
    assert_eq!(server.answer_to(0, b"crst"), "Connection stats reset.\n");
    assert!(others.iter().zip(&server.shards).all(|(conn, (shard, _))| {
        shard.conn(*conn).is_some_and(|conn| conn.stats.received == 0)
    }));
    assert_eq!(server.answer_to(1, b"srst"), "Server stats reset.\n");
    let text = server.answer_to(2, b"srvr");
    assert!(text.contains("\nReceived: 1\nSent: 1\n"), "{text}");
}

#[test]
fn mntr_and_conf_are_made_on_a_thread_of_their_own() {
    let mut server = all();
    server.coordinator.state.listens_on(Some(([0, 0, 0, 0], 2_181).into()), None);
    let text = server.answer_to(1, b"mntr");
    assert!(text.contains("\nzk_num_alive_connections\t1\n"), "{text}");
    assert!(server.answer_to(1, b"conf").starts_with("clientPort=2181\n"));
    assert!(server.answer_to(1, b"envi").starts_with("Environment:\n"));
}

#[test]
fn many_watches_are_listed_in_slices() {
    const EACH: usize = 20_000;
    let mut server = all();
    for shard in 0..3 {
        let conn = server.connect(shard);
        for number in 0..EACH {
            let path = format!("/shard-{shard}/some/long/directory/with/node-{number:06}");
            server.shards[shard].0.watches.add_one_shot(conn, &path, OneShot::Data);
        }
        server.shards[shard].0.watches.add_one_shot(conn, "/common", OneShot::Data);
    }
    let summary =
        format!("3 connections watching {} paths\nTotal watches:{}\n", 3 * EACH + 1, 3 * EACH + 3);
    assert_eq!(server.answer_to(1, b"wchs"), summary);
    let text = server.answer_to(1, b"wchp");
    assert!(text.len() > 2 << 20, "longer than an output may be");
    assert_eq!(text.lines().filter(|line| line.starts_with('/')).count(), 3 * EACH + 1);
    assert!(text.starts_with("/common\n\t0x0\n\t0x0\n\t0x0\n/shard-0/"));
    assert!(!server.shards[1].1.has_work(), "a reporter rests when its texts are handed over");
    let text = server.answer_to(2, b"wchc");
    assert_eq!(text.lines().filter(|line| line.starts_with("\t/")).count(), 3 * EACH + 3);
}

#[test]
fn text_of_a_client_that_has_gone_does_not_reach_the_next_one_with_its_id() {
    let mut server = all();
    for turns in 0..20 {
        let conn = server.connect(0);
        server.send(0, conn, b"srvr");
        server.turn_of(0);
        // From the third turn on the text is on its way to the shard.
        for _ in 0..turns % 4 {
            server.run_reports();
            (1..3).for_each(|shard| server.turn_of(shard));
        }
        server.shards[0].0.lost(conn);
        let other = server.connect(0);
        assert_ne!(conn, other, "the id is in use until the shard's next turn");
        server.turn_of(0);
        assert!(server.shards[0].0.conn(other).is_some_and(|conn| conn.out.is_empty()));
        assert_eq!(
            server.answer_to(0, b"wchs"),
            "0 connections watching 0 paths\nTotal watches:0\n"
        );
        server.shards[0].0.lost(other);
    }
    assert!(
        server.answer_to(1, b"srvr").starts_with("Zookeeper version: 3.9.5-"),
        "permits are back"
    );
}

#[test]
fn flood_of_lookups_is_answered_by_few_workers() {
    const FLOOD: usize = 300;
    let mut server = all();
    server.coordinator.state.listens_on(Some(([0, 0, 0, 0], 2_181).into()), None);
    let mut left: Vec<ConnId> = (0..FLOOD).map(|_| server.connect(0)).collect();
    for conn in &left {
        server.send(0, *conn, b"conf");
    }
    let asked = Instant::now();
    while !left.is_empty() {
        assert!(asked.elapsed() < PATIENCE, "{} of {FLOOD} wait", left.len());
        server.turn();
        assert!(server.coordinator.workers.files.waiting() <= 8, "as many as there are permits");
        left.retain(|conn| {
            let open = server.shards[0].0.conn(*conn).expect("it waits for its text");
            open.phase != Phase::Closing || !open.out.starts_with(b"clientPort=2181\n")
        });
        std::thread::yield_now();
    }
}

#[test]
fn disk_that_does_not_answer_holds_up_no_other_word() {
    let mut server = all();
    server.coordinator.state.listens_on(Some(([0, 0, 0, 0], 2_181).into()), None);
    let (release, waits) = crossbeam::channel::bounded::<()>(0);
    for _ in 0..2 {
        let (coordinator, waits) = (server.coordinator.clone(), waits.clone());
        server
            .runtime
            .spawn(async move { coordinator.workers.files.run(move || waits.recv()).await });
    }
    let conn = server.connect(0);
    server.send(0, conn, b"conf");
    server.turn();
    for word in [b"cons", b"dump", b"envi", b"mntr", b"wchp"] {
        assert!(!server.answer_to(1, word).is_empty());
    }
    assert!(server.shards[0].0.conn(conn).is_some_and(|conn| conn.out.is_empty()));
    drop(release);
    assert!(server.answer_to(1, b"dirs").starts_with("datadir_size: "));
}

#[test]
fn few_reports_are_under_way_and_the_others_wait_in_order() {
    const WORDS: usize = 100;
    const UNDER_WAY: usize = 4;
    let mut server = Server::new(2, FourLetterWords::All);
    let conns: Vec<ConnId> = (0..WORDS).map(|_| server.connect(0)).collect();
    for conn in &conns {
        server.send(0, *conn, b"cons");
    }
    // The other shard does not make its part, so that no report is complete.
    let serve = |server: &mut Server| {
        server.turn_of(0);
        server.run_reports();
        server.turn_of(0);
        server.coordinator.shards[1].len()
    };
    assert_eq!(serve(&mut server), UNDER_WAY);
    let number = server.connect(0);
    server.send(0, number, b"srvr");
    assert_eq!(serve(&mut server), UNDER_WAY + 1, "lists are not in its way");
    // Every third one goes. Those who wait leave the queue, and all their ids are free.
    let (gone, left): (Vec<_>, Vec<_>) = conns.iter().partition(|conn| conn.0 % 3 == 0);
    gone.iter().for_each(|conn| server.shards[0].0.lost(*conn));
    let under_way = gone.iter().filter(|conn| conns[..UNDER_WAY].contains(conn)).count();
    assert_eq!(serve(&mut server), UNDER_WAY + 1 + under_way, "others have their permits");
    assert!(gone.iter().all(|conn| server.shards[0].0.conn(*conn).is_none()));
    assert_eq!(server.shards[0].1.waiting(), left.len() + 1);
    for _ in 0..WORDS {
        let last = server.connect(0);
        server.send(0, last, b"cons");
        serve(&mut server);
        server.shards[0].0.lost(last);
        serve(&mut server);
        assert_eq!(server.shards[0].1.waiting(), left.len() + 1);
    }
    let asked = Instant::now();
    let mut answered = 0;
    while answered < left.len() {
        assert!(asked.elapsed() < PATIENCE, "{answered} of {}", left.len());
        server.turn();
        let is_answered = |conn: &ConnId| {
            let open = server.shards[0].0.conn(*conn).expect("its socket is there");
            open.phase == Phase::Closing && open.out.starts_with(b" /127.0.0.1:")
        };
        answered = left.iter().take_while(|conn| is_answered(conn)).count();
        let ahead = left[answered..].iter().filter(|conn| is_answered(conn)).count();
        assert!(ahead <= UNDER_WAY, "{ahead} have overtaken another one");
        std::thread::yield_now();
    }
    assert!(server.answer_to(1, b"cons").starts_with(" /127.0.0.1:"), "there are permits again");
}

#[test]
fn shards_stop_working_on_a_report_that_nothing_waits_for() {
    let mut server = Server::new(2, FourLetterWords::All);
    let conn = server.connect(0);
    server.send(0, conn, b"wchp");
    server.turn_of(0);
    server.run_reports();
    server.shards[0].0.lost(conn);
    server.turn_of(0);
    server.run_reports();
    let Some(ShardTask::Collect(job)) = server.coordinator.shards[1].pop() else {
        panic!("the other shard has its job")
    };
    assert!(job.part.is_abandoned());
}

/// Server 4, an observer that follows server 3.
fn observer() -> (Server, Arc<MemberStatus>) {
    let member = Arc::new(observing());
    (Server::of(1, facts_of_observer(), Some(member.clone())), member)
}

#[test]
fn observer_says_what_it_is_in_every_word_that_zookeeper_has_it_in() {
    let (mut server, _) = observer();
    let text = server.answer_to(0, b"srvr");
    assert!(text.contains("\nMode: observer\n"), "{text}");
    let text = server.answer_to(0, b"mntr");
    let rows = "\nzk_server_state\tobserver\nzk_peer_state\tobserving - broadcast\n\
                zk_observer_master_id\t3\nzk_ephemerals_count\t0\n";
    assert!(text.contains(rows) && text.contains("\nzk_quorum_size\t3\n"), "{text}");
    let text = server.answer_to(0, b"conf");
    assert!(text.contains("\nserverId=4\ninitLimit=10\n") && text.ends_with("\nversion=0"));
    let text = server.answer_to(0, b"dump");
    assert!(text.starts_with("SessionTracker dump:\nGlobal Sessions(0):\nephemeral"), "{text}");
    assert_eq!(server.answer_to(0, b"isro"), "rw");
    assert!(server.answer_to(0, b"role").starts_with("role\tobserver\nid\t4\nstate\tbroadcast\n"));
    assert_eq!(all().answer_to(0, b"role"), "role\tstandalone\n");
}

#[test]
fn words_that_need_clients_to_be_served_say_that_they_are_not() {
    let (mut server, member) = observer();
    member.update(|report| report.clients = ClientService::None);
    let sentence = "This ZooKeeper instance is not currently serving requests";
    for word in words::known(&FourLetterWords::All).into_iter().map(|word| word.name) {
        let text = match &word {
            b"stmk" => server.answer_to(0, b"stmk\0\0\0\0\0\0\0\x05"),
            _ => server.answer_to(0, &word),
        };
        // Recorded from ZooKeeper 3.9.5; the last two words are our own.
        match &word {
            b"ruok" => assert_eq!(text, "imok"),
            b"isro" => assert_eq!(text, "null"),
            b"hash" => assert_eq!(text, sentence),
            b"envi" => assert!(text.starts_with("Environment:\n")),
            b"gtmk" => assert_eq!(text, "306"),
            b"stmk" => assert_eq!(text, "5"),
            b"pace" => assert!(text.starts_with("commit_target\t")),
            b"role" => assert!(text.contains("\nclients\tnone\n"), "{text}"),
            _ => assert_eq!(text, format!("{sentence}\n"), "{}", String::from_utf8_lossy(&word)),
        }
    }
    member.update(|report| report.clients = ClientService::Reads);
    assert!(server.answer_to(0, b"srvr").contains("\nMode: observer\n"));
    assert_eq!(server.answer_to(0, b"isro"), "null");
}

#[test]
fn reset_of_the_counters_reaches_those_of_the_member() {
    let (mut server, member) = observer();
    assert!(member.unavailable.get().sizes().count > 0);
    assert_eq!(server.answer_to(0, b"srst"), "Server stats reset.\n");
    assert_eq!(member.unavailable.get().sizes().count, 0);
}
