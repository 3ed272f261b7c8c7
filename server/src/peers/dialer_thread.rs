//! The thread of everything that takes long about other servers: names, connecting, listening.

use std::io;
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

/// Ends the thread when it is dropped, with all that runs on it.
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

impl DialerThread {
    /// What runs on the thread; nothing runs before it is started.
    pub(super) fn runtime() -> io::Result<Runtime> {
        Builder::new_current_thread().enable_io().enable_time().build()
    }

    /// Starts the thread. `begin` is called on the runtime, and spawns what runs on it.
    pub(super) fn start(runtime: Runtime, begin: impl FnOnce()) -> io::Result<DialerThread> {
        {
            let _entered = runtime.enter();
            begin();
        }
        let (stop, stopped) = oneshot::channel::<()>();
        let run = move || {
            // A sender that was dropped is an end as well.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name("peer-dial".into()).spawn(run)?;
        Ok(DialerThread { stop: Some(stop), thread: Some(thread) })
    }
}
