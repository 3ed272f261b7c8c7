//! Two threads on a processor each, as a server and its client are: where both share one, a
//! hand-off is a switch between them and wakes no other processor.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Keeps the calling thread on one processor until it is dropped.
pub(super) struct Pinning {
    before: CpuSet,
    other: CpuSet,
}

impl Pinning {
    /// `None` where there is one processor only, or where that must not be asked for.
    pub(super) fn new() -> Option<Pinning> {
        let before = sched_getaffinity(None).ok()?;
        let mut allowed = (0..CpuSet::MAX_CPU).filter(|cpu| before.is_set(*cpu));
        let (this, other) = (only(allowed.next()?), only(allowed.next()?));
        sched_setaffinity(None, &this).ok()?;
        Some(Pinning { before, other })
    }

    /// Moves the calling thread to the other processor, for good.
    pub(super) fn move_over(&self) {
        // A processor that has gone away meanwhile makes the figure a little better, no more.
        let _ = sched_setaffinity(None, &self.other);
    }
}

impl Drop for Pinning {
    fn drop(&mut self) {
        // The processors were allowed before; should they be gone, the system chooses.
        let _ = sched_setaffinity(None, &self.before);
    }
}

fn only(cpu: usize) -> CpuSet {
    let mut set = CpuSet::new();
    set.set(cpu);
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinning_restores_affinity_on_drop() {
        let before = sched_getaffinity(None).unwrap();
        if let Some(pinning) = Pinning::new() {
            assert_eq!(sched_getaffinity(None).unwrap().count(), 1);
            let here = sched_getaffinity(None).unwrap();
            pinning.move_over();
            assert_ne!(sched_getaffinity(None).unwrap(), here);
        }
        assert_eq!(sched_getaffinity(None).unwrap(), before);
    }
}
