//! The thread on which reports are coordinated, and HTTP is served.

use std::io;
use std::sync::Arc;
use std::thread;

use ringkeeper_engine::acl::AuthSettings;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::coordinator::ReportCoordinator;
use super::http::{self, Ports};
use super::state::{ReportSources, ServerState};
use super::workers::Workers;
use crate::config::Settings;
use crate::node::waker::Waker;

/// Reports before their thread runs. Words that arrive until then wait.
pub struct Admin {
    runtime: Runtime,
    /// Where reports of the whole server are asked for.
    pub coordinator: Arc<ReportCoordinator>,
    /// The state of the server, as reports show it.
    pub state: Arc<ServerState>,
}

/// The thread while it runs.
pub struct AdminThread {
    http: Option<oneshot::Sender<()>>,
    all: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Admin {
    /// Makes what reports need, but for their thread. The wakers are those of the shards, and of
    /// the node.
    pub fn new(sources: ReportSources, wakers: (Vec<Arc<Waker>>, Arc<Waker>)) -> io::Result<Admin> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let (workers, state) = (Workers::start()?, Arc::new(ServerState::new(sources)));
        let handle = runtime.handle().clone();
        let coordinator = ReportCoordinator::new(state.clone(), workers, wakers, handle);
        Ok(Admin { runtime, coordinator: Arc::new(coordinator), state })
    }

    /// Starts the thread. It serves HTTP wherever there is a port for it.
    pub fn start(
        self,
        ports: Ports,
        settings: &Settings,
        auth: AuthSettings,
    ) -> io::Result<AdminThread> {
        let Admin { runtime, coordinator, .. } = self;
        let (http, http_stopped) = oneshot::channel::<()>();
        let (all, all_stopped) = oneshot::channel::<()>();
        // Without a port nothing is looked up for HTTP.
        let site = ports.any().then(|| Arc::new(http::Site::new(settings, coordinator, auth)));
        let idle_ms = settings.admin_idle_timeout_ms;
        let serve = move || {
            runtime.block_on(async {
                let http = site.map(|site| tokio::spawn(http::serve(ports, site, idle_ms)));
                // A sender that was dropped is an end as well.
                let _ = http_stopped.await;
                http.iter().for_each(JoinHandle::abort);
                let _ = all_stopped.await;
            });
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name("admin".into()).spawn(serve)?;
        Ok(AdminThread { http: Some(http), all, thread })
    }
}

impl AdminThread {
    /// Ends HTTP: answers under way are cut off. Four-letter words are still answered.
    pub fn stop_http(&mut self) {
        if let Some(http) = self.http.take() {
            // The thread may have ended by itself already.
            let _ = http.send(());
        }
    }

    /// Ends the thread. Call it when the shards have ended.
    pub fn stop(mut self) {
        self.stop_http();
        let _ = self.all.send(());
        let _ = self.thread.join();
    }
}
