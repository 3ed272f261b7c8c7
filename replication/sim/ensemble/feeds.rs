//! What a leader reads from its disk for learners that lag behind: the product's reader, a step
//! whenever the thread that it stands for would be done.

use std::collections::{BTreeMap, VecDeque};

use ringkeeper_engine::device::MemoryDisk;
use ringkeeper_replication::leader::{
    FeedEvent, FeedPort, FeedSource, FeedTask, LearnerFeed, LinkId, SyncPlan,
};

/// One feed.
enum Task {
    /// To be begun.
    New(FeedTask),
    /// Its plan was reported.
    Open(Box<LearnerFeed<MemoryDisk>>),
}

/// The threads of a leader's feeds.
pub(crate) struct Feeds {
    source: FeedSource<MemoryDisk>,
    tasks: BTreeMap<LinkId, Task>,
    jobs: VecDeque<LinkId>,
    ready: VecDeque<(LinkId, FeedEvent)>,
    is_awaited: bool,
    /// Plans, for statistics: DIFF, TRUNC, SNAP, and how many have failed.
    pub(crate) plans: [usize; 4],
}

impl Feeds {
    /// Those of a disk.
    pub(crate) fn new(source: FeedSource<MemoryDisk>) -> Feeds {
        Feeds {
            source,
            tasks: BTreeMap::new(),
            jobs: VecDeque::new(),
            ready: VecDeque::new(),
            is_awaited: false,
            plans: [0; 4],
        }
    }

    /// Whether something was begun whose end is to be put on the schedule now.
    pub(crate) fn take_begun(&mut self) -> bool {
        let begins = !self.jobs.is_empty() && !self.is_awaited;
        self.is_awaited |= begins;
        begins
    }

    /// Whether something is ready that was not polled.
    pub(crate) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Does what was begun.
    pub(crate) fn complete(&mut self) {
        self.is_awaited = false;
        while let Some(link) = self.jobs.pop_front() {
            let Some(task) = self.tasks.remove(&link) else { continue };
            let done = match task {
                Task::New(task) => self.open(task),
                Task::Open(feed) => self.read(link, feed),
            };
            let event = done.unwrap_or_else(|why| {
                self.plans[3] += 1;
                FeedEvent::Failed(why)
            });
            self.ready.push_back((link, event));
        }
    }

    fn open(&mut self, task: FeedTask) -> Result<FeedEvent, String> {
        let feed = LearnerFeed::open(&self.source, task).map_err(|error| error.to_string())?;
        let plan = feed.plan();
        self.plans[match plan {
            SyncPlan::Diff => 0,
            SyncPlan::Trunc(_) => 1,
            SyncPlan::Snap(_) => 2,
        }] += 1;
        self.tasks.insert(task.link, Task::Open(Box::new(feed)));
        Ok(FeedEvent::Plan(plan))
    }

    fn read(
        &mut self,
        link: LinkId,
        mut feed: Box<LearnerFeed<MemoryDisk>>,
    ) -> Result<FeedEvent, String> {
        let piece = feed.next_piece(&|| false).map_err(|error| error.to_string())?;
        let Some(piece) = piece else { return Ok(FeedEvent::Done) };
        self.tasks.insert(link, Task::Open(feed));
        Ok(FeedEvent::Piece(piece))
    }
}

impl FeedPort for Feeds {
    fn begin(&mut self, task: FeedTask) {
        self.tasks.insert(task.link, Task::New(task));
        self.jobs.push_back(task.link);
    }

    fn request(&mut self, link: LinkId) {
        self.jobs.push_back(link);
    }

    /// What is ready already still comes.
    fn stop(&mut self, link: LinkId) {
        self.tasks.remove(&link);
    }

    fn poll(&mut self) -> Option<(LinkId, FeedEvent)> {
        self.ready.pop_front()
    }
}
