//! One seed from its beginning to its end.

use super::world::{Met, World};

/// What a seed came to.
#[derive(Clone, Debug)]
pub(crate) struct EnsembleOutcome {
    /// The same where the same has happened.
    pub(crate) trace_hash: u64,
    pub(crate) virtual_us: u64,
    pub(crate) events: u64,
    pub(crate) epochs: usize,
    pub(crate) committed: usize,
    pub(crate) writes: usize,
    pub(crate) met: Met,
}

/// Plays a seed: things fail; then a majority works and has to make progress; then everything works
/// and has to come to rest. A failure is a panic.
pub(crate) fn run_ensemble(seed: u64) -> EnsembleOutcome {
    play_ensemble(World::new(seed))
}

/// As that, with a world that is there.
pub(crate) fn play_ensemble(mut world: World) -> EnsembleOutcome {
    let end_us = world.swarm.fault_us;
    world.run_until(end_us);
    world.finish();
    outcome(&world)
}

/// What a world has come to.
pub(crate) fn outcome(world: &World) -> EnsembleOutcome {
    EnsembleOutcome {
        trace_hash: world.schedule.trace_hash(),
        virtual_us: world.now_us(),
        events: world.schedule.count(),
        epochs: world.leaders.count(),
        committed: world.committed.txns().len(),
        writes: world.writes,
        met: world.met.clone(),
    }
}
