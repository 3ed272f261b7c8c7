//! What carries the sockets of the driver.

/// What the user asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub(crate) enum IoChoice {
    /// io_uring where it is allowed, epoll elsewhere.
    #[default]
    Auto,
    /// io_uring, or nothing.
    Uring,
    /// epoll.
    Epoll,
}

/// What is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Io {
    Uring,
    Epoll,
}

impl Io {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Io::Uring => "io_uring",
            Io::Epoll => "epoll",
        }
    }
}
