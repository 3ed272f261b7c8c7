//! From settings to a running server, and from a signal to its end.

mod look;
mod member;
mod parts;
mod ports;
mod reload;
mod throttles;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context;
use ringkeeper_engine::device::{DirectoryId, DirectoryLock, Disk};
use ringkeeper_engine::log::{Dirs, Gauge, Log, Purger};
use ringkeeper_engine::op::OpSettings;
use ringkeeper_engine::shard::Shard;
use ringkeeper_engine::snapshot::{LastStart, LogGrowth};
use ringkeeper_replication::learner::LearnerPosition;
use ringkeeper_replication::node::{MailboxLimits, World};

pub use self::look::look;
use self::member::MemberSources;

use self::ports::ClientPorts;
use self::reload::{ReadAgain, Reload};
use crate::admin::audit::AuditLog;
use crate::admin::http::Ports;
use crate::admin::{
    Admin, NodeReporter, ReportCoordinator, ReportSources, ServerFacts, ServerState, ShardReporter,
    Startup,
};
use crate::banner::Banner;
use crate::config::{Io, Settings, Shards};
use crate::log::device::LogProbe;
use crate::log::writer::{LogWriter, MemberLog};
use crate::node::clock::Clock;
use crate::node::driver::{Mailboxes, NodeDriver, ServerLog, ServerPorts};
use crate::node::mailbox::{self, NodeEnd, ShardEnd};
use crate::node::observer::NodeObserver;
use crate::node::reporting::NodeParts;
use crate::node::threads::{Sockets, prepare_segments, run_sequencer, run_shard};
use crate::node::view::View;
use crate::node::waker::Waker;
use crate::notify_socket::{self, NotifySocket, Watchdog};
use crate::peers::dialer_thread::DialerThread;
use crate::peers::states::StateStore;
use crate::peers::status::MemberStatus;
use crate::shards::descriptors::{self, connections_max};
use crate::shards::{self, Admission, ConnectionLimiter, ShardParts, ShardThread};
use crate::stop::Stop;
use crate::storage::exclusion::SnapshotExclusion;
use crate::storage::open::{DataDirectories, digest};
use crate::storage::snapshots::{Snapshotter, snapshot_settings};
use crate::tls::material::TlsMaterial;
use crate::tls::reload::{StoreReload, StoreWatch};

/// Serves until a signal ends it. Errors are configuration and data that cannot be served. SIGHUP
/// has the configuration read again.
pub fn serve(settings: &Settings, read_again: &ReadAgain<'_>) -> anyhow::Result<()> {
    let clock = Clock::start();
    descriptors::grow_table();
    let stop = Stop::on_signals()?;
    let ports = ClientPorts::of(settings)?;
    let tls = tls(settings)?;
    let directories = DataDirectories::open(settings)?;
    let io = choose_io(settings.io)?;
    let count = shard_count(settings.shards);
    let running = Running::start(settings, directories, clock, count, &stop)?;
    running.listen((settings, read_again), (ports, tls), io, &stop)
}

/// The keys of TLS, where a port has it; the error says what is wrong with them.
fn tls(settings: &Settings) -> anyhow::Result<Option<Arc<TlsMaterial>>> {
    let load = || crate::tls::settings::load(settings).map(TlsMaterial::new).map(Arc::new);
    crate::tls::settings::is_wanted(settings).then(load).transpose()
}

fn choose_io(io: Io) -> anyhow::Result<Sockets> {
    match io {
        Io::Epoll => Ok(Sockets::Poll),
        Io::IoUring => {
            shards::probe_ring().context(
                "ringkeeper.io=io_uring, but this system does not allow it; use auto or epoll",
            )?;
            Ok(Sockets::Ring)
        }
        Io::Auto => match shards::probe_ring() {
            Ok(()) => Ok(Sockets::Ring),
            Err(error) => {
                tracing::warn!("io_uring is not available here ({error}); sockets use epoll");
                Ok(Sockets::Poll)
            }
        },
    }
}

/// On one or two cores shard and sequencer share a thread; on more, one core is the sequencer's
/// and one the log writer's.
fn shard_count(shards: Shards) -> u16 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    match shards {
        Shards::Count(count) => u16::try_from(count.max(1)).unwrap_or(u16::MAX),
        Shards::Auto if cores <= 2 => 1,
        Shards::Auto => u16::try_from((cores - 2).clamp(2, 64)).unwrap_or(2),
    }
}

/// Whether the node shares the thread of the one shard.
fn is_fused(shards: u16) -> bool {
    shards == 1
}

/// What a shard's thread gets; the sequencer where they share one.
type ShardWiring = (ShardEnd, Arc<Waker>, Option<NodeParts>);

/// The threads behind the sockets.
struct Running {
    parts: Vec<ShardWiring>,
    view: Arc<View>,
    ops: OpSettings,
    clock: Clock,
    seed: u64,
    device: String,
    threads: Vec<JoinHandle<()>>,
    probe: Option<LogProbe>,
    dialing: Option<DialerThread>,
    _locks: Vec<DirectoryLock>,
    fused: bool,
    admin: Admin,
    limiter: Arc<ConnectionLimiter>,
    audit: Option<AuditLog>,
}

/// What wakes the shards and their sequencer, and the rings between them.
struct Rings {
    wakers: Vec<Arc<Waker>>,
    sequencer_waker: Arc<Waker>,
    shard_ends: Vec<ShardEnd>,
}

impl Rings {
    /// What wakes the shards, and the node.
    fn wakers(&self) -> (Vec<Arc<Waker>>, Arc<Waker>) {
        (self.wakers.clone(), self.sequencer_waker.clone())
    }

    fn new(count: u16, mailboxes: MailboxLimits) -> io::Result<(Rings, Vec<NodeEnd>)> {
        let wakers = (0..count)
            .map(|_| Waker::new().map(Arc::new))
            .collect::<io::Result<Vec<Arc<Waker>>>>()?;
        let sequencer_waker =
            if is_fused(count) { wakers[0].clone() } else { Arc::new(Waker::new()?) };
        let (shard_ends, sequencer_ends) = wakers
            .iter()
            .map(|waker| mailbox::pair(waker.clone(), sequencer_waker.clone(), mailboxes.full))
            .unzip();
        Ok((Rings { wakers, sequencer_waker, shard_ends }, sequencer_ends))
    }
}

impl Running {
    fn start(
        settings: &Settings,
        directories: DataDirectories,
        clock: Clock,
        count: u16,
        stop: &Stop,
    ) -> anyhow::Result<Running> {
        let ops = parts::op_settings(settings);
        let DataDirectories { identity, dirs, recovered, db, choice, seed, loading, .. } =
            directories;
        let replica = parts::replica(settings, &identity, &ops, &db, (clock, seed));
        let position = LearnerPosition::at_start(db.applied(), &identity);
        let proposed = parts::proposed_ensemble(settings, &identity, &dirs)?;
        let (view, exclusion) = (Arc::new(View::new(db)), Arc::<SnapshotExclusion>::default());
        let node_settings = parts::node_settings(settings, &ops);
        let (rings, node_ends) = Rings::new(count, node_settings.mailboxes)?;
        let (log_writer, committing) =
            start_log_writer(settings, (recovered.log, exclusion.clone()), &rings.sequencer_waker)?;
        let (audit, waker) = (AuditLog::start(settings)?, rings.sequencer_waker.clone());
        let audit_end = audit.as_ref().map(|audit| audit.end(waker.clone()));
        let snapshot_parts = SnapshotParts {
            dirs: dirs.clone(),
            directory: identity.directory,
            purger: recovered.purger,
            gauge: recovered.gauge.clone(),
            exclusion,
            last_start: last_start(recovered.replayed, loading),
        };
        let store = snapshot_parts.state_store(settings, seed);
        let own = MemberSources { view: view.clone(), clock, waker, proposed };
        let member = member::start(settings, (position, store), own)?;
        let limiter = Arc::new(limiter(settings, usize::from(count))?);
        let world = World::<ServerPorts> {
            clock,
            log: ServerLog { writer: log_writer, gauge: recovered.gauge.clone() },
            database: view.clone(),
            shards: Mailboxes(node_ends),
            leader: member.leader,
            observer: NodeObserver::new(Arc::default(), audit_end, limiter.log.clone()),
        };
        let facts = ServerFacts::new(settings, clock, startup(loading, clock));
        let sources = sources(&world, facts, (limiter.clone(), member.status, audit.as_ref()));
        let snapshotter = snapshotter(settings, snapshot_parts, &sources, stop);
        let probe = choice.unmeasured.then(|| log_probe(settings, dirs.log, recovered.gauge, stop));
        let admin = Admin::new(sources, rings.wakers())?;
        let mut threads = vec![snapshotter.start()?, committing];
        threads.push(prepare_segments(recovered.preparer, stop.over.clone())?);
        let node = NodeParts {
            driver: NodeDriver::new(replica, node_settings, world, member.peers),
            reporter: NodeReporter::new(admin.coordinator.clone()),
        };
        let parts = attach_node(node, rings, is_fused(count), stop, &mut threads)?;
        Ok(Running {
            parts,
            view,
            ops,
            clock,
            seed,
            device: choice.words,
            threads,
            probe,
            dialing: member.dialing,
            _locks: directories.locks,
            fused: is_fused(count),
            admin,
            limiter,
            audit,
        })
    }

    /// Binds, starts the shards, says that all is ready, and waits for the end. Nothing listens
    /// before everything behind it can answer.
    fn listen(
        self,
        (settings, read_again): (&Settings, &ReadAgain<'_>),
        (mut client_ports, tls): (ClientPorts, Option<Arc<TlsMaterial>>),
        io: Sockets,
        stop: &Stop,
    ) -> anyhow::Result<()> {
        let count = self.parts.len();
        let admission = if count > 1 { Admission::Shared } else { Admission::Alone };
        let shard_settings = parts::shard_settings(settings, &self.ops, self.seed, count)?;
        if admission == Admission::Shared {
            // Sharing a port is between the shards of one server: a bind without sharing finds
            // out whether another server has it.
            drop(client_ports.bind(Admission::Alone)?);
        }
        let ports = Ports::bind(settings)?;
        let state = self.admin.state.clone();
        let mut shards = Vec::with_capacity(count);
        for (index, (mailbox, waker, fused)) in self.parts.into_iter().enumerate() {
            let listeners = client_ports.bind(admission)?;
            self.admin.state.listens_on(client_ports.plain(), client_ports.secure());
            let index = u16::try_from(index).expect("shards are few");
            let thread = ShardThread::new(ShardParts {
                shard: Shard::new(index, shard_settings.clone()),
                view: self.view.clone(),
                mailbox,
                fused,
                clock: self.clock,
                waker: waker.clone(),
                limiter: self.limiter.clone(),
                reporter: ShardReporter::new(self.admin.coordinator.clone(), index),
                audit: self.audit.as_ref().map(|audit| audit.end(waker.clone())),
                leader: parts::write_leader(settings),
                tls: tls.clone(),
            });
            stop.wake(waker);
            shards.push(run_shard(thread, listeners, io, settings, stop)?);
        }
        let http = ports.addresses(&settings.admin_command_url);
        let coordinator = self.admin.coordinator.clone();
        let mut admin = self.admin.start(ports, settings, self.ops.auth)?;
        let ready_ms = self.clock.now().mono.0;
        let zxid = self.view.read().applied();
        let (io, device, http) = (io.name(), &self.device, http.as_deref());
        let (plain, secure) = (client_ports.plain(), client_ports.secure());
        let banner = Banner { settings, plain, secure, http, zxid, device, io, ready_ms };
        self.audit.iter().for_each(AuditLog::started);
        banner.print(self.fused);
        banner.log(settings.log_format);
        let mut threads = self.threads;
        // Not before clients are served: nothing of a start waits for it.
        threads.extend(self.probe.map(LogProbe::start).transpose()?);
        let counters = self.limiter.tls.clone();
        let stores = tls.map(|material| StoreReload { material, counters });
        let audit = self.audit.as_ref();
        serve_signals((settings, read_again), audit, (coordinator, &state), (stop, stores))?;
        say_stop(settings, &state, &self.limiter);
        admin.stop_http();
        join(shards);
        admin.stop();
        stop.end();
        drop(self.dialing);
        join(threads);
        self.audit.into_iter().for_each(AuditLog::finish);
        tracing::info!("stopped");
        Ok(())
    }
}

/// Says that the server is ready, and returns when a signal has come that ends it.
fn serve_signals(
    (settings, read_again): (&Settings, &ReadAgain<'_>),
    audit: Option<&AuditLog>,
    (coordinator, state): (Arc<ReportCoordinator>, &ServerState),
    (stop, tls): (&Stop, Option<StoreReload>),
) -> io::Result<()> {
    let service = Service::start(coordinator)?;
    let audit = audit.map(AuditLog::reopener);
    let (facts, limiter) = state.changing();
    let notify = &service.notify;
    let reload = Reload { settings, read_again, audit, notify, facts, limiter, tls: tls.clone() };
    let watched = tls.filter(|_| settings.cert_reload);
    let watch = watched.map(|reload| StoreWatch::start(settings.clone(), reload)).transpose()?;
    stop.wait(&|| reload.run());
    watch.into_iter().for_each(StoreWatch::stop);
    service.stop();
    Ok(())
}

/// The service manager, while the server is ready.
struct Service {
    notify: NotifySocket,
    watchdog: Option<Watchdog>,
}

impl Service {
    /// Says that the server is ready, and that it lives where that is wanted.
    fn start(coordinator: Arc<ReportCoordinator>) -> io::Result<Service> {
        let notify = NotifySocket::of_process();
        notify.send("READY=1");
        let lives = move |patience| coordinator.all_answer(patience);
        let watchdog = notify_socket::watchdog_interval()
            .map(|interval| Watchdog::start(NotifySocket::of_process(), interval, lives));
        Ok(Service { notify, watchdog: watchdog.transpose()? })
    }

    /// Says that it stops.
    fn stop(self) {
        self.notify.send("STOPPING=1");
        self.watchdog.into_iter().for_each(Watchdog::stop);
    }
}

/// Says what comes of the stop.
fn say_stop(settings: &Settings, state: &ServerState, limiter: &ConnectionLimiter) {
    if let (Some(ensemble), Some(report)) = (&settings.ensemble, state.member()) {
        member::warn_of_stop(ensemble, &report);
    }
    limiter.say_stop();
}

/// What reports are made of.
fn sources(
    world: &World<ServerPorts>,
    facts: ServerFacts,
    (limiter, member, audit): (
        Arc<ConnectionLimiter>,
        Option<Arc<MemberStatus>>,
        Option<&AuditLog>,
    ),
) -> ReportSources {
    let (view, gauges) = (world.database.clone(), world.observer.gauges.clone());
    let (commits, snapshots) = (world.log.writer.stats.clone(), Arc::default());
    let audit_lost = audit.map(|audit| audit.lost.clone());
    ReportSources { facts, view, gauges, commits, snapshots, limiter, member, audit_lost }
}

/// What the thread that takes snapshots gets from the start.
struct SnapshotParts {
    dirs: Dirs<Disk>,
    directory: DirectoryId,
    purger: Purger<Disk>,
    gauge: Gauge,
    exclusion: Arc<SnapshotExclusion>,
    /// What the start knows of the last one.
    last_start: LastStart,
}

impl SnapshotParts {
    /// Where states of a leader are written and read.
    fn state_store(&self, settings: &Settings, seed: u64) -> StateStore {
        let (dirs, gauge) = (self.dirs.clone(), self.gauge.clone());
        StateStore { dirs, directory: self.directory, gauge, digest: digest(settings), seed }
    }
}

fn snapshotter(
    settings: &Settings,
    snapshot_parts: SnapshotParts,
    sources: &ReportSources,
    stop: &Stop,
) -> Snapshotter<Disk> {
    let SnapshotParts { dirs, directory, purger, gauge, exclusion, last_start } = snapshot_parts;
    Snapshotter {
        view: sources.view.clone(),
        dirs,
        directory,
        purger,
        settings: snapshot_settings(settings),
        gauge,
        exclusion,
        stats: sources.snapshots.clone(),
        last_start,
        stop: stop.flag.clone(),
        clock: std::time::Instant::now(),
    }
}

fn log_probe(settings: &Settings, disk: Disk, gauge: Gauge, stop: &Stop) -> LogProbe {
    LogProbe { path: settings.data_log_dir.clone(), disk, gauge, stop: stop.flag.clone() }
}

/// Puts the node on the first shard's thread where they share one, else on its own.
fn attach_node(
    node: NodeParts,
    rings: Rings,
    fused: bool,
    stop: &Stop,
    threads: &mut Vec<JoinHandle<()>>,
) -> io::Result<Vec<ShardWiring>> {
    let Rings { wakers, sequencer_waker, shard_ends } = rings;
    let mut shards: Vec<_> =
        shard_ends.into_iter().zip(wakers).map(|(end, waker)| (end, waker, None)).collect();
    if fused {
        shards[0].2 = Some(node);
    } else {
        stop.wake(sequencer_waker.clone());
        threads.push(run_sequencer(node, sequencer_waker, stop.over.clone())?);
    }
    Ok(shards)
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        thread.thread().unpark();
        // One that panicked has ended the process.
        let _ = thread.join();
    }
}

fn start_log_writer(
    settings: &Settings,
    (log, exclusion): (Log<Disk>, Arc<SnapshotExclusion>),
    waker: &Arc<Waker>,
) -> io::Result<(LogWriter, JoinHandle<()>)> {
    let slow_us = settings.fsync_warning_threshold_ms.saturating_mul(1_000);
    let log = MemberLog { log, exclusion };
    LogWriter::start(log, waker.clone(), slow_us, settings.log_priority)
}

fn last_start(replayed: LogGrowth, loading: Startup) -> LastStart {
    LastStart { replayed, replay_ms: loading.log_ms, load_ms: loading.snapshot_ms }
}

fn startup(loading: Startup, clock: Clock) -> Startup {
    Startup { total_ms: u64::try_from(clock.now().mono.0).unwrap_or(0), ..loading }
}

fn limiter(settings: &Settings, shards: usize) -> io::Result<ConnectionLimiter> {
    let (per_ip_max, total_max) = reload::connection_limits(settings);
    let limiter = ConnectionLimiter::new(per_ip_max, total_max);
    Ok(limiter.bounded(connections_max(shards)?, shards))
}
