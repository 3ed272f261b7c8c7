//! Stands in for the threads that read for learners until they are there.

use std::io;
use std::sync::Arc;

use ringkeeper_replication::leader::{FeedEvent, FeedPort, FeedTask, LinkId};

use crate::node::waker::Waker;

pub(crate) struct FeedConcurrency {
    pub(crate) diffs: usize,
    pub(crate) states: usize,
}

pub(crate) struct FeedThreads;

impl FeedThreads {
    pub(crate) fn start(_: FeedConcurrency, _: Arc<Waker>) -> io::Result<FeedThreads> {
        Ok(FeedThreads)
    }

    pub(super) fn is_done(&self) -> bool {
        false
    }
}

impl FeedPort for FeedThreads {
    fn begin(&mut self, _: FeedTask) {}
    fn request(&mut self, _: LinkId) {}
    fn stop(&mut self, _: LinkId) {}
    fn poll(&mut self) -> Option<(LinkId, FeedEvent)> {
        None
    }
}
