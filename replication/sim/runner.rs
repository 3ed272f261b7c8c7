//! One seed from its beginning to its end.

use super::world::{Met, World};

/// What a seed came to.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// The same where the same has happened.
    pub(crate) trace_hash: u64,
    pub(crate) virtual_us: u64,
    pub(crate) events: u64,
    pub(crate) met: Met,
    /// What the leaders have done.
    pub(crate) seen: super::leader::Seen,
}

/// What a failure is of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum FailureClass {
    /// Something was seen that must never be.
    Safety,
    /// Something never came.
    Liveness,
    /// The product has panicked: one of its own assertions, or worse.
    Panic,
}

impl FailureClass {
    /// The class of a panic in this file.
    pub(crate) fn of(file: &str) -> FailureClass {
        let file = file.replace('\\', "/");
        if file.ends_with("sim/check/progress.rs") {
            FailureClass::Liveness
        } else if file.contains("/sim/") {
            FailureClass::Safety
        } else {
            FailureClass::Panic
        }
    }

    /// Its name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            FailureClass::Safety => "safety",
            FailureClass::Liveness => "liveness",
            FailureClass::Panic => "panic",
        }
    }
}

/// Plays a seed. A failure is a panic.
pub(crate) fn run(seed: u64) -> Outcome {
    let mut world = World::new(seed);
    let end_us = world.swarm.fault_us;
    world.run_until(end_us);
    world.finish();
    outcome(&world)
}

/// What a world has come to.
pub(crate) fn outcome(world: &World) -> Outcome {
    Outcome {
        trace_hash: world.schedule.trace_hash(),
        virtual_us: world.now_us(),
        events: world.schedule.count(),
        met: world.met.clone(),
        seen: world.ensemble.seen.clone(),
    }
}
