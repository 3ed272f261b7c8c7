//! An ensemble that is played: three voters, one of which may lead, and what the server under test
//! has said to them.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ringkeeper_engine::op::Write;
use ringkeeper_engine::wire::peer::{InitialMessage, LeaderPacket};
use ringkeeper_engine::{SessionId, Zxid};
use socket2::SockRef;
use tempfile::TempDir;

use crate::history::{Forwarded, History};
use crate::link::{self, Gone, Link};
use crate::loopback::own_host;
use crate::voter;

/// How long anything may take on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What the server has said.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Met {
    /// It has dialled the election port of this voter.
    Dialled(u8, InitialMessage),
    /// OBSERVERINFO: the epoch promised, the number, and the version of the configuration.
    ObserverInfo(Zxid, i64, i64),
    /// ACKEPOCH: the last transaction, and the current epoch.
    AckEpoch(Zxid, Option<i32>),
    /// ACK.
    Ack(Zxid),
    /// PING, with the sessions that were heard of.
    Ping(Vec<(SessionId, i32)>),
    /// REVALIDATE.
    Revalidate(SessionId, i32),
    /// REQUEST.
    Request(Forwarded),
    /// The script of a link has ended, and its connection with it.
    Gone,
}

/// Whether requests of the server are executed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Requests {
    Executed,
    /// Until the leader changes.
    Held,
    /// Neither are they read, and nothing is sent: the leader's host is gone, and nothing says so.
    Unread,
    /// Nothing is taken from the socket, and pings are sent as ever.
    Stuck,
}

/// The hosts of the voters, all of which lose their power together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hosts {
    /// How often they have been started.
    pub(crate) lives: u32,
    pub(crate) are_up: bool,
}

/// What a leader does with its next link.
pub(crate) type Script = Box<dyn FnOnce(&mut Link) -> Result<(), Gone> + Send>;

/// What all threads of the ensemble share.
pub(crate) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// What the voters know.
pub(crate) struct State {
    pub(crate) history: History,
    pub(crate) leader: Option<u8>,
    pub(crate) epoch: u32,
    pub(crate) requests: Requests,
    /// What a voter sends instead of its vote.
    pub(crate) garbage: Vec<(u8, Vec<u8>)>,
    pub(crate) hosts: Hosts,
    /// Connections of elections, with the voter at this side.
    pub(crate) elections: Vec<(u8, TcpStream)>,
    /// The newest link that is synchronized.
    pub(crate) link: Option<TcpStream>,
    scripts: VecDeque<Script>,
    met: Vec<Met>,
}

/// The ensemble, and the directory of the server under test.
pub(crate) struct Ensemble {
    pub(crate) shared: Arc<Shared>,
    pub(crate) home: TempDir,
    /// The number of the server.
    pub(crate) own: u8,
    /// Its own address of the loopback network.
    pub(crate) host: Ipv4Addr,
    /// All server lines.
    pub(crate) lines: String,
    cursor: Mutex<usize>,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, met: Met) {
        self.lock().met.push(met);
        self.changed.notify_all();
    }

    /// Waits until something has changed, or for so long.
    pub(crate) fn wait_change<'a>(
        &self,
        state: MutexGuard<'a, State>,
        limit: Duration,
    ) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout(state, limit);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    pub(crate) fn next_script(&self) -> Script {
        let script = self.lock().scripts.pop_front();
        script.unwrap_or_else(|| Box::new(Link::synchronize_and_serve))
    }
}

impl State {
    /// Sends a packet to the learner, if there is one.
    pub(crate) fn send(&mut self, packet: &LeaderPacket<'_>) {
        if let Some(stream) = &self.link {
            let mut bytes = Vec::new();
            packet.encode(&mut bytes);
            // A learner that is gone gets it from the next link.
            let _ = std::io::Write::write_all(&mut &*stream, &bytes);
        }
    }

    /// Informs the learner of the last transaction; its digest is changed in these bits.
    pub(crate) fn inform(&mut self, changed_bits: u64) {
        let (index, zxid) = (self.history.txns.len() - 1, self.history.last());
        let txn = self.history.payload(index, changed_bits);
        self.send(&LeaderPacket::Inform { zxid, txn: &txn });
    }

    /// As [`State::inform`], of a change of the members.
    pub(crate) fn inform_and_activate(&mut self, designated: i64) {
        let (index, zxid) = (self.history.txns.len() - 1, self.history.last());
        let txn = self.history.payload(index, 0);
        self.send(&LeaderPacket::InformAndActivate { zxid, designated, txn: &txn });
    }

    fn elect(&mut self, leader: u8) {
        self.leader = Some(leader);
        for (voter, stream) in std::mem::take(&mut self.elections) {
            if voter::vote(self, voter, &stream).is_ok() {
                self.elections.push((voter, stream));
            }
        }
    }
}

impl Ensemble {
    /// The server has the largest number, so that it keeps the connections of elections.
    pub(crate) fn of_server_4() -> Ensemble {
        Ensemble::new(4, [1, 2, 3], None)
    }

    /// The server has the smallest number, so that the voters dial it back.
    pub(crate) fn of_server_1() -> Ensemble {
        Ensemble::new(1, [2, 3, 5], None)
    }

    /// As [`Ensemble::of_server_4`]. Voter 3 takes no learners, though it may lead.
    pub(crate) fn with_deaf_voter_3() -> Ensemble {
        Ensemble::new(4, [1, 2, 3], Some(3))
    }

    fn new(own: u8, voters: [u8; 3], deaf: Option<u8>) -> Ensemble {
        let state = State {
            history: History::new(1),
            leader: None,
            epoch: 1,
            requests: Requests::Executed,
            garbage: Vec::new(),
            hosts: Hosts { lives: 1, are_up: true },
            elections: Vec::new(),
            link: None,
            scripts: VecDeque::new(),
            met: Vec::new(),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let mut lines = String::new();
        for voter in voters {
            let [quorum, election] = [(); 2]
                .map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free"));
            let port = |listener: &TcpListener| listener.local_addr().expect("it listens").port();
            let ports = (port(&quorum), port(&election));
            lines += &format!("server.{voter}=127.0.0.1:{}:{}:participant\n", ports.0, ports.1);
            voter::listen(voter, election, shared.clone());
            if deaf != Some(voter) {
                link::listen(voter, quorum, shared.clone());
            }
        }
        let host = own_host();
        lines += &format!("server.{own}={host}:21888:21889:observer\n");
        let home = tempfile::tempdir().expect("a temporary directory");
        let cursor = Mutex::default();
        Ensemble { shared, home, own, host, lines, cursor }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }

    /// What the next link is for. Links without a script are synchronized as their learner needs
    /// it, and served.
    pub(crate) fn script(
        &self,
        script: impl FnOnce(&mut Link) -> Result<(), Gone> + Send + 'static,
    ) {
        self.lock().scripts.push_back(Box::new(script));
    }

    /// This voter leads, in the first epoch.
    pub(crate) fn lead(&self, leader: u8) {
        self.lock().elect(leader);
    }

    /// This voter leads the next epoch.
    pub(crate) fn lead_next_epoch(&self, leader: u8) {
        let mut state = self.lock();
        state.epoch += 1;
        state.requests = Requests::Executed;
        let epoch = state.epoch;
        state.history.begin_epoch(epoch);
        state.elect(leader);
    }

    /// The leader closes its links, and none leads.
    pub(crate) fn lose_leader(&self) {
        let mut state = self.lock();
        state.leader = None;
        if let Some(stream) = state.link.take() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// As [`Ensemble::lose_leader`], but the link is reset.
    pub(crate) fn reset_leader(&self) {
        let mut state = self.lock();
        state.leader = None;
        let stream = state.link.take().expect("there is a link");
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket");
        // This ends the script, and with its descriptor the connection.
        let _ = stream.shutdown(Shutdown::Read);
    }

    /// The leader falls silent, and none leads.
    pub(crate) fn silence_leader(&self) {
        let mut state = self.lock();
        (state.leader, state.requests) = (None, Requests::Unread);
    }

    /// The leader pings and reads nothing, and the voters have none.
    pub(crate) fn jam_leader(&self) {
        let mut state = self.lock();
        (state.leader, state.requests) = (None, Requests::Stuck);
    }

    /// The hosts of all voters lose their power. Connections of elections stay open, and whatever
    /// comes over them is lost.
    pub(crate) fn cut_power(&self) {
        self.lose_leader();
        let mut state = self.lock();
        state.hosts = Hosts { lives: state.hosts.lives + 1, are_up: false };
        state.elections.clear();
    }

    /// And are started again.
    pub(crate) fn restore_power(&self) {
        self.lock().hosts.are_up = true;
    }

    /// A client of another server writes.
    pub(crate) fn write(&self, write: Write) -> Zxid {
        let mut state = self.lock();
        let zxid = state.history.write(write);
        state.inform(0);
        zxid
    }

    /// The first thing that the server has said since the last call that this takes.
    pub(crate) fn wait<T>(&self, mut take: impl FnMut(&Met) -> Option<T>) -> T {
        let mut cursor = self.cursor.lock().unwrap_or_else(PoisonError::into_inner);
        let until = Instant::now() + PATIENCE;
        let mut state = self.lock();
        loop {
            while let Some(met) = state.met.get(*cursor) {
                *cursor += 1;
                if let Some(taken) = take(met) {
                    return taken;
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "it does not come: {:?}", state.met);
            state = self.shared.wait_change(state, left);
        }
    }

    /// What the server has said so far is not waited for.
    pub(crate) fn forget(&self) {
        let mut cursor = self.cursor.lock().unwrap_or_else(PoisonError::into_inner);
        *cursor = self.lock().met.len();
    }

    /// Waits for a link, and returns what it offers: the epoch promised, the last transaction, and
    /// the current epoch.
    pub(crate) fn wait_offer(&self) -> (u32, Zxid, Option<i32>) {
        let promised = self.wait(|met| match met {
            Met::ObserverInfo(zxid, ..) => Some(zxid.epoch()),
            _ => None,
        });
        self.wait(|met| match met {
            Met::AckEpoch(last, current) => Some((promised, *last, *current)),
            _ => None,
        })
    }

    /// Waits for a request of this operation.
    pub(crate) fn wait_request(&self, op_code: i32) -> Forwarded {
        self.wait(|met| match met {
            Met::Request(request) if request.op == op_code => Some(request.clone()),
            _ => None,
        })
    }

    /// Waits for the end of a link.
    pub(crate) fn wait_gone(&self) {
        self.wait(|met| (*met == Met::Gone).then_some(()));
    }

    /// How often the server has said something that this holds of, since the beginning.
    pub(crate) fn count(&self, holds: impl Fn(&Met) -> bool) -> usize {
        self.lock().met.iter().filter(|met| holds(met)).count()
    }
}
