//! What a member of an ensemble measures: how long a quorum, each follower, elections and
//! synchronizations take, and how far learners are behind.

use ringkeeper_replication::learner::LearnerKind;

use super::exposition::{Exposition, Kind};
use super::own::{TIMES_US, bounds, seconds};
use crate::admin::latency::Latencies;
use crate::admin::member::{MemberNumbers, ReplicationNumbers};
use crate::admin::numbers::Numbers;

/// Bounds of elections and synchronizations, in milliseconds.
const TIMES_MS: &[u64] = &[
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000,
    200_000, 500_000, 1_000_000,
];

/// Appends them all, of a server that is a member.
pub(super) fn write(member: &MemberNumbers, numbers: &Numbers, out: &mut Exposition) {
    let own = &member.replication;
    micros(own, out);
    millis(own, out);
    acks(own, out);
    learners(member, numbers, out);
}

fn micros(own: &ReplicationNumbers, out: &mut Exposition) {
    for (name, help, times) in [
        (
            "ringkeeper_quorum_ack_seconds",
            "Of a leader: from the proposal of a group of writes until a quorum has it.",
            &own.quorum_acks,
        ),
        (
            "ringkeeper_own_ack_seconds",
            "From a proposal, or its arrival, until it is on the disk of this server.",
            &own.own_acks,
        ),
        (
            "ringkeeper_commit_propagation_seconds",
            "Of a follower: from the arrival of a proposal until that of its commit.",
            &own.commits,
        ),
    ] {
        let (count, sum) = times.count_and_sum();
        let within = bounds(TIMES_US, seconds).zip(times.within(TIMES_US));
        out.histogram((name, help), within, (count, seconds(sum)));
    }
}

fn millis(own: &ReplicationNumbers, out: &mut Exposition) {
    let seconds = |ms: u64| ms as f64 / 1_000.0;
    for (name, help, times) in [
        (
            "ringkeeper_election_seconds",
            "From the beginning of a search for a leader until one was known.",
            &own.elections,
        ),
        (
            "ringkeeper_sync_seconds",
            "From the choice of a leader until this server led, or was as far as its leader.",
            &own.syncs,
        ),
    ] {
        let (count, sum) = times.count_and_sum();
        let within = bounds(TIMES_MS, seconds).zip(times.within(TIMES_MS));
        out.histogram((name, help), within, (count, seconds(sum)));
    }
}

/// Of a leader: each follower on its own.
fn acks(own: &ReplicationNumbers, out: &mut Exposition) {
    let name = "ringkeeper_follower_ack_seconds";
    let help = "Of a leader: from the proposal of a group until a follower has acknowledged it.";
    out.described(name, Kind::Histogram, help);
    for (server, times) in &own.acks {
        let server = server.0.to_string();
        labelled(name, &server, times, out);
    }
}

fn labelled(name: &str, server: &str, times: &Latencies, out: &mut Exposition) {
    let (count, sum) = times.count_and_sum();
    let within = bounds(TIMES_US, seconds).zip(times.within(TIMES_US));
    out.buckets(name, &[("server", server)], within, (count, seconds(sum)));
}

/// How far learners are behind, where this server leads.
fn learners(member: &MemberNumbers, numbers: &Numbers, out: &mut Exposition) {
    let learners = member.report.leading.iter().flat_map(|leading| &leading.learners);
    let learners: Vec<_> = learners.filter(|learner| learner.is_synced).collect();
    let name = "ringkeeper_follower_lag_transactions";
    let help = "Transactions that this leader has applied and a follower has not acknowledged.";
    out.described(name, Kind::Gauge, help);
    let applied = numbers.database.applied;
    for learner in learners.iter().filter(|learner| learner.kind == LearnerKind::Follower) {
        let is_same_epoch = learner.acked.epoch() == applied.epoch();
        let from = if is_same_epoch { learner.acked.counter() } else { 0 };
        let lag = applied.counter().saturating_sub(from);
        out.sample(name, &[("server", &learner.server.0.to_string())], &lag.to_string());
    }
    let name = "ringkeeper_learner_unsent_bytes";
    out.described(name, Kind::Gauge, "Bytes that wait until a learner takes them.");
    for learner in learners {
        let server = learner.server.0.to_string();
        out.sample(name, &[("server", &server)], &learner.unsent_bytes.to_string());
    }
}
