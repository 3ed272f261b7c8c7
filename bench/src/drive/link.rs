//! A session and its socket, and another socket when that one is lost.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::drive::rt::{Socket, Timer};
use crate::drive::run_state::RunState;
use crate::drive::session::{Due, Session, SessionLogic};
use crate::drive::signal::Signal;
use crate::load::rng::Rng;
use crate::load::shape::Arrival;
use crate::model::clock::Nanos;

/// Pauses between attempts to connect again: the first, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// The servers of a session, in the order in which it tries them.
pub(crate) struct Route {
    servers: Arc<[SocketAddr]>,
    at: usize,
}

impl Route {
    /// Sessions begin at different servers.
    pub(crate) fn new(servers: &Arc<[SocketAddr]>, lane: u32) -> Route {
        Route { servers: servers.clone(), at: lane as usize % servers.len() }
    }

    pub(crate) fn server(&self) -> SocketAddr {
        self.servers[self.at]
    }

    pub(crate) fn len(&self) -> usize {
        self.servers.len()
    }

    pub(crate) fn turn(&mut self) {
        self.at = (self.at + 1) % self.servers.len();
    }
}

/// A session and its socket.
pub(crate) struct Link<P> {
    socket: RefCell<Rc<Socket>>,
    session: RefCell<Session<P>>,
    signal: Rc<Signal>,
    run_state: Arc<RunState>,
    route: RefCell<Route>,
    at_rest: Cell<bool>,
    /// Whether it waits for a connection.
    connecting: Cell<bool>,
    /// Before the next attempt.
    pause: Cell<Duration>,
}

impl<P: SessionLogic> Link<P> {
    /// Connects and shakes hands, with the first server of the route that is able to.
    pub(crate) async fn open(
        mut route: Route,
        mut session: Session<P>,
        signal: Rc<Signal>,
        run_state: &Arc<RunState>,
    ) -> io::Result<Link<P>> {
        let mut tried = 1;
        let socket = loop {
            match handshake(route.server(), &mut session, run_state).await {
                Ok(socket) => break socket,
                Err(error) if tried == route.len() => return Err(error),
                Err(_) => {
                    session.close_handshake();
                    route.turn();
                    tried += 1;
                }
            }
        };
        Ok(Link {
            socket: RefCell::new(Rc::new(socket)),
            session: RefCell::new(session),
            signal,
            run_state: run_state.clone(),
            route: RefCell::new(route),
            at_rest: Cell::new(false),
            connecting: Cell::new(false),
            pause: Cell::new(PAUSE_MIN),
        })
    }

    /// Whether it has ended. An attempt to connect is not waited for: it may take minutes.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.at_rest.get() || (self.connecting.get() && self.session.borrow().has_ended())
    }

    /// Whether nothing is in flight and nothing more will be sent.
    pub(crate) fn is_settled(&self, now: Nanos) -> bool {
        self.session.borrow().is_settled(now)
    }

    /// There may be something to send.
    pub(crate) fn wake(&self) {
        self.signal.raise();
    }

    fn socket(&self) -> Rc<Socket> {
        self.socket.borrow().clone()
    }

    /// Reads until the session has ended.
    pub(crate) async fn read_all(self: Rc<Self>) {
        let mut buffer = Vec::new();
        while !self.session.borrow().has_ended() {
            let (got, back) = self.socket().read(buffer).await;
            buffer = back;
            self.take_in(got, &mut buffer);
            if self.session.borrow().needs_socket() {
                buffer.clear();
                self.connect_again().await;
            }
            self.signal.raise();
        }
        self.socket().shutdown();
        self.at_rest.set(true);
    }

    /// Takes in what was read, or that nothing more will be.
    fn take_in(&self, got: io::Result<usize>, buffer: &mut Vec<u8>) {
        let now = self.run_state.clock.now();
        let mut session = self.session.borrow_mut();
        match got {
            Ok(0) => session.lose("the server closed the connection"),
            Ok(_) => match session.receive(now, buffer) {
                Ok(taken) => drop(buffer.drain(..taken)),
                Err(error) => session.lose(&error.to_string()),
            },
            Err(error) => session.lose(&error.to_string()),
        }
    }

    /// Connects to one server after the other, until a handshake is on its way or the session has
    /// ended for another reason.
    async fn connect_again(&self) {
        self.socket().shutdown();
        let Ok(mut timer) = Timer::new() else {
            return self.session.borrow_mut().give_up_reconnecting();
        };
        self.connecting.set(true);
        while self.session.borrow().needs_socket() {
            let pause = self.pause.get();
            self.pause.set((pause * 2).min(PAUSE_MAX));
            if timer.wait(pause).await.is_err() {
                break;
            }
            self.route.borrow_mut().turn();
            let server = self.route.borrow().server();
            let timeout = self.session.borrow().timeout();
            let Ok(socket) = Socket::connect(server, timeout).await else { continue };
            let mut out = Vec::new();
            self.session.borrow_mut().open(self.run_state.clock.now(), &mut out);
            match socket.write_all(out).await.0 {
                Ok(()) => *self.socket.borrow_mut() = Rc::new(socket),
                Err(error) => self.session.borrow_mut().lose(&error.to_string()),
            }
        }
        self.connecting.set(false);
    }

    /// Writes whenever there is a reason to look, until the session has ended.
    pub(crate) async fn write_all(self: Rc<Self>) {
        let mut out = Vec::new();
        loop {
            self.signal.wait().await;
            if self.session.borrow().has_ended() {
                break;
            }
            self.session.borrow_mut().fill(self.run_state.clock.now(), &mut out);
            if out.is_empty() {
                continue;
            }
            self.pause.set(PAUSE_MIN);
            let socket = self.socket();
            let (sent, back) = socket.write_all(out).await;
            out = back;
            out.clear();
            if sent.is_err() {
                // The reader sees the same failure, reports it and opens another socket.
                socket.shutdown();
            }
        }
    }

    pub(crate) fn tick(&self, now: Nanos) {
        let mut session = self.session.borrow_mut();
        if session.has_ended() {
            return;
        }
        let due = session.tick(now);
        if self.run_state.is_past_timeout(now) {
            session.abandon(now);
        }
        let ended = session.has_ended();
        drop(session);
        if ended || due == Due::Cut {
            self.socket().shutdown();
        }
        if ended || due == Due::Send {
            self.signal.raise();
        }
    }

    /// An operation of an open loop is due.
    fn due(&self, at: Nanos) {
        self.session.borrow_mut().due(at);
        self.signal.raise();
    }
}

/// Connects to one server and opens the session there.
async fn handshake<P: SessionLogic>(
    server: SocketAddr,
    session: &mut Session<P>,
    run_state: &RunState,
) -> io::Result<Socket> {
    let socket = Socket::connect(server, session.timeout()).await?;
    let mut out = Vec::new();
    session.open(run_state.clock.now(), &mut out);
    socket.write_all(out).await.0?;
    let mut buffer = Vec::new();
    while !session.is_open() {
        let (got, back) = socket.read(buffer).await;
        buffer = back;
        if got? == 0 || session.has_ended() {
            let story = "the server closed the connection during the handshake";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, story));
        }
        let taken = session.receive(run_state.clock.now(), &buffer).map_err(io::Error::other)?;
        buffer.drain(..taken);
    }
    Ok(socket)
}

/// The arrivals of an open loop: operations that are due whatever the server does.
pub(crate) struct Arrivals {
    /// Nanoseconds between two of them, on average.
    pub gap: f64,
    pub spacing: Arrival,
    pub rng: Rng,
    pub run_state: Arc<RunState>,
}

/// Hands each arrival to the next session in turn.
pub(crate) async fn arrivals<P: SessionLogic>(mut times: Arrivals, links: Vec<Rc<Link<P>>>) {
    let Ok(mut timer) = Timer::new() else { return };
    let clock = times.run_state.clock;
    let mut due = clock.now() as f64;
    let mut turn = 0;
    loop {
        due += match times.spacing {
            Arrival::Fixed => times.gap,
            Arrival::Poisson => times.gap * -(1.0 - times.rng.fraction()).ln(),
        };
        let at = due as Nanos;
        let now = clock.now();
        if at > now && timer.wait(Duration::from_nanos(at - now)).await.is_err() {
            return;
        }
        if !times.run_state.may_start(at, 1) {
            return;
        }
        let link: &Rc<Link<P>> = &links[turn % links.len()];
        turn += 1;
        link.due(at);
    }
}
