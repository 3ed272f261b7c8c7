//! The server under test: a process that was started as a member of a played ensemble.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ringkeeper_engine::client::{Client, Error, Options, Session, four_letter_word};
use rustix::process::{Pid, Signal, kill_process};

use crate::ensemble::{Ensemble, PATIENCE};
use crate::program::ringkeeper;
use crate::web::{self, Answer};

const CLIENT_PORT: u16 = 21_181;
const HTTP_PORT: u16 = 21_080;

/// What every server here has, unless a test says otherwise.
const SETTINGS: &[(&str, &str)] = &[
    ("tickTime", "2000"),
    ("initLimit", "10"),
    ("syncLimit", "5"),
    ("preAllocSize", "1024"),
    ("peerType", "observer"),
    ("observer.election.DelayMs", "10"),
    ("fastleader.minNotificationInterval", "20"),
    ("4lw.commands.whitelist", "*"),
    ("ringkeeper.io", "auto"),
    ("ringkeeper.log.device", "pwrite"),
];

/// The process. It is killed with this value.
pub(crate) struct Member {
    child: Child,
    said: Arc<Said>,
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    http: SocketAddr,
}

/// The lines of standard error.
#[derive(Default)]
struct Said {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Default)]
struct Lines {
    all: Vec<String>,
    is_over: bool,
}

impl Ensemble {
    /// Starts the server on its directory, and waits until it looks for its leader.
    pub(crate) fn start(&self, definitions: &[(&str, &str)]) -> Member {
        let mut child = self.command(definitions).spawn().expect("the binary runs");
        let output = child.stdout.take().expect("it was just piped");
        let errors = child.stderr.take().expect("it was just piped");
        let said = Arc::<Said>::default();
        let lines = said.clone();
        thread::spawn(move || lines.read(BufReader::new(errors)));
        let host = self.host.into();
        let (address, http) =
            (SocketAddr::new(host, CLIENT_PORT), SocketAddr::new(host, HTTP_PORT));
        let member = Member { child, said, address, http };
        let mut banner = BufReader::new(output).lines().map_while(Result::ok);
        let is_up = banner.any(|line| line.contains("looking for the leader"));
        assert!(is_up, "{:?}", member.lines());
        member
    }

    /// Starts the server as one that ends by itself.
    pub(crate) fn start_in_vain(&self, definitions: &[(&str, &str)]) -> (ExitStatus, String) {
        let output = self.command(definitions).output().expect("the binary runs");
        (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn command(&self, definitions: &[(&str, &str)]) -> Command {
        let data = self.home.path().join("data");
        fs::create_dir_all(&data).expect("a writable directory");
        fs::write(data.join("myid"), self.own.to_string()).expect("a writable directory");
        let host = self.host;
        let mut text = format!(
            "dataDir={}\nclientPort={CLIENT_PORT}\nclientPortAddress={host}\n\
             admin.serverAddress={host}\nadmin.serverPort={HTTP_PORT}\n{}",
            data.display(),
            self.lines
        );
        let usual = SETTINGS.iter().filter(|(key, _)| !definitions.iter().any(|it| it.0 == *key));
        for (key, value) in usual.chain(definitions) {
            text += &format!("{key}={value}\n");
        }
        let config = self.home.path().join("zoo.cfg");
        fs::write(&config, text).expect("a writable directory");
        let mut command = ringkeeper(&["start", config.to_str().expect("a path in UTF-8")]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

impl Said {
    fn read(&self, errors: impl BufRead) {
        for line in errors.lines().map_while(Result::ok) {
            self.lines.lock().unwrap_or_else(PoisonError::into_inner).all.push(line);
            self.changed.notify_all();
        }
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).is_over = true;
        self.changed.notify_all();
    }

    /// Waits until this holds of the lines.
    fn wait(&self, what: &str, holds: impl Fn(&Lines) -> bool) {
        let until = Instant::now() + PATIENCE;
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        while !holds(&lines) {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero() && !lines.is_over, "no {what}: {:#?}", lines.all);
            let waited = self.changed.wait_timeout(lines, left);
            lines = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Member {
    /// Waits until the log has a line with this text, the so-manieth one.
    pub(crate) fn wait_line(&self, text: &str, count: usize) {
        let found = |lines: &Lines| lines.all.iter().filter(|line| line.contains(text)).count();
        self.said.wait(text, |lines| found(lines) >= count);
    }

    /// How many lines of the log have this text.
    pub(crate) fn count_lines(&self, text: &str) -> usize {
        self.lines().iter().filter(|line| line.contains(text)).count()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.said.lines.lock().unwrap_or_else(PoisonError::into_inner).all.clone()
    }

    /// Opens a session, as soon as clients are served. Until then connections wait, and those that
    /// wait are closed when a state is taken over.
    pub(crate) fn connect(&self) -> Client {
        let until = Instant::now() + PATIENCE;
        loop {
            match Client::connect(self.address, Options::default()) {
                Ok(client) => return client,
                Err(Error::Closed) if Instant::now() < until => {}
                Err(error) => panic!("no session: {error}; {:#?}", self.lines()),
            }
        }
    }

    pub(crate) fn resume(&self, session: Session) -> Result<Client, Error> {
        Client::resume(self.address, Options::default(), session)
    }

    pub(crate) fn word(&self, word: &str) -> String {
        four_letter_word(self.address, word).expect("it answers")
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        web::get(self.http, path)
    }

    /// Whether it is ready, and what `/ready` says.
    pub(crate) fn ready(&self) -> (bool, String) {
        let answer = self.get("/ready");
        assert!([200, 503].contains(&answer.status), "{answer:?}");
        (answer.status == 200, answer.text())
    }

    /// Waits until it is ready, or until it is not.
    pub(crate) fn wait_ready(&self, wanted: bool) {
        let until = Instant::now() + PATIENCE;
        while self.ready().0 != wanted {
            assert!(Instant::now() < until, "{:?} {:#?}", self.ready(), self.lines());
        }
    }

    /// What `ringkeeper status` says, and whether it ends well.
    pub(crate) fn status(&self) -> (bool, String) {
        let output = ringkeeper(&["status", "--server", &self.address.to_string()]).output();
        let output = output.expect("the binary runs");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Memory of the process that no file stands behind.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let text = fs::read_to_string(path).expect("it runs");
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|line| line.split_whitespace().next()).expect("Linux says it");
        kib.parse::<u64>().expect("a number") << 10
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is ours");
    }

    /// The end that comes by itself, and all lines.
    pub(crate) fn ended(mut self) -> (ExitStatus, Vec<String>) {
        self.said.wait("end", |lines| lines.is_over);
        (self.child.wait().expect("it is ours"), self.lines())
    }

    /// The end that services are stopped with, and how long it took.
    pub(crate) fn terminate(mut self) -> (ExitStatus, Duration) {
        let since = Instant::now();
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it runs");
        (self.child.wait().expect("it is ours"), since.elapsed())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
