//! Who leads: connections to the election ports of the voters, and from them.
//!
//! Of two servers the one with the larger number keeps the connection: a voter with a larger number
//! closes what it is dialled with and dials back, at the address that it was told. So this side
//! listens too, and sends its request on whatever connection there is. Source: ZooKeeper's
//! `QuorumCnxManager` and `FastLeaderElection`.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::{BadPacket, Notification};
use ringkeeper_replication::learner::{FoundLeader, LeaderSearch};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::connector::Connector;
use super::election_socket::{
    DIAL_BACK, REDIAL, Received, UNIDENTIFIED_MAX, accept, hello, identify, receive, refuse,
    warn_of_bytes,
};
use super::logged_once::LoggedOnce;
use crate::config::{Member, PeerRole};

/// The request is sent again no later than after this time: a voter answers it at once, and does
/// not tell when an election has ended.
const RESEND_MAX: Duration = Duration::from_secs(1);
/// Without a leader the votes are counted anew after this time.
const VOTES_COUNT: Duration = Duration::from_secs(30);

/// How requests are sent.
#[derive(Clone, Debug)]
pub(super) struct ElectionSettings {
    /// This server.
    pub(super) own: Member,
    /// The text of the configuration.
    pub(super) config: String,
    /// After how long the request is sent again at first.
    pub(super) resend_min: Duration,
    /// At last.
    pub(super) resend_max: Duration,
    /// How long a connection may be silent.
    pub(super) silence: Duration,
    /// How connections are opened.
    pub(super) connector: Connector,
}

/// The election as all connections see it.
pub(super) struct Election {
    settings: ElectionSettings,
    voters: Mutex<Vec<Member>>,
    search: Mutex<LeaderSearch>,
    /// The number of the search that is under way, 0 for none.
    round: watch::Sender<i64>,
    found: watch::Sender<Option<FoundLeader>>,
    /// Connections that voters have opened.
    inbound: Mutex<BTreeMap<ServerId, AbortHandle>>,
    unidentified: Arc<Semaphore>,
    log: LoggedOnce,
}

impl Election {
    /// Nothing is searched for yet.
    pub(super) fn new(settings: ElectionSettings, voters: Vec<Member>) -> Election {
        Election {
            settings,
            voters: Mutex::new(voters),
            search: Mutex::new(LeaderSearch::new([])),
            round: watch::Sender::new(0),
            found: watch::Sender::new(None),
            inbound: Mutex::default(),
            unidentified: Arc::new(Semaphore::new(UNIDENTIFIED_MAX)),
            log: LoggedOnce::default(),
        }
    }

    /// The servers that vote from now on.
    pub(super) fn set_voters(&self, voters: Vec<Member>) {
        *self.voters.lock() = voters;
    }

    /// The servers that vote.
    pub(super) fn voters(&self) -> Vec<Member> {
        self.voters.lock().clone()
    }

    /// Begins to search for the leader. `round` is the number of the search, from 1.
    pub(super) fn search(self: &Arc<Election>, round: i64) -> Search {
        let voters = self.voters();
        self.forget_votes();
        self.round.send_replace(round);
        let found = self.found.subscribe();
        let mut dialling = JoinSet::new();
        for voter in voters {
            dialling.spawn(self.clone().dial(voter));
        }
        Search { election: self.clone(), found, _dialling: dialling }
    }

    /// What voters have said so far does not count.
    fn forget_votes(&self) {
        let voters = self.voters.lock();
        *self.search.lock() = LeaderSearch::new(voters.iter().map(|voter| voter.id));
        self.found.send_replace(None);
    }

    /// All is well: what fails from now on is said again.
    pub(super) fn forget_failures(&self) {
        self.log.forget();
    }

    /// Sends requests to a voter, again and again.
    async fn dial(self: Arc<Election>, voter: Member) {
        loop {
            match self.settings.connector.election_port(&voter).await {
                Ok(stream) => {
                    let begin =
                        Begin { hello: hello(&self.settings.own, &stream), received: Vec::new() };
                    self.clone().converse(stream, voter.id, begin).await;
                    if voter.id > self.settings.own.id {
                        self.await_inbound(voter.id).await;
                    }
                }
                Err(error) => self.log.warn(
                    (voter.id.0.into(), "dial"),
                    &format!("server {} cannot be asked who leads: {error}", voter.id.0),
                ),
            }
            tokio::time::sleep(REDIAL).await;
            // It has dialled back: that connection is the one to ask on.
            while self.is_inbound(voter.id) {
                tokio::time::sleep(REDIAL).await;
            }
        }
    }

    /// A voter with a larger number has closed the connection, and dials back. To dial it again
    /// would close that connection.
    async fn await_inbound(&self, voter: ServerId) {
        let until = tokio::time::Instant::now() + DIAL_BACK;
        while !self.is_inbound(voter) && tokio::time::Instant::now() < until {
            tokio::time::sleep(REDIAL / 10).await;
        }
    }

    /// Sends requests while a leader is searched for, and takes answers, until the connection ends.
    async fn converse(self: Arc<Election>, stream: TcpStream, voter: ServerId, begin: Begin) {
        let (reader, writer) = stream.into_split();
        let mut both = JoinSet::new();
        both.spawn(self.clone().send_requests(writer, begin.hello));
        both.spawn(self.take_answers(reader, voter, begin.received));
        both.join_next().await;
    }

    async fn send_requests(self: Arc<Election>, mut writer: OwnedWriteHalf, hello: Vec<u8>) {
        let mut round = self.round.subscribe();
        let mut bytes = hello;
        let mut pause = self.settings.resend_min;
        loop {
            let number = *round.borrow_and_update();
            if number > 0 {
                let config = self.settings.config.as_bytes();
                LeaderSearch::request(number, config).encode(&mut bytes);
            }
            if writer.write_all(&bytes).await.is_err() {
                return;
            }
            bytes.clear();
            let changed = if number > 0 {
                let changed = timeout(pause, round.changed()).await;
                pause = (pause * 2).min(self.settings.resend_max).min(RESEND_MAX);
                changed.unwrap_or(Ok(()))
            } else {
                pause = self.settings.resend_min;
                round.changed().await
            };
            if changed.is_err() {
                return;
            }
        }
    }

    async fn take_answers(
        self: Arc<Election>,
        mut reader: OwnedReadHalf,
        voter: ServerId,
        mut pending: Vec<u8>,
    ) {
        loop {
            if let Err(bad) = self.take_notifications(voter, &mut pending) {
                return warn_of_bytes(&self.log, voter, &bad);
            }
            let was_searching = self.is_searching();
            match receive(&mut reader, &mut pending, Some(self.settings.silence)).await {
                Received::Bytes => {}
                // No voter answers what was not requested.
                Received::Nothing if !was_searching || !self.is_searching() => {}
                Received::Nothing | Received::End => return,
            }
        }
    }

    fn is_searching(&self) -> bool {
        *self.round.borrow() > 0
    }

    fn take_notifications(&self, voter: ServerId, pending: &mut Vec<u8>) -> Result<(), BadPacket> {
        let mut used = 0;
        while let Some((notification, bytes)) = Notification::decode(&pending[used..])? {
            used += bytes;
            if !self.is_searching() {
                continue;
            }
            let found = self.search.lock().on_notification(voter, &notification);
            self.found.send_if_modified(|before| std::mem::replace(before, found) != found);
        }
        pending.drain(..used);
        Ok(())
    }

    fn is_inbound(&self, voter: ServerId) -> bool {
        self.inbound.lock().get(&voter).is_some_and(|task| !task.is_finished())
    }

    /// Takes connections, until the listener fails.
    pub(super) async fn accept(self: Arc<Election>, listener: TcpListener) -> io::Error {
        let permits = self.unidentified.clone();
        accept(&permits, listener, |stream, peer| {
            let election = self.clone();
            async move {
                if let Some((stream, voter, pending)) = election.meet(stream, peer).await {
                    election.take_over(stream, voter, pending);
                }
            }
        })
        .await
    }

    /// Hears who has connected. Whoever is no voter is of no use here.
    async fn meet(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> Option<(TcpStream, ServerId, Vec<u8>)> {
        let met = identify(stream, peer, &self.settings.connector, &self.log).await?;
        let voters = self.voters.lock();
        let voter = voters.iter().find(|voter| i64::from(voter.id.0) == met.hello.sid);
        let Some(voter) = voter.filter(|voter| voter.role == PeerRole::Participant) else {
            let what = format!("says that it is server {}, which does not vote", met.hello.sid);
            refuse(&self.log, peer, &what);
            return None;
        };
        Some((met.stream, voter.id, met.received))
    }

    /// The newest connection of a voter is the one that counts. Some of its first notification may
    /// have come with what the voter says of itself.
    fn take_over(self: Arc<Election>, stream: TcpStream, voter: ServerId, received: Vec<u8>) {
        let begin = Begin { hello: Vec::new(), received };
        let task = tokio::spawn(self.clone().converse(stream, voter, begin));
        let before = self.inbound.lock().insert(voter, task.abort_handle());
        before.iter().for_each(AbortHandle::abort);
    }
}

/// A search that is under way until it is dropped.
pub(super) struct Search {
    election: Arc<Election>,
    found: watch::Receiver<Option<FoundLeader>>,
    _dialling: JoinSet<()>,
}

impl Drop for Search {
    fn drop(&mut self) {
        self.election.round.send_replace(0);
    }
}

impl Search {
    /// The leader by what the voters say, as soon as there is one.
    pub(super) async fn leader(&mut self) -> FoundLeader {
        loop {
            if let Some(leader) = *self.found.borrow_and_update() {
                return leader;
            }
            // A word that is not true counts no longer than so.
            if timeout(VOTES_COUNT, self.found.changed()).await.is_err() {
                self.election.forget_votes();
            }
        }
    }

    /// Returns when the voters do not say any more that this server leads.
    pub(super) async fn is_over(&mut self, leader: FoundLeader) {
        while *self.found.borrow_and_update() == Some(leader) {
            if self.found.changed().await.is_err() {
                unreachable!("this side holds the sender");
            }
        }
    }
}

/// What a connection begins with.
struct Begin {
    /// What this side says of itself, where it has dialled.
    hello: Vec<u8>,
    /// What has come already.
    received: Vec<u8>,
}
