//! Connecting to the leader that an election has chosen.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use parking_lot::Mutex;
use ringkeeper_engine::session::ServerId;
use tokio::sync::watch;

use super::connector::Connector;
use super::first::{First, first};
use crate::config::Ensemble;
use crate::node::waker::Waker;

/// A number of each request, so that the end of an earlier one is not taken for the last one's.
type Number = u64;

/// What came of the last attempt, until it is taken.
type Done = Arc<Mutex<Option<(Number, io::Result<TcpStream>)>>>;

/// The node's end: one attempt at a time.
pub(crate) struct LeaderDial {
    number: Number,
    requests: watch::Sender<(Number, Option<ServerId>)>,
    done: Done,
}

impl LeaderDial {
    /// Begins to connect to the quorum port of a member. An attempt that is under way is given up.
    pub(crate) fn dial_leader(&mut self, leader: ServerId) {
        self.request(Some(leader));
    }

    /// Gives up what is under way, and what is done and was not taken.
    pub(crate) fn cancel(&mut self) {
        self.request(None);
    }

    /// The connection that was requested last, not blocking, or why there is none after several
    /// attempts; once. The waker is woken when there is an end.
    pub(crate) fn poll(&mut self) -> Option<io::Result<TcpStream>> {
        let done = self.done.lock().take();
        done.filter(|(number, _)| *number == self.number).map(|(_, result)| result)
    }

    /// Whether [`LeaderDial::poll`] may have something.
    pub(crate) fn is_done(&self) -> bool {
        self.done.lock().is_some()
    }

    fn request(&mut self, leader: Option<ServerId>) {
        self.number += 1;
        // Order: what comes of this request may be there as soon as it is made.
        self.done.lock().take();
        self.requests.send_replace((self.number, leader));
    }
}

/// The thread's end.
pub(super) struct LeaderDialer {
    ensemble: Ensemble,
    connector: Connector,
    requests: watch::Receiver<(Number, Option<ServerId>)>,
    done: Done,
    waker: Arc<Waker>,
}

impl LeaderDialer {
    /// Nothing is requested yet.
    pub(super) fn new(
        ensemble: &Ensemble,
        connector: &Connector,
        waker: Arc<Waker>,
    ) -> (LeaderDialer, LeaderDial) {
        let (requests, received) = watch::channel((0, None));
        let done = Done::default();
        let dialer = LeaderDialer {
            ensemble: ensemble.clone(),
            connector: connector.clone(),
            requests: received,
            done: done.clone(),
            waker,
        };
        (dialer, LeaderDial { number: 0, requests, done })
    }

    /// Serves requests for as long as the node makes them.
    pub(super) async fn serve(self) {
        let mut requests = self.requests.clone();
        while requests.changed().await.is_ok() {
            let (number, leader) = *requests.borrow_and_update();
            let Some(leader) = leader else { continue };
            let connecting = self.connect(leader);
            if let First::Left(result) = first(connecting, requests.changed()).await {
                *self.done.lock() = Some((number, result));
                self.waker.wake();
            } else {
                // What is requested now ends the attempt; the next turn has it.
                requests.mark_changed();
            }
        }
    }

    async fn connect(&self, leader: ServerId) -> io::Result<TcpStream> {
        let members = &self.ensemble.members;
        match members.iter().find(|member| member.id == leader) {
            Some(member) => self.connector.leader_port(member, &self.ensemble.settings).await,
            None => Err(io::Error::other(format!("server {} is not in the list", leader.0))),
        }
    }
}
