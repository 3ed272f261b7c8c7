//! One process of an ensemble.

use std::io::{BufRead, BufReader, ErrorKind};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use ringkeeper_engine::client::{Client, Error, Options, four_letter_word};
use rustix::process::{Pid, Signal, kill_process};

use crate::three::PATIENCE;

/// The process. It is killed with this value.
pub(crate) struct Server {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    /// Where clients connect.
    pub(crate) address: SocketAddr,
}

/// What a server says of itself in answer to `role`.
#[derive(Debug, Default)]
pub(crate) struct Role {
    text: String,
}

impl Role {
    /// The value of a name; nothing where it is not said.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let lines = self.text.lines().filter_map(|line| line.split_once('\t'));
        lines.filter(|(known, _)| *known == name).map(|(_, value)| value).next()
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.value(name)?.parse().ok()
    }

    /// It serves its clients, reads and writes.
    pub(crate) fn serves(&self) -> bool {
        self.value("clients") == Some("all")
    }

    pub(crate) fn leads(&self) -> bool {
        self.serves() && self.value("role") == Some("leader")
    }
}

impl Server {
    /// Starts a process, whose clients connect to this address.
    pub(crate) fn start(mut command: Command, address: SocketAddr) -> Server {
        let command = command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let errors = child.stderr.take().expect("it was just piped");
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let said = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                said.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Server { child, lines, address }
    }

    /// What it has written to its log.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it is doing; nothing is known while it does not listen.
    pub(crate) fn role(&self) -> Role {
        Role { text: four_letter_word(self.address, "role").unwrap_or_default() }
    }

    /// The answer to a word.
    pub(crate) fn word(&self, word: &str) -> String {
        four_letter_word(self.address, word).expect("it answers")
    }

    /// Opens a session, as soon as clients are served.
    pub(crate) fn connect(&self) -> Client {
        let until = Instant::now() + PATIENCE;
        loop {
            match Client::connect(self.address, Options::default()) {
                Ok(client) => return client,
                Err(Error::Closed) if Instant::now() < until => {}
                // It does not listen yet.
                Err(Error::Io(error))
                    if error.kind() == ErrorKind::ConnectionRefused && Instant::now() < until => {}
                Err(error) => panic!("no session: {error}; {:#?}", self.lines()),
            }
        }
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is ours");
    }

    /// The end that services are stopped with.
    pub(crate) fn terminate(mut self) -> (ExitStatus, Vec<String>) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it runs");
        (self.child.wait().expect("it is ours"), self.lines())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
