//! All servers are restarted one after the other under clients that know all of them: no request
//! fails, no session ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ringkeeper_engine::client::{Client, Error, Options};

use crate::three::{PATIENCE, Three};

const CLIENTS: usize = 24;

/// What a client has met.
#[derive(Debug, Default)]
struct Met {
    /// Requests that were answered.
    answered: u64,
    /// How often it had to connect again.
    moves: u64,
    /// Requests whose outcome it does not know.
    failed: Vec<String>,
    /// The longest that a write has taken.
    slowest: Duration,
}

/// A client that knows all servers, and one node of its own.
struct Nomad {
    servers: Vec<SocketAddr>,
    at: usize,
    client: Client,
    path: String,
    /// What its node has.
    count: u64,
    met: Met,
}

impl Nomad {
    fn new(number: usize, servers: Vec<SocketAddr>, client: Client) -> Nomad {
        let path = format!("/nomad{number}");
        let at = number % servers.len();
        Nomad { servers, at, client, path, count: 0, met: Met::default() }
    }

    /// Works until it is stopped. Between two requests it listens to its connection, as clients do:
    /// one that is closed there has cost no request.
    fn work(mut self, pause: Duration, stop: &AtomicBool) -> Met {
        while !stop.load(Ordering::Acquire) {
            match self.client.wait_event(pause) {
                Ok(_) => self.request(),
                Err(_) => self.move_on(),
            }
        }
        let (data, _) = self.read().expect("everybody serves");
        let found = String::from_utf8(data.expect("it has data")).expect("digits");
        assert_eq!(found, self.count.to_string(), "{}", self.path);
        self.met
    }

    fn read(&mut self) -> Result<(Option<Vec<u8>>, ringkeeper_engine::wire::Stat), Error> {
        let path = self.path.clone();
        self.client.get(&path)
    }

    /// Three writes, then a read, which has to show the last one.
    fn request(&mut self) {
        let (began, number) = (Instant::now(), self.met.answered + 1);
        let done = if number.is_multiple_of(4) {
            self.read().map(|(data, _)| {
                assert_eq!(data, Some(self.count.to_string().into_bytes()), "{}", self.path);
            })
        } else {
            self.count += 1;
            let (path, data) = (self.path.clone(), self.count.to_string());
            self.client.set(&path, data.as_bytes()).map(|stat| {
                assert_eq!(stat.version as u64, self.count, "a write was done twice, or not");
            })
        };
        self.met.slowest = self.met.slowest.max(began.elapsed());
        match done {
            Ok(()) => self.met.answered += 1,
            Err(error) => {
                self.met.failed.push(format!("{}: {error}", self.servers[self.at]));
                self.move_on();
            }
        }
    }

    /// Takes its session up at the next server that lets it.
    fn move_on(&mut self) {
        let until = Instant::now() + PATIENCE;
        self.met.moves += 1;
        loop {
            self.at = (self.at + 1) % self.servers.len();
            match self.client.reattach(self.servers[self.at]) {
                Ok(()) => return,
                Err(Error::Expired) => panic!("{}: its session has ended", self.path),
                Err(error) => assert!(Instant::now() < until, "nobody serves: {error}"),
            }
            thread::yield_now();
        }
    }
}

fn start_clients(three: &Three, stop: &Arc<AtomicBool>) -> Vec<JoinHandle<Met>> {
    let servers: Vec<SocketAddr> = [1, 2, 3].map(|id| three.server(id).address).to_vec();
    let start = |number: usize| {
        let at = servers[number % servers.len()];
        let mut client = Client::connect(at, Options::default()).expect("it is served");
        client.create(&format!("/nomad{number}"), b"0").expect("it is served");
        let nomad = Nomad::new(number, servers.clone(), client);
        let (stop, pause) = (stop.clone(), Duration::from_millis(1 + number as u64 % 12));
        thread::spawn(move || nomad.work(pause, &stop))
    };
    (0..CLIENTS).map(start).collect()
}

fn restart_all(three: &mut Three) {
    for id in [1, 2, 3] {
        let (status, lines) = three.take(id).terminate();
        assert!(status.success(), "{status} {lines:#?}");
        three.launch(id);
        three.wait_leader();
    }
}

fn roll(definitions: &[(&'static str, &'static str)]) {
    let mut three = Three::start(definitions);
    let leader = three.wait_leader();
    let stop = Arc::<AtomicBool>::default();
    let clients = start_clients(&three, &stop);
    restart_all(&mut three);
    // Whoever led has stopped: at least once somebody else took over.
    let epoch = three.role(three.wait_leader()).number("leader_epoch");
    assert!(epoch > Some(1), "server {leader} led, and {epoch:?}");
    stop.store(true, Ordering::Release);
    let all: Vec<Met> = clients.into_iter().map(|it| it.join().expect("it is well")).collect();
    let failed: Vec<&String> = all.iter().flat_map(|met| &met.failed).collect();
    let answered: u64 = all.iter().map(|met| met.answered).sum();
    let moves: u64 = all.iter().map(|met| met.moves).sum();
    let slowest = all.iter().map(|met| met.slowest).max().expect("there are some");
    println!("{answered} requests, {moves} moves, slowest write {slowest:?}");
    assert!(failed.is_empty(), "{} of {answered} failed: {failed:#?}", failed.len());
    assert!(moves >= CLIENTS as u64, "clients of every server had to go: {moves}");
}

#[test]
fn rolling_restart_of_all_servers_costs_no_request_and_no_session() {
    roll(&[]);
}

#[test]
fn rolling_restart_costs_nothing_whatever_loop_sockets_and_node_run_in() {
    roll(&[("ringkeeper.shards", "2")]);
    roll(&[("ringkeeper.io", "epoll")]);
}
