//! How long the parts of a recovery take.

use std::time::Instant;

use ringkeeper_engine::snapshot::Stage;

use crate::admin::Startup;

/// When which part began.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct LoadTimes {
    snapshot: Option<Instant>,
    snapshot_ms: u64,
    log: Option<Instant>,
    log_ms: u64,
}

impl LoadTimes {
    /// The recovery has come to this stage.
    pub(crate) fn note(&mut self, stage: Stage) {
        match stage {
            Stage::Snapshot => {
                *self = LoadTimes { snapshot: Some(Instant::now()), ..LoadTimes::default() };
            }
            Stage::Loaded => self.snapshot_ms = since_ms(self.snapshot),
            Stage::Empty => *self = LoadTimes::default(),
            Stage::Log => self.log = Some(Instant::now()),
            Stage::Recovered => self.log_ms = since_ms(self.log),
        }
    }

    /// For reports: so many transactions were replayed.
    pub(crate) fn startup(&self, transactions: u64) -> Startup {
        let LoadTimes { snapshot_ms, log_ms, .. } = *self;
        Startup { snapshot_ms, log_ms, transactions, ..Startup::default() }
    }
}

fn since_ms(since: Option<Instant>) -> u64 {
    since.map_or(0, |since| u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX))
}
