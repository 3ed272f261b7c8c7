//! The ways in which one server can serve: they must not differ in a byte.

use std::io;
use std::process::{Child, Command};

use crate::without_ring;

/// A way to serve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// What the server chooses: on one or two cores one thread, on io_uring.
    Defaults,
    /// Two threads with sockets, and one of its own for the order.
    Shards,
    /// One thread, on epoll.
    Epoll,
    /// As both.
    ShardsEpoll,
    /// What the server chooses where the system forbids io_uring.
    WithoutRing,
}

impl Mode {
    /// All that are not what the server chooses.
    pub(crate) const OTHERS: [Mode; 4] =
        [Mode::Shards, Mode::Epoll, Mode::ShardsEpoll, Mode::WithoutRing];

    /// What is added to a zoo.cfg.
    pub(crate) fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Mode::Defaults => &[],
            Mode::Shards => &[("ringkeeper.shards", "2")],
            // On a machine with more cores than two, the default is not fused.
            Mode::Epoll => &[("ringkeeper.shards", "1"), ("ringkeeper.io", "epoll")],
            Mode::ShardsEpoll => &[("ringkeeper.shards", "2"), ("ringkeeper.io", "epoll")],
            Mode::WithoutRing => &[("ringkeeper.shards", "1")],
        }
    }

    /// Starts the server's process.
    pub(crate) fn spawn(self, command: &mut Command) -> io::Result<Child> {
        match self {
            Mode::WithoutRing => without_ring::spawn(command),
            Mode::Defaults | Mode::Shards | Mode::Epoll | Mode::ShardsEpoll => command.spawn(),
        }
    }
}
