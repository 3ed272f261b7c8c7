//! The thread that finds the leader and connects to it: whatever takes long about other servers.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, unbounded};
use ringkeeper_replication::learner::FoundLeader;
use tokio::sync::mpsc;

use super::connector::Connector;
pub(crate) use super::dialer_thread::DialerThread;
use super::election::{Election, ElectionSettings, Search};
use super::first::{First, first};
use super::logged_once::LoggedOnce;
use super::ports::Ports;
use super::status::LeaderAddress;
use crate::config::{Ensemble, Member};
use crate::node::waker::Waker;

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
    /// Whether what failed before is worth saying again.
    fn is_new(self) -> bool {
        matches!(self, SearchCause::Start | SearchCause::Lost(0 | 1))
    }

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

impl Dialer {
    /// Starts the thread. `waker` is woken when there is a connection.
    pub(crate) fn start(
        ensemble: &Ensemble,
        waker: Arc<Waker>,
    ) -> io::Result<(Dialer, DialerThread)> {
        let runtime = DialerThread::runtime()?;
        let (requests, to_do) = mpsc::unbounded_channel();
        let (done, dialed) = unbounded();
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
            ports: Ports::new(ensemble, &connector),
            connector,
            done,
            waker,
            log: LoggedOnce::default(),
        };
        let thread = DialerThread::start(runtime, || searching.begin(to_do))?;
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

/// What the thread works with.
struct Searching {
    ensemble: Ensemble,
    election: Arc<Election>,
    connector: Connector,
    ports: Ports,
    done: Sender<Dialed>,
    waker: Arc<Waker>,
    log: LoggedOnce,
}

impl Searching {
    fn begin(self, requests: mpsc::UnboundedReceiver<SearchCause>) {
        let searching = Arc::new(self);
        for address in searching.ensemble.own().addresses.clone() {
            let searching = searching.clone();
            tokio::spawn(async move {
                let accept = |listener| searching.election.clone().accept(listener);
                searching.ports.listen(&address.host, address.election_port, accept).await;
            });
        }
        tokio::spawn(searching.serve(requests));
    }

    async fn serve(self: Arc<Searching>, mut requests: mpsc::UnboundedReceiver<SearchCause>) {
        let mut round = 0;
        while let Some(cause) = requests.recv().await {
            self.delay(cause).await;
            if cause.is_new() {
                self.log.forget();
                self.ports.forget_failures();
                self.election.forget_failures();
            }
            round += 1;
            let dialed = self.dial(self.election.search(round)).await;
            if self.done.send(dialed).is_err() {
                return;
            }
            self.waker.wake();
        }
    }

    /// Connects to the leader that the voters name, or to another one as soon as they name that.
    async fn dial(&self, mut search: Search) -> Dialed {
        let start = Instant::now();
        let mut pause = FIRST_DELAY;
        loop {
            let found = search.leader().await;
            let took = start.elapsed();
            match first(self.connect(found), search.is_over(found)).await {
                First::Left(Some((stream, leader))) => {
                    return Dialed { stream, leader, search: took };
                }
                First::Left(None) => {
                    first(tokio::time::sleep(pause), search.is_over(found)).await;
                    pause = (pause * 2).min(LAST_DELAY);
                }
                First::Right(()) => {}
            }
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
        match self.connector.leader_port(member, settings).await {
            Ok(stream) => {
                let address = stream.peer_addr().map(|address| address.to_string());
                let (id, epoch) = (found.leader, found.epoch);
                let address = address.unwrap_or_default();
                Some((stream, LeaderAddress { id, epoch, address }))
            }
            Err(error) => {
                self.log.warn(
                    (found.leader.0.into(), "connect"),
                    &format!(
                        "server {} leads, and cannot be reached where it takes learners: {error}",
                        found.leader.0
                    ),
                );
                None
            }
        }
    }
}

/// From 0 to 1.
fn random_part() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness all servers come back at the same moment.
    let _ = getrandom::fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pause_before_a_search_grows_with_links_that_fail_and_has_a_limit() {
        let delay = |failures| SearchCause::Lost(failures).delay().as_millis();
        assert_eq!([0, 1, 2, 3, 4, 8, 9].map(delay), [0, 0, 50, 100, 200, 3_200, 5_000]);
        assert_eq!(delay(u32::MAX), 5_000);
        assert_eq!(SearchCause::Start.delay(), Duration::ZERO);
        assert_eq!(SearchCause::Hopeless.delay(), HOPELESS_DELAY);
    }

    #[test]
    fn random_part_is_a_part() {
        assert!((0..100).map(|_| random_part()).all(|part| (0.0..=1.0).contains(&part)));
    }
}
