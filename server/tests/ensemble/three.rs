//! An ensemble of three on this host.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ringkeeper_engine::client::Client;
use tempfile::TempDir;

use crate::loopback::own_host;
use crate::program::ringkeeper;
use crate::server::{Role, Server};

/// How long anything may take on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

const IDS: [u8; 3] = [1, 2, 3];

/// What every server here has, unless a test says otherwise.
const SETTINGS: &[(&str, &str)] = &[
    ("tickTime", "2000"),
    ("initLimit", "10"),
    ("syncLimit", "5"),
    ("preAllocSize", "1024"),
    ("admin.enableServer", "false"),
    ("4lw.commands.whitelist", "*"),
    ("ringkeeper.log.device", "pwrite"),
];

/// Three servers, and those of them that run.
pub(crate) struct Three {
    home: TempDir,
    host: Ipv4Addr,
    /// The lines of the servers.
    lines: String,
    settings: Vec<(&'static str, &'static str)>,
    running: BTreeMap<u8, Server>,
}

impl Three {
    /// All of them are started.
    pub(crate) fn start(definitions: &[(&'static str, &'static str)]) -> Three {
        Three::start_with(definitions, &[])
    }

    /// As [`Three::start`], and server 4 beside them, which observes.
    pub(crate) fn start_with_observer() -> Three {
        Three::start_with(&[("observer.election.DelayMs", "10")], &[4])
    }

    fn start_with(definitions: &[(&'static str, &'static str)], observers: &[u8]) -> Three {
        let is_usual = |(key, _): &&(&str, &str)| !definitions.iter().any(|it| it.0 == *key);
        let settings = SETTINGS.iter().filter(is_usual).chain(definitions).copied().collect();
        let (home, host) = (tempfile::tempdir().expect("a temporary directory"), own_host());
        let line = |(id, role): (&u8, &str)| {
            let (quorum, election) = (21_280 + u16::from(*id), 21_380 + u16::from(*id));
            format!("server.{id}={host}:{quorum}:{election}{role}\n")
        };
        let voters = IDS.iter().map(|id| line((id, "")));
        let lines = voters.chain(observers.iter().map(|id| line((id, ":observer")))).collect();
        let mut three = Three { home, host, lines, settings, running: BTreeMap::new() };
        IDS.iter().chain(observers).for_each(|id| three.launch(*id));
        three
    }

    /// Starts one that does not run.
    pub(crate) fn launch(&mut self, id: u8) {
        let lines = self.lines.clone();
        self.launch_with(id, &lines);
    }

    /// Starts one on its own, without the others' lines.
    pub(crate) fn launch_alone(&mut self, id: u8) {
        self.launch_with(id, "");
    }

    /// Those that are started from now on have this setting.
    pub(crate) fn set(&mut self, key: &'static str, value: &'static str) {
        self.settings.retain(|(known, _)| *known != key);
        self.settings.push((key, value));
    }

    /// Waits until a server has said this in its log; returns the line.
    pub(crate) fn wait_line(&self, id: u8, part: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let lines = self.server(id).lines();
            if let Some(line) = lines.iter().find(|line| line.contains(part)) {
                return line.clone();
            }
            assert!(Instant::now() < until, "server {id} has not said {part:?}: {lines:#?}");
        }
    }

    /// Starts a second one with the number of another, at another address and on an empty disk.
    pub(crate) fn launch_double(&self, id: u8) -> Server {
        let host = own_host();
        let (own, other) = (format!("server.{id}={}:", self.host), format!("server.{id}={host}:"));
        let members = self.lines.replace(&own, &other);
        self.start_one(id, &format!("double{id}"), host, &members)
    }

    fn launch_with(&mut self, id: u8, members: &str) {
        let server = self.start_one(id, &format!("data{id}"), self.host, members);
        let before = self.running.insert(id, server);
        assert!(before.is_none(), "server {id} runs already");
    }

    fn start_one(&self, id: u8, name: &str, host: Ipv4Addr, members: &str) -> Server {
        let data = self.home.path().join(name);
        fs::create_dir_all(&data).expect("a writable directory");
        fs::write(data.join("myid"), id.to_string()).expect("a writable directory");
        let mut text = format!("dataDir={}\nclientPortAddress={host}\n", data.display());
        let address = SocketAddr::new(host.into(), 21_180 + u16::from(id));
        text += &format!("clientPort={}\n", address.port());
        text += members;
        for (key, value) in &self.settings {
            text += &format!("{key}={value}\n");
        }
        let config = self.home.path().join(format!("{name}.cfg"));
        fs::write(&config, text).expect("a writable directory");
        let command = ringkeeper(&["start", config.to_str().expect("a path in UTF-8")]);
        Server::start(command, address)
    }

    /// Where a server keeps its state.
    pub(crate) fn data(&self, id: u8) -> PathBuf {
        self.home.path().join(format!("data{id}"))
    }

    /// One that runs.
    pub(crate) fn server(&self, id: u8) -> &Server {
        &self.running[&id]
    }

    /// One of them, which does not run from now on.
    pub(crate) fn take(&mut self, id: u8) -> Server {
        self.running.remove(&id).expect("it runs")
    }

    /// The disk of a server that does not run is lost.
    pub(crate) fn wipe(&self, id: u8) {
        assert!(!self.running.contains_key(&id), "server {id} runs");
        fs::remove_dir_all(self.data(id)).expect("it has one");
    }

    pub(crate) fn role(&self, id: u8) -> Role {
        self.server(id).role()
    }

    /// Waits until one of those that run leads, and the others follow it. Returns which one.
    pub(crate) fn wait_leader(&self) -> u8 {
        let until = Instant::now() + PATIENCE;
        loop {
            let roles: BTreeMap<u8, Role> =
                self.running.iter().map(|(id, server)| (*id, server.role())).collect();
            let leader = roles.iter().find(|(_, role)| role.leads()).map(|(id, _)| *id);
            let follows =
                |role: &Role| role.serves() && role.number("leader") == leader.map(u64::from);
            if let Some(leader) = leader
                && roles.values().all(follows)
            {
                return leader;
            }
            assert!(Instant::now() < until, "none leads: {roles:#?} {:#?}", self.lines());
        }
    }

    /// Those that run, but for this one.
    pub(crate) fn others(&self, than: u8) -> Vec<u8> {
        self.running.keys().copied().filter(|id| *id != than).collect()
    }

    /// Waits until the data of a node is this at every server that runs.
    pub(crate) fn see(&self, path: &str, data: &[u8]) {
        for (id, server) in &self.running {
            let mut client = server.connect();
            client.sync(path).expect("it is served");
            let found = client.get(path).expect("it is there").0;
            assert_eq!(found.as_deref(), Some(data), "server {id}");
            client.close().expect("it is served");
        }
    }

    /// Waits until what a server says of its numbers has these lines.
    pub(crate) fn wait_numbers(&self, id: u8, lines: &[&str]) {
        let until = Instant::now() + PATIENCE;
        loop {
            let mntr = self.server(id).word("mntr");
            if lines.iter().all(|line| mntr.contains(&format!("\n{line}\n"))) {
                return;
            }
            assert!(Instant::now() < until, "{lines:?} {mntr}");
        }
    }

    pub(crate) fn connect(&self, id: u8) -> Client {
        self.server(id).connect()
    }

    fn lines(&self) -> BTreeMap<u8, Vec<String>> {
        self.running.iter().map(|(id, server)| (*id, server.lines())).collect()
    }
}
