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
use ringkeeper_engine::wire::peer::{BadPacket, ElectionProtocol, InitialMessage, Notification};
use ringkeeper_replication::learner::{FoundLeader, LeaderSearch};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::connector::Connector;
use super::logged_once::LoggedOnce;
use crate::config::{Member, PeerRole};

/// Bytes that are read at once.
const READ_BYTES: usize = 8 << 10;
/// Bytes of a notification that has not come whole. The largest one has fewer.
const PENDING_BYTES_MAX: usize = 1 << 20;
/// Connections of servers that have not said who they are.
const UNIDENTIFIED_MAX: usize = 16;
/// The request is sent again no later than after this time: a voter answers it at once, and does
/// not tell when an election has ended.
const RESEND_MAX: Duration = Duration::from_secs(1);
/// Between two attempts to dial a voter.
const REDIAL: Duration = Duration::from_millis(100);

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

    /// Finds the leader, for as long as it takes. `round` is the number of the search, from 1.
    pub(super) async fn find(self: &Arc<Election>, round: i64) -> FoundLeader {
        let voters = self.voters();
        *self.search.lock() = LeaderSearch::new(voters.iter().map(|voter| voter.id));
        self.found.send_replace(None);
        self.round.send_replace(round);
        let mut found = self.found.subscribe();
        let mut dialling = JoinSet::new();
        for voter in voters {
            dialling.spawn(self.clone().dial(voter));
        }
        loop {
            if let Some(leader) = *found.borrow_and_update() {
                self.round.send_replace(0);
                self.log.forget();
                return leader;
            }
            if found.changed().await.is_err() {
                unreachable!("this side holds the sender");
            }
        }
    }

    /// Sends requests to a voter, again and again.
    async fn dial(self: Arc<Election>, voter: Member) {
        loop {
            match self.settings.connector.election_port(&voter).await {
                Ok(stream) => {
                    let hello = self.hello(&stream);
                    self.clone().converse(stream, voter.id, hello).await;
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

    /// What a connection begins with: who this is, and where it can be dialled.
    fn hello(&self, stream: &TcpStream) -> Vec<u8> {
        let own = &self.settings.own;
        let local = stream.local_addr().map(|address| address.ip().to_string());
        let addresses = own.addresses.iter().map(|address| {
            let known = if address.is_wildcard() { local.as_ref().ok() } else { None };
            let host = known.unwrap_or(&address.host);
            let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            format!("{host}:{}", address.election_port).into()
        });
        let addresses: Vec<Box<str>> = addresses.collect();
        let protocol =
            if addresses.len() > 1 { ElectionProtocol::V2 } else { ElectionProtocol::V1 };
        let mut out = Vec::new();
        InitialMessage { protocol, sid: own.id.0.into(), addresses }.encode(&mut out);
        out
    }

    /// Sends requests while a leader is searched for, and takes answers, until the connection ends.
    async fn converse(self: Arc<Election>, stream: TcpStream, voter: ServerId, hello: Vec<u8>) {
        let (reader, writer) = stream.into_split();
        let mut both = JoinSet::new();
        both.spawn(self.clone().send_requests(writer, hello));
        both.spawn(self.take_answers(reader, voter));
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

    async fn take_answers(self: Arc<Election>, mut reader: OwnedReadHalf, voter: ServerId) {
        let mut pending = Vec::new();
        loop {
            // Nobody answers what was not asked.
            let silence = if *self.round.borrow() > 0 { Some(self.settings.silence) } else { None };
            if !receive(&mut reader, &mut pending, silence).await {
                return;
            }
            if let Err(bad) = self.take_notifications(voter, &mut pending) {
                let text = format!(
                    "server {} sends on the election port what is no notification: {bad}; the \
                     connection is closed",
                    voter.0
                );
                return self.log.warn((voter.0.into(), "notification"), &text);
            }
        }
    }

    fn take_notifications(&self, voter: ServerId, pending: &mut Vec<u8>) -> Result<(), BadPacket> {
        let mut used = 0;
        while let Some((notification, bytes)) = Notification::decode(&pending[used..])? {
            used += bytes;
            if *self.round.borrow() == 0 {
                continue;
            }
            let found = self.search.lock().on_notification(voter, &notification);
            if let Some(found) = found {
                self.found.send_replace(Some(found));
            }
        }
        pending.drain(..used);
        Ok(())
    }

    fn is_inbound(&self, voter: ServerId) -> bool {
        self.inbound.lock().get(&voter).is_some_and(|task| !task.is_finished())
    }

    /// Takes connections, until the listener fails.
    pub(super) async fn accept(self: Arc<Election>, listener: TcpListener) -> io::Error {
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) if is_of_one_connection(&error) => continue,
                Err(error) => return error,
            };
            let Ok(permit) = self.unidentified.clone().try_acquire_owned() else { continue };
            let election = self.clone();
            tokio::spawn(async move {
                let Some((stream, voter, pending)) = election.meet(stream, peer).await else {
                    return;
                };
                drop(permit);
                election.take_over(stream, voter, pending);
            });
        }
    }

    /// Hears who has connected. Whoever is no voter is of no use here.
    async fn meet(
        &self,
        mut stream: TcpStream,
        peer: SocketAddr,
    ) -> Option<(TcpStream, ServerId, Vec<u8>)> {
        self.settings.connector.prepare(&stream);
        let mut pending = Vec::new();
        let refuse = |what: &str| {
            let text =
                format!("{peer} has connected to the election port and {what}; it is closed");
            self.log.warn((-1, "unidentified"), &text);
        };
        loop {
            match InitialMessage::decode(&pending) {
                Ok(None) => {}
                Ok(Some((hello, used))) => {
                    pending.drain(..used);
                    let voters = self.voters.lock();
                    let voter = voters.iter().find(|voter| i64::from(voter.id.0) == hello.sid);
                    let Some(voter) = voter.filter(|voter| voter.role == PeerRole::Participant)
                    else {
                        refuse(&format!(
                            "says that it is server {}, which does not vote",
                            hello.sid
                        ));
                        return None;
                    };
                    return Some((stream, voter.id, pending));
                }
                Err(bad) => {
                    refuse(&format!("is no server: {bad}"));
                    return None;
                }
            }
            let came = timeout(self.settings.silence, stream.read_buf(&mut pending)).await;
            if !matches!(came, Ok(Ok(count)) if count > 0) {
                return None;
            }
        }
    }

    /// The newest connection of a voter is the one that counts.
    fn take_over(self: Arc<Election>, stream: TcpStream, voter: ServerId, mut pending: Vec<u8>) {
        if self.take_notifications(voter, &mut pending).is_err() {
            return;
        }
        let task = tokio::spawn(self.clone().converse(stream, voter, Vec::new()));
        let before = self.inbound.lock().insert(voter, task.abort_handle());
        before.iter().for_each(AbortHandle::abort);
    }
}

/// Reads what comes next. False is the end, or a silence that is too long, or far too many bytes.
async fn receive(
    reader: &mut OwnedReadHalf,
    pending: &mut Vec<u8>,
    silence: Option<Duration>,
) -> bool {
    pending.reserve(READ_BYTES);
    let read = reader.read_buf(pending);
    let count = match silence {
        Some(silence) => timeout(silence, read).await.unwrap_or(Ok(0)),
        None => read.await,
    };
    count.is_ok_and(|count| count > 0) && pending.len() <= PENDING_BYTES_MAX
}

/// Whether the failure is that of a connection, and not of the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
