//! The thread that finds the leader and connects to it: whatever takes long about other servers.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, unbounded};
use ringkeeper_replication::learner::FoundLeader;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};

use super::connector::Connector;
use super::election::{Election, ElectionSettings};
use super::logged_once::LoggedOnce;
use super::status::LeaderAddress;
use crate::config::{Ensemble, Member};
use crate::node::waker::Waker;

/// Attempts to connect to a leader before another search begins: ZooKeeper's.
const CONNECT_ATTEMPTS: u32 = 5;
/// Between two attempts to listen on the election port.
const BIND_PAUSE: Duration = Duration::from_secs(1);
/// Before the third link in a row over which no clients were served. It doubles with each one.
const FIRST_DELAY: Duration = Duration::from_millis(50);
/// No longer than this.
const LAST_DELAY: Duration = Duration::from_secs(5);
/// Before a link that most likely ends as the one before.
const HOPELESS_DELAY: Duration = Duration::from_secs(30);

/// What a search is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SearchCause {
    /// The server has started.
    Start,
    /// The leader was lost. So many links in a row have ended before clients were served.
    Lost(u32),
    /// The leader could not be followed, and most likely cannot be the next time.
    Hopeless,
}

impl SearchCause {
    /// How long to wait because of it, beside what the settings say.
    fn delay(self) -> Duration {
        match self {
            SearchCause::Start | SearchCause::Lost(0 | 1) => Duration::ZERO,
            SearchCause::Lost(failures) => {
                (FIRST_DELAY * 2_u32.saturating_pow(failures - 2)).min(LAST_DELAY)
            }
            SearchCause::Hopeless => HOPELESS_DELAY,
        }
    }
}

/// A connection to the leader.
pub(super) struct Dialed {
    /// Not blocking.
    pub(super) stream: TcpStream,
    /// The leader.
    pub(super) leader: LeaderAddress,
    /// How long it took to find it.
    pub(super) search: Duration,
}

/// The node's end of the thread.
pub(crate) struct Dialer {
    requests: mpsc::UnboundedSender<SearchCause>,
    dialed: Receiver<Dialed>,
    election: Arc<Election>,
}

/// Ends the thread when it is dropped.
pub(crate) struct DialerThread {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for DialerThread {
    fn drop(&mut self) {
        // Either may have ended already.
        self.stop.take().map(|stop| stop.send(()));
        self.thread.take().map(JoinHandle::join);
    }
}

impl Dialer {
    /// Starts the thread. `waker` is woken when there is a connection.
    pub(crate) fn start(
        ensemble: &Ensemble,
        waker: Arc<Waker>,
    ) -> io::Result<(Dialer, DialerThread)> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let (requests, to_do) = mpsc::unbounded_channel();
        let (done, dialed) = unbounded();
        let (stop, stopped) = oneshot::channel::<()>();
        let connector = Connector::new(&ensemble.settings);
        let settings = ElectionSettings {
            own: ensemble.own().clone(),
            config: ensemble.text(),
            resend_min: ensemble.settings.min_notification_interval,
            resend_max: ensemble.settings.max_notification_interval,
            silence: ensemble.settings.quorum_cnxn_timeout,
            connector: connector.clone(),
        };
        let voters = ensemble.voters().cloned().collect();
        let election = Arc::new(Election::new(settings, voters));
        let searching = Searching {
            ensemble: ensemble.clone(),
            election: election.clone(),
            connector,
            done,
            waker,
            log: LoggedOnce::default(),
        };
        let run = move || run(runtime, searching, to_do, stopped);
        let thread = thread::Builder::new().name("peer-dial".into()).spawn(run)?;
        let thread = DialerThread { stop: Some(stop), thread: Some(thread) };
        Ok((Dialer { requests, dialed, election }, thread))
    }

    /// Finds the leader and connects to it; [`Dialer::poll`] has the connection. One search at a
    /// time.
    pub(super) fn search(&self, cause: SearchCause) {
        // Without the thread the server is about to end.
        let _ = self.requests.send(cause);
    }

    /// The connection that was searched for, once.
    pub(super) fn poll(&self) -> Option<Dialed> {
        self.dialed.try_recv().ok()
    }

    /// Whether [`Dialer::poll`] has something.
    pub(super) fn is_done(&self) -> bool {
        !self.dialed.is_empty()
    }

    /// The servers that vote from now on.
    pub(super) fn set_voters(&self, voters: Vec<Member>) {
        self.election.set_voters(voters);
    }
}

fn run(
    runtime: Runtime,
    searching: Searching,
    requests: mpsc::UnboundedReceiver<SearchCause>,
    stopped: oneshot::Receiver<()>,
) {
    let searching = Arc::new(searching);
    runtime.block_on(async {
        tokio::spawn(searching.clone().listen());
        tokio::spawn(searching.serve(requests));
        // A sender that was dropped is an end as well.
        let _ = stopped.await;
    });
    runtime.shutdown_background();
}

/// What the thread works with.
struct Searching {
    ensemble: Ensemble,
    election: Arc<Election>,
    connector: Connector,
    done: Sender<Dialed>,
    waker: Arc<Waker>,
    log: LoggedOnce,
}

impl Searching {
    async fn serve(self: Arc<Searching>, mut requests: mpsc::UnboundedReceiver<SearchCause>) {
        let mut round = 0;
        while let Some(cause) = requests.recv().await {
            self.delay(cause).await;
            let start = Instant::now();
            let (stream, leader, search) = loop {
                round += 1;
                let found = self.election.find(round).await;
                let search = start.elapsed();
                if let Some((stream, leader)) = self.connect(found).await {
                    break (stream, leader, search);
                }
            };
            self.log.forget();
            if self.done.send(Dialed { stream, leader, search }).is_err() {
                return;
            }
            self.waker.wake();
        }
    }

    /// All observers of an ensemble lose their leader at the same moment: they come back one after
    /// the other.
    async fn delay(&self, cause: SearchCause) {
        if cause != SearchCause::Start {
            let settings = &self.ensemble.settings;
            let most = settings.observer_reconnect_delay + settings.observer_election_delay;
            tokio::time::sleep(most.mul_f64(random_part()) + cause.delay()).await;
        }
    }

    /// A leader that was just elected does not listen yet, and one that was found may be gone.
    async fn connect(&self, found: FoundLeader) -> Option<(TcpStream, LeaderAddress)> {
        let settings = &self.ensemble.settings;
        let voters = self.election.voters();
        let member = voters.iter().find(|voter| voter.id == found.leader)?;
        let until = Instant::now() + settings.connect_to_learner_master_limit;
        for attempt in 1..=CONNECT_ATTEMPTS {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            match self.connector.quorum_port(member, left).await.and_then(into_std) {
                Ok(stream) => {
                    let address = stream.peer_addr().map(|address| address.to_string());
                    let (id, epoch) = (found.leader, found.epoch);
                    let address = address.unwrap_or_default();
                    return Some((stream, LeaderAddress { id, epoch, address }));
                }
                Err(error) if attempt == CONNECT_ATTEMPTS => self.log.warn(
                    (found.leader.0.into(), "connect"),
                    &format!(
                        "server {} leads, and cannot be reached where it takes learners: {error}",
                        found.leader.0
                    ),
                ),
                Err(_) => tokio::time::sleep(settings.leader_connect_delay).await,
            }
        }
        None
    }

    /// Listens on the election port for as long as the server runs.
    async fn listen(self: Arc<Searching>) {
        let mut failures = 0;
        loop {
            let (doing, error) = match self.bind().await {
                Ok(listener) => {
                    failures = 0;
                    ("accept on", self.election.clone().accept(listener).await)
                }
                Err(error) => ("listen on", error),
            };
            failures += 1;
            let port = self.ensemble.own().addresses[0].election_port;
            let text = format!("cannot {doing} the election port {port}: {error}");
            if self.ensemble.settings.election_port_bind_retry.is_some_and(|most| failures > most) {
                crate::fatal::stop(&format!(
                    "{text}; tried {failures} times; free the port, or correct the line server.{}",
                    self.ensemble.id.0
                ));
            }
            self.log.warn((-1, "election port"), &format!("{text}; it is tried again"));
            tokio::time::sleep(BIND_PAUSE).await;
        }
    }

    async fn bind(&self) -> io::Result<TcpListener> {
        let own = &self.ensemble.own().addresses[0];
        let port = own.election_port;
        if !self.ensemble.settings.listen_on_all_ips {
            let address = self.connector.own_address(&own.host, port).await?;
            return TcpListener::bind(address).await;
        }
        match TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
            Ok(listener) => Ok(listener),
            // A host without IPv6.
            Err(_) => TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await,
        }
    }
}

fn into_std(stream: tokio::net::TcpStream) -> io::Result<TcpStream> {
    stream.into_std()
}

/// From 0 to 1.
fn random_part() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness all servers come back at the same moment.
    let _ = getrandom::fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}
