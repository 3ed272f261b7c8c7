//! The loops of the threads that are not a module of their own.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use ringkeeper_engine::device::Disk;
use ringkeeper_engine::log::{Preparer, Step};
use rustix::event::{PollFd, PollFlags, poll};

use crate::config::Settings;
use crate::node::clock::timespec;
use crate::node::reporting::NodeParts;
use crate::node::waker::Waker;
use crate::shards::{self, Listener, ShardThread};
use crate::stop::Stop;

/// How often the thread that prepares segments looks again when it has nothing to do.
const PREPARE_LOOK: Duration = Duration::from_millis(50);

/// How sockets are driven.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sockets {
    /// On io_uring.
    Ring,
    /// On epoll.
    Poll,
}

impl Sockets {
    /// For the banner.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Sockets::Ring => "io_uring",
            Sockets::Poll => "epoll",
        }
    }
}

/// Keeps segments of the log ready.
pub(crate) fn prepare_segments(
    mut preparer: Preparer<Disk>,
    stop: Arc<AtomicBool>,
) -> io::Result<JoinHandle<()>> {
    Builder::new().name("segments".into()).spawn(move || {
        while !stop.load(Ordering::Acquire) {
            match preparer.step() {
                Ok(Step::Made) => {}
                Ok(Step::Enough | Step::Full) => std::thread::park_timeout(PREPARE_LOOK),
                Err(fatal) => crate::fatal::stop_on_log(&fatal),
            }
        }
    })
}

/// Runs the sequencer, where it shares no shard's thread.
pub(crate) fn run_sequencer(
    mut node: NodeParts,
    waker: Arc<Waker>,
    stop: Arc<AtomicBool>,
) -> io::Result<JoinHandle<()>> {
    Builder::new().name("sequencer".into()).spawn(move || {
        while !(stop.load(Ordering::Acquire) && node.driver.leave()) {
            node.driver.release();
            node.driver.order();
            node.driver.wake_shards();
            node.report();
            waker.about_to_sleep();
            if node.has_work() {
                // However busy it is, the leader is heard.
                node.driver.note_links();
            } else {
                let timeout = timespec(node.driver.wait_us());
                let woken = PollFd::from_borrowed_fd(waker.fd(), PollFlags::IN);
                let link = node.driver.links();
                let ready = match link {
                    None => {
                        let _ = poll(&mut [woken], Some(&timeout));
                        false
                    }
                    Some(link) => {
                        let link = PollFd::from_borrowed_fd(link, PollFlags::IN);
                        let mut fds = [woken, link];
                        let _ = poll(&mut fds, Some(&timeout));
                        !fds[1].revents().is_empty()
                    }
                };
                waker.drain();
                if ready {
                    node.driver.note_links();
                }
            }
            waker.awake();
        }
        node.driver.finish();
    })
}

/// Runs a shard and its sockets.
pub(crate) fn run_shard(
    thread: ShardThread,
    listeners: Vec<Listener>,
    io: Sockets,
    settings: &Settings,
    stop: &Stop,
) -> io::Result<JoinHandle<()>> {
    let (flag, keep_alive) = (stop.flag.clone(), settings.client_tcp_keep_alive);
    Builder::new().name("shard".into()).spawn(move || {
        let result = match io {
            Sockets::Ring => shards::run_ring(thread, listeners, keep_alive, flag),
            Sockets::Poll => shards::run_poll(thread, listeners, keep_alive, flag),
        };
        if let Err(error) = result {
            crate::fatal::stop(&format!("the event loop failed: {error}"));
        }
    })
}
