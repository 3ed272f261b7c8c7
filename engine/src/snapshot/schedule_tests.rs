use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const GIB: u64 = 1 << 30;
/// As ZooKeeper, with the early ones.
const INTERVALS: Intervals =
    Intervals { records: 1_000, bytes: GIB, replay: Duration::ZERO, early_bytes: 5_000 };
/// What a server has by itself, but early ones.
const DEFAULTS: Intervals = Intervals {
    records: 100_000,
    bytes: 4 * GIB,
    replay: Duration::from_secs(5),
    early_bytes: u64::MAX,
};
/// Draws the largest distances.
const FAR: u64 = u64::MAX;

fn growth(records: u64) -> LogGrowth {
    LogGrowth { records, bytes: records * 100 }
}

fn taken(kind: SnapshotKind, records: u64, cost: Duration) -> Taken {
    Taken { kind, growth: growth(records), cost }
}

fn replayed(records: u64) -> LastStart {
    LastStart { replayed: growth(records), ..LastStart::default() }
}

/// Without a limit of the replay the size of the tree is not even looked at.
fn unseen() -> u64 {
    panic!("the tree is looked at")
}

/// The first number of transactions, of 250 bytes each, at which a regular one is due.
fn first_due(schedule: &Schedule, tree_bytes: u64) -> u64 {
    let is_due = |records: u64| {
        let growth = LogGrowth { records, bytes: records * 250 };
        schedule.due(growth, Duration::ZERO, || tree_bytes) == Some(SnapshotKind::Regular)
    };
    let (mut below, mut due) = (0, 1 << 40);
    assert!(!is_due(below) && is_due(due));
    while due - below > 1 {
        let middle = below.midpoint(due);
        if is_due(middle) { due = middle } else { below = middle }
    }
    due
}

#[test]
fn regular_snapshots_are_due_by_records_and_bytes_whatever_early_ones_were_taken() {
    let never = Intervals { early_bytes: u64::MAX, ..INTERVALS };
    let mut schedule = Schedule::new(never, replayed(300), 499);
    assert_eq!(schedule.due(growth(699), 900 * MS, unseen), None);
    assert_eq!(schedule.due(growth(700), Duration::ZERO, unseen), Some(SnapshotKind::Regular));
    schedule.taken(taken(SnapshotKind::Regular, 700, MS), MS, 0);
    schedule.taken(taken(SnapshotKind::Early, 1_100, MS), MS, 0);
    assert_eq!(schedule.due(growth(1_200), MS, unseen), None);
    assert_eq!(schedule.due(growth(1_201), MS, unseen), Some(SnapshotKind::Regular));
    let much = LogGrowth { records: 701, bytes: 70_000 + GIB };
    assert_eq!(schedule.due(much, MS, unseen), Some(SnapshotKind::Regular));
}

#[test]
fn early_snapshots_are_due_by_log_bytes_and_rest_in_proportion_to_their_cost() {
    let mut schedule = Schedule::new(INTERVALS, LastStart::default(), 499);
    let due = |schedule: &Schedule, records, now| schedule.due(growth(records), now, unseen);
    assert_eq!(due(&schedule, 49, MS), None);
    assert_eq!(due(&schedule, 50, MS), Some(SnapshotKind::Early));
    schedule.taken(taken(SnapshotKind::Early, 50, 2 * MS), 10 * MS, 0);
    assert_eq!(due(&schedule, 99, 900 * MS), None);
    assert_eq!(due(&schedule, 200, 73 * MS), None);
    assert_eq!(due(&schedule, 200, 74 * MS), Some(SnapshotKind::Early));
    schedule.taken(taken(SnapshotKind::Regular, 200, MS), 80 * MS, 0);
    assert_eq!(due(&schedule, 400, 111 * MS), None);
    assert_eq!(due(&schedule, 249, 112 * MS), None);
    assert_eq!(due(&schedule, 250, 112 * MS), Some(SnapshotKind::Early));
}

#[test]
fn replayed_log_counts_and_a_slow_load_puts_early_snapshots_off() {
    let start = LastStart { load_ms: 100, ..replayed(49) };
    let schedule = Schedule::new(INTERVALS, start, 0);
    assert_eq!(schedule.due(growth(0), 4_000 * MS, unseen), None);
    assert_eq!(schedule.due(growth(1), 3_199 * MS, unseen), None);
    assert_eq!(schedule.due(growth(1), 3_200 * MS, unseen), Some(SnapshotKind::Early));
    let large = Schedule::new(INTERVALS, LastStart { load_ms: 1_000, ..start }, 0);
    assert_eq!(large.due(growth(400), 31_999 * MS, unseen), None);
}

#[test]
fn small_tree_is_copied_as_often_as_snap_count_says() {
    let schedule = Schedule::new(DEFAULTS, LastStart::default(), FAR);
    for tree_bytes in [0, 100_000, 10 << 20] {
        assert_eq!(first_due(&schedule, tree_bytes), 50_000 + FAR % 50_000 + 1);
    }
}

#[test]
fn large_tree_is_copied_when_as_much_log_is_behind_it() {
    let schedule = Schedule::new(DEFAULTS, LastStart::default(), FAR);
    // One million nodes with 100 bytes of data.
    let tree_bytes = 188_000_000;
    let bytes = first_due(&schedule, tree_bytes) * 250;
    assert!((tree_bytes / 2..=tree_bytes).contains(&bytes), "{bytes}");
    let near = Schedule::new(DEFAULTS, LastStart::default(), 0);
    assert_eq!(first_due(&near, tree_bytes) * 250, tree_bytes / 2 + 250);
}

#[test]
fn log_behind_the_largest_tree_is_replayed_in_the_limit() {
    let near = Schedule::new(DEFAULTS, LastStart::default(), 0);
    let far = Schedule::new(DEFAULTS, LastStart::default(), FAR);
    let due = [near, far].map(|schedule| first_due(&schedule, u64::MAX));
    // 200 MB a second by the assumed pace, for five seconds.
    assert_eq!(due[0] * 250, 500_000_250);
    assert!((due[0] + 1..=4_000_000).contains(&due[1]), "{due:?}");
}

#[test]
fn pace_of_the_last_start_counts_where_it_replayed_enough() {
    let due = |records, replay_ms| {
        let replayed = LogGrowth { records, bytes: records * 250 };
        assert!(records < 100_000 || replayed.bytes >= REPLAYED_BYTES_MIN);
        let start = LastStart { replayed, replay_ms, load_ms: 0 };
        first_due(&Schedule::new(DEFAULTS, start, 0), u64::MAX) + records
    };
    let assumed = 2_000_001;
    assert_eq!(due(60_000, 60_000), assumed, "too little to say anything");
    assert_eq!(due(400_000, 500), assumed, "as assumed");
    assert_eq!(due(400_000, 1_000), 1_000_001, "half as fast");
    assert_eq!(due(400_000, 250), 4_000_001, "twice as fast");
    assert_eq!(due(100_000, 900_000), 250_001, "at most so much slower");
    assert_eq!(due(100_000, 0), 16_000_001, "at most so much faster");
}

prop_compose! {
    fn any_intervals()(
        records in 2_u64..1 << 31,
        bytes in prop_oneof![Just(u64::MAX), 1_u64..1 << 40],
        replay_ms in 0_u64..3_600_000,
    ) -> Intervals {
        let replay = Duration::from_millis(replay_ms);
        Intervals { records, bytes, replay, early_bytes: u64::MAX }
    }
}

proptest! {
    #[test]
    fn regular_snapshot_is_never_due_before_the_least_distance_and_always_by_the_limit(
        intervals in any_intervals(),
        start in (0_u64..1 << 22, 0_u64..1 << 32, 0_u64..1 << 20),
        random in any::<u64>(),
        (records, each) in (0_u64..1 << 32, 33_u64..1 << 20),
        tree_bytes in any::<u64>(),
    ) {
        let (records_before, bytes_before, replay_ms) = start;
        let replayed = LogGrowth { records: records_before, bytes: bytes_before };
        let start = LastStart { replayed, replay_ms, load_ms: 0 };
        let schedule = Schedule::new(intervals, start, random);
        let growth = LogGrowth { records, bytes: records.saturating_mul(each) };
        let due = schedule.due(growth, SECOND, || tree_bytes).is_some();
        let behind_records = records + records_before;
        let behind_bytes = growth.bytes + bytes_before;
        let least = behind_records > intervals.records / 2 || behind_bytes >= intervals.bytes;
        let reached = behind_records > intervals.records || behind_bytes >= intervals.bytes;
        prop_assert!(least || !due);
        let assumed = intervals.replay.as_millis() as u64 * REPLAY_BYTES_PER_MS;
        let is_much = behind_bytes > assumed * PACE_TIMES || behind_bytes > tree_bytes;
        prop_assert!(due || !(reached && is_much));
        // Neither the tree nor the limit asks for it.
        let is_little = behind_bytes <= assumed / PACE_TIMES / 2 && behind_bytes <= tree_bytes / 2;
        prop_assert!(!(due && is_little && behind_bytes > 0));
    }

    #[test]
    fn more_log_and_a_smaller_tree_never_put_a_snapshot_off(
        intervals in any_intervals(),
        random in any::<u64>(),
        (records, more) in (0_u64..1 << 32, 0_u64..1 << 32),
        (tree_bytes, smaller) in (any::<u64>(), any::<u64>()),
    ) {
        let schedule = Schedule::new(intervals, LastStart::default(), random);
        if schedule.due(growth(records), SECOND, || tree_bytes).is_some() {
            let smaller = smaller.min(tree_bytes);
            prop_assert!(schedule.due(growth(records + more), SECOND, || smaller).is_some());
        }
    }

    #[test]
    fn members_that_draw_differently_take_snapshots_of_large_trees_apart(
        draws in proptest::collection::vec(any::<u64>(), 40),
        tree_mib in 200_u64..4_000,
    ) {
        let due: std::collections::BTreeSet<u64> = draws
            .iter()
            .map(|random| {
                let schedule = Schedule::new(DEFAULTS, LastStart::default(), *random);
                first_due(&schedule, tree_mib << 20)
            })
            .collect();
        let (first, last) = (due.first().unwrap(), due.last().unwrap());
        prop_assert!(due.len() > 30);
        prop_assert!(*last <= 2 * first && last - first > first / 3, "{first} to {last}");
    }
}
