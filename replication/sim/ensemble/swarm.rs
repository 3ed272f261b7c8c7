//! What differs from seed to seed: how many members there are, how fast everything is, and what
//! fails how often.

use ringkeeper_replication::EpochLimits;

use super::super::net::Latency;
use super::super::random::Random;
use super::super::streams::Streams;

/// One choice of everything.
#[derive(Clone, Debug)]
pub(crate) struct Swarm {
    pub(crate) voters: usize,
    pub(crate) observers: usize,
    pub(crate) clients: usize,
    /// Virtual time in which things fail.
    pub(crate) fault_us: u64,
    pub(crate) shards: u16,
    pub(crate) apply_batch: usize,
    pub(crate) outstanding_max: usize,
    /// Bytes of a leader's events that a member keeps.
    pub(crate) event_bytes_max: usize,
    /// The timeout of clients' sessions, milliseconds.
    pub(crate) session_ms: i32,
    /// How long clients wait for a leader, milliseconds.
    pub(crate) hold_ms: i64,
    /// Milliseconds of a tick, of `initLimit` and of `syncLimit`.
    pub(crate) tick_ms: i64,
    pub(crate) init_ms: i64,
    pub(crate) sync_ms: i64,
    pub(crate) latency: Latency,
    /// The longest flush, microseconds.
    pub(crate) flush_us: u64,
    /// Between two actions of a client, and of whatever fails; on average, half of it.
    pub(crate) think_us: u64,
    pub(crate) failure_us: u64,
    pub(crate) snapshot_us: u64,
    /// Transactions that a leader keeps in memory.
    pub(crate) window_records: usize,
    /// Bytes of a learner's connection that the network takes.
    pub(crate) socket_bytes: usize,
    /// Bytes that may wait for a learner.
    pub(crate) link_bytes_max: usize,
    /// Bytes that may be proposed and not committed.
    pub(crate) uncommitted_bytes_max: usize,
    /// Bytes of a piece that is read for a learner.
    pub(crate) piece_bytes: usize,
    /// How far an epoch goes.
    pub(crate) epochs: EpochLimits,
    pub(crate) faults: FaultWeights,
}

/// How often each fault is chosen, beside the others.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct FaultWeights {
    /// Connections between two members are reset.
    pub(crate) reset: usize,
    /// Nothing passes from one member to another, one way.
    pub(crate) cut_one_way: usize,
    /// A member is cut off, or the members fall into two groups that overlap or not.
    pub(crate) partition: usize,
    pub(crate) process_death: usize,
    pub(crate) power_loss: usize,
    /// Some members end at once, maybe all of them.
    pub(crate) mass_death: usize,
    /// The leader's process ends.
    pub(crate) leader_death: usize,
    pub(crate) crash_at: usize,
    pub(crate) pause: usize,
    pub(crate) clock: usize,
    pub(crate) disk_error: usize,
    pub(crate) disk_full: usize,
    pub(crate) stall: usize,
    pub(crate) slow_disk: usize,
    pub(crate) rot: usize,
    pub(crate) wipe: usize,
}

impl FaultWeights {
    /// In the order of [`super::faults::Fault::ALL`].
    pub(crate) fn all(&self) -> [usize; 16] {
        [
            self.reset,
            self.cut_one_way,
            self.partition,
            self.process_death,
            self.power_loss,
            self.mass_death,
            self.leader_death,
            self.crash_at,
            self.pause,
            self.clock,
            self.disk_error,
            self.disk_full,
            self.stall,
            self.slow_disk,
            self.rot,
            self.wipe,
        ]
    }
}

impl Swarm {
    /// The choice of a seed.
    pub(crate) fn draw(streams: &mut Streams) -> Swarm {
        let voters = *streams.crash.pick(&[3, 3, 3, 3, 3, 3, 3, 3, 5, 5, 5, 7]);
        let (workload, leader) = (&mut streams.workload, &mut streams.leader);
        let tick_ms = *leader.pick(&[20, 50, 100]);
        Swarm {
            voters,
            observers: streams.crash.below(3),
            clients: 2 + workload.below(4),
            fault_us: *workload.pick(&[2_000_000, 5_000_000, 10_000_000]),
            shards: 1 + workload.below(2) as u16,
            apply_batch: 1 + workload.below(6),
            outstanding_max: *workload.pick(&[2, 10, 1_000]),
            event_bytes_max: *workload.pick(&[200, 1_000, 1 << 20]),
            session_ms: *workload.pick(&[6_000, 6_000, 900]),
            hold_ms: *workload.pick(&[200, 5_000, 1_000_000]),
            tick_ms,
            init_ms: 600 + tick_ms * *leader.pick(&[5, 20]),
            sync_ms: tick_ms * *leader.pick(&[2, 5]),
            latency: Latency {
                least_us: 20 + streams.network.micros(500),
                spread_us: *streams.network.pick(&[50, 1_000, 10_000]),
            },
            flush_us: *streams.disk.pick(&[100, 2_000, 20_000]),
            think_us: *workload.pick(&[4_000, 20_000, 80_000]),
            failure_us: *streams.crash.pick(&[200_000, 800_000, 2_000_000]),
            snapshot_us: *streams.disk.pick(&[100_000, 1_000_000, 5_000_000]),
            window_records: *leader.pick(&[1, 10, 1_000]),
            socket_bytes: *leader.pick(&[500, 4_000, 1 << 20]),
            link_bytes_max: *leader.pick(&[4_000, 1 << 20]),
            uncommitted_bytes_max: *leader.pick(&[200, 1 << 20]),
            piece_bytes: *leader.pick(&[1_000, 4_000, 256 << 10]),
            epochs: EpochLimits::default(),
            faults: faults(&mut streams.crash),
        }
    }

    /// Everything is fast, and nothing fails.
    pub(crate) fn calm(voters: usize, observers: usize, clients: usize) -> Swarm {
        Swarm {
            voters,
            observers,
            clients,
            fault_us: 0,
            shards: 1,
            apply_batch: 4,
            outstanding_max: 1_000,
            event_bytes_max: 1 << 20,
            session_ms: 6_000,
            hold_ms: 1_000_000,
            tick_ms: 50,
            init_ms: 1_000,
            sync_ms: 250,
            latency: Latency { least_us: 50, spread_us: 100 },
            flush_us: 100,
            think_us: 5_000,
            failure_us: 1_000_000,
            snapshot_us: 5_000_000,
            window_records: 1_000,
            socket_bytes: 1 << 20,
            link_bytes_max: 1 << 20,
            uncommitted_bytes_max: 1 << 20,
            piece_bytes: 256 << 10,
            epochs: EpochLimits::default(),
            faults: FaultWeights::default(),
        }
    }
}

/// Each fault is left out of most seeds, but for those that make leaders change.
fn faults(chance: &mut Random) -> FaultWeights {
    let mut weight = |weight: usize| if chance.percent(35) { weight } else { 0 };
    FaultWeights {
        reset: 1 + weight(6),
        cut_one_way: weight(5),
        partition: weight(6),
        process_death: weight(5),
        power_loss: weight(5),
        mass_death: weight(4),
        leader_death: 1 + weight(6),
        crash_at: weight(8),
        pause: weight(4),
        clock: weight(3),
        disk_error: weight(3),
        disk_full: weight(3),
        stall: weight(4),
        slow_disk: weight(3),
        rot: weight(2),
        wipe: weight(2),
    }
}
