//! One driver thread: its sessions, their sockets and the clock that watches them.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ringkeeper_engine::client::Options;

use crate::clock::{Nanos, SECOND};
use crate::course::Course;
use crate::fanout::{Fanout, Group, Lasting};
use crate::fault::{Fault, FaultKind};
use crate::load::{Arrival, Layout, Load};
use crate::pipelined::Pipelined;
use crate::session::{Part, Session};
use crate::signal::Signal;
use crate::storm::Storm;
use crate::tally::Tally;
use crate::timeline::Feed;
use crate::uring_rt::{self, Socket, Timer};
use crate::value::Dice;
use crate::workload::Workload;

/// How often a thread looks after its sessions.
const TICK: Duration = Duration::from_millis(20);

/// What one driver thread is started with.
pub(crate) struct Crew {
    /// Its number.
    pub thread: u32,
    /// The numbers of its sessions.
    pub lanes: std::ops::Range<u32>,
    /// The load.
    pub load: Arc<Load>,
    /// The nodes.
    pub layout: Arc<Layout>,
    /// The time.
    pub course: Arc<Course>,
    /// The servers.
    pub servers: Vec<SocketAddr>,
    /// Where seconds are left for whoever watches.
    pub feed: Arc<Feed>,
}

impl Crew {
    /// Connects all sessions, calls `ready` (which says whether to go on), carries the load and
    /// closes the sessions.
    pub(crate) fn work(self, ready: impl FnOnce(io::Result<()>) -> bool) -> io::Result<Tally> {
        let basis = self.load.basis();
        let mut tally = Tally::new(basis, self.course.window());
        tally.ledger.sets = vec![0; self.layout.keys.len()];
        let tally = Rc::new(RefCell::new(tally));
        let mut ready = Some(ready);
        let worked = uring_rt::run(self.carry(tally.clone(), |connected| {
            ready.take().expect("sessions connect once")(connected)
        }));
        if let Err(error) = &worked
            && let Some(ready) = ready
        {
            ready(Err(io::Error::new(error.kind(), error.to_string())));
        }
        worked??;
        Ok(Rc::try_unwrap(tally).expect("all tasks have ended").into_inner())
    }

    async fn carry(
        self,
        tally: Rc<RefCell<Tally>>,
        ready: impl FnOnce(io::Result<()>) -> bool,
    ) -> io::Result<()> {
        match self.load.workload {
            Workload::Sessions => self.carry_storms(tally, ready).await,
            Workload::Watch => self.carry_fanout(Lasting::OneShot, tally, ready).await,
            Workload::PersistentWatch => self.carry_fanout(Lasting::Persistent, tally, ready).await,
            Workload::Create
            | Workload::Set
            | Workload::Get
            | Workload::Exists
            | Workload::Children
            | Workload::Multi
            | Workload::Mix { .. }
            | Workload::Ephemeral => self.carry_pipelines(tally, ready).await,
        }
    }

    async fn carry_pipelines(
        self,
        tally: Rc<RefCell<Tally>>,
        ready: impl FnOnce(io::Result<()>) -> bool,
    ) -> io::Result<()> {
        let part = |lane| Pipelined::new(lane, &self.load, &self.layout, &self.course);
        let parts = self.lanes.clone().map(|lane| (lane, part(lane), Rc::default())).collect();
        self.carry_links(parts, tally, ready).await
    }

    async fn carry_fanout(
        self,
        lasting: Lasting,
        tally: Rc<RefCell<Tally>>,
        ready: impl FnOnce(io::Result<()>) -> bool,
    ) -> io::Result<()> {
        let watched = self.layout.watched(self.thread);
        let watchers = self.lanes.end - self.lanes.start;
        let group = Group::new(watched, self.load.value_bytes, lasting, watchers);
        let signal = group.writer();
        let group = Rc::new(RefCell::new(group));
        let course = &self.course;
        let writer = Fanout::writer(group.clone(), course.clone());
        let watcher = || Fanout::watcher(group.clone(), course.clone());
        let mut parts: Vec<_> =
            self.lanes.clone().map(|lane| (lane, watcher(), Rc::default())).collect();
        parts.push((self.thread, writer, signal));
        drop(group);
        self.carry_links(parts, tally, ready).await
    }

    async fn carry_links<P: Part>(
        self,
        parts: Vec<(u32, P, Rc<Signal>)>,
        tally: Rc<RefCell<Tally>>,
        ready: impl FnOnce(io::Result<()>) -> bool,
    ) -> io::Result<()> {
        let mut links = Vec::with_capacity(parts.len());
        let mut connected = Ok(());
        for (lane, part, signal) in parts {
            let options = self.options();
            let session = Session::new(part, options, self.course.clone(), tally.clone());
            match Link::open(self.server(lane), session, signal, &self.course).await {
                Ok(link) => links.push(Rc::new(link)),
                Err(error) => connected = Err(error),
            }
            if connected.is_err() {
                break;
            }
        }
        let failed = connected.is_err();
        if !ready(connected) || failed {
            return Ok(());
        }
        tally.borrow_mut().set_window(self.course.window());
        for link in &links {
            uring_rt::spawn(link.clone().read_all());
            uring_rt::spawn(link.clone().write_all());
            link.signal.raise();
        }
        if self.load.rate.is_some() {
            uring_rt::spawn(arrivals(self.arrivals(), links.clone()));
        }
        self.watch(&links, &tally).await
    }

    async fn carry_storms(
        self,
        tally: Rc<RefCell<Tally>>,
        ready: impl FnOnce(io::Result<()>) -> bool,
    ) -> io::Result<()> {
        if !ready(Ok(())) {
            return Ok(());
        }
        tally.borrow_mut().set_window(self.course.window());
        let raging = Rc::new(Cell::new(self.lanes.end - self.lanes.start));
        for lane in self.lanes.clone() {
            let (server, options) = (self.server(lane), self.options());
            let (course, tally) = (self.course.clone(), tally.clone());
            let raging = raging.clone();
            uring_rt::spawn(async move {
                Storm { server, options, course, tally }.rage().await;
                raging.set(raging.get() - 1);
            });
        }
        let mut timer = Timer::new()?;
        let mut lookout = Lookout::default();
        while raging.get() > 0 {
            timer.sleep(TICK).await?;
            let now = self.course.clock.now();
            lookout.look(&self, &tally, now);
            if self.course.is_past_patience(now) {
                let story = "a session that was neither opened, nor closed, nor refused in time";
                let fault = Fault::new(FaultKind::Unanswered, story);
                tally.borrow_mut().faults.note_many(u64::from(raging.get()), fault);
                break;
            }
        }
        self.course.settle_thread();
        Ok(())
    }

    /// Looks after the sessions until the last one has ended.
    async fn watch<P: Part>(
        &self,
        links: &[Rc<Link<P>>],
        tally: &Rc<RefCell<Tally>>,
    ) -> io::Result<()> {
        let mut timer = Timer::new()?;
        let (mut settled, mut lookout) = (false, Lookout::default());
        while !links.iter().all(|link| link.at_rest.get()) {
            timer.sleep(TICK).await?;
            let now = self.course.clock.now();
            links.iter().for_each(|link| link.tick(now));
            lookout.look(self, tally, now);
            if !settled && links.iter().all(|link| link.session.borrow().is_settled(now)) {
                settled = true;
                self.course.settle_thread();
            }
        }
        if !settled {
            self.course.settle_thread();
        }
        Ok(())
    }

    fn options(&self) -> Options {
        Options { timeout_ms: self.load.session_ms, ..Options::default() }
    }

    fn server(&self, lane: u32) -> SocketAddr {
        self.servers[lane as usize % self.servers.len()]
    }

    fn arrivals(&self) -> Arrivals {
        let rate = self.load.rate.expect("only an open loop has arrivals");
        Arrivals {
            gap: SECOND as f64 * f64::from(self.load.threads) / rate,
            spacing: self.load.arrival,
            dice: Dice::new(self.load.seed, u64::from(self.thread) << 32),
            course: self.course.clone(),
        }
    }
}

/// What a thread remembers from one look at the clock to the next.
#[derive(Default)]
struct Lookout {
    checked: u64,
    progress: Nanos,
}

impl Lookout {
    /// Leaves the seconds that are over for whoever watches, and ends a load of so many operations
    /// when all of them have begun, or when nothing has come for as long as replies are waited for.
    fn look(&mut self, crew: &Crew, tally: &RefCell<Tally>, now: Nanos) {
        tally.borrow_mut().hand_out(now, &crew.feed);
        let checked = tally.borrow().checked;
        if checked != self.checked || self.progress == 0 {
            (self.checked, self.progress) = (checked, now);
        }
        let counts = crew.load.count.is_some();
        let stalled = crew.load.rate.is_none() && now - self.progress >= crew.course.patience();
        if counts && (stalled || crew.course.is_over(now)) {
            crew.course.end(now);
        }
    }
}

/// A session and its socket.
struct Link<P> {
    socket: Socket,
    session: RefCell<Session<P>>,
    signal: Rc<Signal>,
    course: Arc<Course>,
    at_rest: Cell<bool>,
}

impl<P: Part> Link<P> {
    /// Connects and shakes hands.
    async fn open(
        server: SocketAddr,
        mut session: Session<P>,
        signal: Rc<Signal>,
        course: &Arc<Course>,
    ) -> io::Result<Link<P>> {
        let socket = Socket::connect(server).await?;
        let mut out = Vec::new();
        session.open(course.clock.now(), &mut out);
        socket.write_all(out).await.0?;
        let mut buffer = Vec::new();
        while !session.is_open() {
            let (got, back) = socket.read(buffer).await;
            buffer = back;
            if got? == 0 || session.has_ended() {
                let story = "the server closed the connection during the handshake";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, story));
            }
            let taken = session.receive(course.clock.now(), &buffer).map_err(io::Error::other)?;
            buffer.drain(..taken);
        }
        let session = RefCell::new(session);
        Ok(Link { socket, session, signal, course: course.clone(), at_rest: Cell::new(false) })
    }

    /// Reads until the session has ended.
    async fn read_all(self: Rc<Self>) {
        let mut buffer = Vec::new();
        loop {
            let (got, back) = self.socket.read(buffer).await;
            buffer = back;
            let now = self.course.clock.now();
            let mut session = self.session.borrow_mut();
            match got {
                Ok(0) => session.lose("the server closed the connection"),
                Ok(_) => match session.receive(now, &buffer) {
                    Ok(taken) => drop(buffer.drain(..taken)),
                    Err(error) => session.lose(&error.to_string()),
                },
                Err(error) => session.lose(&error.to_string()),
            }
            let ended = session.has_ended();
            drop(session);
            self.signal.raise();
            if ended {
                break;
            }
        }
        self.socket.shutdown();
        self.at_rest.set(true);
    }

    /// Writes whenever there is a reason to look, until the session has ended.
    async fn write_all(self: Rc<Self>) {
        let mut out = Vec::new();
        loop {
            self.signal.wait().await;
            if self.session.borrow().has_ended() {
                break;
            }
            self.session.borrow_mut().fill(self.course.clock.now(), &mut out);
            if out.is_empty() {
                continue;
            }
            let (sent, back) = self.socket.write_all(out).await;
            out = back;
            out.clear();
            if sent.is_err() {
                // The reader sees the same failure and tells it.
                self.socket.shutdown();
                break;
            }
        }
    }

    fn tick(&self, now: Nanos) {
        let mut session = self.session.borrow_mut();
        if session.has_ended() {
            return;
        }
        let to_send = session.tick(now);
        if self.course.is_past_patience(now) {
            session.abandon(now);
        }
        let ended = session.has_ended();
        drop(session);
        if ended {
            self.socket.shutdown();
        }
        if to_send || ended {
            self.signal.raise();
        }
    }
}

/// The arrivals of an open loop: operations that are due whatever the server does.
struct Arrivals {
    gap: f64,
    spacing: Arrival,
    dice: Dice,
    course: Arc<Course>,
}

/// Hands each arrival to the next session in turn.
async fn arrivals<P: Part>(mut times: Arrivals, links: Vec<Rc<Link<P>>>) {
    let Ok(mut timer) = Timer::new() else { return };
    let clock = times.course.clock;
    let mut due = clock.now() as f64;
    let mut turn = 0;
    loop {
        due += match times.spacing {
            Arrival::Fixed => times.gap,
            Arrival::Poisson => times.gap * -(1.0 - times.dice.fraction()).ln(),
        };
        let at = due as Nanos;
        let now = clock.now();
        if at > now && timer.sleep(Duration::from_nanos(at - now)).await.is_err() {
            return;
        }
        if !times.course.may_start(at, 1) {
            return;
        }
        let link: &Rc<Link<P>> = &links[turn % links.len()];
        turn += 1;
        link.session.borrow_mut().arrive(at);
        link.signal.raise();
    }
}
