//! One driver thread: its sessions, their sockets and the clock that watches them.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ringkeeper_engine::client::Options;

use crate::drive::fanout::{Fanout, FanoutGroup, WatchKind};
use crate::drive::link::{Arrivals, Link, Route, arrivals};
use crate::drive::pipelined::Pipelined;
use crate::drive::recipe::{Contender, HolderSlots, Recipe};
use crate::drive::rt::{self, Timer};
use crate::drive::run_state::RunState;
use crate::drive::session::{Session, SessionLogic};
use crate::drive::signal::Signal;
use crate::drive::storm::Storm;
use crate::load::args::Load;
use crate::load::keys::Chooser;
use crate::load::layout::Layout;
use crate::load::rng::Rng;
use crate::load::workload::Workload;
use crate::model::clock::{Nanos, SECOND};
use crate::record::tally::Tally;
use crate::record::timeline::Feed;
use crate::verify::fault::{Fault, FaultKind};
use crate::verify::ledger::Ledger;

/// How often a thread checks its sessions.
const TICK: Duration = Duration::from_millis(20);
/// How long sessions may take to close that are not needed.
const LEAVE: Nanos = 2 * SECOND;

/// What one driver thread is started with.
pub(crate) struct DriverThread {
    pub thread: u32,
    pub lanes: std::ops::Range<u32>,
    pub load: Arc<Load>,
    pub layout: Arc<Layout>,
    pub run_state: Arc<RunState>,
    pub servers: Arc<[SocketAddr]>,
    /// Who holds what.
    pub slots: HolderSlots,
    /// Where finished seconds are left for the main thread.
    pub feed: Arc<Feed>,
}

impl DriverThread {
    /// Connects all sessions, calls `ready` (which says whether to go on), carries the load and
    /// closes the sessions.
    pub(crate) fn work(self, ready: impl FnOnce(io::Result<()>) -> bool) -> io::Result<Tally> {
        let basis = self.load.basis();
        let mut tally = Tally::new(basis, self.run_state.window());
        tally.ledger = Ledger::new(self.layout.keys.len());
        let tally = Rc::new(RefCell::new(tally));
        let mut ready = Some(ready);
        let worked = rt::run(
            self.load.io,
            self.carry_any(tally.clone(), |connected| {
                ready.take().expect("sessions connect once")(connected)
            }),
        );
        if let Err(error) = &worked
            && let Some(ready) = ready
        {
            ready(Err(io::Error::new(error.kind(), error.to_string())));
        }
        worked??;
        Ok(Rc::try_unwrap(tally).expect("all tasks have ended").into_inner())
    }

    async fn carry_any(
        &self,
        tally: Rc<RefCell<Tally>>,
        ready: impl FnOnce(io::Result<()>) -> bool,
    ) -> io::Result<()> {
        match self.load.workload {
            Workload::Sessions => self.carry_storms(tally, ready).await,
            Workload::Watch => self.carry(self.fanout(WatchKind::OneShot), tally, ready).await,
            Workload::PersistentWatch => {
                self.carry(self.fanout(WatchKind::Persistent), tally, ready).await
            }
            Workload::RecursiveWatch => {
                self.carry(self.fanout(WatchKind::Recursive), tally, ready).await
            }
            Workload::Lock { .. } => self.carry(self.contenders(Recipe::Lock), tally, ready).await,
            Workload::Election { .. } => {
                self.carry(self.contenders(Recipe::Election), tally, ready).await
            }
            Workload::Create
            | Workload::Set
            | Workload::Get
            | Workload::Exists
            | Workload::Children
            | Workload::Multi
            | Workload::Mix(_)
            | Workload::Ephemeral => self.carry(self.pipelines(), tally, ready).await,
        }
    }

    fn pipelines(&self) -> Vec<(u32, Pipelined, Rc<Signal>)> {
        let mix = self.load.workload.mix().expect("only what is mixed is pipelined");
        let chooser = Chooser::new(self.load.keys_dist, self.layout.keys.len() as u32);
        let part = |lane| {
            let choices = (mix, chooser.clone());
            Pipelined::new(lane, choices, &self.load, &self.layout, &self.run_state)
        };
        self.lanes.clone().map(|lane| (lane, part(lane), Rc::default())).collect()
    }

    fn contenders(&self, recipe: Recipe) -> Vec<(u32, Contender, Rc<Signal>)> {
        let queues = self.load.workload.queues();
        let part = |lane| {
            let queue = (self.layout.queue(lane % queues), (lane % queues) as usize);
            Contender::new(recipe, lane, queue, self.slots.clone(), self.run_state.clone())
        };
        self.lanes.clone().map(|lane| (lane, part(lane), Rc::default())).collect()
    }

    fn fanout(&self, watch_kind: WatchKind) -> Vec<(u32, Fanout, Rc<Signal>)> {
        let mut group = FanoutGroup::new(&self.layout, self.thread, watch_kind, &self.load);
        group.set_watchers(self.lanes.end - self.lanes.start);
        let signal = group.writer();
        let group = Rc::new(RefCell::new(group));
        let watcher = || Fanout::watcher(group.clone(), self.run_state.clone());
        let mut parts: Vec<_> =
            self.lanes.clone().map(|lane| (lane, watcher(), Rc::default())).collect();
        parts.push((self.thread, Fanout::writer(group, self.run_state.clone()), signal));
        parts
    }

    async fn carry<P: SessionLogic>(
        &self,
        parts: Vec<(u32, P, Rc<Signal>)>,
        tally: Rc<RefCell<Tally>>,
        ready: impl FnOnce(io::Result<()>) -> bool,
    ) -> io::Result<()> {
        let mut links = Vec::with_capacity(parts.len());
        let mut connected = Ok(());
        for (lane, part, signal) in parts {
            let options = self.options();
            let session = Session::new(part, options, self.run_state.clone(), tally.clone())
                .reconnecting(self.load.reconnect);
            let route = Route::new(&self.servers, lane);
            match Link::open(route, session, signal, &self.run_state).await {
                Ok(link) => links.push(Rc::new(link)),
                Err(error) => connected = Err(error),
            }
            if connected.is_err() {
                break;
            }
        }
        let failed = connected.is_err();
        if !ready(connected) || failed {
            return self.leave(&links).await;
        }
        tally.borrow_mut().set_window(self.run_state.window());
        for link in &links {
            rt::spawn(link.clone().read_all());
            rt::spawn(link.clone().write_all());
            link.wake();
        }
        if self.load.rate.is_some() {
            rt::spawn(arrivals(self.arrivals(), links.clone()));
        }
        self.watch(&links, &tally).await
    }

    /// Closes the sessions of a load that does not begin: a server would keep them until they
    /// expire, and count them among those of this host.
    async fn leave<P: SessionLogic>(&self, links: &[Rc<Link<P>>]) -> io::Result<()> {
        let begun = self.run_state.clock.now();
        self.run_state.end(begun);
        self.run_state.release();
        for link in links {
            rt::spawn(link.clone().read_all());
            rt::spawn(link.clone().write_all());
            link.wake();
        }
        let mut timer = Timer::new()?;
        let is_over = |now: Nanos| now.saturating_sub(begun) > LEAVE;
        while !links.iter().all(|link| link.is_at_rest()) && !is_over(self.run_state.clock.now()) {
            timer.wait(TICK).await?;
        }
        Ok(())
    }

    async fn carry_storms(
        &self,
        tally: Rc<RefCell<Tally>>,
        ready: impl FnOnce(io::Result<()>) -> bool,
    ) -> io::Result<()> {
        if !ready(Ok(())) {
            return Ok(());
        }
        tally.borrow_mut().set_window(self.run_state.window());
        let open_lanes = Rc::new(Cell::new(self.lanes.end - self.lanes.start));
        for lane in self.lanes.clone() {
            let (route, options) = (Route::new(&self.servers, lane), self.options());
            let (run_state, tally) = (self.run_state.clone(), tally.clone());
            let open_lanes = open_lanes.clone();
            rt::spawn(async move {
                Storm { route, options, run_state, tally }.run().await;
                open_lanes.set(open_lanes.get() - 1);
            });
        }
        let mut timer = Timer::new()?;
        let mut progress_check = ProgressCheck::default();
        while open_lanes.get() > 0 {
            timer.wait(TICK).await?;
            let now = self.run_state.clock.now();
            progress_check.look(self, &tally, now);
            if self.run_state.is_past_timeout(now) {
                let story = "a session that was neither opened, nor closed, nor refused in time";
                let fault = Fault::new(FaultKind::Unanswered, story);
                tally.borrow_mut().faults.note_many(u64::from(open_lanes.get()), fault);
                break;
            }
        }
        self.run_state.thread_settled();
        Ok(())
    }

    /// Checks the sessions until the last one has ended.
    async fn watch<P: SessionLogic>(
        &self,
        links: &[Rc<Link<P>>],
        tally: &Rc<RefCell<Tally>>,
    ) -> io::Result<()> {
        let mut timer = Timer::new()?;
        let (mut settled, mut progress_check) = (false, ProgressCheck::default());
        while !links.iter().all(|link| link.is_at_rest()) {
            timer.wait(TICK).await?;
            let now = self.run_state.clock.now();
            links.iter().for_each(|link| link.tick(now));
            progress_check.look(self, tally, now);
            if !settled && links.iter().all(|link| link.is_settled(now)) {
                settled = true;
                self.run_state.thread_settled();
            }
        }
        if !settled {
            self.run_state.thread_settled();
        }
        Ok(())
    }

    fn options(&self) -> Options {
        Options { timeout_ms: self.load.session_ms(), ..Options::default() }
    }

    fn arrivals(&self) -> Arrivals {
        let rate = self.load.rate.expect("only an open loop has arrivals");
        Arrivals {
            gap: SECOND as f64 * f64::from(self.load.threads) / rate,
            spacing: self.load.arrival,
            rng: Rng::new(self.load.seed, u64::from(self.thread) << 32),
            run_state: self.run_state.clone(),
        }
    }
}

/// What a thread remembers from one look at the clock to the next.
#[derive(Default)]
struct ProgressCheck {
    checked: u64,
    progress: Nanos,
}

impl ProgressCheck {
    /// Leaves finished seconds for the main thread, and ends a load of so many operations
    /// when all of them have begun, or when nothing has come for as long as replies are waited for.
    fn look(&mut self, driver: &DriverThread, tally: &RefCell<Tally>, now: Nanos) {
        tally.borrow_mut().hand_out(now, &driver.feed);
        let checked = tally.borrow().checked;
        if checked != self.checked || self.progress == 0 {
            (self.checked, self.progress) = (checked, now);
        }
        let counts = driver.load.count.is_some();
        let stalled =
            driver.load.rate.is_none() && now - self.progress >= driver.run_state.timeout();
        if counts && (stalled || driver.run_state.is_over(now)) {
            driver.run_state.end(now);
        }
    }
}
