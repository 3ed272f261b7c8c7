//! What differs from seed to seed: how many there are, how fast everything is, and what fails how
//! often. Each seed draws its own, so that in some everything is rare and in some one thing is
//! frequent.

use ringkeeper_replication::learner::LearnerKind;

use super::net::Latency;
use super::streams::Streams;

/// One choice of everything.
#[derive(Clone, Debug)]
pub(crate) struct Swarm {
    /// The members, as which they take part.
    pub(crate) kinds: Vec<LearnerKind>,
    pub(crate) clients: usize,
    /// Virtual time in which things fail.
    pub(crate) fault_us: u64,
    /// Transactions of the ensemble before the members start.
    pub(crate) writes_before: usize,
    pub(crate) shards: u16,
    pub(crate) apply_batch: usize,
    pub(crate) outstanding_max: usize,
    pub(crate) event_bytes_max: usize,
    /// The timeout of clients' sessions, milliseconds.
    pub(crate) session_ms: i32,
    /// How long clients wait for a leader, milliseconds.
    pub(crate) hold_ms: i64,
    pub(crate) latency: Latency,
    /// The longest flush, microseconds.
    pub(crate) flush_us: u64,
    /// Between two actions of a client, of a leader and of whatever fails; on average, half of it.
    pub(crate) think_us: u64,
    pub(crate) leader_us: u64,
    pub(crate) failure_us: u64,
    /// How often of a hundred times a leader commits something, and a quorum has its history.
    pub(crate) commits: usize,
    pub(crate) quorums: usize,
    /// How often of a hundred times whole states are sent without need.
    pub(crate) states: usize,
    /// How often of a hundred times a leader has not applied what it has committed when it
    /// synchronizes a learner.
    pub(crate) lags: usize,
    pub(crate) snapshot_us: u64,
    pub(crate) faults: FaultWeights,
}

/// How often each fault is chosen, beside the others.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct FaultWeights {
    pub(crate) lose_link: usize,
    pub(crate) change_leader: usize,
    pub(crate) clog: usize,
    pub(crate) process_death: usize,
    pub(crate) power_loss: usize,
    /// The process ends at a disk operation, or within a turn, that is yet to come.
    pub(crate) crash_at: usize,
    pub(crate) pause: usize,
    pub(crate) clock: usize,
    pub(crate) disk_error: usize,
    pub(crate) disk_full: usize,
    pub(crate) stall: usize,
    pub(crate) rot: usize,
    pub(crate) wipe: usize,
    /// A leader does what no leader does.
    pub(crate) wrong: usize,
}

impl FaultWeights {
    /// Names and weights, in the order of [`super::world::faults::Fault::ALL`].
    pub(crate) fn all(&self) -> [usize; 14] {
        [
            self.lose_link,
            self.change_leader,
            self.clog,
            self.process_death,
            self.power_loss,
            self.crash_at,
            self.pause,
            self.clock,
            self.disk_error,
            self.disk_full,
            self.stall,
            self.rot,
            self.wipe,
            self.wrong,
        ]
    }
}

impl Swarm {
    /// The choice of a seed.
    pub(crate) fn draw(streams: &mut Streams) -> Swarm {
        let members = *streams.crash.pick(&[1, 1, 2, 3]);
        let kinds = [LearnerKind::Observer, LearnerKind::Follower];
        let (workload, leader) = (&mut streams.workload, &mut streams.leader);
        let faults = faults(&mut streams.crash);
        Swarm {
            kinds: (0..members).map(|_| *streams.crash.pick(&kinds)).collect(),
            clients: 2 + workload.below(4),
            fault_us: *workload.pick(&[1_000_000, 2_000_000, 5_000_000]),
            writes_before: leader.below(6),
            shards: 1 + workload.below(3) as u16,
            apply_batch: 1 + workload.below(6),
            outstanding_max: *workload.pick(&[2, 10, 1_000]),
            event_bytes_max: *workload.pick(&[200, 1_000, 1 << 20]),
            session_ms: *workload.pick(&[6_000, 6_000, 900]),
            hold_ms: *workload.pick(&[200, 5_000, 1_000_000, 1_000_000]),
            latency: Latency {
                least_us: 20 + streams.network.micros(500),
                spread_us: *streams.network.pick(&[50, 1_000, 20_000]),
            },
            flush_us: *streams.disk.pick(&[100, 2_000, 20_000]),
            think_us: *workload.pick(&[2_000, 10_000, 50_000]),
            leader_us: *leader.pick(&[500, 2_000, 10_000]),
            failure_us: *streams.crash.pick(&[60_000, 300_000, 1_000_000]),
            commits: *leader.pick(&[10, 40, 100]),
            quorums: *leader.pick(&[30, 100]),
            states: *leader.pick(&[0, 25]),
            lags: *leader.pick(&[0, 0, 30]),
            snapshot_us: *streams.disk.pick(&[50_000, 500_000, 5_000_000]),
            faults,
        }
    }

    /// Everything is fast, and nothing fails.
    pub(crate) fn calm(kind: LearnerKind) -> Swarm {
        Swarm {
            kinds: vec![kind],
            clients: 0,
            fault_us: 0,
            writes_before: 3,
            shards: 1,
            apply_batch: 4,
            outstanding_max: 1_000,
            event_bytes_max: 1_000,
            session_ms: 6_000,
            hold_ms: 1_000_000,
            latency: Latency { least_us: 50, spread_us: 100 },
            flush_us: 100,
            think_us: 2_000,
            leader_us: 1_000,
            failure_us: 1_000_000,
            commits: 100,
            quorums: 100,
            states: 0,
            lags: 0,
            snapshot_us: 5_000_000,
            faults: FaultWeights::default(),
        }
    }
}

/// Each fault is left out of two thirds of all seeds, but for those that make leaders change.
fn faults(chance: &mut super::random::Random) -> FaultWeights {
    let mut weight = |weight: usize| if chance.percent(35) { weight } else { 0 };
    FaultWeights {
        lose_link: 1 + weight(10),
        change_leader: 1 + weight(10),
        clog: weight(5),
        process_death: weight(5),
        power_loss: weight(5),
        crash_at: weight(8),
        pause: weight(3),
        clock: weight(3),
        disk_error: weight(3),
        disk_full: weight(3),
        stall: weight(4),
        rot: weight(1),
        wipe: weight(1),
        wrong: weight(8),
    }
}
