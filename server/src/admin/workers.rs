//! The threads on which long texts are made, and on which the disk is waited for.

use std::io;

use crossbeam::channel::{Receiver, Sender, unbounded};
use tokio::sync::oneshot;

/// Threads of each kind of work. They are started with the server: one that is started on demand
/// may be refused by the system just then.
const THREADS: usize = 2;

type Job = Box<dyn FnOnce() + Send>;

/// Threads for each kind of work, so that a disk which does not answer holds up no text.
pub(super) struct Workers {
    /// Texts of four-letter words.
    pub texts: Pool,
    /// Answers over HTTP.
    pub http: Pool,
    /// Whatever reads the data directories.
    pub files: Pool,
}

/// Threads that run one job after the other. They end when the last handle is dropped.
///
/// What waits is bounded by the permits of reports and the connections over HTTP, each of which
/// has one job at the most.
#[derive(Clone)]
pub(super) struct Pool {
    jobs: Sender<Job>,
}

impl Workers {
    /// Starts the threads.
    pub(super) fn start() -> io::Result<Workers> {
        Ok(Workers { texts: Pool::start()?, http: Pool::start()?, files: Pool::start()? })
    }
}

impl Pool {
    fn start() -> io::Result<Pool> {
        let (jobs, waiting) = unbounded();
        for _ in 0..THREADS {
            let waiting: Receiver<Job> = waiting.clone();
            let work = move || waiting.iter().for_each(|job| job());
            std::thread::Builder::new().name("report".into()).spawn(work)?;
        }
        Ok(Pool { jobs })
    }

    /// Runs a job, and returns its result. One whose result is not waited for any more is run all
    /// the same.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let (result, finished) = oneshot::channel();
        // The one that waited may have gone.
        let job = Box::new(move || drop(result.send(job())));
        self.jobs.send(job).expect("the threads live as long as this handle");
        finished.await.expect("a job that panics ends the process")
    }

    /// How many jobs wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.jobs.len()
    }
}
